#include "worker/moving.h"

#include "base/clock.h"
#include "base/thread.h"
#include "task/gate.h"
#include "task/task_details.h"
#include "worker/engine.h"
#include "worker/settle.h"

namespace workpool {
namespace {

// Without memory for a queue, before the next try.
constexpr uint64_t kTryAgainNs = 5'000'000;

enum class Step { kDone, kNoMemory };

// Something was queued: somebody lives who could take it, and looks.
void LookAfter(Engine& engine, int32_t priority) {
  if (engine.idle.Load().live() == 0 &&
      engine.workers.StartOne(true) == WorkerSet::StartResult::kFailed) {
    if (engine.timers.started()) engine.timers.LookAtQueuesAt(NowNs() + kTryAgainNs);
    engine.idle_event.Notify();  // whoever waits for the pool looks after its tasks, too
  }
  if (engine.idle.Load().NeedsHelp()) engine.workers.Help();
  if (priority > 0) engine.workers.DisturbAll();
  if (priority < 0 && engine.timers.started()) engine.WatchLane(priority);
}

Step Queue(Engine& engine, TaskRecord& record) {
  ThreadLine* line = CurrentLine(CurrentTls());
  if (line == nullptr) return Step::kNoMemory;
  if (!record.Unhold()) {
    // Who claimed it may have done so before it came through the gates.
    if (record.details() != nullptr) LeaveGates(record);
    record.Unref();
    return Step::kDone;
  }
  const Slot slot = SlotOf(record);
  const int32_t priority = record.priority;
  {
    // As for a submit from outside: the last worker may be just leaving.
    const LineSection section(*line, engine.line_slot);
    const auto result = engine.dispatcher.Push(&slot, 1, line->index, Admission::kExempt, false, priority);
    if (result.accepted == 1) {
      engine.dispatcher.LeaveHeld();
      // The task before the look at the census; partner: the fence in IdleSet::Announce.
      FullFence();
      LookAfter(engine, priority);
      return Step::kDone;
    }
  }
  if (record.HoldAgain()) return Step::kNoMemory;
  // Who claimed it meanwhile has counted it as lying in a queue.
  engine.TombstoneTaken();
  engine.dispatcher.LeaveHeld();
  record.Unref();
  return Step::kDone;
}

}  // namespace

bool EnterGates(Engine& engine, TaskRecord& record) {
  TaskDetails* details = record.details();
  if (details == nullptr) return true;
  if (details->key != 0 && !details->inside_key.load(kRelaxed)) {
    if (!engine.keys.Enter(record)) return false;
    // Claimed and perhaps over, and nobody would take it out again if it now waited at the second gate.
    if (!record.IsWaiting()) {
      LeaveGates(record);
      record.Unref();
      return false;
    }
  }
  return details->task_class == nullptr || details->inside_class.load(kRelaxed) ||
         details->task_class->gate.Enter(record);
}

void MoveOn(Engine& engine, TaskRecord& record) {
  while (EnterGates(engine, record) && Queue(engine, record) == Step::kNoMemory) {
    if (!engine.timers.started()) {
      SleepNs(kTryAgainNs);
      continue;
    }
    if (engine.timers.Hold(record, NowNs() + kTryAgainNs)) return;
    EndHeld(record);
    return;
  }
}

void LeaveGates(TaskRecord& record) {
  TaskDetails& details = *record.details();
  Engine& engine = *record.engine;
  if (details.task_class != nullptr) {
    if (TaskRecord* next = details.task_class->gate.Leave(record)) MoveOn(engine, *next);
  }
  if (details.key != 0) {
    if (TaskRecord* next = engine.keys.Leave(record)) MoveOn(engine, *next);
  }
}

void LookAtQueues(Engine& engine) {
  engine.workers.DisturbAll();
  if (engine.HasTasks()) LookAfter(engine, 0);
}

}  // namespace workpool
