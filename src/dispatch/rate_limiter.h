// RateLimiter: a token bucket that several threads share, with a line of tasks that wait for its tokens. While somebody is
// in line the token after the last one that was given out is kept for the first; it counts from when that one was due, so
// that whoever looks late loses none.
// Threads: all, any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"
#include "dispatch/token_bucket.h"
#include "task/gate.h"

namespace workpool {

class RateLimiter {
 public:
  explicit RateLimiter(Rate rate) : limited_(rate.count != 0), bucket_(rate, NowNs()) {}

  bool limited() const { return limited_.load(kRelaxed); }

  [[nodiscard]] bool TryTake() {
    if (!limited()) return true;
    MutexLock lock(mu_);
    return next_ns_ == kNever && bucket_.TryTake(NowNs());
  }
  // True: the record has a token. False: it waits in line, and the caller's reference with it.
  [[nodiscard]] bool Enter(TaskRecord& record) {
    MutexLock lock(mu_);
    const uint64_t now_ns = NowNs();
    if (next_ns_ == kNever && bucket_.TryTake(now_ns)) return true;
    line_.Push(record);
    if (next_ns_ == kNever) next_ns_ = bucket_.Reserve(now_ns);
    return false;
  }
  // The first in line for whom there is a token now, with its reference; nullptr: none.
  [[nodiscard]] TaskRecord* Admit(uint64_t now_ns) {
    MutexLock lock(mu_);
    if (next_ns_ > now_ns) return nullptr;
    TaskRecord* first = line_.Pop();
    if (first == nullptr) bucket_.GiveBack();
    next_ns_ = line_.empty() ? kNever : bucket_.Reserve(next_ns_);
    return first;
  }
  // The first in line, whatever the time.
  [[nodiscard]] TaskRecord* AdmitAny() {
    MutexLock lock(mu_);
    return line_.Pop();
  }
  // When Admit is to be called; kNever: nobody is in line.
  [[nodiscard]] uint64_t DueNs() {
    MutexLock lock(mu_);
    return next_ns_;
  }
  void GiveBack() {
    if (!limited()) return;
    MutexLock lock(mu_);
    bucket_.GiveBack();
  }
  // Takes a token that may be used at the time returned, behind those in line. Who does not use it gives it back; so he does
  // when the version has changed, for an earlier one.
  [[nodiscard]] uint64_t Reserve() {
    MutexLock lock(mu_);
    // The debt puts it behind them. Not from a time to come: a rate that is changed before then would count from there.
    return bucket_.Reserve(std::min(next_ns_, NowNs()));
  }
  // Of the rate.
  [[nodiscard]] uint32_t version() const { return version_.load(kRelaxed); }
  void SetRate(Rate rate) {
    MutexLock lock(mu_);
    const uint64_t now_ns = NowNs();
    bucket_.SetRate(rate, now_ns);
    if (next_ns_ != kNever) {
      bucket_.GiveBack();
      next_ns_ = bucket_.Reserve(now_ns);
    }
    limited_.store(rate.count != 0, kRelaxed);
    version_.fetch_add(1, kRelaxed);
  }

 private:
  Atomic<bool> limited_;
  Atomic<uint32_t> version_{0};
  Mutex mu_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mu_);
  GateLine line_ ABSL_GUARDED_BY(mu_);
  uint64_t next_ns_ ABSL_GUARDED_BY(mu_) = kNever;  // when the first in line has its token; kNever: nobody is
};

}  // namespace workpool
