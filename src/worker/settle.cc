#include "worker/settle.h"

#include <cxxabi.h>

#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "task/completion_queue.h"
#include "task/group.h"
#include "task/task_details.h"
#include "task/token.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/frame.h"
#include "worker/moving.h"
#include "worker/other_thread.h"
#include "worker/worker.h"

namespace workpool {
namespace {

// What the user is told of a task that has ended, one after the other: a line in the log, done, the dead letter, drop. One
// that ends its thread does not keep the others from being called.
class Telling {
 public:
  Telling(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code)
      : record_(record), engine_(*record.engine), worker_(worker), outcome_(outcome), code_(code) {}

  void Run() {
    const bool done = details_ != nullptr && details_->done != nullptr;
    if (record_.drop == nullptr && outcome_ != POOL_FAILED && !done) return;
    // The callbacks are part of the task: one that waits for it, or for the pool, would wait for itself.
    Tls& tls = CurrentTls();
    Frame frame = MakeFrame(engine_, worker_, &record_, tls);
    const FrameScope scope(tls, frame);
    try {
      GoOn(frame);
    } catch (abi::__forced_unwind&) {
      while (next_ != Step::kOver) OnOtherThread(engine_, worker_, &record_, [&] { GoOn(frame); });
      throw;
    }
  }

 private:
  enum class Step { kNote, kDone, kDeadLetter, kDrop, kOver };

  void GoOn(Frame& frame) {
    while (next_ != Step::kOver) {
      const Step step = std::exchange(next_, static_cast<Step>(static_cast<int>(next_) + 1));
      switch (step) {
        case Step::kNote:
          KeepDeadLetter();
          WriteLog();
          break;
        case Step::kDone: CallDone(); break;
        case Step::kDeadLetter: CallDeadLetter(); break;
        case Step::kDrop:
          if (record_.drop != nullptr) CallOut([&] { record_.drop(record_.arg, outcome_); });
          break;
        case Step::kOver: break;
      }
      LeaveForkedChild(frame);
    }
  }

  void WriteLog() {
    if (outcome_ != POOL_FAILED) return;
    engine_.log.Write(code_ == POOL_E_EXCEPTION || code_ == POOL_E_THREADEXIT ? POOL_LOG_WARN : POOL_LOG_DEBUG,
                      "task \"%s\" failed with code %d: %s", details_ != nullptr ? details_->Name() : "", code_,
                      details_ != nullptr && details_->text != nullptr ? details_->text : StatusText(code_));
  }

  void CallDone() {
    if (details_ == nullptr || details_->done == nullptr) return;
    if (details_->completions != nullptr && !details_->completions->BeginCallback()) return;
    const pool_result_t result = Result();
    details_->in_done = true;
    const Finally over([&] {
      details_->in_done = false;
      if (details_->completions != nullptr) details_->completions->EndCallback();
    });
    CallOut([&] { details_->done(record_.arg, &result); });
  }

  void CallDeadLetter() {
    const DeadLetterOptions& dead_letter = engine_.options.dead_letter;
    if (outcome_ != POOL_FAILED || dead_letter.fn == nullptr) return;
    const pool_result_t result = Result();
    pool_attempt_t history[POOL_HISTORY_MAX];
    const uint32_t count = History(history);
    CallOut([&] { dead_letter.fn(dead_letter.user, record_.arg, &result, history, count); });
  }

  void KeepDeadLetter() {
    if (outcome_ != POOL_FAILED || !engine_.dead_letters.on()) return;
    const pool_result_t result = Result();
    pool_dead_letter_t letter{};
    letter.struct_size = sizeof(letter);
    letter.code = code_;
    letter.attempts = result.attempts;
    letter.worker = result.worker;
    letter.flags = result.flags;
    letter.history_count = History(letter.history);
    letter.ticket = result.ticket;
    letter.arg = record_.arg;
    letter.value = result.value;
    letter.wait_ns = result.wait_ns;
    letter.run_ns = result.run_ns;
    letter.ended_ns = NowNs();
    if (details_ != nullptr) std::strncpy(letter.name, details_->Name(), sizeof(letter.name) - 1);
    std::memcpy(letter.text, result.text, sizeof(letter.text));
    engine_.dead_letters.Keep(letter);
  }

