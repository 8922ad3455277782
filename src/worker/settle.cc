#include "worker/settle.h"

#include <cxxabi.h>

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

// What the user is told of a task that has ended: a line in the log, the dead letter, done, and in any case drop.
void CallBack(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code) {
  Engine& engine = *record.engine;
  TaskDetails* details = record.details();
  const bool dead = outcome == POOL_FAILED && engine.options.dead_letter.fn != nullptr;
  if (record.drop == nullptr && outcome != POOL_FAILED && (details == nullptr || details->done == nullptr)) return;
  // The callbacks are part of the task: one that waits for it, or for the pool, would wait for itself.
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(engine, worker, &record, tls);
  const FrameScope scope(tls, frame);
  const auto drop = [&] {
    if (record.drop != nullptr) CallOut([&] { record.drop(record.arg, outcome); });
    LeaveForkedChild(frame);
  };
  try {
    if (outcome == POOL_FAILED) {
      engine.log.Write(code == POOL_E_EXCEPTION || code == POOL_E_THREADEXIT ? POOL_LOG_WARN : POOL_LOG_DEBUG,
                       "task \"%s\" failed with code %d: %s", details != nullptr ? details->Name() : "", code,
                       details != nullptr && details->text != nullptr ? details->text : StatusText(code));
    }
    const bool done = details != nullptr && details->done != nullptr &&
                      (details->completions == nullptr || details->completions->BeginCallback());
    if (done || dead) {
      pool_result_t result{};
      result.struct_size = sizeof(result);
      result.outcome = outcome;
      result.code = code;
      if (details != nullptr) details->CopyResult(&result);
      if (done) {
        details->in_done = true;
        const Finally over([&] {
          details->in_done = false;
          if (details->completions != nullptr) details->completions->EndCallback();
        });
        CallOut([&] { details->done(record.arg, &result); });
        LeaveForkedChild(frame);
      }
      if (dead) {
        CallOut([&] { engine.options.dead_letter.fn(engine.options.dead_letter.user, record.arg, &result); });
        LeaveForkedChild(frame);
      }
    }
  } catch (abi::__forced_unwind&) {
    OnOtherThread(engine, worker, &record, drop);
    throw;
  }
  drop();
}

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
  CallBack(record, worker, outcome, code);
}

void EndClaimed(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code) {
  TaskDetails* details = record.details();
  if (record.timed) record.engine->timers.Disarm(record);
  const bool ran = details != nullptr && details->attempts != 0;
  if (!ran) {
    CountNeverStarted(*record.engine);
    if (details != nullptr && details->cost_bytes != 0) record.engine->GiveBackBytes(details->cost_bytes);
    if (details != nullptr) details->wait_ns = NowNs() - record.submit_ns;
  }
  Settle(record, worker, outcome, code, ran);
}

void EndUnfinished(TaskRecord& record, Worker* worker, int32_t code) {
  const TaskDetails* details = record.details();
  const bool served = details != nullptr && details->period_ns != 0 && details->attempts != 0 && details->code == 0;
  if (served) {
    EndClaimed(record, worker, POOL_DONE, 0);
  } else {
    EndClaimed(record, worker, POOL_CANCELLED, code);
  }
}

void EndHeld(TaskRecord& record) {
  const RecordReference reference(record);
  bool was_held = false;
  if (!record.Claim(&was_held)) return;
  record.engine->ClaimedElsewhere(was_held);
  EndUnfinished(record, nullptr, POOL_E_CLOSED);
}

}  // namespace workpool
