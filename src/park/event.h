// Event: sleep until a condition that other threads make true, which lies anywhere. The waiter registers,
// looks at the condition, then sleeps; the notifier makes it true, then looks for waiters. For rare waits;
// workers have parkers of their own (idle_set.h).
// Threads: all, any thread.
// Proof:   README.md.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/fence.h"
#include "base/futex.h"

namespace workpool {

class Event {
 public:
  // Returns true as soon as condition() is, false when deadline_ns has passed first. condition must be
  // safe to call without a lock.
  template <typename Condition>
  [[nodiscard]] bool Await(uint64_t deadline_ns, Condition condition) {
    if (condition()) return true;
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return false;
    waiters_.fetch_add(1, kRelaxed);
    bool met;
    for (;;) {
      const uint32_t epoch = epoch_.load(kRelaxed);
      // The registration before the look at the condition, and the epoch before it; partner: the fence in Notify.
      FullFence();
      met = condition();
      if (met) break;
      if (FutexWait(epoch_, epoch, deadline_ns) == FutexResult::kTimeout) {
        met = condition();
        break;
      }
    }
    waiters_.fetch_sub(1, kRelaxed);
    return met;
  }

  // After the condition was made true.
  void Notify() {
    // The condition before the look for waiters; partner: the fence in Await.
    FullFence();
    if (waiters_.load(kRelaxed) == 0) return;
    epoch_.fetch_add(1, kRelaxed);
    FutexWakeAll(epoch_);
  }

  // True if somebody may be waiting; for callers that do work to find out whether the condition holds.
  [[nodiscard]] bool HasWaiters() {
    FullFence();
    return waiters_.load(kRelaxed) != 0;
  }

 private:
  Atomic<uint32_t> epoch_{0};
  Atomic<uint32_t> waiters_{0};
};

}  // namespace workpool
