// The statistics of a pool at one moment.
#include "base/error.h"
#include "pool/pool.h"

namespace workpool {
namespace {

void AddLatencies(const WorkerSet& workers, pool_stats_t* out) {
  uint64_t wait[Histogram::kBuckets] = {};
  uint64_t run[Histogram::kBuckets] = {};
  for (uint32_t i = 0; i < workers.size(); ++i) {
    if (const Worker* worker = workers.at(i)) {
      worker->wait_histogram.AddTo(wait);
      worker->run_histogram.AddTo(run);
    }
  }
  out->wait_p50_ns = Quantile(wait, 0.5);
  out->wait_p99_ns = Quantile(wait, 0.99);
  out->run_p50_ns = Quantile(run, 0.5);
  out->run_p99_ns = Quantile(run, 0.99);
}

}  // namespace

void Pool::Snapshot(pool_stats_t* out) const {
  *out = pool_stats_t{};
  const WorkerSet& workers = engine_.workers;
  const OutsideCounters& outside = engine_.outside;
  // The order of reading makes the promises: outcomes first, then started, submitted last. Each task is counted
  // in the opposite order, with releases that these acquires pair with.
  out->done = outside.done.Read();
  out->failed = outside.failed.Read();
  out->cancelled = outside.cancelled.Read();
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    out->done += worker->counters.done.Read();
    out->failed += worker->counters.failed.Read();
    out->cancelled += worker->counters.cancelled.Read();
  }
  out->ended_run = out->done + out->failed;
  out->ended_unrun = out->cancelled + out->expired + out->shed;
  out->started = outside.started.Read();
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    out->started += worker->counters.started.Read();
    out->steals += worker->counters.steals.Read();
    out->parks += worker->counters.parks.Read();
    out->workers_busy += worker->busy() ? 1 : 0;
  }
  out->attempts = out->started;
  out->submitted = engine_.dispatcher.SubmittedCount();
  for (uint32_t i = 0; i < workers.size(); ++i) {
    if (const Worker* worker = workers.at(i)) out->submitted += worker->counters.submitted.Read();
  }
  out->queued = out->submitted - out->started - out->ended_unrun;
  out->rejected = outside.rejected.Read();
  out->wakes = engine_.idle.Wakes();
  out->retired = outside.retired.Read();
  out->start_failures = outside.start_failures.Read();
  out->misuse = MisuseCount();

  const Census census = engine_.idle.Load();
  out->workers_live = census.live();
  out->workers_parked = census.parked();
  out->workers_blocked = workers.blocked();
  out->workers_wanted = workers.Wanted();
  AddLatencies(workers, out);
}

}  // namespace workpool
