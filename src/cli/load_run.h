// LoadRun: one plan against one pool. A thread submits at the times of the plan, whatever the pool does; the calling
// thread samples the pool until the last task has ended and the trace is over.
#pragma once

#include <atomic>
#include <cstdint>

#include "load_plan.h"
#include "load_result.h"
#include "load_subject.h"

namespace workpool_cli {

struct RunOptions {
  bool server = false;              // tasks that block call a server
  uint32_t connections_max = 1024;  // to it
  bool announce = false;
  bool live = false;
  double drain_s = 30;  // how long after the last arrival tasks may take
};

// stop: set by whoever wants the run to end now. Throws std::exception if something cannot be made.
[[nodiscard]] LoadResult RunLoad(const LoadPlan& plan, LoadSubject& subject, const RunOptions& options,
                                 const std::atomic<bool>& stop);

}  // namespace workpool_cli
