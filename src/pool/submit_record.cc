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

Status Pool::CheckRecord(const pool_task_t& task, const TaskLinks& links, AdmissionPolicy* policy) const {
  if (task.run == nullptr) return FailConst(POOL_E_INVALID, "task.run is NULL; give a function");
  if (links.group != nullptr && links.group->pool() != engine_.handle) {
    return FailConst(POOL_E_INVALID, "task.group belongs to another pool");
  }
  return CheckPolicy(task, policy);
}

TaskRecord* Pool::MakeRecord(const pool_task_t& task, const TaskLinks& links, bool ticket, AdmissionPolicy* policy,
                             Status* status) {
  *status = CheckRecord(task, links, policy);
  if (*status != POOL_OK) return nullptr;
  const bool linked = links.group != nullptr || links.token != nullptr || links.completions != nullptr;
  // A dead letter tells its history.
  const bool told = ticket || engine_.wants_dead_letters();
  TaskRecord* record = TaskRecord::Make(told || linked || engine_.rate.limited() || NeedsDetails(task));
  if (record == nullptr) {
    *status = POOL_E_NOMEM;
    return nullptr;
  }
  BindRecord(*record);
  record->run = task.run;
  record->drop = task.drop;
  record->arg = task.arg;
  record->engine = &engine_;
  record->priority = engine_.own_queues || engine_.options.dispatch.strategy == POOL_STRATEGY_PRIORITY ? task.priority : 0;
  record->timed = task.delay_ns != 0 || NeedsTimers(task);
  if (TaskDetails* details = record->details()) {
    *status = CheckTask(task, engine_, details);
    if (details->retry.retries_max != 0) record->timed = true;
    if (*status == POOL_OK) *status = JoinLinks(*record, links);
    if (*status == POOL_E_FULL) engine_.outside.rejected.Add();
  }
  if (*status == POOL_OK) return record;
  GiveUpRecord(*record);
  return nullptr;
}

void Pool::GiveUpRecord(TaskRecord& record) {
  if (TaskDetails* details = record.details()) {
    if (details->group != nullptr) details->group->Withdraw();
    if (details->completions != nullptr) details->completions->GiveBack();
  }
  record.Unref();
}

// A task that is not to wait for its tokens in the pool has to have them now: of its class's rate and of the pool's.
Status Pool::TakeRateTokens(TaskRecord& record, Admission admission, const AdmissionPolicy& policy, uint64_t deadline_ns) {
  TaskDetails* details = record.details();
  // A task does not wait for a token on a thread that might be needed, and its children are not refused.
  if (details == nullptr || policy.on_rate == POOL_ON_RATE_DELAY || admission == Admission::kExempt ||
      (policy.on_rate == POOL_ON_RATE_BLOCK && IsOwnThread())) {
    return POOL_OK;
  }
  Status status = POOL_OK;
  if (details->task_class != nullptr) {
    status = TakeRateToken(details->task_class->rate, details->class_token, policy, deadline_ns);
  }
  if (status == POOL_OK) status = TakeRateToken(engine_.rate, details->pool_token, policy, deadline_ns);
  if (status != POOL_OK && status != POOL_E_CLOSED) engine_.outside.rejected.Add();
  return status;
}

Status Pool::TakeRateToken(RateLimiter& limiter, Atomic<bool>& token, const AdmissionPolicy& policy,
                           uint64_t deadline_ns) {
  if (!limiter.limited()) return POOL_OK;
  if (!limiter.TryTake()) {
    if (policy.on_rate == POOL_ON_RATE_REJECT) {
      return FailConst(POOL_E_RATE, "the rate limit has no token; retry later, or use ON_RATE_BLOCK or _DELAY");
    }
    const Status status = AwaitRateToken(limiter, deadline_ns);
    if (status != POOL_OK) return status;
  }
  token.store(true, kRelaxed);
  return POOL_OK;
}

Status Pool::AwaitRateToken(RateLimiter& limiter, uint64_t deadline_ns) {
  const BlockedScope blocked(ForeignWorker());
  const auto closed = [&] { return engine_.idle.Load().has(Census::kRefuseOutside); };
  for (;;) {
    const uint32_t version = limiter.version();
    const uint64_t use_ns = limiter.Reserve();
    (void)engine_.space_event.Await(std::min(deadline_ns, use_ns),
                                    [&] { return closed() || limiter.version() != version; });
    if (!closed() && NowNs() >= use_ns) return POOL_OK;
    limiter.GiveBack();
    if (closed()) return FailClosed();
    if (NowNs() >= deadline_ns) {
      return FailConst(POOL_E_TIMEOUT, "the rate limit had no token for all of submit_timeout_ns");
    }
  }
}

