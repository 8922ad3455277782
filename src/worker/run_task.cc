#include "worker/run_task.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "base/memory.h"
#include "worker/again.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/frame.h"
#include "worker/other_thread.h"
#include "worker/settle.h"
#include "worker/worker.h"

namespace workpool {
namespace {

[[gnu::always_inline]] inline int32_t CallRun(const Engine& engine, Frame& frame, RunFn run, void* arg, char* text,
                                              size_t text_size) {
  const int32_t code =
      engine.options.terminate_on_exception
          ? CallTaskOrTerminate(text, text_size, [&] { return run(arg, &frame); })
          : CallTask(text, text_size, [&] { return run(arg, &frame); });
  LeaveForkedChild(frame);
  return code;
}

inline void CountStarted(Engine& engine, Worker* worker) {
  if (worker != nullptr) {
    worker->counters.started.Add();
  } else {
    engine.outside.started.Add();
  }
  if (engine.exact_limit) {
    engine.dispatcher.limit().Release(1);
    engine.NoteWaiting();
    engine.space_event.Notify();
  }
}

void EndPlain(Worker& worker, void* arg, int32_t code) {
  const int32_t outcome = code == 0 ? POOL_DONE : POOL_FAILED;
  const Finally counted([&] { CountEnded(worker.engine(), &worker, outcome, true); });
  const DropFn drop = worker.engine().options.drop;
  if (drop == nullptr) return;
  CallOut([&] { drop(arg, outcome); });
  LeaveForkedChild(worker.frame());
}

struct Sample : Entry {
  Engine* engine;
  Slot slot;
  uint64_t submit_ns;
};

void ExecuteSample(Entry& self, Worker& worker, bool closing) {
  const Sample sample = static_cast<Sample&>(self);
  Delete(&static_cast<Sample&>(self));
  if (closing) {
    EndPlainUnrun(worker.engine(), &worker, sample.slot.arg, POOL_CANCELLED);
    return;
  }
  Engine& engine = worker.engine();
  const uint64_t start_ns = NowNs();
  const uint64_t wait_ns = start_ns - sample.submit_ns;
  if (engine.shedder.on() && engine.shedder.ShouldShed(start_ns, wait_ns, !engine.HasTasks())) {
    EndPlainUnrun(engine, &worker, sample.slot.arg, POOL_SHED);
    return;
  }
  worker.wait_histogram.Record(wait_ns);
  RunPlain(worker, sample.slot);
  worker.run_histogram.Record(NowNs() - start_ns);
}

void DiscardSample(Entry& self, int32_t outcome, int32_t) {
  const Sample sample = static_cast<Sample&>(self);
  Delete(&static_cast<Sample&>(self));
  EndPlainUnrun(*sample.engine, nullptr, sample.slot.arg, outcome);
}

void ExecuteRecord(Entry& self, Worker& worker, bool closing) {
  auto& record = static_cast<TaskRecord&>(self);
  const RecordReference reference(record);
  // One that is held was run elsewhere, and waits for another attempt: what lies here is a tombstone.
  if (!record.ClaimQueued()) {
    worker.engine().TombstoneTaken();
    if (worker.engine().watch.on()) worker.run_watch.Passed();
  } else if (closing) {
    EndUnfinished(record, &worker, POOL_CANCELLED, POOL_E_CLOSED);
  } else {
    RunClaimed(record, &worker);
  }
}

void DiscardRecord(Entry& self, int32_t outcome, int32_t code) {
  auto& record = static_cast<TaskRecord&>(self);
  const RecordReference reference(record);
  if (record.ClaimQueued()) {
    if (outcome == POOL_CANCELLED) {
      EndUnfinished(record, nullptr, outcome, code);
    } else {
      EndClaimed(record, nullptr, outcome, code);
    }
  } else {
    record.engine->TombstoneTaken();
  }
}

bool BuryRecord(Entry& self) {
  auto& record = static_cast<TaskRecord&>(self);
  if (record.IsWaiting()) return false;
  record.Unref();
  return true;
}

constexpr EntryKind kRecordKind{&ExecuteRecord, &DiscardRecord, &BuryRecord};
constexpr EntryKind kSampleKind{&ExecuteSample, &DiscardSample, nullptr};

// Since when it has waited for a worker, and not for its time or its turn.
uint64_t ReadyNs(const TaskRecord& record) {
  const TaskDetails* details = record.details();
  // Without details a timer of its own was its delay.
  const uint64_t ready_ns = details != nullptr ? details->ready_ns.load(kRelaxed) : record.due_ns;
  return std::max(record.submit_ns, ready_ns);
}

}  // namespace

bool ShouldStop(const Frame& frame) {
  if (frame.engine->idle.Load().has(Census::kStopRunning)) return true;
  const Frame* owner = &frame;
  while (owner->parent != nullptr) owner = owner->parent;
  return owner->record != nullptr && owner->record->ShouldStop();
}

void RunPlain(Worker& worker, Slot slot) {
  Engine& engine = worker.engine();
  CountStarted(engine, &worker);
  int32_t code;
  try {
    code = CallRun(engine, worker.frame(), slot.run, slot.arg, nullptr, 0);
  } catch (abi::__forced_unwind&) {
    OnOtherThread(engine, &worker, nullptr, [&] { EndPlain(worker, slot.arg, POOL_E_THREADEXIT); });
    throw;
  }
  EndPlain(worker, slot.arg, code);
}

void EndPlainUnrun(Engine& engine, Worker* worker, void* arg, int32_t outcome) {
  CountNeverStarted(engine);
  const Finally counted([&] {
    CountEnded(engine, worker, outcome, false);
    if (worker == nullptr) engine.TellIfIdle();
  });
  if (engine.options.drop == nullptr) return;
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(engine, worker, nullptr, tls);
  const FrameScope scope(tls, frame);
  CallOut([&] { engine.options.drop(arg, outcome); });
  LeaveForkedChild(frame);
}

void RunClaimed(TaskRecord& record, Worker* worker) {
  Engine& engine = *record.engine;
  TaskDetails* details = record.details();
  if (record.timed) engine.timers.Disarm(record);
  const uint64_t start_ns = NowNs();
  if (details != nullptr && start_ns > details->expire_ns) {
    EndUnfinished(record, worker, POOL_EXPIRED, POOL_E_EXPIRED);
    return;
  }
  uint64_t wait_ns = 0;
  uint64_t run_ns = 0;
  if (details == nullptr || details->attempts == 0) {
    wait_ns = start_ns - record.submit_ns;
    if (engine.shedder.on() && engine.shedder.ShouldShed(start_ns, start_ns - ReadyNs(record), !engine.HasTasks())) {
      EndClaimed(record, worker, POOL_SHED, POOL_E_TIMEOUT);
      return;
    }
    CountStarted(engine, worker);
    if (details != nullptr && details->cost_bytes != 0) engine.GiveBackBytes(details->cost_bytes);
  }
  if (details != nullptr) {
    details->class_token.store(false, kRelaxed);
    details->pool_token.store(false, kRelaxed);
    if (details->attempts != 0) engine.outside.attempts_again.Add();
    if (details->attempts++ == 0) details->wait_ns = wait_ns;
    details->begun_ns = start_ns;
    details->worker = worker != nullptr ? static_cast<int32_t>(worker->index()) : -1;
    if (details->run_timeout_ns != 0) engine.timers.WatchRun(record, start_ns + details->run_timeout_ns);
  }
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(engine, worker, &record, tls);
  char text[sizeof(pool_result_t::text)];
  text[0] = 0;
  const auto over = [&](int32_t code) {
    // Before the time is taken: one that has overrun has run for so long.
    if (details != nullptr && details->run_timeout_ns != 0) engine.timers.Disarm(record);
    run_ns = NowNs() - start_ns;
    if (details == nullptr) return;
    if (record.overran()) details->flags |= POOL_RESULT_OVERRAN;
    details->run_ns = run_ns;
    details->value = frame.value;
    details->code = code;
    details->SetText(text);
  };
  const bool watched = engine.watch.on() && worker != nullptr;
  const RunWatch::Named around = watched ? worker->run_watch.Begin(record, start_ns) : RunWatch::Named{};
  const Finally unwatched([&] {
    if (watched) worker->run_watch.End(around);
  });
  int32_t code;
  try {
    FrameScope scope(tls, frame);
    code = CallRun(engine, frame, record.run, record.arg, text, sizeof(text));
  } catch (abi::__forced_unwind&) {
    over(POOL_E_THREADEXIT);
    OnOtherThread(engine, worker, &record, [&] { Settle(record, worker, POOL_FAILED, POOL_E_THREADEXIT, true); });
    throw;
  }
  over(code);
  if (worker != nullptr) {
    if (details == nullptr || details->attempts == 1) worker->wait_histogram.Record(wait_ns);
    worker->run_histogram.Record(run_ns);
  }
  if (details != nullptr && RunsAgain(record, worker, code)) {
    engine.outside.ended_again.Add();
    if (code != 0 && code != POOL_RETRY) engine.outside.failed_again.Add();
    return;
  }
  Settle(record, worker, code == 0 ? POOL_DONE : POOL_FAILED, code, true);
}

void BindRecord(TaskRecord& record) {
  record.kind = &kRecordKind;
}

Entry* MakeSample(Engine& engine, Slot slot) {
  return New<Sample>(Sample{{&kSampleKind}, &engine, slot, NowNs()});
}

void DropSample(Entry& sample) { Delete(&static_cast<Sample&>(sample)); }

void DiscardSlot(Engine& engine, Slot slot, int32_t outcome, int32_t code) {
  if (IsEntry(slot)) {
    EntryOf(slot).kind->discard(EntryOf(slot), outcome, code);
  } else {
    EndPlainUnrun(engine, nullptr, slot.arg, outcome);
  }
}

}  // namespace workpool
