// `workpool load`: an open load from a trace or a shape, on a real pool, and what it cost. Loopback only; it ends by
// itself.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "load_plan.h"
#include "load_run.h"
#include "load_shape.h"
#include "load_workpool.h"

namespace workpool_cli {

struct LoadOptions {
  std::vector<std::string> traces;  // or a shape
  ShapeOptions shape;
  PlanOptions plan;
  double cores = 0;  // 0: of this machine
  std::string pool = "workpool";
  WorkpoolOptions workpool;
  RunOptions run;
  bool emit_schedule = false;
  std::string save;
};

// The subcommand with all its options, which are put into *options.
CLI::App* AddLoad(CLI::App& app, LoadOptions* options);

// The exit code: 0, or 1 if accepted tasks were given up because they took too long, or 130 if it was interrupted.
// Throws std::exception for what cannot be done.
[[nodiscard]] int RunLoads(const LoadOptions& options);

}  // namespace workpool_cli
