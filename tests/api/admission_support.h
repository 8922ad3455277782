// What the tests of admission share: pools that are full, and tasks with costs.
#pragma once

#include "order_support.h"

namespace workpool_test {

inline constexpr int32_t kStrategies[] = {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO,
                                          POOL_STRATEGY_PRIORITY};
// Three exact ones, and one that is kept in credits.
inline constexpr uint64_t kLimits[] = {1, 2, 7, 5'000};

inline constexpr By kWithTask[] = {By::kTask, By::kBatch};

inline pool_options_t Limited(uint64_t limit, int32_t on_full, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = MarkOptions(1, strategy);
  options.queue_limit = limit;
  options.on_full = on_full;
  return options;
}

// A pool whose one worker stands at a gate, with as many tasks behind it as its limit allows; and some more, to submit.
struct Full {
  static constexpr size_t kMore = 20;

  Marks marks;
  Barrier barrier;
  ScopedPool pool;
  const size_t limit;

  explicit Full(const pool_options_t& options)
      : marks(options.queue_limit + kMore), pool(options), limit(options.queue_limit) {
    barrier.Occupy(pool);
    for (size_t i = 0; i < limit; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "fill");
  }
  Mark& more(size_t i) { return marks[limit + i]; }
  void OpenAndSettle() {
    barrier.Open();
    CheckSettled(pool);
  }
};

inline pool_task_t WithCost(pool_task_t task, uint64_t cost_bytes) {
  task.cost_bytes = cost_bytes;
  return task;
}

inline pool_status_t SubmitCost(pool_t pool, Mark& mark, uint64_t cost_bytes, int32_t on_full = POOL_ON_FULL_DEFAULT) {
  pool_task_t task = WithCost(mark.Task(), cost_bytes);
  task.on_full = on_full;
  return pool_submit_task(pool, &task, nullptr);
}

}  // namespace workpool_test
