// LoadPlan: a trace made to fit the machine and the time there is, and its arrivals. What was changed is told in notes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arrivals.h"
#include "trace_file.h"

namespace workpool_cli {

struct PlanOptions {
  uint64_t seed = 1;
  double cores = 1;       // that the tasks may compute on
  double time_scale = 1;  // the trace's times, not those of its tasks: 0.1 runs a tenth as long, at the same rates
  // Arrivals. What tasks share scales with it: connections, and the calls that a downstream takes. Empty: cores of this
  // machine / cores of the trace, if that is less than 1, the trace computes and cpu_scale is not given.
  std::optional<double> rate_scale;
  std::optional<double> cpu_scale;  // CPU time of tasks; empty: 1
};

struct LoadPlan {
  Trace trace;
  std::vector<Arrival> arrivals;
  uint64_t seed = 1;
  double cores = 1;
  double time_scale = 1;
  double rate_scale = 1;
  double cpu_scale = 1;
  std::vector<std::string> notes;

  [[nodiscard]] double cpu_s() const;  // of all tasks
  [[nodiscard]] double blocked_s() const;
};

// Throws std::invalid_argument if there are too many arrivals.
[[nodiscard]] LoadPlan MakePlan(Trace trace, const PlanOptions& options);

}  // namespace workpool_cli
