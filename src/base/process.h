// What all pools of a process share hangs on pointers that a forked child finds empty and fills anew.
// So no lock, thread or descriptor of the parent is ever touched by the child: not even a lock that some
// thread of the parent held while it forked.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/memory.h"

namespace workpool {

// The fork epoch of this process; it differs between a parent and its children. (Children made without
// fork(3), by a raw clone system call, are not noticed.)
[[nodiscard]] uint32_t ForkEpoch();

// Makes ForkEpoch follow fork. Called before the first object of PerProcess exists.
void WatchFork();

// Holder of one T per process: static storage, made at first use, never destroyed (it stays reachable,
// so leak checkers are content), left behind by fork.
template <typename T>
class PerProcess {
 public:
  constexpr PerProcess() = default;

  // The object of this process, or nullptr if it was not made yet.
  T* Get() {
    // acquire: pairs with the release in Ensure.
    Stamped* stamped = current_.load(kAcquire);
    return IsOurs(stamped) ? &stamped->value : nullptr;
  }

  // The object of this process, made if need be; nullptr: out of memory.
  T* Ensure() {
    // One load, so that what is found not to be ours is also what is replaced.
    Stamped* seen = current_.load(kAcquire);
    if (IsOurs(seen)) return &seen->value;
    WatchFork();
    Stamped* fresh = New<Stamped>();
    if (fresh == nullptr) return nullptr;
    fresh->epoch = ForkEpoch();
    fresh->before = seen;
    // A holder that T wants to know of its predecessor, the parent's, gets it before it is published.
    if constexpr (requires { fresh->value.Succeed(&seen->value); }) {
      if (seen != nullptr) fresh->value.Succeed(&seen->value);
    }
    // release: publishes *fresh.
    if (current_.compare_exchange_strong(seen, fresh, kRelease, kAcquire)) return &fresh->value;
    Delete(fresh);
    return &seen->value;  // another thread of this process was faster
  }

 private:
  struct Stamped {
    T value;
    uint32_t epoch = 0;
    Stamped* before = nullptr;  // keeps the parent's reachable
  };

  static bool IsOurs(const Stamped* stamped) {
    return stamped != nullptr && stamped->epoch == ForkEpoch();
  }

  Atomic<Stamped*> current_{nullptr};
};

}  // namespace workpool
