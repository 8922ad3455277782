// Store-load order, the one order that release and acquire do not give: "what I wrote before is seen by
// whoever I do not see after". It always takes two, one on each side (Dekker).
//
//   FullFence            on both sides.
//   LightFence           on the frequent side: free where the kernel offers membarrier,
//   HeavyFence           on the rare side: a barrier in every running thread of the process.
//                        A LightFence pairs with HeavyFence only.
#pragma once

#include "base/atomic.h"

namespace workpool {

#if defined(WORKPOOL_MODEL)

using model::FullFence;
using model::HeavyFence;
using model::LightFence;
inline void InitFences() {}
inline bool LightFenceIsFree() { return true; }
inline void FreeLightFence() { model::LightFence(); }

#else

namespace internal {
extern Atomic<bool> g_membarrier;
extern Atomic<unsigned> g_fence_word;
}  // namespace internal

// Registers the process with membarrier(2); without it LightFence is a FullFence. Called once, before
// the first fence.
void InitFences();

#if defined(__SANITIZE_THREAD__)
#define WORKPOOL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WORKPOOL_TSAN 1
#endif
#endif

inline void FullFence() {
#if defined(WORKPOOL_TSAN)
  // ThreadSanitizer does not see fences; it sees a read-modify-write.
  internal::g_fence_word.fetch_add(1, kSeqCst);
#else
  std::atomic_thread_fence(kSeqCst);
#endif
}

// Whether LightFence costs nothing here. Constant after InitFences.
inline bool LightFenceIsFree() { return internal::g_membarrier.load(kRelaxed); }

// A LightFence where that is known to be free.
inline void FreeLightFence() { std::atomic_signal_fence(kSeqCst); }

inline void LightFence() {
#if defined(WORKPOOL_TSAN)
  FullFence();
#else
  if (LightFenceIsFree()) [[likely]] {
    FreeLightFence();
  } else {
    FullFence();
  }
#endif
}

void HeavyFence();

#endif

}  // namespace workpool
