#include "scaling/load_meter.h"

#include <algorithm>
#include <cmath>

namespace workpool {

LoadSample LoadMeter::Measure(const LoadReading& reading, bool fresh) {
  LoadSample sample;
  sample.now_ns = reading.now_ns;
  sample.wall_s = reading.wall_s;
  sample.queued = reading.waiting;
  sample.queue_limit = reading.queue_limit;
  sample.live = reading.live;
  sample.idle = reading.idle;
  sample.blocked = reading.blocked;
  sample.hung = reading.hung;
  sample.oldest_run_s = reading.oldest_run_s;
  sample.cores = reading.cores;
  sample.others = reading.others;
  sample.workers_min = reading.workers_min;
  sample.workers_max = reading.workers_max;
  sample.target = reading.target;
  sample.keep_alive_ns = reading.keep_alive_ns;

  const bool watched = any_ && !fresh && reading.now_ns > before_.now_ns;
  if (watched) {
    const double dt_s = static_cast<double>(reading.now_ns - before_.now_ns) * 1e-9;
    sample.dt_ns = reading.now_ns - before_.now_ns;
    sample.started = reading.started - before_.started;
    sample.ended = reading.ended - before_.ended;
    // Read one after the other, while tasks end.
    sample.failed = std::min(reading.failed - before_.failed, sample.ended);
    // What arrived was taken, or waits. Tasks that ended without a run are neither: they take from what waits.
    const int64_t arrived = static_cast<int64_t>(sample.started + reading.waiting) - static_cast<int64_t>(before_.waiting);
    sample.arrived = static_cast<uint64_t>(std::max<int64_t>(arrived, 0));
    sample.runnable = reading.runnable_s / dt_s;
    // Long tasks are remembered for longer.
    const double kept = std::exp(-dt_s / std::max(kServiceMemoryS, kServiceMemoryRuns * service_s_));
    busy_s_ = busy_s_ * kept + sample.busy() * dt_s;
    ended_ = ended_ * kept + static_cast<double>(sample.ended);
    const double waits_kept = std::exp(-dt_s / kWaitMemoryS);
    queued_s_ = queued_s_ * waits_kept + static_cast<double>(before_.waiting + reading.waiting) / 2 * dt_s;
    started_ = started_ * waits_kept + static_cast<double>(sample.started);
    wait_high_s_ *= waits_kept;
  } else {
    head_age_ = {};
    queued_s_ = started_ = wait_high_s_ = 0;
  }
  head_age_.Note(reading.now_ns, reading.started, reading.waiting);
  sample.head_age_ns = head_age_.AgeNs(reading.now_ns);
  wait_high_s_ = std::max(wait_high_s_, sample.head_age_s());
  sample.wait_mean_s = started_ >= 0.5 ? queued_s_ / started_ : sample.head_age_s();
  sample.wait_p99_s = wait_high_s_;
  // Below one run the figure would be of the worst kind: large, and of nothing.
  if (ended_ >= 0.5) service_s_ = busy_s_ / ended_;
  sample.service_s = service_s_;
  before_ = reading;
  any_ = true;
  return sample;
}

}  // namespace workpool
