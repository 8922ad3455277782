#include "scaling/smoothing.h"

#include <algorithm>
#include <cmath>

namespace workpool {

LoadSample Smoothing::Smooth(const LoadSample& sample) {
  if (alpha_ >= 1) return sample;
  if (!any_ || sample.dt_ns == 0) Start(sample);
  LoadSample out = sample;
  // A queue that is not empty stays so, or it could be left waiting by rounding.
  const uint64_t least = sample.queued > 0 ? 1 : 0;
  out.queued = std::max(least, static_cast<uint64_t>(std::llround(Level(kQueued, static_cast<double>(sample.queued)))));
  const auto busy = static_cast<uint32_t>(std::lround(Level(kBusyShare, sample.utilisation()) * sample.live));
  out.idle = sample.live - std::min(busy, sample.live);
  out.head_age_ns = static_cast<uint64_t>(Level(kHeadAge, static_cast<double>(sample.head_age_ns)));
  out.wait_mean_s = Level(kWaitMean, sample.wait_mean_s);
  out.wait_p99_s = Level(kWaitP99, sample.wait_p99_s);
  out.runnable = Level(kRunnable, sample.runnable);
  out.others = Level(kOthers, sample.others);
  out.own = Level(kOwn, sample.own);
  if (sample.dt_ns == 0) return out;
  const double dt_s = sample.dt_s();
  if (!any_rate_) {
    const uint64_t counts[kCounts] = {sample.arrived, sample.started, sample.ended, sample.failed};
    for (uint32_t i = 0; i < kCounts; ++i) rate_[i] = static_cast<double>(counts[i]) / dt_s;
    any_rate_ = true;
  }
  out.arrived = Counted(kArrived, sample.arrived, dt_s);
  out.started = Counted(kStarted, sample.started, dt_s);
  out.ended = Counted(kEnded, sample.ended, dt_s);
  out.failed = std::min(Counted(kFailed, sample.failed, dt_s), out.ended);
  return out;
}

void Smoothing::Start(const LoadSample& sample) {
  level_[kQueued] = static_cast<double>(sample.queued);
  level_[kBusyShare] = sample.utilisation();
  level_[kHeadAge] = static_cast<double>(sample.head_age_ns);
  level_[kWaitMean] = sample.wait_mean_s;
  level_[kWaitP99] = sample.wait_p99_s;
  level_[kRunnable] = sample.runnable;
  level_[kOthers] = sample.others;
  level_[kOwn] = sample.own;
  any_ = true;
  any_rate_ = false;
  for (double& carry : carry_) carry = 0;
}

double Smoothing::Level(Figure figure, double value) { return level_[figure] += alpha_ * (value - level_[figure]); }

uint64_t Smoothing::Counted(Count count, uint64_t value, double dt_s) {
  rate_[count] += alpha_ * (static_cast<double>(value) / dt_s - rate_[count]);
  const double owed = rate_[count] * dt_s + carry_[count];
  const double whole = std::floor(owed + 1e-9);
  carry_[count] = owed - whole;
  return static_cast<uint64_t>(std::max(whole, 0.0));
}

}  // namespace workpool
