#include "scaling/pid.h"

#include <algorithm>
#include <cmath>

#include "scaling/signals.h"

namespace workpool {
namespace {

// A longer time between two samples was not watched.
constexpr double kStepMaxS = 1;

}  // namespace

double Pid::Measure(const LoadSample& sample) const {
  return std::min(ReadSignal(Signal::kUtilisation, sample), 1 + options_.overload);
}

int Pid::Held(const LoadSample& sample) const { return result_ > sample.target ? 1 : result_ < sample.target ? -1 : 0; }

void Pid::Adopt(const LoadSample& sample) {
  y_ = Measure(sample);
  integral_ = sample.target - options_.kp * (y_ - options_.setpoint);
  result_ = sample.target;
  any_ = true;
}

Decision Pid::Decide(const LoadSample& sample) {
  const double before = y_;
  const bool watched = any_ && sample.dt_ns > 0;
  const double weight = watched && options_.filter_s > 0 ? 1 - std::exp(-sample.dt_s() / options_.filter_s) : 1;
  y_ += weight * (Measure(sample) - y_);
  const double error = y_ - options_.setpoint;
  // Workers come whole. Where less than one would be right, there is nothing to do.
  const double live = std::max(Counted(sample), 1u);
  if (any_ && std::abs(live * y_ / options_.setpoint - live) < options_.band && live == sample.target) {
    integral_ = sample.target - options_.kp * error;
    result_ = sample.target;
    return {sample.target, Reason::kHold};
  }
  double slope = 0;
  if (!any_) {
    integral_ = sample.target;
    result_ = sample.target;
    any_ = true;
  } else if (watched) {
    slope = (y_ - before) / sample.dt_s();
    const int outward = error > 0 ? 1 : -1;
    const double free = integral_ + options_.kp * error;
    const bool saturated = outward > 0 ? free >= sample.workers_max : free <= sample.workers_min;
    if (!saturated && Held(sample) != outward) integral_ += options_.ki * error * std::min(sample.dt_s(), kStepMaxS);
  }
  // Bounds can have moved since. At each of them some error must be able to bring the other.
  integral_ = std::clamp(integral_, sample.workers_min - options_.kp * (1 + options_.overload - options_.setpoint),
                         sample.workers_max + options_.kp * options_.setpoint);
  const double bounded = std::clamp(integral_ + options_.kp * error + options_.kd * slope,
                                    static_cast<double>(sample.workers_min), static_cast<double>(sample.workers_max));
  result_ = static_cast<uint32_t>(std::lround(bounded));
  return {result_, result_ == sample.target ? Reason::kHold : Reason::kLoad};
}

}  // namespace workpool
