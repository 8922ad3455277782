#include "simulation.h"

#include <algorithm>
#include <cmath>

namespace workpool::sim {
namespace {

// The cost is compared with its bound so often, in events.
constexpr uint64_t kBoundEvery = 256;

double KeepAliveS(const Steering& steering, const Options& options) {
  const uint64_t own_ns = steering.keep_alive_ns();
  return static_cast<double>(own_ns > 0 ? own_ns : options.keep_alive_ns) * 1e-9;
}

}  // namespace

Simulation::Simulation(const Trace& trace, const std::vector<Arrival>& arrivals, Steering& steering,
                       const Options& options)
    : trace_(trace),
      arrivals_(arrivals),
      steering_(steering),
      options_(options),
      keeps_(steering.keeps()),
      keep_alive_s_(KeepAliveS(steering, options)),
      machine_(trace.cores),
      downstreams_(trace.downstreams.size()),
      mutexes_(trace.mutexes.size()),
      runs_(arrivals.size(), 0) {
  queue_.reserve(arrivals.size() + arrivals.size() / 4);
  if (options.waits) all_waits_.reserve(arrivals.size());
  target_ = Base();
  result_.tasks = arrivals.size();
  for (const Arrival& task : arrivals) result_.cost.nominal_s += static_cast<double>(task.nominal_ns()) * 1e-9;
}

Result Simulation::Run() {
  RunTo(kNeverS);
  return Finish();
}

bool Simulation::RunTo(double to_s, double cost_max) {
  for (;;) {
    const double arrival_s = arrived_ < arrivals_.size() ? ArrivalS(arrived_) : kNeverS;
    const double cpu_s = now_s_ + machine_.RemainingS();
    const double timer_s = timers_.empty() ? kNeverS : timers_.top().at;
    const double step_s = NextStepS();
    const double slow_s = std::min({look_s_, ExpiryS(), step_s});
    const double next_s = std::min({arrival_s, cpu_s, timer_s, slow_s});
    if (completed_ == arrivals_.size() && next_s >= trace_.duration_s) return true;
    if (next_s >= to_s) {
      if (to_s < kNeverS) Advance(to_s);
      return true;
    }
    if (++result_.events % kBoundEvery == 0 && result_.cost.Sum() > cost_max) return false;
    Advance(next_s);
    // Where several are due at once: what ends before what begins, and the outside before the monitor.
    if (next_s == cpu_s) {
      TaskEvent(machine_.Pop());
    } else if (next_s == timer_s) {
      const TimeHeap::Item item = timers_.Pop();
      if (workers_[item.id].tag == item.tag) TaskEvent(item.id);
    } else if (next_s == step_s) {
      TakeStep();
    } else if (next_s == look_s_ && arrival_s > next_s) {
      Look();
    } else if (next_s == arrival_s) {
      ++piece_.arrived;
      Submit(static_cast<uint32_t>(arrived_++));
    } else {
      Expire();
    }
  }
}

double Simulation::CostSoFar() const {
  double delay_s = 0;
  for (size_t i = queue_head_; i < queue_.size(); ++i) delay_s += now_s_ - ArrivalS(queue_[i]);
  for (const Worker& w : workers_) {
    if (w.at == At::kParked || w.at == At::kLatency || w.at == At::kStart) continue;
    const double arrival_s = ArrivalS(w.task), nominal_s = static_cast<double>(arrivals_[w.task].nominal_ns()) * 1e-9;
    delay_s += std::max(w.began_s - arrival_s, now_s_ - arrival_s - nominal_s);
  }
  // Those that wait will go on waiting, one behind the other.
  const double waiting_tasks = static_cast<double>(waiting());
  const double service_s = result_.cost.nominal_s / static_cast<double>(std::max<size_t>(arrivals_.size(), 1));
  delay_s += waiting_tasks * waiting_tasks / 2 * service_s / std::max(live_, 1u);
  return result_.cost.Sum() + flips_.count() + 10 * delay_s;
}

Result Simulation::Finish() {
  RunTo(kNeverS);
  Advance(std::max(trace_.duration_s, now_s_));
  if (options_.series_s > 0 && piece_.live_s > 0) result_.series.push_back(piece_);
  result_.end_s = now_s_;
  result_.workers_mean = now_s_ > 0 ? result_.cost.thread_s / now_s_ : 0;
  result_.cost.flips = flips_.count();
  if (!all_waits_.empty()) {
    double sum = 0;
    for (const float wait : all_waits_) sum += static_cast<double>(wait);
    result_.wait_mean_s = sum / static_cast<double>(all_waits_.size());
    const auto p99 = all_waits_.begin() + static_cast<std::ptrdiff_t>((all_waits_.size() - 1) * 99 / 100);
    std::nth_element(all_waits_.begin(), p99, all_waits_.end());
    result_.wait_p99_s = static_cast<double>(*p99);
  }
  return std::move(result_);
}

void Simulation::Advance(double to_s) {
  const double dt_s = to_s - now_s_;
  result_.cost.thread_s += live_ * dt_s;
  result_.cost.excess_s += machine_.excess() * dt_s;
  result_.cpu_s += machine_.runnable() * dt_s;
  result_.in_pool_s += static_cast<double>(arrived_ - completed_) * dt_s;
  machine_.Advance(dt_s);
  if (options_.series_s > 0) AddToSeries(to_s);
  now_s_ = to_s;
}

// Time up to to_s, which may end pieces.
void Simulation::AddToSeries(double to_s) {
  double from_s = now_s_;
  for (;;) {
    const double next_s = static_cast<double>(result_.series.size() + 1) * options_.series_s;
    const double dt_s = std::min(to_s, next_s) - from_s;
    piece_.live_s += live_ * dt_s;
    piece_.busy_s += up() * dt_s;
    if (to_s < next_s) return;
    result_.series.push_back(piece_);
    piece_ = {};
    piece_.t_s = from_s = next_s;
    piece_.target = target_;
  }
}

double Simulation::NextStepS() const {
  double next_s = kNeverS;
  if (next_quota_ < trace_.quota.size()) next_s = std::min(next_s, trace_.quota[next_quota_].t_s);
  if (next_neighbour_ < trace_.neighbours.size()) next_s = std::min(next_s, trace_.neighbours[next_neighbour_].t_s);
  return next_s;
}

void Simulation::TakeStep() {
  const double at_s = NextStepS();
  if (next_quota_ < trace_.quota.size() && trace_.quota[next_quota_].t_s == at_s) {
    machine_.Set(trace_.quota[next_quota_++].cores, machine_.neighbours());
  } else {
    machine_.Set(machine_.cores(), trace_.neighbours[next_neighbour_++].threads);
  }
}

void Simulation::TaskEvent(uint32_t worker) {
  switch (workers_[worker].at) {
    case At::kLatency:
      workers_[worker].at = At::kStart;
      machine_.Add(worker, kStartCpuS);
      return;
    case At::kStart:
      --starting_;
      return Next(worker);
    case At::kCpu:
      return AfterCpu(worker);
    case At::kLocked:
      return AfterLock(worker);
    case At::kConnection:  // its wait has timed out
      workers_[worker].fails = true;
      return AfterCall(worker, false);
    case At::kCall:
      return AfterCall(worker, true);
    case At::kCpu2:
      return EndRun(worker);
    case At::kLockQueue:
    case At::kParked:
      return;
  }
}

}  // namespace workpool::sim
