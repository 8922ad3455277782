#include "pool/task_rules.h"

#include <algorithm>
#include <cinttypes>

#include "base/clock.h"
#include "base/error.h"
#include "pool/options.h"

namespace workpool {
namespace {

constexpr uint64_t kBackoffFirstNs = 10'000'000;
constexpr uint64_t kBackoffMaxNs = 30'000'000'000;
constexpr uint32_t kBackoffFactorPercent = 200;

Status CheckChoice(int32_t value, int32_t last, const char* what, const char* field, const char* kind) {
  if (value >= 0 && value <= last) return POOL_OK;
  return Fail(POOL_E_INVALID, "%s.%s = %" PRId32 " is no %s value; use 0 for the default", what, field, value, kind);
}

// Rules that say nothing without retries_max or period_ns, but may be wrong.
bool HasIdleRules(const pool_task_t& task) {
  return (task.period_mode | task.backoff_jitter | task.retry_on) != 0 || task.backoff_factor_percent != 0 ||
         (task.backoff_first_ns | task.backoff_max_ns) != 0;
}

uint64_t OrDefault(int64_t value, uint64_t fallback) { return value == 0 ? fallback : static_cast<uint64_t>(value); }

}  // namespace

bool NeedsTimers(const pool_task_t& task) {
  return task.deadline_ns != 0 || task.queue_timeout_ns != 0 || task.run_timeout_ns != 0 || task.period_ns != 0 ||
         task.retries_max != 0;
}

bool NeedsDetails(const pool_task_t& task) {
  return NeedsTimers(task) || task.done != nullptr || task.name != nullptr || task.key != 0 || task.class_id != 0 ||
         task.cost_bytes != 0 || HasIdleRules(task);
}

Status CheckTime(int64_t time_ns, const char* what, const char* field) {
  if (time_ns >= 0) return POOL_OK;
  return Fail(POOL_E_INVALID, "%s.%s = %" PRId64 " is negative; use 0 for none", what, field, time_ns);
}

Status CheckPriority(const pool_task_t& task, const Engine& engine) {
  if (task.priority == 0 || engine.options.dispatch.strategy == POOL_STRATEGY_PRIORITY) return POOL_OK;
  if (engine.options.dispatch.strategy != POOL_STRATEGY_STEALING) {
    return Fail(POOL_E_INVALID, "task.priority = %" PRId32 ": the strategy of this pool knows none; use 0, or a pool with "
                "POOL_STRATEGY_STEALING or _PRIORITY", task.priority);
  }
  const Lanes& lanes = engine.dispatcher.lanes();
  if (task.priority >= lanes.lowest() && task.priority <= lanes.highest()) return POOL_OK;
  return Fail(POOL_E_INVALID, "task.priority = %" PRId32 " is outside %" PRId32 " ... %" PRId32
              ", the lanes of this pool; raise options.lanes or use POOL_STRATEGY_PRIORITY",
              task.priority, lanes.lowest(), lanes.highest());
}

Status CheckOnRate(int32_t value, const char* what, int32_t fallback, int32_t* out) {
  const Status status = CheckChoice(value, POOL_ON_RATE_DELAY, what, "on_rate", "POOL_ON_RATE_");
  if (status == POOL_OK) *out = value == POOL_ON_RATE_DEFAULT ? fallback : value;
  return status;
}

Status CheckRate(uint64_t count, int64_t period_ns, uint32_t burst, const char* what, Rate* out) {
  const Status status = CheckTime(period_ns, what, "rate_period_ns");
  if (status != POOL_OK) return status;
  *out = Rate{.count = count, .period_ns = OrDefault(period_ns, 1'000'000'000), .burst = burst == 0 ? 1u : burst};
  return POOL_OK;
}

Status CheckRetry(uint32_t retries_max, uint32_t factor_percent, int64_t first_ns, int64_t max_ns, int32_t jitter,
                  int32_t retry_on, pool_retry_fn filter, const char* what, RetryRules* out) {
  Status status = CheckTime(first_ns, what, "backoff_first_ns");
  if (status == POOL_OK) status = CheckTime(max_ns, what, "backoff_max_ns");
  if (status == POOL_OK) status = CheckChoice(jitter, POOL_JITTER_NONE, what, "backoff_jitter", "POOL_JITTER_");
  if (status == POOL_OK) status = CheckChoice(retry_on, POOL_RETRY_ON_FAILURE, what, "retry_on", "POOL_RETRY_ON_");
  if (status != POOL_OK) return status;
  if (factor_percent != 0 && factor_percent < 100) {
    return Fail(POOL_E_INVALID, "%s.backoff_factor_percent = %u is below 100; use 0 for 200", what, factor_percent);
  }
  out->retries_max = retries_max;
  out->on_failure = retry_on == POOL_RETRY_ON_FAILURE;
  out->filter = filter;
  out->backoff.first_ns = OrDefault(first_ns, kBackoffFirstNs);
  out->backoff.max_ns = std::max(OrDefault(max_ns, kBackoffMaxNs), max_ns == 0 ? out->backoff.first_ns : 0);
  out->backoff.factor_percent = factor_percent == 0 ? kBackoffFactorPercent : factor_percent;
  out->backoff.jitter = jitter == POOL_JITTER_NONE    ? Jitter::kNone
                        : jitter == POOL_JITTER_EQUAL ? Jitter::kEqual
                                                      : Jitter::kFull;
  return POOL_OK;
}

Status CheckClass(const pool_class_options_t& in, RetryRules* retry, Rate* rate, int32_t* on_rate) {
  Status status = CheckRetry(in.retries_max, in.backoff_factor_percent, in.backoff_first_ns, in.backoff_max_ns,
                             in.backoff_jitter, in.retry_on, in.retry_if, "options", retry);
  if (status == POOL_OK) status = CheckRate(in.rate_count, in.rate_period_ns, in.rate_burst, "options", rate);
  if (status == POOL_OK) status = CheckOnRate(in.on_rate, "options", POOL_ON_RATE_DEFAULT, on_rate);
  return status;
}

Status CheckTask(const pool_task_t& task, Engine& engine, TaskDetails* details) {
  Status status = CheckTime(task.queue_timeout_ns, "task", "queue_timeout_ns");
  if (status == POOL_OK) status = CheckTime(task.run_timeout_ns, "task", "run_timeout_ns");
  if (status == POOL_OK) status = CheckTime(task.period_ns, "task", "period_ns");
  if (status == POOL_OK) {
    status = CheckChoice(task.period_mode, POOL_PERIOD_FIXED_DELAY, "task", "period_mode", "POOL_PERIOD_");
  }
  if (status == POOL_OK) {
    status = CheckRetry(task.retries_max, task.backoff_factor_percent, task.backoff_first_ns, task.backoff_max_ns,
                        task.backoff_jitter, task.retry_on, task.retry_if, "task", &details->retry);
  }
  if (status != POOL_OK) return status;
  if (task.class_id > POOL_CLASS_MAX) {
    return Fail(POOL_E_INVALID, "task.class_id = %u is above %u; use 0 for none", task.class_id, POOL_CLASS_MAX);
  }
  if (task.class_id != 0) {
    TaskClass* task_class = engine.classes.Find(task.class_id);
    if (task_class == nullptr) {
      return Fail(POOL_E_NOTFOUND, "task.class_id = %u names no class of this pool; make it by pool_class_set",
                  task.class_id);
    }
    details->task_class = task_class;
    if (task.retries_max == 0) details->retry = engine.classes.RetryOf(*task_class);
  }
  char name[64];
  status = CheckName(task.name, "task.name", "", name);
  if (status != POOL_OK) return status;
  if (name[0] != 0 && (details->name = CopyText(name)) == nullptr) return POOL_E_NOMEM;
  details->done = task.done;
  details->pool = engine.handle;
  details->key = task.key;
  details->cost_bytes = task.cost_bytes;
  details->deadline_ns = task.deadline_ns == 0 ? kNever : task.deadline_ns;
  details->run_timeout_ns = static_cast<uint64_t>(task.run_timeout_ns);
  details->period_ns = static_cast<uint64_t>(task.period_ns);
  details->fixed_delay = task.period_mode == POOL_PERIOD_FIXED_DELAY;
  return POOL_OK;
}

}  // namespace workpool
