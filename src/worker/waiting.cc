#include "worker/waiting.h"

#include <cxxabi.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/thread.h"
#include "park/event.h"
#include "park/service.h"
#include "task/group.h"
#include "task/task_details.h"
#include "worker/engine.h"
#include "worker/frame.h"
#include "worker/run_task.h"
#include "worker/worker.h"

namespace workpool {
namespace {

constexpr uint64_t kHeadStartNs = 10'000'000;

// What the running code is part of: around it on this thread, or the parent of a stolen child on another.
const Frame* Around(const Frame& frame) { return frame.parent != nullptr ? frame.parent : frame.outer; }

bool RunsInside(const Tls& tls, const TaskRecord& record) {
  for (const Frame* frame = InnermostFrame(tls); frame != nullptr; frame = Around(*frame)) {
    if (frame->record == nullptr) continue;
    if (frame->record == &record || StandsBehind(record, *frame->record)) return true;
  }
  return false;
}

// The caller runs inside a member, or inside a task that a member stands behind.
bool RunsInside(const Tls& tls, Group& group) {
  for (const Frame* frame = InnermostFrame(tls); frame != nullptr; frame = Around(*frame)) {
    const TaskDetails* details = frame->record != nullptr ? frame->record->details() : nullptr;
    if (details == nullptr) continue;
    if (details->group == &group || (details->key != 0 && group.members().AnyBehind(*frame->record))) return true;
  }
  return false;
}

bool MayRunHere(const TaskRecord& record, const Worker* worker, bool help) {
  return (help || (worker != nullptr && &worker->engine() == record.engine)) && HasStack(worker);
}

// Runs record on this thread if nobody has started it.
void TryRunHere(TaskRecord& record, Worker* worker, bool help) {
  // What is held is not for us to start: its time has not come, or its turn.
  if (!record.IsWaiting() || !MayRunHere(record, worker, help) || !record.ClaimQueued()) return;
  record.engine->AddTombstones(1);
  RunClaimed(record, worker != nullptr && &worker->engine() == record.engine ? worker : nullptr);
}

Status FailDeadlock() {
  return FailConst(POOL_E_DEADLOCK,
                   "the task would wait for itself, a task it runs inside, or one behind those in the line of its key");
}

Status FailTimeout() { return FailConst(POOL_E_TIMEOUT, "the time is over; what is waited for goes on"); }

}  // namespace

bool HasStack(const Worker* worker) {
  if (worker == nullptr) return true;
  // Small stacks keep a quarter.
  return StackLeft() > std::min(kStackReserveBytes, worker->engine().options.thread.stack_bytes / 4);
}

Worker* CurrentWorker(Tls& tls) {
  (void)CurrentLine(tls);  // forgets the parent's in a forked child
  return static_cast<Worker*>(tls.worker);
}

BlockedScope::BlockedScope(Worker* worker_or_null) : worker_(worker_or_null) {
  if (worker_ == nullptr) {
    Service::StandIn();
    return;
  }
  try {
    worker_->engine().workers.BeginBlocked();
  } catch (abi::__forced_unwind&) {  // the log, told of a refused thread, has ended this one
    worker_->engine().workers.EndBlocked();
    throw;
  }
}

BlockedScope::~BlockedScope() {
  if (worker_ != nullptr) worker_->engine().workers.EndBlocked();
}

Status WaitTask(TaskRecord& record, bool help, uint64_t deadline_ns) {
  if (record.phase() == TaskRecord::kOver) return POOL_OK;
  Tls& tls = CurrentTls();
  Worker* worker = CurrentWorker(tls);
  if (RunsInside(tls, record)) return FailDeadlock();
  for (;;) {
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return FailTimeout();
    TryRunHere(record, worker, help);
    if (record.phase() == TaskRecord::kOver) return POOL_OK;
    // Perhaps its time, or its turn, is still to come, and then nobody else may be there to run it.
    const BlockedScope blocked(worker);
    if (!record.Await(deadline_ns, MayRunHere(record, worker, help))) return FailTimeout();
    if (record.phase() == TaskRecord::kOver) return POOL_OK;
  }
}

Status WaitTasks(TaskRecord* const* records, uint32_t count, bool all, uint64_t deadline_ns,
                 uint32_t* index) {
  Tls& tls = CurrentTls();
  Worker* worker = CurrentWorker(tls);
  if (all) {
    for (uint32_t i = 0; i < count; ++i) {
      *index = i;
      const Status status = WaitTask(*records[i], false, deadline_ns);
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  }
  const auto one_is_over = [&] {
    for (uint32_t i = 0; i < count; ++i) {
      if (records[i]->phase() != TaskRecord::kOver) continue;
      *index = i;
      return true;
    }
    return false;
  };
  if (one_is_over()) return POOL_OK;
  // Waiting for one of several deadlocks only if all of them are waited around.
  uint32_t inside = 0;
  for (uint32_t i = 0; i < count; ++i) inside += RunsInside(tls, *records[i]) ? 1 : 0;
  if (inside == count) return FailDeadlock();
  const auto one_is_over_or_watched = [&] {
    for (uint32_t i = 0; i < count; ++i) {
      if (!records[i]->WatchByMany()) continue;
      *index = i;
      return true;
    }
    return false;
  };
  if (worker != nullptr && (deadline_ns == kNever || NowNs() < deadline_ns)) {
    const bool one_runs = std::any_of(records, records + count, [&](const TaskRecord* record) {
      return record->phase() == TaskRecord::kClaimed && !RunsInside(tls, *record);
    });
    if (one_runs) {
      // It may end before another one would, run here. But if no worker stands in and takes the others either, because
      // there may be no more or the pool is paused, they are run here after all.
      if (one_is_over_or_watched()) return POOL_OK;
      const BlockedScope blocked(worker);
      if (AnyTaskOver().Await(std::min(deadline_ns, NowNs() + kHeadStartNs), one_is_over)) return POOL_OK;
      if (deadline_ns != kNever && NowNs() >= deadline_ns) return FailTimeout();
    }
    for (uint32_t i = 0; i < count && !one_is_over(); ++i) TryRunHere(*records[i], worker, false);
  }
  if (one_is_over_or_watched()) return POOL_OK;
  BlockedScope blocked(worker);
  return AnyTaskOver().Await(deadline_ns, one_is_over) ? POOL_OK : FailTimeout();
}

Status WaitGroup(Group& group, uint64_t deadline_ns) {
  Tls& tls = CurrentTls();
  Worker* worker = CurrentWorker(tls);
  if (RunsInside(tls, group)) return FailDeadlock();
  const bool ours = worker != nullptr && worker->engine().handle == group.pool();
  for (;;) {
    if (group.Empty()) return POOL_OK;
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return FailTimeout();
    if (!ours || !HasStack(worker)) break;
    TaskRecord* member = group.members().ClaimOne(false, nullptr);
    if (member == nullptr) break;
    const RecordReference reference(*member);
    worker->engine().AddTombstones(1);
    RunClaimed(*member, worker);
  }
  BlockedScope blocked(worker);
  return group.Await(deadline_ns) ? POOL_OK : FailTimeout();
}

}  // namespace workpool
