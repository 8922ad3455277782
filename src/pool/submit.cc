// From the call to the queue.
#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/pool.h"

namespace workpool {
namespace {

// What SubmitMany turns into slots at a time, on the stack.
constexpr uint32_t kChunk = 256;

// One plain task in kSamplePeriod carries time stamps: whether one of the next count does.
bool NextIsSample(Tls& tls, uint32_t count = 1) {
  if (tls.until_sample > count) {
    tls.until_sample -= count;
    return false;
  }
  tls.until_sample = kSamplePeriod;
  return true;
}

Status RefuseFull(Engine& engine) {
  engine.outside.rejected.Add();
  return FailAtLimit(POOL_E_FULL, "the queue limit is reached; retry later, use ON_FULL_BLOCK or raise the limit",
                     "options.queue_limit", engine.dispatcher.limit().limit());
}
Status FailClosed() { return FailConst(POOL_E_CLOSED, "the pool is closing; it takes no more tasks"); }

}  // namespace

Worker* Pool::OwnWorker(const Tls& tls) {
  auto* worker = static_cast<Worker*>(tls.worker);
  return worker != nullptr && &worker->engine() == &engine_ ? worker : nullptr;
}

Status Pool::SubmitOutsideInSection(ThreadLine& line, const Slot* slots, uint32_t count,
                                    Admission admission, uint32_t* accepted) {
  const Census before = engine_.idle.Load();
  if (before.has(Census::kRefuseOutside | Census::kRefuseAll)) [[unlikely]] {
    // A task of the pool that runs here, inside a wait, may submit as long as one on a worker may.
    if (before.has(Census::kRefuseAll) || !RunsRecordOf(CurrentTls(), engine_)) return FailClosed();
  }
  // Without a live worker one is started first: if that fails nothing has been accepted.
  if (before.live() == 0 && engine_.workers.StartOne(true) == WorkerSet::StartResult::kFailed) [[unlikely]] {
    // Others may have counted on this start and queued their tasks.
    if (engine_.HasTasks()) (void)engine_.workers.StartUpTo(1);
    engine_.idle_event.Notify();  // whoever waits for these looks after them, see AwaitIdle
    engine_.outside.rejected.Add();
    return FailConst(POOL_E_THREAD, "no worker lives and none could be started; nothing was accepted");
  }
  const Dispatcher::PushResult result = engine_.dispatcher.Push(slots, count, line.index, admission, true);
  *accepted = result.accepted;
  if (result.accepted > 0) {
    // The task before the look at the census; partner: the fence in IdleSet::Announce. Either the worker
    // that goes to sleep sees the task, or we see it sleeping.
    FullFence();
    if (engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
  }
  return result.status;
}

Status Pool::SubmitPlainInSection(Tls& tls, ThreadLine& line, Slot slot) {
  uint32_t accepted = 0;
  if (!NextIsSample(tls)) {
    return SubmitOutsideInSection(line, &slot, 1, Admission::kLimited, &accepted);
  }
  Entry* sample = MakeSample(engine_, slot);
  if (sample != nullptr) slot = SlotOf(*sample);
  const Status status = SubmitOutsideInSection(line, &slot, 1, Admission::kLimited, &accepted);
  if (accepted == 0 && sample != nullptr) DropSample(*sample);
  return status;
}

Status Pool::SubmitPlainLocal(Tls& tls, Worker& worker, Slot slot, Admission admission) {
  // On a worker a blocking submit is admitted over the limit: it might be the one to make room.
  if (full_policy_.on_full == POOL_ON_FULL_BLOCK) admission = Admission::kExempt;
  Entry* sample = nullptr;
  if (NextIsSample(tls)) [[unlikely]] {
    sample = MakeSample(engine_, slot);
    if (sample != nullptr) slot = SlotOf(*sample);
  }
  const Status status = worker.Submit(slot, admission);
  if (status == POOL_OK) [[likely]] return status;
  if (sample != nullptr) DropSample(*sample);
  return status == POOL_E_FULL ? RefuseFull(engine_) : status;
}

Status Pool::SubmitLocal(Worker& worker, const Slot* slots, uint32_t count, Admission admission,
                         const FullPolicy& policy, uint32_t* accepted) {
  if (policy.on_full == POOL_ON_FULL_BLOCK) admission = Admission::kExempt;
  for (*accepted = 0; *accepted < count; ++*accepted) {
    const Status status = worker.Submit(slots[*accepted], admission);
    if (status == POOL_OK) continue;
    return status == POOL_E_FULL ? RefuseFull(engine_) : status;
  }
  return POOL_OK;
}

Status Pool::Submit(const Slot* slots, uint32_t count, Admission admission, const FullPolicy& policy,
                    uint64_t deadline_ns, uint32_t* accepted) {
  *accepted = 0;
  Tls& tls = CurrentTls();
  ThreadLine* line = CurrentLine(tls);
  if (line == nullptr) return POOL_E_NOMEM;
  if (Worker* worker = OwnWorker(tls)) {
    return SubmitLocal(*worker, slots, count, admission, policy, accepted);
  }
  // As on a worker: a task that a waiting thread runs might be the one to make room.
  if (policy.on_full == POOL_ON_FULL_BLOCK && RunsTaskOf(tls, engine_)) admission = Admission::kExempt;
  for (;;) {
    uint32_t more = 0;
    Status status;
    {
      const LineSection section(*line, engine_.line_slot);
      status = SubmitOutsideInSection(*line, slots + *accepted, count - *accepted, admission, &more);
    }
    *accepted += more;
    if (status != POOL_E_FULL) return status;
    if (policy.on_full != POOL_ON_FULL_BLOCK) return RefuseFull(engine_);
    const BlockedScope blocked(ForeignWorker());
    const bool room = engine_.space_event.Await(deadline_ns, [&] {
      return engine_.dispatcher.HasRoom() || engine_.idle.Load().has(Census::kRefuseOutside);
    });
    if (!room) {
      engine_.outside.rejected.Add();
      return FailConst(POOL_E_TIMEOUT, "the queue limit was reached for all of submit_timeout_ns");
    }
  }
}

Status Pool::SubmitMany(RunFn run, void* const* args, uint32_t count, uint32_t* accepted) {
  *accepted = 0;
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return POOL_E_NOMEM;
  const uint64_t deadline_ns = full_policy_.Deadline();
  Slot slots[kChunk];
  while (*accepted < count) {
    const uint32_t n = std::min(count - *accepted, kChunk);
    for (uint32_t i = 0; i < n; ++i) slots[i] = {run, args[*accepted + i]};
    // The last of the chunk is the sampled one, if any.
    Entry* sample = nullptr;
    if (NextIsSample(tls, n)) sample = MakeSample(engine_, slots[n - 1]);
    if (sample != nullptr) slots[n - 1] = SlotOf(*sample);
    uint32_t more = 0;
    const Status status = Submit(slots, n, Admission::kLimited, full_policy_, deadline_ns, &more);
    *accepted += more;
    if (more < n && sample != nullptr) DropSample(*sample);
    if (status != POOL_OK) return status;
  }
  return POOL_OK;
}

Status Pool::MakeRecord(const pool_task_t& task, Group* group, FullPolicy* policy, TaskRecord** out) {
  if (task.run == nullptr) return FailConst(POOL_E_INVALID, "task.run is NULL; give a function");
  *policy = full_policy_;
  Status status = CheckOnFull(task.on_full, "task.on_full", full_policy_.on_full, &policy->on_full);
  if (status == POOL_OK) status = CheckTimeout(task.submit_timeout_ns, "task.submit_timeout_ns");
  if (status != POOL_OK) return status;
  if (task.submit_timeout_ns != 0) policy->timeout_ns = task.submit_timeout_ns;
  if (group != nullptr && group->pool() != engine_.handle) {
    return FailConst(POOL_E_INVALID, "task.group belongs to another pool");
  }
  TaskRecord* record = New<TaskRecord>();
  if (record == nullptr) return POOL_E_NOMEM;
  status = CheckName(task.name, "task.name", "", record->name);
  if (status == POOL_OK && group != nullptr && !group->Add(*record)) {
    status = FailConst(POOL_E_CANCELLED, "the group was cancelled; it takes no more tasks");
  }
  if (status != POOL_OK) {
    record->Unref();
    return status;
  }
  BindRecord(*record);
  record->run = task.run;
  record->done = task.done;
  record->drop = task.drop;
  record->arg = task.arg;
  record->engine = &engine_;
  record->pool = engine_.handle;
  *out = record;
  return POOL_OK;
}

Status Pool::SubmitRecord(TaskRecord& record, Admission admission, const FullPolicy& policy) {
  record.submit_ns = NowNs();
  const Slot slot = SlotOf(record);
  uint32_t accepted = 0;
  record.Ref();  // beyond its run, which may be over before Submit returns
  const Status status = Submit(&slot, 1, admission, policy, policy.Deadline(), &accepted);
  if (record.group != nullptr) {
    if (status != POOL_OK) {
      record.group->Withdraw();
    } else if (!record.group->Offer(record) && record.Claim()) {
      engine_.AddTombstones(1);
      CancelClaimed(record, nullptr, POOL_E_CANCELLED);
    }
  }
  record.Unref();
  return status;
}

}  // namespace workpool
