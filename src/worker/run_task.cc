#include "worker/run_task.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "base/memory.h"
#include "task/group.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/frame.h"
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

inline Frame MakeFrame(Engine& engine, Worker* worker, TaskRecord* record, const Tls& tls) {
  return Frame{.engine = &engine,
               .worker = worker,
               .record = record,
               .outer = InnermostFrame(tls),
               .parent = nullptr,
               .value = 0,
               .epoch = ForkEpoch()};
}

inline void CountStarted(Engine& engine, Worker* worker) {
  if (worker != nullptr) {
    worker->counters.started.Add();
  } else {
    engine.outside.started.Add();
  }
  if (engine.exact_limit) {
    engine.dispatcher.limit().Release(1);
    engine.space_event.Notify();
  }
}

inline void CountEnded(Engine& engine, Worker* worker, int32_t outcome) {
  switch (outcome) {
    case POOL_DONE:
      worker != nullptr ? worker->counters.done.Add() : engine.outside.done.Add();
      break;
    case POOL_FAILED:
      worker != nullptr ? worker->counters.failed.Add() : engine.outside.failed.Add();
      break;
    default:
      worker != nullptr ? worker->counters.cancelled.Add() : engine.outside.cancelled.Add();
      break;
  }
}

void CountNeverStarted(Engine& engine) {
  if (!engine.exact_limit) return;
  engine.dispatcher.limit().Release(1);
  engine.space_event.Notify();
}

void EndPlain(Worker& worker, void* arg, int32_t code) {
  const int32_t outcome = code == 0 ? POOL_DONE : POOL_FAILED;
  const Finally counted([&] { CountEnded(worker.engine(), &worker, outcome); });
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
    CancelPlain(worker.engine(), &worker, sample.slot.arg);
    return;
  }
  const uint64_t start_ns = NowNs();
  worker.wait_histogram.Record(start_ns - sample.submit_ns);
  RunPlain(worker, sample.slot);
  worker.run_histogram.Record(NowNs() - start_ns);
}

void DiscardSample(Entry& self) {
  const Sample sample = static_cast<Sample&>(self);
  Delete(&static_cast<Sample&>(self));
  CancelPlain(*sample.engine, nullptr, sample.slot.arg);
}

// The end of a record: done, drop, then the result becomes visible to group and wait.
void Settle(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code) {
  Engine& engine = *record.engine;
  record.outcome = outcome;
  record.code = code;
  const Finally over([&] {
    // Counted before it is visible, so that a waiter's snapshot holds it; settled after, so that an idle pool's
    // results are all visible.
    engine.settling.Add();
    CountEnded(engine, worker, outcome);
    record.Finish();
    if (record.group != nullptr) record.group->MemberOver(record);
    engine.settled.Add();
    if (worker == nullptr) engine.TellIfIdle();
  });
  if (record.done == nullptr && record.drop == nullptr && outcome != POOL_FAILED) return;
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
                       "task \"%s\" failed with code %d: %s", record.name, code,
                       record.text[0] != 0 ? record.text : StatusText(code));
    }
    if (record.done != nullptr) {
      pool_result_t result;
      result.struct_size = sizeof(result);
      record.CopyResult(&result);
      CallOut([&] { record.done(record.arg, &result); });
      LeaveForkedChild(frame);
    }
  } catch (abi::__forced_unwind&) {
    drop();
    throw;
  }
  drop();
}

void ExecuteRecord(Entry& self, Worker& worker, bool closing) {
  auto& record = static_cast<TaskRecord&>(self);
  const RecordReference reference(record);
  if (!record.Claim()) {
    worker.engine().TombstoneTaken();
  } else if (closing) {
    CancelClaimed(record, &worker, POOL_E_CLOSED);
  } else {
    RunClaimed(record, &worker);
  }
}