// It may have to wait for tokens in the pool.
bool Pool::IsRateLimited(const TaskRecord& record) const {
  const TaskDetails* details = record.details();
  if (details == nullptr) return false;
  return engine_.rate.limited() || (details->task_class != nullptr && details->task_class->rate.limited());
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
    AwaitOnCaller(record);
    return POOL_OK;
  }
  const RecordReference reference(record);
  bool was_held = false;
  if (!record.Claim(&was_held)) {  // it has just expired
    if (details != nullptr) {
      GiveBackTokens(record);
      LeaveGates(record);
    }
    return POOL_OK;
  }
  engine_.ClaimedElsewhere(was_held);
  RunClaimed(record, worker);
  AwaitOnCaller(record);  // perhaps it is to be tried again
  return POOL_OK;
}

// The caller is held up until the task has ended; not for one that runs again and again.
void Pool::AwaitOnCaller(TaskRecord& record) {
  const TaskDetails* details = record.details();
  // A thread of the pool may run what the task has to wait for.
  if (record.phase() == TaskRecord::kOver || IsOwnThread() || (details != nullptr && details->period_ns != 0)) return;
  const BlockedScope blocked(ForeignWorker());
  (void)record.Await(kNever);
}

Status Pool::SubmitAsRecord(const Slot& slot, Admission admission, const AdmissionPolicy& policy) {
  pool_task_t task{};
  task.run = slot.run;
  task.arg = slot.arg;
  task.drop = engine_.options.drop;
  AdmissionPolicy ignored;
  Status status;
  TaskRecord* record = MakeRecord(task, TaskLinks{}, false, &ignored, &status);
  return record == nullptr ? status : SubmitRecord(*record, admission, policy, 0, 0);
}

Status Pool::SubmitRecord(TaskRecord& record, Admission admission, const AdmissionPolicy& policy, uint64_t delay_ns,
                          uint64_t queue_timeout_ns) {
  TaskDetails* details = record.details();
  const uint64_t now_ns = record.submit_ns = NowNs();
  const uint64_t submit_deadline_ns = policy.Deadline();
  const uint64_t start_ns = delay_ns == 0 ? 0 : TimeAfter(now_ns, delay_ns);
  const auto refuse = [&](Status status) {
    if (details != nullptr) GiveBackTokens(record);
    GiveUpRecord(record);
    return status;
  };
  if (details != nullptr && details->deadline_ns < now_ns) {
    return refuse(FailConst(POOL_E_EXPIRED, "task.deadline_ns has passed; nothing was accepted"));
  }
  Status status = TakeRateTokens(record, admission, policy, submit_deadline_ns);
  if (status != POOL_OK) return refuse(status);
  const bool delayed = start_ns != 0;
  const bool rated = IsRateLimited(record);
  if (details != nullptr) {
    details->expire_ns = details->deadline_ns;
    if (queue_timeout_ns != 0) {
      details->expire_ns = std::min(details->expire_ns, TimeAfter(std::max(start_ns, now_ns), queue_timeout_ns));
    }
    details->start_ns = details->grid_ns = std::max(start_ns, now_ns);
  }
  const bool ages = Ages(record.priority);
  if (record.timed || rated || ages) status = engine_.timers.Start();
  if (status != POOL_OK) return refuse(status);
  const bool gated = rated || (details != nullptr && (details->key != 0 || details->task_class != nullptr));
  // What may expire is held until its timer is armed: once queued it may run, fail and wait for another attempt at once.
  const bool expires = details != nullptr && details->expire_ns != kNever;
  const bool held = delayed || gated || expires;
  if (held) record.BeginHeld();
  // A task that waits for room might be the one to make it; one that runs too deep already is not run here.
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return refuse(POOL_E_NOMEM);
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
  if (status != POOL_OK) return refuse(status);
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
  if (rate.count != 0) {
    if (const Status started = engine_.timers.Start(); started != POOL_OK) return started;
  }
  engine_.classes.SetRetry(*task_class, retry);
  task_class->on_rate.store(on_rate, kRelaxed);
  task_class->rate.SetRate(rate);
  if (engine_.timers.started()) (void)engine_.timers.AdmitAt(task_class->rate.DueNs());
  engine_.space_event.Notify();  // who waits for a token of its class looks again
  task_class->gate.SetLimit(options.concurrency_max);
  while (TaskRecord* next = task_class->gate.Admit()) MoveOn(engine_, *next);
  return POOL_OK;
}

}  // namespace workpool
