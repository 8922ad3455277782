// SPDX-License-Identifier: Apache-2.0
//
// Options that are a choice of several; and the rate limit, which pools and classes both have.
#ifndef WORKPOOL_CHOICES_HPP_
#define WORKPOOL_CHOICES_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>

namespace workpool {

// What a submit does when a queue limit is reached.
enum class on_full : std::int32_t {
  inherit = POOL_ON_FULL_DEFAULT,          // as the pool says; in a pool: reject
  reject = POOL_ON_FULL_REJECT,            // throws error FULL at once
  block = POOL_ON_FULL_BLOCK,              // waits for room, at most submit_timeout
  caller_runs = POOL_ON_FULL_CALLER_RUNS,  // runs the task in the submit
  drop_oldest = POOL_ON_FULL_DROP_OLDEST,  // sheds the task that has waited longest
  drop_lowest = POOL_ON_FULL_DROP_LOWEST,  // sheds one of lower priority, else error FULL
};

// What a submit does when a rate limit has no token for it.
enum class on_rate : std::int32_t {
  inherit = POOL_ON_RATE_DEFAULT,  // as the class, else the pool says; there: delay
  reject = POOL_ON_RATE_REJECT,    // throws error RATE at once
  block = POOL_ON_RATE_BLOCK,      // waits for a token, at most submit_timeout
  delay = POOL_ON_RATE_DELAY,      // the task waits for it in the pool, without a worker
};

// Which waiting task a worker takes.
enum class strategy : std::int32_t {
  stealing = POOL_STRATEGY_STEALING,  // own newest first, others' oldest; lanes by priority
  fifo = POOL_STRATEGY_FIFO,          // one queue for all, in the order of arrival
  lifo = POOL_STRATEGY_LIFO,          // one queue for all, newest first
  priority = POOL_STRATEGY_PRIORITY,  // one queue for all, highest first, fifo among equals
};

// What a period is counted from.
enum class period_mode : std::int32_t {
  fixed_rate = POOL_PERIOD_FIXED_RATE,    // runs begin on a grid; what was missed is left out
  fixed_delay = POOL_PERIOD_FIXED_DELAY,  // from the end of one run to the beginning of the next
};

// How the delay before a retry is spread at random.
enum class jitter : std::int32_t {
  full = POOL_JITTER_DEFAULT,  // between 0 and the delay
  equal = POOL_JITTER_EQUAL,   // between half of the delay and the delay
  none = POOL_JITTER_NONE,
};

// What a retry follows on.
enum class retry_on : std::int32_t {
  request = POOL_RETRY_ON_DEFAULT,  // a workpool::retry
  failure = POOL_RETRY_ON_FAILURE,  // any exception
};

// What an exception that leaves a posted task does. (Those of submitted tasks go to their futures.)
enum class on_exception : std::int32_t {
  capture = POOL_EXC_CAPTURE,      // the task has failed
  terminate = POOL_EXC_TERMINATE,  // std::terminate, with the throwing frames on the stack
};

// What a worker puts back after a task that has changed it.
enum class isolation : std::int32_t {
  none = POOL_ISOLATION_NONE,
  fp = POOL_ISOLATION_FP,      // floating-point control and errno
  full = POOL_ISOLATION_FULL,  // and all else that belongs to a thread
};

// How close() treats what is queued.
enum class close_mode : std::int32_t {
  drain = POOL_DRAIN,                  // run it all; own tasks may still submit
  cancel_queued = POOL_CANCEL_QUEUED,  // cancel what has not started
  cancel_all = POOL_CANCEL_ALL,        // and ask running tasks to stop
};

// At most count in each period, and burst of them at once.
struct rate_limit {
  std::uint64_t count = 0;             // 0: no limit
  std::chrono::nanoseconds period{0};  // 0: 1 s
  std::uint32_t burst = 0;             // 0: 1
};

}  // namespace workpool
#endif  // WORKPOOL_CHOICES_HPP_
