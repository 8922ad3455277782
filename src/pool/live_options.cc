#include "pool/live_options.h"

#include "base/error.h"
#include "pool/option_text.h"
#include "pool/options.h"

namespace workpool {
namespace {

void SetKeepAlive(Engine& engine, uint64_t keep_alive_ns) {
  engine.option_keep_alive_ns.store(keep_alive_ns, kRelaxed);
  engine.SetKeepAlive(keep_alive_ns);
}

Status SetAging(Engine& engine, uint64_t aging_ns) {
  Lanes& lanes = engine.dispatcher.lanes();
  const bool watched = lanes.count() > 1 && aging_ns != kNever;
  if (watched) {
    const Status status = engine.timers.Start();
    if (status != POOL_OK) return status;
  }
  lanes.SetAging(aging_ns);
  // The new value before the look at the lanes; partner: the fence between a push and WatchLane. Either we see the task,
  // or its submitter sees the value.
  FullFence();
  for (int32_t priority = lanes.lowest(); watched && priority < 0; ++priority) {
    const uint64_t due_ns = engine.dispatcher.LaneDueNs(priority);
    if (due_ns != kNever) engine.timers.LookAtQueuesAt(due_ns);
  }
  return POOL_OK;
}

// Who waits in line for a token has it at another time.
void SetRate(Engine& engine, const Rate& rate) {
  engine.rate.SetRate(rate);
  if (engine.timers.started()) (void)engine.timers.AdmitAt(engine.rate.DueNs());
}

Status SetBounds(Engine& engine, const EngineOptions& options) {
  const uint32_t min = engine.workers.min(), max = engine.workers.max();
  engine.workers.SetBounds(options.workers_min, options.workers_max);
  const Status status = engine.follow_bounds(engine);
  if (status != POOL_OK) engine.workers.SetBounds(min, max);
  return status;
}

// Tells the parts of the pool that row is about.
Status Apply(Engine& engine, const OptionRow& row, const EngineOptions& options) {
  switch (row.offset) {
    case offsetof(pool_options_t, keep_alive_ns): SetKeepAlive(engine, options.keep_alive_ns); return POOL_OK;
    case offsetof(pool_options_t, workers_min):
    case offsetof(pool_options_t, workers_max):
      return SetBounds(engine, options);
    case offsetof(pool_options_t, aging_ns): return SetAging(engine, options.dispatch.aging_ns);
    case offsetof(pool_options_t, lane_limit): engine.dispatcher.SetLaneLimit(options.dispatch.lane_limit); break;
    case offsetof(pool_options_t, queue_limit_bytes): engine.bytes.SetLimit(options.queue_limit_bytes); break;
    case offsetof(pool_options_t, rate_count):
    case offsetof(pool_options_t, rate_period_ns):
    case offsetof(pool_options_t, rate_burst): SetRate(engine, options.rate); break;
    case offsetof(pool_options_t, retry_count):
    case offsetof(pool_options_t, retry_period_ns): engine.retry_budget.SetRate(options.retry_rate); return POOL_OK;
    default: return Fail(POOL_E_INTERNAL, "nobody applies %s", row.name);
  }
  engine.space_event.Notify();  // there may be room now, or a token
  return POOL_OK;
}

}  // namespace

Status LiveOptions::Set(Engine& engine, const char* name, const char* value) {
  const OptionRow* row = nullptr;
  Status status = FindOption(name, &row);
  if (status != POOL_OK) return status;
  if (!row->live) {
    return Fail(POOL_E_INVALID, "options.%s is fixed at create; make a pool with another value", row->name);
  }
  const uint32_t before = engine.workers.target();
  status = Change(engine, *row, value);
  // More may be up now, or fewer. Without the lock: a decision, or a start that is refused, calls the user's log.
  const bool bounds = row->offset == offsetof(pool_options_t, workers_min) ||
                      row->offset == offsetof(pool_options_t, workers_max);
  if (status == POOL_OK && bounds) engine.tell_bounds(engine, before);
  if (status == POOL_OK && engine.HasTasks()) engine.workers.Help();
  return status;
}

Status LiveOptions::Change(Engine& engine, const OptionRow& row, const char* value) {
  MutexLock lock(mu_);
  pool_options_t next = now_;
  Status status = SetOption(row, value, sizeof(next), &next);
  PoolOptions checked;
  if (status == POOL_OK) status = CheckOptions(next, &checked);
  if (status != POOL_OK) return status;
  if (checked.engine.dispatch.exact && !engine.exact_limit) {
    return Fail(POOL_E_INVALID,
                "options.%s = '%.40s' needs a pool that was made with a rate, because plain submits of this one do not "
                "ask for any; give a rate to pool_create, and set it to 0 until it is wanted",
                row.name, value);
  }
  status = Apply(engine, row, checked.engine);
  if (status == POOL_OK) now_ = next;
  return status;
}

Status LiveOptions::Get(const char* name, char* out) {
  const OptionRow* row = nullptr;
  const Status status = FindOption(name, &row);
  if (status != POOL_OK) return status;
  MutexLock lock(mu_);
  FormatOption(*row, now_, out);
  return POOL_OK;
}

}  // namespace workpool
