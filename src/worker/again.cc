#include "worker/again.h"

#include <cxxabi.h>

#include "base/clock.h"
#include "task/group.h"
#include "task/task_details.h"
#include "task/token.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/frame.h"
#include "worker/moving.h"
#include "worker/other_thread.h"
#include "worker/settle.h"

namespace workpool {
namespace {

// The first time on the grid of a fixed rate that has not passed: what was missed is not made up for.
uint64_t NextOnGrid(uint64_t last_ns, uint64_t period_ns, uint64_t now_ns) {
  const uint64_t missed = now_ns > last_ns ? (now_ns - last_ns) / period_ns : 0;
  return TimeAfter(last_ns + missed * period_ns, period_ns);
}

bool WantsRetry(TaskRecord& record, Worker* worker, int32_t code) {
  const RetryRules& rules = record.details()->retry;
  if (record.details()->retries >= rules.retries_max) return false;
  if (code != POOL_RETRY && !rules.on_failure) return false;
  if (rules.filter == nullptr) return true;
  bool wanted = false;
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(*record.engine, worker, &record, tls);
  const FrameScope scope(tls, frame);
  try {
    CallOut([&] { wanted = rules.filter(record.arg, code, record.details()->attempts) != 0; });
  } catch (abi::__forced_unwind&) {
    OnOtherThread(*record.engine, worker, &record,
                  [&] { Settle(record, worker, POOL_FAILED, POOL_E_THREADEXIT, true); });
    throw;
  }
  LeaveForkedChild(frame);
  return wanted;
}

// The reason, if the group or the token was cancelled.
int32_t CancelReason(const TaskDetails& details) {
  if (details.token != nullptr && !details.token->members().MayAdd()) return details.token->reason();
  if (details.group != nullptr && !details.group->members().MayAdd()) return POOL_E_CANCELLED;
  return 0;
}

// Back among those that wait, held. False: it was asked to stop, and is still the caller's.
bool Requeue(TaskRecord& record) {
  TaskDetails& details = *record.details();
  // Before it can be claimed again, so that a claimer finds it in the right list.
  if (details.group != nullptr) details.group->members().Returned(details.in_group);
  if (details.token != nullptr) details.token->members().Returned(details.under_token);
  record.engine->dispatcher.EnterHeldExempt();
  if (record.Requeue()) return true;
  record.engine->dispatcher.LeaveHeld();
  if (details.group != nullptr) details.group->members().Claimed(details.in_group);
  if (details.token != nullptr) details.token->members().Claimed(details.under_token);
  return false;
}

}  // namespace

bool RunsAgain(TaskRecord& record, Worker* worker, int32_t code) {
  Engine& engine = *record.engine;
  TaskDetails& details = *record.details();
  const bool period = code == 0;
  if (engine.idle.Load().has(Census::kRefuseAll)) return false;
  const uint64_t now_ns = NowNs();
  if (period) {
    if (details.period_ns == 0 || record.StopAsked()) return false;
    details.retries = 0;
    if (details.before != nullptr) details.before->Clear();
    details.start_ns = details.fixed_delay ? TimeAfter(now_ns, details.period_ns)
                                           : NextOnGrid(details.grid_ns, details.period_ns, now_ns);
    details.grid_ns = details.start_ns;
    if (details.start_ns > details.deadline_ns) return false;
  } else {
    // One that failed by itself keeps its own code where it gets no further attempt.
    if (code != POOL_RETRY && (record.StopAsked() || now_ns > details.deadline_ns)) return false;
    if (!WantsRetry(record, worker, code) || !engine.retry_budget.TryTake()) return false;
    if (engine.wants_dead_letters()) details.KeepAttempt();
    Random numbers(now_ns ^ reinterpret_cast<uintptr_t>(&record));
    details.start_ns = TimeAfter(now_ns, BackoffDelay(details.retry.backoff, ++details.retries, numbers));
  }
  // What it waited for in the queue is over; its deadline holds for every attempt.
  details.expire_ns = details.deadline_ns;
  const uint64_t start_ns = details.start_ns;
  // One that is tried again keeps its place; between two periods others of its key and its class may run.
  if (period) LeaveGates(record);
  record.Ref();  // the timer's
  if (!Requeue(record)) {
    record.Unref();
    if (period) return false;
    const int32_t reason = CancelReason(details);
    EndClaimed(record, worker, POOL_CANCELLED, reason != 0 ? reason : POOL_E_CANCELLED);
    return true;
  }
  if (const int32_t reason = CancelReason(details); reason != 0) {
    const RecordReference reference(record);
    bool was_held = false;
    if (!record.Claim(&was_held)) return true;
    engine.ClaimedElsewhere(was_held);
    EndUnfinished(record, worker, POOL_CANCELLED, reason);
    return true;
  }
  if (!engine.timers.Hold(record, start_ns, period)) EndHeld(record);
  return true;
}

}  // namespace workpool
