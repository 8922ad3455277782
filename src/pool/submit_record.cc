// From the call to the queue, or to where it is held: tasks with a record.
#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "pool/admit.h"
#include "pool/pool.h"
#include "task/completion_queue.h"
#include "task/group.h"
#include "task/token.h"
#include "worker/moving.h"
#include "worker/settle.h"

namespace workpool {
namespace {

// Where nothing is known of the stack, so many tasks may run inside each other.
constexpr int kNestedMax = 16;

// A task that finds no room may be run by this thread.
bool MayRunHere(Tls& tls) {
  if (tls.service != nullptr) return false;  // timers wait for it
  if (const Worker* worker = CurrentWorker(tls)) return HasStack(worker);
  int depth = 0;
  for (const Frame* frame = InnermostFrame(tls); frame != nullptr; frame = frame->outer) ++depth;
  return depth < kNestedMax;
}

Status JoinLinks(TaskRecord& record, const TaskLinks& links) {
  TaskDetails* details = record.details();
  if (links.group != nullptr && !links.group->Add(record)) {
    return FailConst(POOL_E_CANCELLED, "the group was cancelled; it takes no more tasks");
  }
  if (links.token != nullptr && !links.token->Add(record)) {
    return FailConst(POOL_E_CANCELLED, "the token was cancelled; it takes no more tasks");
  }
  if (links.completions != nullptr) {
    const Status status = links.completions->Reserve();
    if (status != POOL_OK) return status;
    links.completions->Ref();
    details->completions = links.completions;
  }
  return POOL_OK;
}

}  // namespace

Status Pool::CheckPolicy(const pool_task_t& task, AdmissionPolicy* policy) const {
  *policy = policy_;
  Status status = CheckOnFull(task.on_full, "task.on_full", policy_.on_full, &policy->on_full);
  if (status == POOL_OK) status = CheckTimeout(task.submit_timeout_ns, "task.submit_timeout_ns");
  if (status == POOL_OK) status = CheckPriority(task, engine_);
  if (status == POOL_OK) status = CheckTime(task.delay_ns, "task", "delay_ns");
  if (status != POOL_OK) return status;
  if (task.submit_timeout_ns != 0) policy->timeout_ns = task.submit_timeout_ns;
  int32_t on_rate = policy_.on_rate;
  if (const TaskClass* own = task.class_id != 0 && task.class_id <= POOL_CLASS_MAX ? engine_.classes.Find(task.class_id)
                                                                                   : nullptr) {
    if (const int32_t of_class = own->on_rate.load(kRelaxed); of_class != POOL_ON_RATE_DEFAULT) on_rate = of_class;
  }
  return CheckOnRate(task.on_rate, "task", on_rate, &policy->on_rate);
}

Status Pool::MakeRecord(const pool_task_t& task, const TaskLinks& links, bool ticket, AdmissionPolicy* policy,
                        TaskRecord** out) {
  if (task.run == nullptr) return FailConst(POOL_E_INVALID, "task.run is NULL; give a function");
  Status status = CheckPolicy(task, policy);
  if (status != POOL_OK) return status;
  if (links.group != nullptr && links.group->pool() != engine_.handle) {
    return FailConst(POOL_E_INVALID, "task.group belongs to another pool");
  }
  const bool linked = links.group != nullptr || links.token != nullptr || links.completions != nullptr;
  // A dead letter tells its history.
  const bool told = ticket || engine_.options.dead_letter.fn != nullptr;
  TaskRecord* record = TaskRecord::Make(told || linked || NeedsDetails(task));
  if (record == nullptr) return POOL_E_NOMEM;
  BindRecord(*record);
  record->run = task.run;
  record->drop = task.drop;
  record->arg = task.arg;
  record->engine = &engine_;
  record->priority = engine_.own_queues || engine_.options.dispatch.strategy == POOL_STRATEGY_PRIORITY ? task.priority : 0;
  record->timed = task.delay_ns != 0 || NeedsTimers(task);
  if (TaskDetails* details = record->details()) {
    status = CheckTask(task, engine_, details);
    if (details->retry.retries_max != 0) record->timed = true;
    if (status == POOL_OK) status = JoinLinks(*record, links);
    if (status == POOL_E_FULL) engine_.outside.rejected.Add();
  }
  if (status != POOL_OK) {
    GiveUpRecord(*record);
    return status;
  }
  *out = record;
  return POOL_OK;
}

void Pool::GiveUpRecord(TaskRecord& record) {
  if (TaskDetails* details = record.details()) {
    if (details->group != nullptr) details->group->Withdraw();
    if (details->completions != nullptr) details->completions->GiveBack();
  }
  record.Unref();
}

// The token of its class's rate and of the pool's, or a time at which it may start instead.
Status Pool::TakeRateTokens(const TaskRecord& record, Admission admission, const AdmissionPolicy& policy,
                            uint64_t deadline_ns, uint64_t* start_ns) {
  RateLimiter* of_class = RateOfClass(record);
  for (RateLimiter* limiter : {of_class, &engine_.rate}) {
    if (limiter == nullptr || !limiter->limited()) continue;
    // A task does not wait for a token on a thread that might be needed, and its children are not refused.
    const bool own = IsOwnThread();
    const bool delay = policy.on_rate == POOL_ON_RATE_DELAY || admission == Admission::kExempt ||
                       (own && policy.on_rate == POOL_ON_RATE_BLOCK);
    if (delay) {
      *start_ns = std::max(*start_ns, limiter->Reserve());
      continue;
    }
    Status status = POOL_OK;
    while (status == POOL_OK && !limiter->TryTake()) {
      if (policy.on_rate == POOL_ON_RATE_REJECT) {
        status = FailConst(POOL_E_RATE, "the rate limit has no token; retry later, or use ON_RATE_BLOCK or _DELAY");
      } else if (NowNs() >= deadline_ns) {
        status = FailConst(POOL_E_TIMEOUT, "the rate limit had no token for all of submit_timeout_ns");
      } else {
        const BlockedScope blocked(ForeignWorker());
        const uint64_t until_ns = std::min(deadline_ns, limiter->NextNs());
        (void)engine_.space_event.Await(until_ns, [&] {
          return engine_.idle.Load().has(Census::kRefuseOutside) || limiter->NextNs() < until_ns;  // its rate was set
        });
        if (engine_.idle.Load().has(Census::kRefuseOutside)) status = FailClosed();
      }
    }
    if (status == POOL_OK) continue;
    engine_.outside.rejected.Add();
    if (limiter == &engine_.rate && of_class != nullptr) of_class->GiveBack();
    return status;
  }
  return POOL_OK;
}

RateLimiter* Pool::RateOfClass(const TaskRecord& record) const {
  const TaskDetails* details = record.details();
  return details != nullptr && details->task_class != nullptr ? &details->task_class->rate : nullptr;
}

void Pool::GiveBackRateTokens(const TaskRecord& record) {
  if (RateLimiter* of_class = RateOfClass(record)) of_class->GiveBack();
  engine_.rate.GiveBack();
}

Status Pool::TryAccept(Admission admission) {
  ThreadLine* line = CurrentLine(CurrentTls());
  if (line == nullptr) return POOL_E_NOMEM;
  const LineSection section(*line, engine_.line_slot);
  Status status = CheckOpenInSection(engine_.idle.Load());
  if (status == POOL_OK) status = engine_.dispatcher.EnterHeld(admission);
  // In the section: a close that begins now waits for this, and then for the task.
  if (status != POOL_OK) return status;
  engine_.outside.submitted.Add();
  engine_.NoteWaiting();
  return POOL_OK;
}

// There was no room: the task is accepted, and run by its submitter, unless others of its key or its class run. Then it
// waits for its turn in the pool, and the submitter for it.
Status Pool::RunOnCaller(TaskRecord& record) {
  Tls& tls = CurrentTls();
  Worker* worker = OwnWorker(tls);
  record.BeginHeld();
  const Status status = TryAccept(Admission::kExempt);
  if (status != POOL_OK) return status;
  const TaskDetails* details = record.details();
  if (details != nullptr && details->expire_ns != kNever) engine_.timers.WatchWait(record, details->expire_ns);
  if (!EnterGates(engine_, record)) {
    OfferToMembers(record);
    // A thread of the pool may run what the task has to wait for.
    if (IsOwnThread()) return POOL_OK;
    const BlockedScope blocked(ForeignWorker());
    (void)record.Await(kNever);
    return POOL_OK;
  }
  const RecordReference reference(record);
  bool was_held = false;
  if (!record.Claim(&was_held)) {  // it has just expired
    if (details != nullptr) LeaveGates(record);
    return POOL_OK;
  }
  engine_.ClaimedElsewhere(was_held);
  RunClaimed(record, worker);
  return POOL_OK;
}

Status Pool::SubmitAsRecord(const Slot& slot, Admission admission, const AdmissionPolicy& policy) {
  pool_task_t task{};
  task.run = slot.run;
  task.arg = slot.arg;
  task.drop = engine_.options.drop;
  AdmissionPolicy ignored;
  TaskRecord* record = nullptr;
  const Status status = MakeRecord(task, TaskLinks{}, false, &ignored, &record);
  if (status != POOL_OK) return status;
  return SubmitRecord(*record, admission, policy, 0, 0);
}

Status Pool::SubmitRecord(TaskRecord& record, Admission admission, const AdmissionPolicy& policy, uint64_t delay_ns,
                          uint64_t queue_timeout_ns) {
  TaskDetails* details = record.details();
  const uint64_t now_ns = record.submit_ns = NowNs();
  const uint64_t submit_deadline_ns = policy.Deadline();
  uint64_t start_ns = delay_ns == 0 ? 0 : TimeAfter(now_ns, delay_ns);
  const auto refuse = [&](Status status) {
    GiveUpRecord(record);
    return status;
  };
  if (details != nullptr && details->deadline_ns < now_ns) {
    return refuse(FailConst(POOL_E_EXPIRED, "task.deadline_ns has passed; nothing was accepted"));
  }
  Status status = TakeRateTokens(record, admission, policy, submit_deadline_ns, &start_ns);
  if (status != POOL_OK) return refuse(status);
  const bool delayed = start_ns > NowNs();
  if (details != nullptr) {
    details->expire_ns = details->deadline_ns;
    if (queue_timeout_ns != 0) {
      details->expire_ns = std::min(details->expire_ns, TimeAfter(std::max(start_ns, now_ns), queue_timeout_ns));
    }
    details->start_ns = details->grid_ns = std::max(start_ns, now_ns);
  }
  record.timed = record.timed || delayed;
  const bool ages = Ages(record.priority);
  if (record.timed || ages) status = engine_.timers.Start();
  if (status != POOL_OK) {
    GiveBackRateTokens(record);
    return refuse(status);
  }
  const bool gated = details != nullptr && (details->key != 0 || details->task_class != nullptr);
  // What may expire is held until its timer is armed: once queued it may run, fail and wait for another attempt at once.
  const bool expires = details != nullptr && details->expire_ns != kNever;
  const bool held = delayed || gated || expires;
  if (held) record.BeginHeld();
  // A task that waits for room might be the one to make it; one that runs too deep already is not run here.
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) {
    GiveBackRateTokens(record);
    return refuse(POOL_E_NOMEM);
  }
  const bool own = IsOwnThread();
  if (policy.on_full == POOL_ON_FULL_BLOCK && own) admission = Admission::kExempt;
  if (policy.on_full == POOL_ON_FULL_CALLER_RUNS && !MayRunHere(tls)) admission = Admission::kExempt;
  const uint64_t cost_bytes = details != nullptr ? details->cost_bytes : 0;
  const Slot slot = SlotOf(record);
  record.Ref();  // beyond its run, which may be over before this returns
  const RecordReference reference(record);
  bool bytes_full = false;
  const auto attempt = [&]() -> Status {
    if (admission == Admission::kExempt) {
      engine_.bytes.AcquireExempt(cost_bytes);
    } else {
      // What is held now will lie in its lane in a moment, or when its turn has come.
      if (held && !delayed && engine_.dispatcher.LaneIsFull(record.priority)) return POOL_E_FULL;
      bytes_full = !engine_.bytes.TryAcquire(cost_bytes);
      if (bytes_full) return POOL_E_FULL;
    }
    uint32_t accepted = 0;
    const Status tried = held ? TryAccept(admission) : TryQueue(&slot, 1, admission, record.priority, &accepted);
    if (tried != POOL_OK && cost_bytes != 0) engine_.GiveBackBytes(cost_bytes);
    return tried;
  };
  const auto has_room = [&] {
    return engine_.dispatcher.HasRoom() && !engine_.dispatcher.LaneIsFull(record.priority) &&
           engine_.bytes.HasRoom(cost_bytes);
  };
  const bool run_here = policy.on_full == POOL_ON_FULL_CALLER_RUNS && !delayed;
  if (run_here) {
    status = attempt();
    if (status == POOL_E_FULL) {
      engine_.bytes.AcquireExempt(cost_bytes);
      status = RunOnCaller(record);
      if (status == POOL_OK) return POOL_OK;
      if (cost_bytes != 0) engine_.GiveBackBytes(cost_bytes);
    }
  } else {
    status = Admit(policy, submit_deadline_ns, record.priority, attempt, has_room);
    if (status == POOL_E_FULL && bytes_full) {
      status = FailAtLimit(POOL_E_FULL, "too many bytes wait; retry later, use ON_FULL_BLOCK or raise the limit",
                           "options.queue_limit_bytes", engine_.bytes.limit());
    }
  }
  if (status != POOL_OK) {
    GiveBackRateTokens(record);
    return refuse(status);
  }
  if (held) {
    if (!delayed) {
      if (expires) engine_.timers.WatchWait(record, details->expire_ns);
      MoveOn(engine_, record);
    } else if (!engine_.timers.Hold(record, start_ns, details != nullptr && details->period_ns != 0)) {
      EndHeld(record);
    }
  } else if (ages) {
    engine_.WatchLane(record.priority);
  }
  OfferToMembers(record);
  return POOL_OK;
}

