#include "worker/moving.h"

#include <algorithm>

#include "base/clock.h"
#include "base/thread.h"
#include "task/gate.h"
#include "task/task_details.h"
#include "worker/engine.h"
#include "worker/look_after.h"
#include "worker/other_thread.h"
#include "worker/settle.h"

namespace workpool {
namespace {

// Without memory for a queue, before the next try.
constexpr uint64_t kTryAgainNs = 5'000'000;

enum class Step { kDone, kNoMemory };

// Held records that go on, one after another and not inside each other: a line may be long. Linked as in a line, of which
// they are no part now.
class MoveList {
 public:
  void Push(TaskRecord& record) {
    DetailsOf(record).behind = nullptr;
    (last_ != nullptr ? DetailsOf(*last_).behind : first_) = &record;
    last_ = &record;
  }
  [[nodiscard]] TaskRecord* Pop() {
    TaskRecord* record = first_;
    if (record == nullptr) return nullptr;
    first_ = DetailsOf(*record).behind;
    if (first_ == nullptr) last_ = nullptr;
    return record;
  }

 private:
  TaskRecord* first_ = nullptr;
  TaskRecord* last_ = nullptr;
};

// Those behind the record, if it was inside, are to move on, too.
void LeaveGates(TaskRecord& record, MoveList& to_move) {
  TaskDetails& details = DetailsOf(record);
  if (TaskClass* task_class = details.task_class) {
    if (TaskRecord* next = task_class->gate.Leave(record)) to_move.Push(*next);
  }
  if (details.key != 0) {
    if (TaskRecord* next = record.engine->keys.Leave(record)) to_move.Push(*next);
  }
}

// It was claimed, and who did so may have left before it came in.
void LeaveAsClaimed(TaskRecord& record, MoveList& to_move) {
  if (record.details() != nullptr) {
    GiveBackTokens(record);
    LeaveGates(record, to_move);
  }
  record.Unref();
}

Step Queue(Engine& engine, TaskRecord& record, MoveList& to_move) {
  ThreadLine* line = CurrentLine(CurrentTls());
  if (line == nullptr) return Step::kNoMemory;
  if (TaskDetails* details = record.details(); details != nullptr && engine.shedder.on()) {
    details->ready_ns.store(NowNs(), kRelaxed);
  }
  if (!record.Unhold()) {
    LeaveAsClaimed(record, to_move);
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

template <typename Body>
void ForEachLimiter(Engine& engine, Body body) {
  for (uint32_t id = 1; id <= Classes::kMax; ++id) {
    if (TaskClass* task_class = engine.classes.Find(id)) body(task_class->rate, &TaskDetails::class_token);
  }
  body(engine.rate, &TaskDetails::pool_token);
}

// The pool is closed: nobody waits for a token any more, and what is queued ends.
void OpenLines(Engine& engine, MoveList& to_move) {
  ForEachLimiter(engine, [&](RateLimiter& limiter, Atomic<bool> TaskDetails::*token) {
    while (TaskRecord* record = limiter.AdmitAny()) {
      (DetailsOf(*record).*token).store(true, kRelaxed);
      to_move.Push(*record);
    }
  });
}

// False: it waits in the limiter's line, or was claimed: nobody would take it out of the gates again if it waited now.
bool TakeToken(Engine& engine, TaskRecord& record, RateLimiter& limiter, Atomic<bool> TaskDetails::*token, MoveList& to_move) {
  Atomic<bool>& has = DetailsOf(record).*token;
  if (!limiter.limited() || has.load(kRelaxed)) return true;
  if (!record.IsWaiting()) {
    LeaveAsClaimed(record, to_move);
    return false;
  }
  if (!limiter.Enter(record)) {
    if (!engine.timers.AdmitAt(limiter.DueNs())) OpenLines(engine, to_move);
    return false;
  }
  has.store(true, kRelaxed);
  return true;
}

bool EnterGates(Engine& engine, TaskRecord& record, MoveList& to_move) {
  TaskDetails* details = record.details();
  if (details == nullptr) return true;
  if (details->key != 0 && !details->inside_key.load(kRelaxed)) {
    if (!engine.keys.Enter(record)) return false;
    if (!record.IsWaiting()) {  // as in TakeToken
      LeaveAsClaimed(record, to_move);
      return false;
    }
  }
  if (TaskClass* task_class = details->task_class) {
    if (!details->inside_class.load(kRelaxed) && !task_class->gate.Enter(record)) return false;
    if (!TakeToken(engine, record, task_class->rate, &TaskDetails::class_token, to_move)) return false;
  }
  return TakeToken(engine, record, engine.rate, &TaskDetails::pool_token, to_move);
}

// False: neither queue nor timer takes it; it is the caller's again, to end it.
bool MoveOne(Engine& engine, TaskRecord& record, MoveList& to_move) {
  while (EnterGates(engine, record, to_move) && Queue(engine, record, to_move) == Step::kNoMemory) {
    if (!engine.timers.started()) {
      SleepNs(kTryAgainNs);
      continue;
    }
    return engine.timers.Hold(record, NowNs() + kTryAgainNs);
  }
  return true;
}

void Move(Engine& engine, MoveList& to_move) {
  MoveList refused;
  while (TaskRecord* record = to_move.Pop()) {
    if (MoveOne(engine, *record, to_move)) continue;
    LeaveGates(*record, to_move);  // now, so that its end moves nobody on from inside here
    refused.Push(*record);
  }
  ThoughThreadsEnd(engine, [&] {
    while (TaskRecord* record = refused.Pop()) EndHeld(*record);
  });
}

}  // namespace

bool EnterGates(Engine& engine, TaskRecord& record) {
  MoveList to_move;
  const bool inside = EnterGates(engine, record, to_move);
  Move(engine, to_move);
  return inside;
}

void MoveOn(Engine& engine, TaskRecord& record) {
  MoveList to_move;
  if (record.details() != nullptr) {
    to_move.Push(record);
  } else if (!MoveOne(engine, record, to_move)) {
    EndHeld(record);
  }
  Move(engine, to_move);
}

void LeaveGates(TaskRecord& record) {
  MoveList to_move;
  LeaveGates(record, to_move);
  Move(*record.engine, to_move);
}

void GiveBackTokens(TaskRecord& record) {
  TaskDetails& details = DetailsOf(record);
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
      (DetailsOf(*record).*token).store(true, kRelaxed);
      MoveOn(engine, *record);
    }
    next_ns = std::min(next_ns, limiter.DueNs());
  });
  return next_ns;
}

void OpenLines(Engine& engine) {
  MoveList to_move;
  OpenLines(engine, to_move);
  Move(engine, to_move);
}

}  // namespace workpool
