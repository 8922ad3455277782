// Judge: a trace with its arrivals, and what a policy, a schedule or a fixed number of workers makes of them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "simulation.h"

namespace workpool::sim {

// A trace with a seed; one that is shared by all its runs.
struct Case {
  Trace trace;
  uint64_t seed = 1;
  std::vector<Arrival> arrivals;

  Case(Trace with_trace, uint64_t with_seed)
      : trace(std::move(with_trace)), seed(with_seed), arrivals(workpool_cli::MakeArrivals(trace, with_seed)) {}
  // Tasks share something that more workers only press on: a downstream with a knee or connections, a mutex.
  bool shared_bottleneck() const;
};

// Throws std::invalid_argument if the policy is not known. log: every look of the monitor as a line of CSV; may be
// null.
[[nodiscard]] Result RunPolicy(const Case& c, const std::string& spec, const Options& options,
                               std::FILE* log = nullptr);
// n workers from beginning to end.
[[nodiscard]] Result RunFixed(const Case& c, uint32_t n, const Options& options);
[[nodiscard]] Result RunTable(const Case& c, const std::vector<uint32_t>& targets, uint64_t segment_ns,
                              const Options& options);

}  // namespace workpool::sim