void DiscardRecord(Entry& self) {
  auto& record = static_cast<TaskRecord&>(self);
  const RecordReference reference(record);
  if (record.Claim()) {
    CancelClaimed(record, nullptr, POOL_E_CLOSED);
  } else {
    record.engine->TombstoneTaken();
  }
}

bool BuryRecord(Entry& self) {
  auto& record = static_cast<TaskRecord&>(self);
  if (record.phase() == TaskRecord::kQueued) return false;
  record.Unref();
  return true;
}

constexpr EntryKind kRecordKind{&ExecuteRecord, &DiscardRecord, &BuryRecord};
constexpr EntryKind kSampleKind{&ExecuteSample, &DiscardSample, nullptr};

}  // namespace

bool ShouldStop(const Frame& frame) {
  if (frame.engine->idle.Load().has(Census::kStopRunning)) return true;
  const Frame* owner = &frame;
  while (owner->parent != nullptr) owner = owner->parent;
  return owner->record != nullptr && owner->record->StopAsked();
}

void RunPlain(Worker& worker, Slot slot) {
  Engine& engine = worker.engine();
  CountStarted(engine, &worker);
  int32_t code;
  try {
    code = CallRun(engine, worker.frame(), slot.run, slot.arg, nullptr, 0);
  } catch (abi::__forced_unwind&) {
    EndPlain(worker, slot.arg, POOL_E_THREADEXIT);
    throw;
  }
  EndPlain(worker, slot.arg, code);
}

void CancelPlain(Engine& engine, Worker* worker, void* arg) {
  CountNeverStarted(engine);
  const Finally counted([&] {
    CountEnded(engine, worker, POOL_CANCELLED);
    if (worker == nullptr) engine.TellIfIdle();
  });
  if (engine.options.drop == nullptr) return;
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(engine, worker, nullptr, tls);
  const FrameScope scope(tls, frame);
  CallOut([&] { engine.options.drop(arg, POOL_CANCELLED); });
  LeaveForkedChild(frame);
}

void RunClaimed(TaskRecord& record, Worker* worker) {
  Engine& engine = *record.engine;
  CountStarted(engine, worker);
  const uint64_t start_ns = NowNs();
  record.attempts = 1;
  record.worker = worker != nullptr ? static_cast<int32_t>(worker->index()) : -1;
  record.wait_ns = start_ns - record.submit_ns;
  Tls& tls = CurrentTls();
  Frame frame = MakeFrame(engine, worker, &record, tls);
  int32_t code;
  try {
    FrameScope scope(tls, frame);
    code = CallRun(engine, frame, record.run, record.arg, record.text, sizeof(record.text));
  } catch (abi::__forced_unwind&) {
    record.run_ns = NowNs() - start_ns;
    record.value = frame.value;
    Settle(record, worker, POOL_FAILED, POOL_E_THREADEXIT);
    throw;
  }
  record.run_ns = NowNs() - start_ns;
  record.value = frame.value;
  if (worker != nullptr) {
    worker->wait_histogram.Record(record.wait_ns);
    worker->run_histogram.Record(record.run_ns);
  }
  Settle(record, worker, code == 0 ? POOL_DONE : POOL_FAILED, code);
}

void CancelClaimed(TaskRecord& record, Worker* worker, int32_t code) {
  CountNeverStarted(*record.engine);
  record.wait_ns = NowNs() - record.submit_ns;
  Settle(record, worker, POOL_CANCELLED, code);
}

void BindRecord(TaskRecord& record) {
  record.kind = &kRecordKind;
}

Entry* MakeSample(Engine& engine, Slot slot) {
  return New<Sample>(Sample{{&kSampleKind}, &engine, slot, NowNs()});
}

void DropSample(Entry& sample) { Delete(&static_cast<Sample&>(sample)); }

void DiscardSlot(Engine& engine, Slot slot) {
  if (IsEntry(slot)) {
    EntryOf(slot).kind->discard(EntryOf(slot));
  } else {
    CancelPlain(engine, nullptr, slot.arg);
  }
}

}  // namespace workpool
