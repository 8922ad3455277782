// IdleCore: the policy `auto`. More workers while tasks wait and CPUs are idle: work that computes stops by itself at the
// number of CPUs, work that blocks grows at once. Growth is free up to a level; beyond it, and wherever tasks fail, each
// step must raise the goodput, and where more workers do less the limit is walked down by experiment (limit_search.h).
// Fewer workers is left to idle expiry; far too many that compute are parked.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"
#include "scaling/goodput.h"
#include "scaling/limit_search.h"

namespace workpool {

struct IdleCoreOptions {
  double patience_s = 0.002;     // a task may wait so long; 1 to 5 ms differ by one per cent on the traces of tests/sim
  double free_workers = 160;     // growth up to here is free, also up to twice the CPUs
  double reserve_share = 0.05;   // of the CPUs must be idle, and
  double reserve_cores = 0.5;    // at least so many
  double cpu_share_min = 0.02;   // of a busy worker
  double growth = 3;             // of one step at most, as a factor
  double drain_s = 0.03;         // what waits is to be at work within so long
  double trim_at = 3;            // runnable threads for each CPU, above which workers park
  double trim_to = 1.5;
  double trim_memory_s = 0.1;    // of the mean that counts for this
  LimitSearchOptions search;
};

class IdleCore final : public Decider {
 public:
  explicit IdleCore(const IdleCoreOptions& options = {});

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  void Adopt(const LoadSample& sample) override;

 private:
  [[nodiscard]] Decision Grow(const LoadSample& sample);

  const IdleCoreOptions options_;
  LimitSearch search_;
  double runnable_ = 0;  // smoothed
};

}  // namespace workpool
