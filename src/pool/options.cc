#include "pool/options.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/clock.h"
#include "base/allowance.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/limits.h"
#include "pool/task_rules.h"

namespace workpool {
namespace {

constexpr uint32_t kQueuesMax = 64;

bool IsUtf8(const char* text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text);
  while (*p != 0) {
    int more;
    uint32_t code;
    if (*p < 0x80) {
      more = 0, code = *p;
    } else if ((*p & 0xE0) == 0xC0) {
      more = 1, code = *p & 0x1F;
    } else if ((*p & 0xF0) == 0xE0) {
      more = 2, code = *p & 0x0F;
    } else if ((*p & 0xF8) == 0xF0) {
      more = 3, code = *p & 0x07;
    } else {
      return false;
    }
    ++p;
    for (int i = 0; i < more; ++i, ++p) {
      if ((*p & 0xC0) != 0x80) return false;
      code = code << 6 | (*p & 0x3F);
    }
    // The shortest form only, no surrogates, nothing past the last code point (RFC 3629).
    static constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  }
  return true;
}

Status CheckCount(const char* field, uint32_t value, uint32_t limit, const char* remedy) {
  if (value <= limit) return POOL_OK;
  return Fail(POOL_E_INVALID, "options.%s = %u is above the limit %u; %s", field, value, limit, remedy);
}

// What the system leaves, within what the other fields ask for.
uint32_t AutomaticMax(const pool_options_t& in, uint32_t threads) {
  const uint32_t limit =
      in.workers_limit != 0 ? std::min(in.workers_limit, kWorkersMax) : kWorkersMax;
  return std::min(std::max({threads, 2u, in.workers_min, in.prestart}), limit);
}

// How many may be up without the scaler, and take part in a loop.
void SetStart(const pool_options_t& in, double cores, EngineOptions* out) {
  const uint32_t computing = static_cast<uint32_t>(std::ceil(cores));
  out->workers_base = in.budget != 0 ? 0 : std::min(std::max({computing, in.workers_min, in.prestart}), out->workers_max);
  out->participants = 1 + (in.workers_max != 0 ? out->workers_max
                                               : std::min(std::max({computing, 2u, in.workers_min, in.prestart}), out->workers_max));
}

Status CheckWorkers(const pool_options_t& in, EngineOptions* out) {
  Status status = CheckCount("workers_max", in.workers_max, kWorkersMax, "use 0 for automatic");
  if (status != POOL_OK) return status;
  const Allowance allowance = CurrentAllowance();
  out->workers_max = in.workers_max != 0 ? in.workers_max : AutomaticMax(in, allowance.threads);
  status = CheckCount("workers_min", in.workers_min, out->workers_max, "it may not exceed workers_max");
  if (status != POOL_OK) return status;
  out->workers_min = in.workers_min;
  status = CheckCount("workers_limit", in.workers_limit, kWorkersMax, "use 0 for 4096");
  if (status != POOL_OK) return status;
  out->workers_limit = in.workers_limit != 0 ? in.workers_limit : kWorkersMax;
  if (out->workers_limit < out->workers_max) {
    return Fail(POOL_E_INVALID, "options.workers_limit = %u is below workers_max = %u; use 0 for 4096",
                in.workers_limit, out->workers_max);
  }
  CpuMask mask;
  const bool own = in.inherit_affinity != 0 && CurrentThreadCpus(&mask);
  SetStart(in, own ? std::min<double>(allowance.cores, mask.count()) : allowance.cores, out);
  return POOL_OK;
}

Status CheckOrder(const pool_options_t& in, uint32_t cpus, Dispatcher::Options* out) {
  if (in.strategy < POOL_STRATEGY_STEALING || in.strategy > POOL_STRATEGY_PRIORITY) {
    return Fail(POOL_E_INVALID, "options.strategy = %" PRId32 " is no POOL_STRATEGY_ value; use 0 for the default",
                in.strategy);
  }
  Status status = CheckCount("lanes", in.lanes, POOL_LANES_MAX, "use 0 for 3");
  if (status == POOL_OK) status = CheckTimeout(in.aging_ns, "options.aging_ns");
  if (status != POOL_OK) return status;
  const bool stealing = in.strategy == POOL_STRATEGY_STEALING;
  if (!stealing && in.lanes > 1) {
    return Fail(POOL_E_INVALID, "options.lanes = %u needs POOL_STRATEGY_STEALING; use 0", in.lanes);
  }
  out->strategy = in.strategy;
  out->queue_limit = in.queue_limit != 0 ? in.queue_limit : kQueueLimitDefault;
  // Two queues for each CPU: a submitter that finds one locked finds the next free. An order for all needs one queue.
  out->queues = stealing ? std::min(std::bit_ceil(2 * cpus), kQueuesMax) : 1;
  out->lanes = !stealing ? 1 : in.lanes != 0 ? in.lanes : kLanesDefault;
  out->aging_ns = in.aging_ns == 0 ? kAgingDefaultNs : in.aging_ns < 0 ? kNever : static_cast<uint64_t>(in.aging_ns);
  out->lane_limit = in.lane_limit != 0 ? in.lane_limit : POOL_UNLIMITED;
  return POOL_OK;
}

// Limits by bytes and time, and what is done where they are reached.
Status CheckFlow(const pool_options_t& in, PoolOptions* out) {
  EngineOptions& engine = out->engine;
  engine.queue_limit_bytes = in.queue_limit_bytes != 0 ? in.queue_limit_bytes : POOL_UNLIMITED;
  Status status = CheckRate(in.rate_count, in.rate_period_ns, in.rate_burst, "options", &engine.rate);
  if (status == POOL_OK) status = CheckOnRate(in.on_rate, "options", POOL_ON_RATE_DELAY, &out->on_rate);
  if (status == POOL_OK) status = CheckTime(in.codel_target_ns, "options", "codel_target_ns");
  if (status == POOL_OK) status = CheckTime(in.codel_interval_ns, "options", "codel_interval_ns");
  if (status == POOL_OK) status = CheckTime(in.retry_period_ns, "options", "retry_period_ns");
  if (status != POOL_OK) return status;
  engine.codel_target_ns = static_cast<uint64_t>(in.codel_target_ns);
  engine.codel_interval_ns =
      in.codel_interval_ns != 0 ? static_cast<uint64_t>(in.codel_interval_ns) : kCodelIntervalDefaultNs;
  engine.retry_rate.count = in.retry_count;
  if (in.retry_period_ns != 0) engine.retry_rate.period_ns = static_cast<uint64_t>(in.retry_period_ns);
  engine.retry_rate.burst = std::max<uint64_t>(in.retry_count, 1);
  engine.dead_letter = {in.dead_letter, in.dead_letter_user, in.dead_letter_limit};
  status = CheckTime(in.stuck_after_ns, "options", "stuck_after_ns");
  if (status != POOL_OK) return status;
  if (in.stuck_after_ns != 0 && in.stuck_after_ns < kStuckAfterMinNs) {
    return Fail(POOL_E_INVALID, "options.stuck_after_ns = %" PRId64 " is below %" PRId64 "; use 0 for none",
                in.stuck_after_ns, kStuckAfterMinNs);
  }
  if (in.queue_high != 0 && in.watermark == nullptr) {
    return FailConst(POOL_E_INVALID, "options.watermark is NULL with queue_high; give a function");
  }
  if (in.queue_high != 0 && in.queue_low >= in.queue_high) {
    return Fail(POOL_E_INVALID, "options.queue_low = %" PRIu64 " is not below queue_high = %" PRIu64, in.queue_low,
                in.queue_high);
  }
  engine.queue_high = in.queue_high;
  engine.queue_low = in.queue_low;
  engine.watermark = in.watermark;
  engine.watermark_user = in.watermark_user;
  engine.watch = {static_cast<uint64_t>(in.stuck_after_ns), in.stuck, in.stuck_user};
  // Where a submit or a take has more to ask, plain tasks do not take the short way.
  engine.dispatch.exact = engine.dispatch.queue_limit <= kQueueLimitExactMax ||
                          engine.dispatch.strategy == POOL_STRATEGY_LIFO ||
                          engine.dispatch.strategy == POOL_STRATEGY_PRIORITY || in.rate_count != 0 ||
                          in.codel_target_ns != 0 || in.queue_high != 0;
  return POOL_OK;
}

}  // namespace

