// The one home of <atomic>. Everything shared between threads is an Atomic<T>, so that the schedule
// explorer (tests/model) can put its own in the place of the machine's.
#pragma once

#include <atomic>

#if defined(WORKPOOL_MODEL)
#include "model/atomic.h"
#else
namespace workpool {

template <typename T>
using Atomic = std::atomic<T>;

}  // namespace workpool
#endif

namespace workpool {

inline constexpr std::memory_order kRelaxed = std::memory_order_relaxed;
inline constexpr std::memory_order kAcquire = std::memory_order_acquire;
inline constexpr std::memory_order kRelease = std::memory_order_release;
inline constexpr std::memory_order kAcqRel = std::memory_order_acq_rel;
inline constexpr std::memory_order kSeqCst = std::memory_order_seq_cst;

}  // namespace workpool