  // To POOL_HISTORY_MAX places; returns how many.
  uint32_t History(pool_attempt_t* out) const {
    static_assert(sizeof(pool_dead_letter_t::history) == POOL_HISTORY_MAX * sizeof(pool_attempt_t));
    if (details_ == nullptr) return 0;
    Attempts attempts;
    if (details_->before != nullptr) attempts = *details_->before;
    attempts.Add(details_->LastAttempt());
    return attempts.CopyTo(out);
  }

  [[nodiscard]] pool_result_t Result() const {
    pool_result_t result{};
    result.struct_size = sizeof(result);
    result.outcome = outcome_;
    result.code = code_;
    if (details_ != nullptr) details_->CopyResult(&result);
    return result;
  }

  TaskRecord& record_;
  TaskDetails* const details_ = record_.details();
  Engine& engine_;
  Worker* const worker_;
  const int32_t outcome_;
  const int32_t code_;
  Step next_ = Step::kNote;
};

// Given back at once: a ticket keeps the record, but not the queue and its descriptor.
void Complete(const TaskRecord& record, TaskDetails& details) {
  CompletionQueue& completions = *std::exchange(details.completions, nullptr);
  completions.Push(pool_completion_t{.struct_size = sizeof(pool_completion_t),
                                     .outcome = details.outcome,
                                     .code = details.code,
                                     .attempts = details.attempts,
                                     .ticket = details.ticket,
                                     .arg = record.arg,
                                     .value = details.value,
                                     .wait_ns = details.wait_ns,
                                     .run_ns = details.run_ns});
  completions.Unref();
}

}  // namespace

void CountEnded(Engine& engine, Worker* worker, int32_t outcome, bool ran) {
  if (worker != nullptr && outcome == POOL_DONE) {
    worker->counters.done.Add();
  } else if (worker != nullptr && outcome == POOL_FAILED) {
    worker->counters.failed.Add();
  } else if (worker != nullptr && outcome == POOL_CANCELLED && !ran) {
    worker->counters.cancelled.Add();
  } else {
    engine.outside.ended[ran ? 1 : 0][outcome].Add();
  }
}

void CountNeverStarted(Engine& engine) {
  if (!engine.exact_limit) return;
  engine.dispatcher.limit().Release(1);
  engine.NoteWaiting();
  engine.space_event.Notify();
}

// The end of a record: done, drop, then the result becomes visible to group, queue and wait.
void Settle(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code, bool ran) {
  Engine& engine = *record.engine;
  TaskDetails* details = record.details();
  if (details != nullptr) {
    details->outcome = outcome;
    details->code = code;
  }
  const Finally over([&] {
    // Counted before it is visible, so that a waiter's snapshot holds it; settled after, so that an idle pool's
    // results are all visible.
    engine.settling.Add();
    CountEnded(engine, worker, outcome, ran);
    record.Finish();
    if (details != nullptr) {
      if (details->completions != nullptr) Complete(record, *details);
      if (details->group != nullptr) details->group->MemberOver(record);
      if (details->token != nullptr) details->token->members().Over(details->under_token);
      LeaveGates(record);
    }
    engine.settled.Add();
    if (worker == nullptr) engine.TellIfIdle();
  });
  Telling(record, worker, outcome, code).Run();
}

void EndClaimed(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code) {
  TaskDetails* details = record.details();
  if (record.timed) record.engine->timers.Disarm(record);
  if (details != nullptr) {
    GiveBackTokens(record);
    // At once: who waits behind it need not wait for its callbacks, and they may wait for that.
    LeaveGates(record);
  }
  const bool ran = details != nullptr && details->attempts != 0;
  if (!ran) {
    CountNeverStarted(*record.engine);
    if (details != nullptr && details->cost_bytes != 0) record.engine->GiveBackBytes(details->cost_bytes);
    if (details != nullptr) details->wait_ns = NowNs() - record.submit_ns;
  }
  Settle(record, worker, outcome, code, ran);
}

void EndUnfinished(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code) {
  const TaskDetails* details = record.details();
  const bool served = details != nullptr && details->period_ns != 0 && details->attempts != 0 && details->code == 0;
  if (served) {
    EndClaimed(record, worker, POOL_DONE, 0);
  } else {
    EndClaimed(record, worker, outcome, code);
  }
}

void EndHeld(TaskRecord& record) {
  const RecordReference reference(record);
  bool was_held = false;
  if (!record.Claim(&was_held)) return;
  record.engine->ClaimedElsewhere(was_held);
  EndUnfinished(record, nullptr, POOL_CANCELLED, POOL_E_CLOSED);
}

}  // namespace workpool
