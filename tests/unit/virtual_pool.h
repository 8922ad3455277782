// A pool and its scaler in virtual time, for tests of deciders: tasks that only wait, served in
// order; sleepers woken newest first; the oldest of them expires; the scaler looks as the library's
// does.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "base/clock.h"
#include "scaling/decider.h"
#include "scaling/load_meter.h"

namespace workpool {

class VirtualPool {
 public:
  static constexpr uint64_t kTickNs = 5'000'000;
  static constexpr uint64_t kExpiryNs = 1'000'000'000;

  VirtualPool(Decider& decider, uint64_t start_ns, double cores)
      : decider_(decider), start_ns_(start_ns), cores_(cores) {
    target_ = Base();
  }

  // The time of a task, and whether it fails. While it is called, busy() tells how many run, this
  // one included.
  std::function<uint64_t(bool* fails)> service_ns = [](bool*) { return uint64_t{50'000'000}; };
  // Threads that can run.
  std::function<double()> runnable = [] { return 0.0; };

  struct Change {
    uint64_t at_ns;  // since the start
    uint32_t from, to;
    Reason reason;
    bool operator==(const Change&) const = default;
  };
  std::vector<Change> decisions;  // those that changed the target
  std::vector<Change> sizes;      // live workers
  uint64_t ended = 0;
  uint64_t wait_max_ns = 0;  // of tasks that were taken

  [[nodiscard]] uint32_t busy() const { return live_ - static_cast<uint32_t>(parked_.size()); }
  [[nodiscard]] uint32_t live() const { return live_; }
  [[nodiscard]] uint32_t target() const { return target_; }

  // One more task, in_ns after the last one; everything before that happens first.
  void Arrive(uint64_t in_ns) {
    RunTo(arrival_ns_ + in_ns);
    arrival_ns_ += in_ns;
    queue_.push_back(now_ns_);
    Supply();
  }
  // Everything up to a time since the start.
  void RunTo(uint64_t to_ns) {
    for (;;) {
      const uint64_t end_ns = ends_.empty() ? kNever : ends_.top().at_ns;
      const uint64_t expiry_ns = parked_.empty() ? kNever : parked_.front() + kExpiryNs;
      const uint64_t next_ns = std::min({end_ns, expiry_ns, look_ns_});
      if (next_ns > to_ns) break;
      now_ns_ = next_ns;
      if (end_ns == next_ns) {
        EndOne();
      } else if (look_ns_ == next_ns) {
        Look();
      } else {
        ExpireOne();
      }
    }
    now_ns_ = to_ns;
  }

 private:
  struct End {
    uint64_t at_ns;
    bool fails;
    bool operator>(const End& other) const { return at_ns > other.at_ns; }
  };

  [[nodiscard]] uint32_t Base() const { return static_cast<uint32_t>(std::ceil(cores_)); }

  void SetLive(uint32_t live, Reason why) {
    sizes.push_back({now_ns_, live_, live, why});
    live_ = live;
  }

  // Somebody takes what waits, as far as more may be up; else the scaler is called.
  void Supply() {
    while (!queue_.empty() && busy() < target_) {
      if (parked_.empty()) {
        SetLive(live_ + 1, Reason::kStarved);
      } else {
        parked_.pop_back();
      }
      Take();
    }
    if (!queue_.empty() && !watched_) {
      watched_ = true;
      look_ns_ = now_ns_;
    }
  }

  void Take() {
    wait_max_ns = std::max(wait_max_ns, now_ns_ - queue_.front());
    queue_.pop_front();
    ++started_;
    bool fails = false;
    const uint64_t takes_ns = service_ns(&fails);
    ends_.push({now_ns_ + takes_ns, fails});
  }

  void EndOne() {
    failed_ += ends_.top().fails ? 1 : 0;
    ends_.pop();
    ++ended;
    if (!queue_.empty() && busy() <= target_) {
      Take();
    } else {
      parked_.push_back(now_ns_);
    }
  }

  void ExpireOne() {
    parked_.pop_front();
    SetLive(live_ - 1, Reason::kExpired);
    if (target_ > Base()) target_ = std::min(target_, std::max(Base(), live_));
  }

  void Look() {
    const bool fresh = asleep_ || now_ns_ - last_look_ns_ > 10 * kTickNs;
    asleep_ = false;
    const double dt_s = static_cast<double>(now_ns_ - last_look_ns_) * 1e-9;
    last_look_ns_ = now_ns_;
    LoadReading reading;
    reading.now_ns = start_ns_ + now_ns_;
    reading.started = started_;
    reading.ended = ended;
    reading.failed = failed_;
    reading.waiting = queue_.size();
    reading.runnable_s = runnable() * dt_s;
    reading.cores = cores_;
    reading.live = live_;
    reading.idle = static_cast<uint32_t>(parked_.size());
    reading.workers_max = 1024;
    reading.target = target_;
    const Decision decision = decider_.Decide(meter_.Measure(reading, fresh));
    if (decision.workers != target_)
      decisions.push_back({now_ns_, target_, decision.workers, decision.reason});
    target_ = decision.workers;
    quiet_ = queue_.empty() ? quiet_ + 1 : 0;
    if (quiet_ > 4) {
      quiet_ = 0;
      asleep_ = true;
      watched_ = false;
      look_ns_ = kNever;
    } else {
      look_ns_ = now_ns_ + kTickNs;
    }
    Supply();
  }

  Decider& decider_;
  const uint64_t start_ns_;
  const double cores_;
  LoadMeter meter_;
  uint64_t now_ns_ = 0, arrival_ns_ = 0;
  uint64_t look_ns_ = kNever, last_look_ns_ = 0;
  bool watched_ = false, asleep_ = true;
  uint32_t quiet_ = 0;
  std::deque<uint64_t> queue_;   // since when each waits
  std::deque<uint64_t> parked_;  // and sleeps
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  uint32_t live_ = 0, target_ = 1;
  uint64_t started_ = 0, failed_ = 0;
};

}  // namespace workpool
