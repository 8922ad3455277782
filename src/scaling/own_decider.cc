#include "scaling/own_decider.h"

#include "worker/call_out.h"

namespace workpool {

pool_load_t PublicLoad(const LoadSample& sample) {
  pool_load_t load{};
  load.struct_size = sizeof(load);
  load.workers_live = sample.live;
  load.workers_idle = sample.idle;
  load.workers_blocked = sample.blocked;
  load.workers_hung = sample.hung;
  load.workers_min = sample.workers_min;
  load.workers_max = sample.workers_max;
  load.target = sample.target;
  load.now_ns = sample.now_ns;
  load.wall_s = sample.wall_s;
  load.dt_ns = sample.dt_ns;
  load.queued = sample.queued;
  load.queue_limit = sample.queue_limit;
  load.head_age_ns = sample.head_age_ns;
  load.arrived = sample.arrived;
  load.started = sample.started;
  load.ended = sample.ended;
  load.failed = sample.failed;
  load.wait_mean_s = sample.wait_mean_s;
  load.wait_p99_s = sample.wait_p99_s;
  load.service_s = sample.service_s;
  load.cores = sample.cores;
  load.runnable = sample.runnable;
  load.others = sample.others;
  return load;
}

Decision OwnDecider::Decide(const LoadSample& sample) {
  const pool_load_t load = PublicLoad(sample);
  // What one throws is nobody's: the number stays.
  double signal = 0;
  uint32_t workers = sample.target;
  bool may = true;
  CallOut([&] {
    if (own_.signal != nullptr) signal = own_.signal(own_.user, &load);
    const uint32_t wanted = own_.decide(own_.user, &load, signal);
    if (wanted != sample.target && own_.cooldown != nullptr) may = own_.cooldown(own_.user, &load, wanted) != 0;
    workers = wanted;
  });
  if (workers == sample.target) return {workers, Reason::kHold, kNever, signal};
  if (!may) {
    return {sample.target, Reason::kCooldown, kNever, signal};
  }
  return {workers, Reason::kLoad, kNever, signal};
}

}  // namespace workpool
