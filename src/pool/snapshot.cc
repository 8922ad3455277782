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
  const auto outcome = [&](int32_t which) {
    const uint64_t unrun = outside.ended[0][which].Read();
    const uint64_t run = outside.ended[1][which].Read();
    out->ended_unrun += unrun;
    out->ended_run += run;
    return unrun + run;
  };
  out->done = outcome(POOL_DONE);
  out->failed = outcome(POOL_FAILED);
  out->cancelled = outcome(POOL_CANCELLED);
  out->expired = outcome(POOL_EXPIRED);
  out->shed = outcome(POOL_SHED);
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    const uint64_t done = worker->counters.done.Read();
    const uint64_t failed = worker->counters.failed.Read();
    const uint64_t cancelled = worker->counters.cancelled.Read();
    out->done += done;
    out->failed += failed;
    out->cancelled += cancelled;
    out->ended_run += done + failed;
    out->ended_unrun += cancelled;
  }
  out->started = outside.started.Read();
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    out->started += worker->counters.started.Read();
    out->steals += worker->counters.steals.Read();
    out->parks += worker->counters.parks.Read();
    out->workers_busy += worker->busy() ? 1 : 0;
  }
  out->attempts = out->started + outside.attempts_again.Read();
  out->submitted = engine_.dispatcher.SubmittedCount() + outside.submitted.Read();
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
