// The pool as the library builds it: submit, workers, parking, expiry, and the monitor that asks the policy.
#include <algorithm>
#include <cmath>

#include "simulation.h"

namespace workpool::sim {
namespace {

// The monitor goes to sleep after so many looks in a row at which nothing waited.
constexpr uint32_t kQuietLooks = 4;
constexpr uint64_t kQueueLimit = 1'048'576;
// A task is hung when it has been off the CPU for so long, or so many service times.
constexpr double kHungS = 0.25;
constexpr double kHungServices = 10;

}  // namespace

uint32_t Simulation::Base() const {
  const uint32_t cores = static_cast<uint32_t>(std::ceil(seen_cores()));
  return std::clamp(std::max(cores, options_.workers_min), 1u, std::max(1u, options_.workers_max));
}

void Simulation::Submit(uint32_t task) {
  queue_.push_back(task);
  if (waiting() <= starting_ || SupplyOne()) return;
  if (awake_) return;
  awake_ = true;
  fresh_ = !again_;
  quiet_ = 0;
  look_s_ = std::min(look_s_, now_s_ + static_cast<double>(steering_.patience_ns()) * 1e-9);
}

uint32_t Simulation::TakeTask() {
  const uint32_t task = queue_[queue_head_++];
  // Now and then those that are gone make room.
  if (queue_head_ == queue_.size()) {
    queue_.clear();
    queue_head_ = 0;
  } else if (queue_head_ > 4096 && queue_head_ > queue_.size() / 2) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(queue_head_));
    queue_head_ = 0;
  }
  return task;
}

// Wakes the newest parked worker, which takes a task at once, or starts one.
bool Simulation::SupplyOne() {
  if (up() >= target_) return false;
  if (parked_.size() > parked_head_) {
    const uint32_t worker = parked_.back().worker;
    parked_.pop_back();
    Begin(worker);
    return true;
  }
  if (live_ >= target_) return false;
  StartWorker();
  return true;
}

void Simulation::StartWorker() {
  uint32_t worker = static_cast<uint32_t>(workers_.size());
  if (free_.empty()) {
    workers_.emplace_back();
  } else {
    worker = free_.back();
    free_.pop_back();
  }
  ++live_;
  ++starting_;
  ++result_.cost.starts;
  result_.workers_peak = std::max(result_.workers_peak, live_);
  flips_.Note(live_);
  Sleep(worker, At::kLatency, kStartLatencyS);
}

// A worker without a task takes the next one, parks, or ends.
void Simulation::Next(uint32_t worker) {
  if (keeps_ && live_ > target_) return EndWorker(worker);
  if (waiting() > 0 && up() <= target_) return Begin(worker);
  workers_[worker].at = At::kParked;
  parked_.push_back({worker, now_s_});
}

void Simulation::EndWorker(uint32_t worker) {
  free_.push_back(worker);
  ++workers_[worker].tag;
  workers_[worker].at = At::kParked;
  --live_;
  flips_.Note(live_);
}

double Simulation::ExpiryS() const {
  if (keeps_ || parked_head_ == parked_.size() || live_ <= options_.workers_min) return kNeverS;
  return parked_[parked_head_].since_s + keep_alive_s_;
}

void Simulation::Expire() {
  EndWorker(parked_[parked_head_++].worker);
  if (parked_head_ == parked_.size() || parked_head_ > 4096) {
    parked_.erase(parked_.begin(), parked_.begin() + static_cast<std::ptrdiff_t>(parked_head_));
    parked_head_ = 0;
  }
  if (!keeps_) target_ = std::max(Base(), std::min(target_, live_));
}

void Simulation::SetTarget(uint32_t target) {
  target_ = std::clamp(target, std::max(1u, options_.workers_min), std::max(1u, options_.workers_max));
  piece_.target = target_;
  if (keeps_) {
    while (live_ > target_ && parked_head_ < parked_.size()) Expire();
    while (live_ < target_) StartWorker();
  }
  while (waiting() > starting_ && SupplyOne()) {
  }
}

void Simulation::Look() {
  LoadSample sample;
  if (steering_.blind()) {
    sample.now_ns = NowNs();
  } else {
    sample = Sample();
  }
  const Decision decision = steering_.Decide(sample);
  ++result_.decisions;
  SetTarget(decision.workers);
  if (waiting() > 0) {
    quiet_ = 0;
  } else if (awake_ && ++quiet_ >= kQuietLooks) {
    awake_ = false;
  }
  const double tick_s = static_cast<double>(steering_.tick_ns()) * 1e-9;
  look_s_ = awake_ ? now_s_ + tick_s : kNeverS;
  again_ = decision.again_ns != kNever;
  if (again_) {
    const double again_s = static_cast<double>(decision.again_ns - kStartNs) * 1e-9;
    look_s_ = std::min(look_s_, again_s > now_s_ ? again_s : now_s_ + tick_s);
  }
}

LoadSample Simulation::Sample() {
  reading_.now_ns = NowNs();
  reading_.wall_s = trace_.wall_s + static_cast<int64_t>(now_s_);
  reading_.waiting = waiting();
  reading_.queue_limit = kQueueLimit;
  reading_.runnable_s = result_.cpu_s - runnable_s_;
  runnable_s_ = result_.cpu_s;
  reading_.cores = seen_cores();
  reading_.live = live_;
  reading_.idle = live_ - up();
  reading_.hung = 0;
  reading_.oldest_run_s = 0;
  const double hung_s = std::max(kHungS, kHungServices * service_s_);
  for (const Worker& w : workers_) {
    const bool off_cpu = w.at == At::kCall || w.at == At::kConnection || w.at == At::kLockQueue;
    if (off_cpu && now_s_ - w.began_s > hung_s) {
      ++reading_.hung;
    } else if (w.at != At::kParked && w.at != At::kLatency && w.at != At::kStart) {
      reading_.oldest_run_s = std::max(reading_.oldest_run_s, now_s_ - w.began_s);
    }
  }
  reading_.workers_min = options_.workers_min;
  reading_.workers_max = options_.workers_max;
  reading_.target = target_;
  const LoadSample sample = meter_.Measure(reading_, fresh_);
  fresh_ = false;
  service_s_ = sample.service_s;
  return sample;
}

}  // namespace workpool::sim
