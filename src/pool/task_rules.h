// The rules of one task: checked, and completed with those of its class and its pool.
#pragma once

#include "base/api.h"
#include "task/task_details.h"
#include "worker/engine.h"

namespace workpool {

class CompletionQueue;
class Group;
class Token;

// How a submit behaves where there is no room, or no token of a rate.
struct AdmissionPolicy {
  int32_t on_full;     // POOL_ON_FULL_..., not DEFAULT
  int32_t on_rate;     // POOL_ON_RATE_..., not DEFAULT
  int64_t timeout_ns;  // POOL_FOREVER, or how long BLOCK waits

  // Of a submit that begins now.
  uint64_t Deadline() const {
    return on_full == POOL_ON_FULL_BLOCK || on_rate == POOL_ON_RATE_BLOCK ? DeadlineAfter(timeout_ns) : 0;
  }
};

// What a task's handles name; each nullptr if there is none.
struct TaskLinks {
  Group* group = nullptr;
  Token* token = nullptr;
  CompletionQueue* completions = nullptr;
};

// A record is more than its function, argument, drop, priority and delay.
[[nodiscard]] bool NeedsDetails(const pool_task_t& task);
// It waits for a time, or may be stopped by one, beside its delay.
[[nodiscard]] bool NeedsTimers(const pool_task_t& task);
// Fills details by task. OK, INVALID, NOTFOUND, NOMEM.
[[nodiscard]] Status CheckTask(const pool_task_t& task, Engine& engine, TaskDetails* details);
// OK, INVALID.
[[nodiscard]] Status CheckPriority(const pool_task_t& task, const Engine& engine);
[[nodiscard]] Status CheckRetry(uint32_t retries_max, uint32_t factor_percent, int64_t first_ns, int64_t max_ns,
                                int32_t jitter, int32_t retry_on, pool_retry_fn filter, const char* what,
                                RetryRules* out);
[[nodiscard]] Status CheckRate(uint64_t count, int64_t period_ns, uint32_t burst, const char* what, Rate* out);
// POOL_ON_RATE_DEFAULT becomes fallback.
[[nodiscard]] Status CheckOnRate(int32_t value, const char* what, int32_t fallback, int32_t* out);
// A length of time: INVALID below 0.
[[nodiscard]] Status CheckTime(int64_t time_ns, const char* what, const char* field);
[[nodiscard]] Status CheckClass(const pool_class_options_t& in, RetryRules* retry, Rate* rate, int32_t* on_rate);

}  // namespace workpool
