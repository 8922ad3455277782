// Arrivals: a trace as a list of tasks, sorted by time. The same trace and seed give the same list on every machine:
// the random numbers are made here, and times are whole nanoseconds.
#pragma once

#include <cstdint>
#include <vector>

#include "trace_file.h"

namespace workpool_cli {

struct Arrival {
  uint64_t at_ns = 0;  // since the trace's start
  uint64_t cpu_ns = 0;
  uint64_t locked_ns = 0;
  uint64_t blocked_ns = 0;
  uint64_t cpu2_ns = 0;
  int16_t downstream = -1;
  int16_t mutex = -1;
  uint32_t retries = 0;

  // What it takes alone on a machine where nothing is slow.
  [[nodiscard]] uint64_t nominal_ns() const { return cpu_ns + locked_ns + blocked_ns + cpu2_ns; }
};

[[nodiscard]] std::vector<Arrival> MakeArrivals(const Trace& trace, uint64_t seed);

}  // namespace workpool_cli
