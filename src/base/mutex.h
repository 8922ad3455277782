// A lock for short sections that call no user code: three states on a futex word (Drepper, "Futexes are
// tricky", 2011): 0 free, 1 held, 2 held and perhaps waited for. In builds with assertions each thread
// counts the locks it holds, and every call into user code checks that it holds none.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "base/atomic.h"
#include "base/futex.h"
#include "base/thread_line.h"

namespace workpool {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // spins: looks at a lock that is held before it sleeps. 0 is for one that its users take again at once: who sleeps leaves
  // the lines to one that goes on with them.
  void Lock(int spins = kSpins) ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    uint32_t free = 0;
    // acquire: pairs with the release in Unlock; weaker, and the section could read what the last
    // owner had not yet written.
    if (!state_.compare_exchange_strong(free, 1, kAcquire, kRelaxed)) LockSlow(spins);
    CountLock(1);
  }

  [[nodiscard]] bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    uint32_t free = 0;
    if (state_.load(kRelaxed) != 0) return false;
    // acquire: as in Lock.
    if (!state_.compare_exchange_strong(free, 1, kAcquire, kRelaxed)) return false;
    CountLock(1);
    return true;
  }

  void Unlock() ABSL_UNLOCK_FUNCTION() {
    CountLock(-1);
    // release: pairs with the acquire of the next owner.
    if (state_.exchange(0, kRelease) == 2) FutexWake(state_, 1);
  }

 private:
  // Sections are tens of nanoseconds long: a short spin saves most sleeps (100: best of 0..1000 with two threads on two
  // cores; beyond it the holder was descheduled).
  static constexpr int kSpins = 100;

  void LockSlow(int spins);

  static void CountLock([[maybe_unused]] int delta) {
#if !defined(NDEBUG)
    CurrentTls().locks_held += delta;
#endif
  }

  Atomic<uint32_t> state_{0};
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

}  // namespace workpool
