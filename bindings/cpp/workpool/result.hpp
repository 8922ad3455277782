// SPDX-License-Identifier: Apache-2.0
//
// What is told of a task: how it ended, or how it runs.
#ifndef WORKPOOL_RESULT_HPP_
#define WORKPOOL_RESULT_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <exception>
#include <string>
#include <vector>

namespace workpool {

// How a task ended: the fields of pool_result_t (outcome, code, attempts, worker, value, text),
// with its times as durations. text holds the what() of a failed task with options.
struct result : pool_result_t {
  // From submit to the first start; to the end if it never ran.
  std::chrono::nanoseconds wait_time() const noexcept { return std::chrono::nanoseconds(wait_ns); }
  // Of the last run.
  std::chrono::nanoseconds run_time() const noexcept { return std::chrono::nanoseconds(run_ns); }
  // It ran longer than its run_timeout, at least once.
  bool overran() const noexcept { return (flags & POOL_RESULT_OVERRAN) != 0; }
};

// A task that failed for good, as options::dead_letter is told of it. text holds its what(), with
// or without options.
struct failed_task : result {
  std::string name;           // as in its task_options
  std::exception_ptr thrown;  // null if it threw nothing: it ended its thread, or it is one of C
  std::vector<pool_attempt_t> history;  // its last attempts, oldest first
};

// A task that runs: the fields of pool_running_t (worker, thread, state, ticket, attempt, name),
// with its times as durations.
struct running_task : pool_running_t {
  std::chrono::nanoseconds wall_time() const noexcept { return std::chrono::nanoseconds(wall_ns); }
  // CPU time of its thread meanwhile.
  std::chrono::nanoseconds cpu_time() const noexcept { return std::chrono::nanoseconds(cpu_ns); }
};

}  // namespace workpool
#endif  // WORKPOOL_RESULT_HPP_
