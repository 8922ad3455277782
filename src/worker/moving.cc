#include "worker/moving.h"

#include <algorithm>

#include "base/clock.h"
#include "base/thread.h"
#include "task/gate.h"
#include "task/task_details.h"
#include "worker/engine.h"
#include "worker/other_thread.h"
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
  if (TaskDetails* details = record.details(); details != nullptr && engine.shedder.on()) {
    details->ready_ns.store(NowNs(), kRelaxed);
  }
  if (!record.Unhold()) {
    // Who claimed it may have done so before it came through the gates.
    if (record.details() != nullptr) {
      GiveBackTokens(record);
      LeaveGates(record);
    }
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

// Tokens that one call lets in: time is to go on for others, too.
constexpr uint32_t kAdmittedAtOnce = 256;

// Claimed and perhaps over, and nobody would take it out of the gates again if it now waited at the next one.
bool LeavesAsClaimed(TaskRecord& record) {
  if (record.IsWaiting()) return false;
  GiveBackTokens(record);
  LeaveGates(record);
  record.Unref();
  return true;
}

// False: it waits in the limiter's line, or was claimed.
bool TakeToken(Engine& engine, TaskRecord& record, RateLimiter& limiter, Atomic<bool> TaskDetails::*token) {
  Atomic<bool>& has = record.details()->*token;
  if (!limiter.limited() || has.load(kRelaxed)) return true;
  if (LeavesAsClaimed(record)) return false;
  if (!limiter.Enter(record)) {
    if (!engine.timers.AdmitAt(limiter.DueNs())) EndLines(engine);
    return false;
  }
  has.store(true, kRelaxed);
  return true;
}

template <typename Body>
void ForEachLimiter(Engine& engine, Body body) {
  for (uint32_t id = 1; id <= Classes::kMax; ++id) {
    if (TaskClass* task_class = engine.classes.Find(id)) body(task_class->rate, &TaskDetails::class_token);
  }
  body(engine.rate, &TaskDetails::pool_token);
}

}  // namespace

bool EnterGates(Engine& engine, TaskRecord& record) {
  TaskDetails* details = record.details();
  if (details == nullptr) return true;
  if (details->key != 0 && !details->inside_key.load(kRelaxed)) {
    if (!engine.keys.Enter(record)) return false;
    if (LeavesAsClaimed(record)) return false;
  }
  if (TaskClass* task_class = details->task_class) {
    if (!details->inside_class.load(kRelaxed) && !task_class->gate.Enter(record)) return false;
    if (!TakeToken(engine, record, task_class->rate, &TaskDetails::class_token)) return false;
  }
  return TakeToken(engine, record, engine.rate, &TaskDetails::pool_token);
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

void GiveBackTokens(TaskRecord& record) {
  TaskDetails& details = *record.details();
  if (details.class_token.load(kRelaxed) && details.class_token.exchange(false, kRelaxed)) {
    details.task_class->rate.GiveBack();
  }
  if (details.pool_token.load(kRelaxed) && details.pool_token.exchange(false, kRelaxed)) {
    record.engine->rate.GiveBack();
  }
}

uint64_t AdmitByRate(Engine& engine) {
  const uint64_t now_ns = NowNs();
  uint32_t admitted = 0;
  uint64_t next_ns = kNever;
  ForEachLimiter(engine, [&](RateLimiter& limiter, Atomic<bool> TaskDetails::*token) {
    while (admitted < kAdmittedAtOnce) {
      TaskRecord* record = limiter.Admit(now_ns);
      if (record == nullptr) break;
      ++admitted;
      (record->details()->*token).store(true, kRelaxed);
      MoveOn(engine, *record);
    }
    next_ns = std::min(next_ns, limiter.DueNs());
  });
  return next_ns;
}

void EndLines(Engine& engine) {
  ThoughThreadsEnd(engine, [&] {
    ForEachLimiter(engine, [](RateLimiter& limiter, Atomic<bool> TaskDetails::*) {
      while (TaskRecord* record = limiter.AdmitAny()) EndHeld(*record);
    });
  });
}

void LookAtQueues(Engine& engine) {
  engine.workers.DisturbAll();
  if (engine.HasTasks()) LookAfter(engine, 0);
}

}  // namespace workpool
