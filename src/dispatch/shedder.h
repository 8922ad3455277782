// Shedder: one CoDel for all workers of a pool.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "dispatch/codel.h"

namespace workpool {

class Shedder {
 public:
  // target_ns 0: it never sheds.
  Shedder(uint64_t target_ns, uint64_t interval_ns) : on_(target_ns != 0), codel_(target_ns, interval_ns) {}

  bool on() const { return on_; }

  // A task has just been taken that has waited for wait_ns. last: nothing else waits.
  [[nodiscard]] bool ShouldShed(uint64_t now_ns, uint64_t wait_ns, bool last) {
    MutexLock lock(mu_);
    return codel_.ShouldShed(now_ns, wait_ns, last);
  }

 private:
  const bool on_;
  Mutex mu_;
  Codel codel_ ABSL_GUARDED_BY(mu_);
};

}  // namespace workpool