// From now on a cancel of its group or its token finds it. If one came before, it is settled here.
void Pool::OfferToMembers(TaskRecord& record) {
  TaskDetails* details = record.details();
  if (details == nullptr) return;
  int32_t reason = 0;
  if (details->group != nullptr && !details->group->members().Offer(details->in_group)) reason = POOL_E_CANCELLED;
  if (details->token != nullptr && !details->token->members().Offer(details->under_token)) {
    reason = details->token->reason();
  }
  bool was_held = false;
  if (reason == 0 || !record.Claim(&was_held)) return;
  engine_.ClaimedElsewhere(was_held);
  EndClaimed(record, nullptr, POOL_CANCELLED, reason);
}

Status Pool::SetClass(uint32_t id, const pool_class_options_t& options) {
  RetryRules retry;
  Rate rate;
  int32_t on_rate = POOL_ON_RATE_DEFAULT;
  const Status status = CheckClass(options, &retry, &rate, &on_rate);
  if (status != POOL_OK) return status;
  TaskClass* task_class = engine_.classes.Ensure(id);
  if (task_class == nullptr) return POOL_E_NOMEM;
  engine_.classes.SetRetry(*task_class, retry);
  task_class->on_rate.store(on_rate, kRelaxed);
  task_class->rate.SetRate(rate);
  engine_.space_event.Notify();  // who waits for a token of its class looks again
  task_class->gate.SetLimit(options.concurrency_max);
  while (TaskRecord* next = task_class->gate.Admit()) MoveOn(engine_, *next);
  return POOL_OK;
}

}  // namespace workpool
