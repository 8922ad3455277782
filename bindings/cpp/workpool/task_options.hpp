// SPDX-License-Identifier: Apache-2.0
//
// The rules of a task, of a class of tasks, and of a loop.
#ifndef WORKPOOL_TASK_OPTIONS_HPP_
#define WORKPOOL_TASK_OPTIONS_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <workpool/choices.hpp>
#include <workpool/error.hpp>
#include <workpool/time.hpp>

namespace workpool {

class cancel_token;
class completion_queue;

// When a task that failed is run again.
struct retry_options {
  std::uint32_t max = 0;                    // runs beyond the first, in a row without success
  std::chrono::nanoseconds first_delay{0};  // 0: 10 ms
  std::chrono::nanoseconds max_delay{0};    // 0: 30 s
  std::uint32_t factor_percent = 0;         // of one delay to the next; 0: 200
  jitter spread = jitter::full;
  retry_on when = retry_on::request;
};

// What retry_if is asked about.
struct failed_attempt {
  std::int32_t code;
  std::uint32_t attempt;      // from 1
  std::exception_ptr thrown;  // null for a post under on_exception::terminate
};

// The rules of one task: pool.submit({.priority = 1, .delay = 5ms}, f). Zero is the library's
// default; workpool.h (pool_task_t) has limits and meanings. What it points to must live until the
// submit has returned, and is not one that was moved from (error INVALID).
struct task_options {
  std::int32_t priority = 0;
  std::uint64_t key = 0;       // tasks of one key run one after another, in submit order
  std::uint32_t class_id = 0;  // see pool::set_class
  moment deadline = {};        // no run begins later
  std::chrono::nanoseconds queue_timeout{0};  // the same for the first run, from the submit
  std::chrono::nanoseconds run_timeout{0};    // asks a run that lasts longer to stop
  std::chrono::nanoseconds delay{0};          // before the first run
  std::chrono::nanoseconds period{0};         // one run after another, until it fails or is stopped
  period_mode period_by = period_mode::fixed_rate;
  retry_options retry = {};
  // Asked before each retry, on the thread that ran the task, if retry.max is set. What it throws
  // is a no.
  std::function<bool(const failed_attempt&)> retry_if = {};
  const cancel_token* token = nullptr;
  const completion_queue* completions = nullptr;
  std::uint64_t cost_bytes = 0;  // counts against options::queue_limit_bytes while it waits
  on_full when_full = on_full::inherit;
  std::chrono::nanoseconds submit_timeout{0};  // 0: the pool's
  on_rate when_rate = on_rate::inherit;
  std::string name = {};
};

// What the tasks of one class share.
struct class_options {
  std::uint32_t concurrency_max = 0;  // at most so many run at once; 0: any
  rate_limit rate = {};
  on_rate when_rate = on_rate::inherit;
  retry_options retry = {};          // for tasks whose own retry.max is 0
  pool_retry_fn retry_if = nullptr;  // its arg is the binding's own: judge by code and attempt
};

// How a parallel loop is cut.
struct loop_options {
  std::uint64_t grain = 0;             // most iterations of one piece; 0: chosen
  std::uint32_t participants_max = 0;  // most bodies at once; 0: pool::participants()
};

namespace detail {

// The C form of o.
inline pool_class_options_t class_of(const class_options& o) {
  pool_class_options_t c;
  check(pool_class_options_init(&c, sizeof c));
  c.concurrency_max = o.concurrency_max;
  c.rate_count = o.rate.count;
  c.rate_period_ns = o.rate.period.count();
  c.rate_burst = o.rate.burst;
  c.on_rate = static_cast<std::int32_t>(o.when_rate);
  c.retries_max = o.retry.max;
  c.backoff_factor_percent = o.retry.factor_percent;
  c.backoff_first_ns = o.retry.first_delay.count();
  c.backoff_max_ns = o.retry.max_delay.count();
  c.backoff_jitter = static_cast<std::int32_t>(o.retry.spread);
  c.retry_on = static_cast<std::int32_t>(o.retry.when);
  c.retry_if = o.retry_if;
  return c;
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_TASK_OPTIONS_HPP_
