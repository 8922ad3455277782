// Oracle: the best schedule that hindsight finds for one trace and seed: a number of workers for each half second,
// known before the first task comes. It is the measure for policies, which see only what has happened. It starts from
// the best of many simple schedules: fixed sizes, the work that is there by Little's law and a margin, both with and
// without a limit at the knee of what is called, and what policies did. Then it changes pieces of the schedule of many
// lengths, from start to end, and keeps what lowers the cost. That is a search, not a proof: it may miss the optimum by
// some per cent, but it is never worse than what it began with.
#pragma once

#include <cstdint>
#include <vector>

#include "judge.h"

namespace workpool::sim {

constexpr uint64_t kSegmentNs = 500'000'000;

struct OracleOptions {
  uint32_t workers_max = 1024;
  uint64_t events_max = 600'000'000;  // the search ends then; some 40 s
  uint64_t rounds_max = 6;
};

struct Schedule {
  std::vector<uint32_t> targets;  // one for each kSegmentNs
  Result result;                  // of the whole run
  uint32_t fixed_best = 0;        // the best fixed size
  double fixed_j = 0;
  uint64_t tried = 0;  // schedules looked at, in whole or in part
};

class Oracle {
 public:
  explicit Oracle(const Case& c, const OracleOptions& options = {});

  // Looks at this schedule too. It may be shorter or longer than the trace.
  void Start(std::vector<uint32_t> targets);

  [[nodiscard]] Schedule Find();

 private:
  void TryFixed();
  void TryDemand();
  void TryKnees(const std::vector<uint32_t>& targets);
  bool Try(const std::vector<uint32_t>& targets);
  // Changes blocks of so many segments; true: the whole has become better.
  bool Sweep(size_t block, size_t tail);
  void Descend();
  [[nodiscard]] double CostOf(const Simulation& from, size_t until);
  void Moves(const std::vector<uint32_t>& all, size_t at, size_t block);
  void Propose(const std::vector<uint32_t>& move, const std::vector<uint32_t>& all, size_t at);
  uint32_t Clamped(double workers) const;

  const Case& case_;
  const OracleOptions options_;
  const size_t segments_;
  Options run_;
  std::vector<double> demand_;  // mean tasks at work in each segment, if none waits
  std::vector<std::vector<uint32_t>> moves_;
  std::vector<uint32_t> best_;
  double best_cost_;
  Schedule found_;
  uint64_t events_ = 0;
};

}  // namespace workpool::sim
