#include "scaling/own_parts.h"

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

bool OwnParts::Measure(const LoadSample& sample, double* out) const {
  if (own_.signal == nullptr) return true;
  const pool_load_t load = PublicLoad(sample);
  bool measured = false;
  CallOut([&] {
    *out = own_.signal(own_.user, &load);
    measured = true;
  });
  return measured;
}

bool OwnParts::MayChange(const LoadSample& sample, uint32_t workers) const {
  if (own_.cooldown == nullptr) return true;
  const pool_load_t load = PublicLoad(sample);
  bool may = false;
  CallOut([&] { may = own_.cooldown(own_.user, &load, workers) != 0; });
  return may;
}

Decision OwnDecider::Decide(const LoadSample& sample) {
  const pool_load_t load = PublicLoad(sample);
  // What one throws is nobody's: the number stays.
  uint32_t workers = sample.target;
  CallOut([&] { workers = own_.decide(own_.user, &load, sample.own); });
  return {workers, workers == sample.target ? Reason::kHold : Reason::kLoad};
}

}  // namespace workpool
