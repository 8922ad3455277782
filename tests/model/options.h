// What a test asks of the explorer. Numbers are bounds that keep a search finite; see README.md,
// "Bounds".
#pragma once

#include <cstdint>

namespace workpool::model {

inline constexpr uint32_t kThreadsMax = 16;

struct Options {
  // Depth-first search: switches away from a thread that could go on. Negative: no depth-first
  // search.
  int preemptions = 3;
  // Reads of an older value than the newest that one thread makes of one location in a row.
  int stale_reads = 2;
  // And all of them together in one schedule.
  int stale_reads_total = 1000;
  // Spurious wake-ups and failures of weak compare-exchanges injected into one schedule.
  int spurious = 0;
  // How often the clock jumps to the next deadline although some thread could run.
  int early_timeouts = 0;
  // Thread starts that fail.
  int start_failures = 0;
  // The most steps of a busy wait before a thread goes to sleep.
  int spins_max = 1'000'000;
  // CPUs that the process may use. By default more than any test has workers, so that a pool grows by itself and no scaler
  // is asked.
  double cores = 64;
  // Operations after which a schedule counts as endless.
  uint32_t steps_max = 20'000;
  // Every set of values that the body reports with Observe, in order, separated by spaces: the
  // depth-first search must see exactly these.
  const char* outcomes = nullptr;
  // A text: the explorer must find a failure that contains it.
  const char* finds = nullptr;
};

}  // namespace workpool::model
