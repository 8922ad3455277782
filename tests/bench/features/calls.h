// What the measurements of features share: calls that must succeed, and a pool to begin with.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bench/harness/tally.h"
#include "workpool/workpool.h"

namespace bench {

inline void Must(pool_status_t status, const char* what) {
  if (status == POOL_OK) return;
  char text[512];
  (void)pool_last_error(nullptr, text, sizeof(text), nullptr);
  std::fprintf(stderr, "bench: %s: %s\n", what, text);
  std::exit(1);
}

inline int32_t CountRun(void*, pool_ctx_t*) {
  Tally::Add();
  return 0;
}

inline pool_options_t PoolOptions(uint32_t workers) {
  pool_options_t options;
  Must(pool_options_init(&options, sizeof(options)), "pool_options_init");
  options.workers_max = workers;
  options.queue_limit = POOL_UNLIMITED;
  return options;
}

inline pool_task_t CountTaskOf() {
  pool_task_t task;
  Must(pool_task_init(&task, sizeof(task)), "pool_task_init");
  task.run = &CountRun;
  return task;
}

// The same numbers in every run, in no order.
inline uint32_t Scatter(uint64_t i) { return static_cast<uint32_t>((i * 0x9E3779B97F4A7C15u) >> 40); }

}  // namespace bench
