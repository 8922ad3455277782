// Contest: policies on traces, each with several seeds, and the oracle beside them.
#pragma once

#include <string>
#include <vector>

#include "oracle_cache.h"

namespace workpool::sim {

// One policy on one trace, over all seeds.
struct Verdict {
  std::string policy;
  std::string trace;
  bool shared_bottleneck = false;
  std::vector<Result> results;   // by seed
  std::vector<double> oracle_j;  // by seed; empty: not asked for

  // Means over the seeds.
  [[nodiscard]] double J() const;
  [[nodiscard]] double Mean(double (*figure)(const Result&)) const;
  // Geometric mean of J / J(oracle).
  [[nodiscard]] double Ratio() const;
};

// What the oracle does on one trace, over all seeds.
struct OracleRow {
  std::string trace;
  std::vector<Schedule> schedules;
};

struct ContestOptions {
  std::vector<std::string> policies;
  uint64_t seeds = 1;
  uint64_t seed_first = 1;
  bool oracle = false;
  std::string oracle_cache;  // empty: none
  uint64_t oracle_events = OracleOptions().events_max;
  Options run;
};

struct Contest {
  std::vector<Verdict> verdicts;  // by trace, then by policy
  std::vector<OracleRow> oracle;  // by trace, if it was asked for
};

[[nodiscard]] double GeometricMean(const std::vector<double>& values);
[[nodiscard]] std::vector<std::string> PoliciesOf(const Contest& contest);

// J(oracle) is the least of the schedule that was found, the best fixed size and all policies of the contest. What the
// policies do is also where the search begins. Throws as RunPolicy.
[[nodiscard]] Contest RunContest(const std::vector<Trace>& traces, const ContestOptions& options);

}  // namespace workpool::sim
