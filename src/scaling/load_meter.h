// LoadMeter: from counters, as they are read at one moment, to a load sample. Pure: the monitor and the simulator feed it
// the same way.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "scaling/head_age.h"
#include "scaling/load_sample.h"

namespace workpool {

// Counters of the whole pool, which only rise, and what is so now.
struct LoadReading {
  uint64_t now_ns = 0;
  int64_t wall_s = 0;
  uint64_t started = 0;    // runs begun, those of a retry included: tasks taken
  uint64_t ended = 0;      // runs ended
  uint64_t failed = 0;     // of these
  uint64_t waiting = 0;    // tasks that wait for a worker now
  uint64_t queue_limit = UINT64_MAX;
  double runnable_s = 0;   // thread-seconds on a CPU or waiting for one since the reading before
  double others = 0;
  double cores = 1;
  uint32_t live = 0;
  uint32_t idle = 0;
  uint32_t blocked = 0;
  uint32_t hung = 0;
  double oldest_run_s = 0;
  uint32_t workers_min = 0;
  uint32_t workers_max = 1;
  uint32_t target = 1;
  uint64_t keep_alive_ns = 1'000'000'000;
};

class LoadMeter {
 public:
  // The sample, with rates since the reading before. fresh: the time since then was not watched, only what is so now counts.
  [[nodiscard]] LoadSample Measure(const LoadReading& reading, bool fresh);

 private:
  // Service times are smoothed over about so long, or so many of them.
  static constexpr double kServiceMemoryS = 1.0;
  static constexpr double kServiceMemoryRuns = 4;
  // And waits over about so long.
  static constexpr double kWaitMemoryS = 1.0;

  LoadReading before_;
  bool any_ = false;
  HeadAge head_age_;
  double busy_s_ = 0;  // worker-seconds at work, and
  double ended_ = 0;   // runs ended, both fading
  double service_s_ = 0;
  double queued_s_ = 0;   // task-seconds spent waiting, and
  double started_ = 0;    // runs begun, both fading
  double wait_high_s_ = 0;
};

}  // namespace workpool
