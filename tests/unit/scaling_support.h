// For tests of policies: samples in one line, a policy from its text, and a pool that exists only as numbers, in steps of a
// millisecond, seen through the meter that the library uses.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "scaling/load_meter.h"
#include "scaling/policy.h"
#include "unit_support.h"

namespace workpool {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

// What a decider looks at most; a target of live, and none idle, unless said.
struct Load {
  uint32_t live = 1;
  uint32_t active = 0;
  uint64_t queued = 0;
  double wait_mean_s = 0;
  double wait_p99_s = 0;
  double head_s = 0;
  uint32_t target = UINT32_MAX;

  operator LoadSample() const {
    LoadSample sample;
    sample.now_ns = 1000 * kSecond;
    sample.dt_ns = 100 * kMs;
    sample.live = live;
    sample.idle = live - active;
    sample.queued = queued;
    sample.wait_mean_s = wait_mean_s;
    sample.wait_p99_s = wait_p99_s;
    sample.head_age_ns = static_cast<uint64_t>(head_s * 1e9);
    sample.workers_max = 1000;
    sample.target = target == UINT32_MAX ? live : target;
    return sample;
  }
};

struct DeletePolicy {
  void operator()(Policy* policy) const { Delete(policy); }
};
using PolicyPtr = std::unique_ptr<Policy, DeletePolicy>;

inline PolicyPtr Make(const std::string& spec) {
  Policy* policy = nullptr;
  const Status status = Policy::Parse(spec.c_str(), &policy);
  INFO(spec << ": " << (status == POOL_OK ? "" : TextOf(status)));
  REQUIRE(status == POOL_OK);
  return PolicyPtr(policy);
}

// Tasks that only take time, served in order; workers come and go at once, busy ones when they are done.
class NumberPool {
 public:
  NumberPool(Policy* policy, uint64_t start_ns) : policy_(policy), start_ns_(start_ns) {}

  uint32_t workers_min = 1;
  uint32_t workers_max = 200;
  int64_t wall_s = 1'700'000'000;

  // The next millisecond, in which so many tasks arrive that take so long.
  void Step(uint32_t arrivals, uint64_t service_ms) {
    ++ms_;
    for (uint32_t i = 0; i < arrivals; ++i) queue_.push_back(service_ms);
    const size_t before = running_.size();
    running_.erase(std::remove_if(running_.begin(), running_.end(), [&](uint64_t end) { return end <= ms_; }),
                   running_.end());
    ended_ += before - running_.size();
    while (!queue_.empty() && running_.size() < target_) {
      running_.push_back(ms_ + queue_.front());
      queue_.pop_front();
      ++started_;
    }
    // As the monitor does: at a tick while tasks wait, and when the policy has asked for it.
    const bool look = (!queue_.empty() && ms_ >= tick_ms_) || NowNs() >= again_ns_;
    if (look) Decide();
  }

  [[nodiscard]] uint32_t target() const { return target_; }
  [[nodiscard]] uint32_t busy() const { return static_cast<uint32_t>(running_.size()); }
  [[nodiscard]] size_t queued() const { return queue_.size(); }
  [[nodiscard]] uint64_t looks() const { return looks_; }
  [[nodiscard]] uint64_t ms() const { return ms_; }

  struct Change {
    uint64_t at_ms;
    uint32_t workers;
    Reason reason;
    bool operator==(const Change&) const = default;
  };
  std::vector<Change> changes;

 private:
  [[nodiscard]] uint64_t NowNs() const { return start_ns_ + ms_ * kMs; }

  void Decide() {
    ++looks_;
    LoadReading reading;
    reading.now_ns = NowNs();
    reading.wall_s = wall_s + static_cast<int64_t>(ms_ / 1000);
    reading.started = started_;
    reading.ended = ended_;
    reading.waiting = queue_.size();
    reading.cores = 8;
    reading.live = std::max(target_, busy());
    reading.idle = reading.live - busy();
    reading.workers_min = workers_min;
    reading.workers_max = workers_max;
    reading.target = target_;
    const LoadSample sample = meter_.Measure(reading, false);
    const Decision decision = policy_->Decide(sample);
    again_ns_ = decision.again_ns;
    tick_ms_ = policy_->tick_ns() == kNever ? UINT64_MAX : ms_ + policy_->tick_ns() / kMs;
    if (decision.workers != target_) changes.push_back({ms_, decision.workers, decision.reason});
    target_ = decision.workers;
  }

  Policy* const policy_;
  const uint64_t start_ns_;
  LoadMeter meter_;
  uint64_t ms_ = 0;
  std::deque<uint64_t> queue_;
  std::vector<uint64_t> running_;
  uint64_t started_ = 0, ended_ = 0, looks_ = 0;
  uint64_t tick_ms_ = 0, again_ns_ = 0;
  uint32_t target_ = 1;
};

}  // namespace workpool
