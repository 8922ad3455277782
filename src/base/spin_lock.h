// A lock whose release is a plain store: for sections of a few dozen instructions that callers first try and then go
// elsewhere. Whoever must have it spins, yields, then sleeps in short steps, so that a holder of lower priority gets
// to run.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "base/atomic.h"
#include "base/thread_line.h"

namespace workpool {

class ABSL_LOCKABLE SpinLock {
 public:
  SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  [[nodiscard]] bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    // acquire: pairs with the release in Unlock; weaker, and the section could read what the last owner had not
    // yet written.
    if (held_.load(kRelaxed) != 0 || held_.exchange(1, kAcquire) != 0) return false;
    CountLock(1);
    return true;
  }

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION();

  void Unlock() ABSL_UNLOCK_FUNCTION() {
    CountLock(-1);
    // release: pairs with the acquire of the next owner.
    held_.store(0, kRelease);
  }

 private:
  static void CountLock([[maybe_unused]] int delta) {
#if !defined(NDEBUG)
    CurrentTls().locks_held += delta;
#endif
  }

  Atomic<uint32_t> held_{0};
};

}  // namespace workpool
