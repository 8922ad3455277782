// RateLimiter: a token bucket that several threads share.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"
#include "dispatch/token_bucket.h"

namespace workpool {

class RateLimiter {
 public:
  explicit RateLimiter(Rate rate) : limited_(rate.count != 0), bucket_(rate, NowNs()) {}

  bool limited() const { return limited_.load(kRelaxed); }

  [[nodiscard]] bool TryTake() {
    if (!limited()) return true;
    MutexLock lock(mu_);
    return bucket_.TryTake(NowNs());
  }
  // As in TokenBucket.
  [[nodiscard]] uint64_t Reserve() {
    MutexLock lock(mu_);
    return bucket_.Reserve(NowNs());
  }
  void GiveBack() {
    if (!limited()) return;
    MutexLock lock(mu_);
    bucket_.GiveBack();
  }
  [[nodiscard]] uint64_t NextNs() {
    MutexLock lock(mu_);
    return bucket_.NextNs(NowNs());
  }
  void SetRate(Rate rate) {
    MutexLock lock(mu_);
    bucket_.SetRate(rate, NowNs());
    limited_.store(rate.count != 0, kRelaxed);
  }

 private:
  Atomic<bool> limited_;
  Mutex mu_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mu_);
};

}  // namespace workpool
