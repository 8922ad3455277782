// LoadSample: what a policy sees of one pool at one moment. Plain values, so that every policy can be tested as a table and
// replayed by the simulator with the code that ships.
#pragma once

#include <algorithm>
#include <cstdint>

namespace workpool {

struct LoadSample {
  uint64_t now_ns = 0;  // monotonic
  int64_t wall_s = 0;   // seconds since the epoch, for what follows the time of day
  uint64_t dt_ns = 0;   // since the sample before; 0: there was none

  // ---- tasks; counts are of the time since the sample before
  uint64_t queued = 0;                  // wait now
  uint64_t queue_limit = UINT64_MAX;
  uint64_t head_age_ns = 0;             // the oldest of them has waited at least so long
  uint64_t arrived = 0;
  uint64_t started = 0;
  uint64_t ended = 0;                   // runs, failed ones included
  uint64_t failed = 0;
  double wait_mean_s = 0;               // by Little's law from the length of the queue, over about a second
  double wait_p99_s = 0;                // the highest age of the head in about the last second
  double service_s = 0;                 // a worker's time for one task, by Little's law, smoothed; 0: none has ended yet

  // ---- workers
  uint32_t live = 0;     // those being started included
  uint32_t idle = 0;     // parked, or searching
  uint32_t blocked = 0;  // wait inside a task for another task: stood in for, beyond the target
  uint32_t hung = 0;     // off the CPU in one and the same task for long
  double oldest_run_s = 0;  // how long the oldest task that runs and does not hang has run, as far as is known

  // ---- CPUs
  double cores = 1;        // that the process may use: a fraction where a quota says so, at least 1
  double runnable = 0;     // mean number of this pool's threads that ran or waited for a CPU
  double others = 0;       // the same for the other pools of the process, or what a fair share leaves to them

  double own = 0;          // what the user's own signal says, if there is one

  // ---- what holds now
  uint32_t workers_min = 0;
  uint32_t workers_max = 1;
  uint32_t target = 1;     // up to so many may be up (waiting ones beside)
  uint64_t keep_alive_ns = 1'000'000'000;  // of idle workers, by the pool's options

  uint32_t busy() const { return live - std::min(idle, live); }
  double dt_s() const { return static_cast<double>(dt_ns) * 1e-9; }
  double now_s() const { return static_cast<double>(now_ns) * 1e-9; }
  double head_age_s() const { return static_cast<double>(head_age_ns) * 1e-9; }
  double idle_cores() const { return cores - runnable - others; }
  // The share of live workers at work, 0 ... 1.
  double utilisation() const { return live == 0 ? 0 : static_cast<double>(busy()) / live; }
  double error_share() const { return ended == 0 ? 0 : static_cast<double>(failed) / static_cast<double>(ended); }
};

}  // namespace workpool
