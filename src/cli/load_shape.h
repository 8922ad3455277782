// Shapes of load that need no file: constant, ramp, burst and step, as a trace.
#pragma once

#include <optional>
#include <string>

#include "trace_file.h"

namespace workpool_cli {

// What was not given is empty; each shape knows what it needs.
struct ShapeOptions {
  std::string shape;
  std::optional<double> rate, from, to, burst_rate;
  std::optional<double> over_s, hold_s, down_s, every_s, for_s, duration_s;
  std::string cpu, sleep;  // times of a task, as load_time.h reads them; "": 0
  bool even = false;       // arrivals evenly spaced

  // Whether any of them was given.
  [[nodiscard]] bool given() const;
};

// cores: of the trace's machine. Throws std::invalid_argument for what is missing or does not belong to the shape.
[[nodiscard]] Trace MakeShape(const ShapeOptions& options, double cores);

}  // namespace workpool_cli