Status CheckName(const char* name, const char* field, const char* fallback, char* out) {
  if (name == nullptr) name = fallback;
  const size_t length = strnlen(name, kNameMax + 1);
  if (length > kNameMax) {
    return Fail(POOL_E_INVALID, "%s is longer than %zu bytes; shorten it", field, kNameMax);
  }
  if (!IsUtf8(name)) return Fail(POOL_E_INVALID, "%s is not UTF-8; encode it", field);
  std::memcpy(out, name, length + 1);
  return POOL_OK;
}

Status CheckOnFull(int32_t value, const char* field, int32_t fallback, int32_t* out) {
  if (value < POOL_ON_FULL_DEFAULT || value > POOL_ON_FULL_DROP_LOWEST) {
    return Fail(POOL_E_INVALID, "%s = %" PRId32 " is no POOL_ON_FULL_ value; use 0 for the default", field,
                value);
  }
  *out = value == POOL_ON_FULL_DEFAULT ? fallback : value;
  return POOL_OK;
}

Status CheckTimeout(int64_t timeout_ns, const char* field) {
  if (timeout_ns >= POOL_FOREVER) return POOL_OK;
  return Fail(POOL_E_INVALID, "%s = %" PRId64 " is negative; use -1 to wait for ever, 0 to poll", field,
              timeout_ns);
}

