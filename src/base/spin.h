// Bounded busy waits.
#pragma once

#if defined(WORKPOOL_MODEL)
#include "base/atomic.h"
#endif

namespace workpool {

#if defined(WORKPOOL_MODEL)
using model::SpinPause;
using model::SpinRounds;
#else
// One step.
inline void SpinPause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
  asm volatile("yield");
#endif
}
// How many steps to wait where usual would be best: that many, but where a test wants fewer.
constexpr int SpinRounds(int usual) { return usual; }
#endif

}  // namespace workpool
