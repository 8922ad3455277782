// LoadResult: what was measured of one run of a load, and Judge, which makes the figures of it. Times are in seconds.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "load_plan.h"
#include "load_task.h"
#include "thread_ledger.h"

namespace workpool_cli {

// Of a set of times, exactly: none is thrown away.
struct Spread {
  uint64_t count = 0;
  double mean_s = 0;
  double p50_s = 0;
  double p90_s = 0;
  double p99_s = 0;
  double p999_s = 0;
  double max_s = 0;
};
[[nodiscard]] Spread SpreadOf(std::vector<uint64_t> times_ns);

// The pool at a time of the run; counts are of the time since the row before.
struct SeriesRow {
  double t_s = 0;
  double arrivals_per_s = 0;
  double ended_per_s = 0;
  double wait_max_ms = 0;
  uint32_t workers = 0;
  uint32_t busy = 0;
  std::optional<uint32_t> target;
  uint64_t queued = 0;
};

// CPU time by who used it; what nobody else did the pool did, tasks included.
struct CpuShares {
  double process_s = 0;
  double submitter_s = 0;
  double sampler_s = 0;
  double server_s = 0;
  double neighbours_s = 0;
  double planned_s = 0;  // of the tasks that ended, as often as they ran

  [[nodiscard]] double pool_s() const { return process_s - submitter_s - sampler_s - server_s - neighbours_s; }
};

// As the simulator's J (tests/sim/README.md), without the excess of runnable threads, which cannot be seen from
// outside. What was refused or dropped counts as failed.
struct LoadCost {
  double thread_s = 0;
  double delay_s = 0;
  uint64_t starts = 0;
  uint64_t flips = 0;
  uint64_t failed = 0;
  double nominal_s = 0;

  [[nodiscard]] double J() const;
};

struct LoadResult {
  std::string pool;
  bool interrupted = false;
  bool drained = true;  // all that was accepted ended in time
  double elapsed_s = 0;
  // arrived = done + failed + refused + dropped
  uint64_t scheduled = 0;
  uint64_t arrived = 0;
  uint64_t refused = 0;
  uint64_t done = 0;
  uint64_t failed = 0;
  uint64_t dropped = 0;
  uint64_t retries = 0;
  Spread wait;     // submit to start
  Spread sojourn;  // scheduled arrival to end
  Spread late;     // scheduled arrival to submit
  ThreadLedger::Figures threads;
  CpuShares cpu;
  LoadCost cost;
  std::vector<SeriesRow> series;
  nlohmann::json told;  // by the pool
};

// Adds what the tasks tell: counts, spreads, cost. threads and told are there. Tasks without an end were dropped.
void Judge(const LoadPlan& plan, const std::vector<LoadTask>& tasks, uint64_t start_ns, LoadResult* result);

}  // namespace workpool_cli