Status CheckOptions(const pool_options_t& in, PoolOptions* out) {
  EngineOptions& engine = out->engine;
  Status status = CheckWorkers(in, &engine);
  if (status == POOL_OK) status = CheckTimeout(in.keep_alive_ns, "options.keep_alive_ns");
  if (status == POOL_OK) status = CheckTimeout(in.submit_timeout_ns, "options.submit_timeout_ns");
  if (status == POOL_OK) {
    status = CheckOnFull(in.on_full, "options.on_full", POOL_ON_FULL_REJECT, &out->on_full);
  }
  if (status == POOL_OK) {
    status = CheckCount("prestart", in.prestart, engine.workers_max, "it may not exceed workers_max");
  }
  if (status == POOL_OK && in.budget != 0 && in.prestart != 0) {
    return Fail(POOL_E_INVALID, "options.prestart = %u with a budget, which gives workers when tasks wait; use 0", in.prestart);
  }
  if (status == POOL_OK && in.budget == 0 && (in.budget_floor != 0 || in.budget_weight != 0)) {
    return FailConst(POOL_E_INVALID, "options.budget_floor and budget_weight need a budget; use 0");
  }
  if (status == POOL_OK) status = CheckName(in.name, "options.name", "pool", engine.name);
  if (status != POOL_OK) return status;
  if (in.on_exception != POOL_EXC_CAPTURE && in.on_exception != POOL_EXC_TERMINATE) {
    return Fail(POOL_E_INVALID, "options.on_exception = %" PRId32 " is no POOL_EXC_ value; use 0 or 1",
                in.on_exception);
  }
  if (in.inherit_affinity > 1) {
    return Fail(POOL_E_INVALID, "options.inherit_affinity = %u is no switch; use 0 or 1",
                in.inherit_affinity);
  }
  if (in.stack_bytes != 0 && (in.stack_bytes < kStackMinBytes || in.stack_bytes > kStackMaxBytes)) {
    return Fail(POOL_E_INVALID,
                "options.stack_bytes = %" PRIu64 " is outside %" PRIu64 " ... %" PRIu64 "; use 0 for 1 MiB",
                in.stack_bytes, kStackMinBytes, kStackMaxBytes);
  }
  if (in.log_level < POOL_LOG_OFF || in.log_level > POOL_LOG_DEBUG) {
    return Fail(POOL_E_INVALID, "options.log_level = %" PRId32 " is outside 0 ... 4; use 0 for none",
                in.log_level);
  }
  if (in.reserved != 0) {
    return Fail(POOL_E_INVALID, "options.reserved = %u must be 0; use pool_options_init", in.reserved);
  }
  if (in.task_isolation < POOL_ISOLATION_NONE || in.task_isolation > POOL_ISOLATION_FULL) {
    return Fail(POOL_E_INVALID, "options.task_isolation = %" PRId32 " is no POOL_ISOLATION_ value; use 0 ... 2",
                in.task_isolation);
  }
  engine.task_isolation = in.task_isolation;
  engine.keep_alive_ns = in.keep_alive_ns == 0   ? kKeepAliveDefaultNs
                         : in.keep_alive_ns < 0 ? kNever
                                                : static_cast<uint64_t>(in.keep_alive_ns);
  engine.cpus = ProcessCpus();
  status = CheckOrder(in, engine.cpus, &engine.dispatch);
  if (status == POOL_OK) status = CheckFlow(in, out);
  if (status != POOL_OK) return status;
  engine.drop = in.drop;
  engine.terminate_on_exception = in.on_exception == POOL_EXC_TERMINATE;
  engine.thread.stack_bytes =
      static_cast<size_t>(in.stack_bytes != 0 ? in.stack_bytes : kStackDefaultBytes);
  engine.thread.own_cpus = in.inherit_affinity != 0 && CurrentThreadCpus(&engine.thread.cpus);
  out->prestart = in.prestart;
  out->submit_timeout_ns = in.submit_timeout_ns != 0 ? in.submit_timeout_ns : POOL_FOREVER;
  out->log_fn = in.log_fn;
  out->log_user = in.log_user;
  out->log_level = in.log_level;
  out->given = in;
  out->given.name = nullptr;  // they are the caller's
  out->given.policy = nullptr;
  out->given.budget = 0;  // asked for when it was made
  out->given.budget_floor = 0;
  out->given.budget_weight = 0;
  out->given.lanes = engine.dispatch.lanes;
  return POOL_OK;
}

}  // namespace workpool
