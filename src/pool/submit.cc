// From the call to the queue: plain tasks. Those with a record are in submit_record.cc.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/admit.h"
#include "pool/pool.h"

namespace workpool {
namespace {

// What SubmitMany turns into slots at a time, on the stack.
constexpr uint32_t kChunk = 256;

// Puts a sample in a slot if that is wanted, and there is memory for it. It is not taken back by itself: who is unwound
// does not know whether it was queued.
class SampleIn {
 public:
  SampleIn(Engine& engine, Slot* slot, bool wanted) : slot_(slot), plain_(*slot) {
    if (!wanted) [[likely]] return;
    sample_ = MakeSample(engine, plain_);
    if (sample_ != nullptr) *slot = SlotOf(*sample_);
  }
  SampleIn(const SampleIn&) = delete;
  SampleIn& operator=(const SampleIn&) = delete;

  // It was not queued: the slot is as it was.
  void TakeBack() {
    if (sample_ == nullptr) [[likely]] return;
    *slot_ = plain_;
    DropSample(*std::exchange(sample_, nullptr));
  }

 private:
  Slot* const slot_;
  const Slot plain_;
  Entry* sample_ = nullptr;
};

}  // namespace

// One plain task in kSamplePeriod carries time stamps, and every one where the pool sheds by them: whether one of the
// next count does.
bool Pool::NextIsSample(Tls& tls, uint32_t count) const {
  if (engine_.shedder.on()) return true;
  if (tls.until_sample > count) {
    tls.until_sample -= count;
    return false;
  }
  tls.until_sample = kSamplePeriod;
  return true;
}

Worker* Pool::OwnWorker(const Tls& tls) const {
  auto* worker = static_cast<Worker*>(tls.worker);
  return worker != nullptr && &worker->engine() == &engine_ ? worker : nullptr;
}

Status Pool::CheckOpenInSection(Census census) const {
  if (!census.has(Census::kRefuseOutside | Census::kRefuseAll)) [[likely]] return POOL_OK;
  if (census.has(Census::kRefuseAll)) return FailClosed();
  // Its own workers may submit, and a task of the pool that runs here, inside a wait, as long as they may.
  const Tls& tls = CurrentTls();
  return OwnWorker(tls) != nullptr || RunsRecordOf(tls, engine_) ? POOL_OK : FailClosed();
}

Status Pool::SubmitOutsideInSection(ThreadLine& line, const Slot* slots, uint32_t count,
                                    Admission admission, int32_t priority, uint32_t* accepted) {
  const Census before = engine_.idle.Load();
  if (const Status status = CheckOpenInSection(before); status != POOL_OK) return status;
  // Without a live worker one is started first: if that fails nothing has been accepted.
  if (before.live() == 0 && engine_.workers.StartOne(true) == WorkerSet::StartResult::kFailed) [[unlikely]] {
    // Others may have counted on this start and queued their tasks.
    if (engine_.HasTasks()) (void)engine_.workers.StartUpTo(1);
    engine_.idle_event.Notify();  // whoever waits for these looks after them, see AwaitIdle
    engine_.outside.rejected.Add();
    return FailConst(POOL_E_THREAD, "no worker lives and none could be started; nothing was accepted");
  }
  const Dispatcher::PushResult result = engine_.dispatcher.Push(slots, count, line.index, admission, true, priority);
  *accepted = result.accepted;
  engine_.NoteWaiting();
  if (result.accepted > 0) {
    // The task before the look at the census; partner: the fence in IdleSet::Announce. Either the worker
    // that goes to sleep sees the task, or we see it sleeping.
    FullFence();
    if (engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
    if (priority > 0) [[unlikely]] engine_.workers.DisturbAll();
  }
  return result.status;
}

Status Pool::SubmitPlainInSection(Tls& tls, ThreadLine& line, Slot slot, int32_t priority) {
  // By the long way: it may have to wait, or become a record.
  if (engine_.rate.limited()) return POOL_E_FULL;
  const uint32_t until_sample = tls.until_sample;
  SampleIn sample(engine_, &slot, NextIsSample(tls));
  if (priority == 0) {
    const Quick quick = TryQueueInSection(line, slot);
    if (quick == Quick::kNeedsHelp) HelpInSection();
    if (quick != Quick::kRefused) return POOL_OK;
  }
  uint32_t accepted = 0;
  const Status status = SubmitOutsideInSection(line, &slot, 1, Admission::kLimited, priority, &accepted);
  if (accepted == 0) sample.TakeBack();
  // It is the long way's turn to stamp it.
  if (status == POOL_E_FULL) tls.until_sample = until_sample;
  return status;
}

Status Pool::SubmitPlainLocal(Tls& tls, Worker& worker, Slot slot, Admission admission) {
  if (engine_.rate.limited()) return SubmitAsRecord(slot, admission, policy_);
  // On a worker a blocking submit is admitted over the limit: it might be the one to make room.
  if (policy_.on_full == POOL_ON_FULL_BLOCK) admission = Admission::kExempt;
  const uint32_t until_sample = tls.until_sample;
  SampleIn sample(engine_, &slot, NextIsSample(tls));
  const Status status = worker.Submit(slot, admission);
  if (status == POOL_OK) [[likely]] return status;
  sample.TakeBack();
  if (status != POOL_E_FULL) return status;
  tls.until_sample = until_sample;
  return SubmitOne(slot, admission, 0);
}

Status Pool::SubmitLocal(Worker& worker, const Slot* slots, uint32_t count, Admission admission, int32_t priority,
                         uint32_t* accepted) {
  for (*accepted = 0; *accepted < count; ++*accepted) {
    const Slot& slot = slots[*accepted];
    const Status status =
        priority == 0 ? worker.Submit(slot, admission) : worker.SubmitShared(slot, admission, priority);
    if (status != POOL_OK) return status;
  }
  if (priority > 0) engine_.workers.DisturbAll();
  return POOL_OK;
}

Status Pool::TryQueue(const Slot* slots, uint32_t count, Admission admission, int32_t priority, uint32_t* accepted) {
  *accepted = 0;
  Tls& tls = CurrentTls();
  ThreadLine* line = CurrentLine(tls);
  if (line == nullptr) return POOL_E_NOMEM;
  if (Worker* worker = OwnWorker(tls)) return SubmitLocal(*worker, slots, count, admission, priority, accepted);
  const LineSection section(*line, engine_.line_slot);
  return SubmitOutsideInSection(*line, slots, count, admission, priority, accepted);
}

bool Pool::MakeRoom(const AdmissionPolicy& policy, int32_t priority) {
  Dispatcher& dispatcher = engine_.dispatcher;
  const bool oldest = policy.on_full == POOL_ON_FULL_DROP_OLDEST;
  Slot slot;
  bool taken;
  if (dispatcher.LaneIsFull(priority)) {
    // What waits in other lanes makes no room in this one, and here all are equals.
    taken = oldest && dispatcher.TakeOldestOf(priority, &slot);
  } else {
    taken = oldest ? dispatcher.TakeOldest(&slot, CurrentTls().line->index) : dispatcher.TakeLowest(&slot, priority);
  }
  if (!taken) return false;
  DiscardSlot(engine_, slot, POOL_SHED, POOL_E_FULL);
  return true;
}

Status Pool::Submit(const Slot* slots, uint32_t count, Admission admission, const AdmissionPolicy& policy,
                    uint64_t deadline_ns, uint32_t* accepted) {
  *accepted = 0;
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return POOL_E_NOMEM;
  // No record is made of a sample: it comes from before the rate was set.
  if (engine_.rate.limited() && !IsEntry(slots[count - 1])) {
    for (; *accepted < count; ++*accepted) {
      const Status status = SubmitAsRecord(slots[*accepted], admission, policy);
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  }
  // A task that waits for room might be the one to make it.
  if (policy.on_full == POOL_ON_FULL_BLOCK && IsOwnThread()) admission = Admission::kExempt;
  if (policy.on_full == POOL_ON_FULL_CALLER_RUNS && admission == Admission::kLimited) {
    return SubmitOrRun(slots, count, policy, accepted);
  }
  return Admit(
      policy, deadline_ns, 0,
      [&] {
        uint32_t more = 0;
        const Status status = TryQueue(slots + *accepted, count - *accepted, admission, 0, &more);
        *accepted += more;
        return status;
      },
      [&] { return engine_.dispatcher.HasRoom(); });
}

bool Pool::IsPlain(const pool_task_t& task) const {
  const int32_t on_full = task.on_full == POOL_ON_FULL_DEFAULT ? policy_.on_full : task.on_full;
  return task.run != nullptr && !NeedsDetails(task) && task.delay_ns == 0 && task.group == 0 && task.token == 0 &&
         task.cq == 0 && task.drop == engine_.options.drop && on_full != POOL_ON_FULL_CALLER_RUNS &&
         // A record is told to the log and the dead letters, and may wait for its rate.
         !engine_.log.on() && !engine_.wants_dead_letters() && !engine_.rate.limited();
}

Status Pool::SubmitTaskInSection(Tls& tls, ThreadLine& line, const pool_task_t& task) {
  AdmissionPolicy ignored;
  if (!IsPlain(task) || Ages(task.priority) || CheckPolicy(task, &ignored) != POOL_OK) return POOL_E_FULL;
  return SubmitPlainInSection(tls, line, {task.run, task.arg}, task.priority);
}

Status Pool::SubmitPlainTask(const pool_task_t& task) {
  AdmissionPolicy policy;
  Status status = CheckPolicy(task, &policy);
  if (status != POOL_OK) return status;
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return POOL_E_NOMEM;
  const bool ages = Ages(task.priority);
  if (ages) status = engine_.timers.Start();
  if (status != POOL_OK) return status;
  Slot slot{task.run, task.arg};
  SampleIn sample(engine_, &slot, NextIsSample(tls));
  const bool exempt = policy.on_full == POOL_ON_FULL_BLOCK && IsOwnThread();
  status = Admit(
      policy, policy.Deadline(), task.priority,
      [&] {
        uint32_t accepted = 0;
        return TryQueue(&slot, 1, exempt ? Admission::kExempt : Admission::kLimited, task.priority, &accepted);
      },
      [&] { return engine_.dispatcher.HasRoom() && !engine_.dispatcher.LaneIsFull(task.priority); });
  if (status != POOL_OK) {
    sample.TakeBack();
  } else if (ages) {
    engine_.WatchLane(task.priority);
  }
  return status;
}

Status Pool::SubmitOne(Slot slot, Admission admission, uint64_t deadline_ns) {
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return POOL_E_NOMEM;
  // What may become a record is stamped as one.
  const bool plain = !engine_.rate.limited() && policy_.on_full != POOL_ON_FULL_CALLER_RUNS;
  SampleIn sample(engine_, &slot, plain && NextIsSample(tls));
  uint32_t accepted = 0;
  const Status status = Submit(&slot, 1, admission, policy_, deadline_ns, &accepted);
  if (accepted == 0) sample.TakeBack();
  return status;
}

// Under POOL_ON_FULL_CALLER_RUNS: what finds no room is run here.
Status Pool::SubmitOrRun(const Slot* slots, uint32_t count, const AdmissionPolicy& policy, uint32_t* accepted) {
  for (;;) {
    uint32_t more = 0;
    Status status = TryQueue(slots + *accepted, count - *accepted, Admission::kLimited, 0, &more);
    *accepted += more;
    if (status != POOL_E_FULL) return status;
    status = SubmitAsRecord(slots[*accepted], Admission::kLimited, policy);
    if (status != POOL_OK) return status;
    if (++*accepted == count) return POOL_OK;
  }
}

Status Pool::SubmitMany(RunFn run, void* const* args, uint32_t count, uint32_t* accepted) {
  *accepted = 0;
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return POOL_E_NOMEM;
  const uint64_t deadline_ns = policy_.Deadline();
  // Where every task is a sample, or may become a record, one after another.
  const uint32_t chunk = engine_.shedder.on() ? 1 : kChunk;
  Slot slots[kChunk];
  while (*accepted < count) {
    const uint32_t n = std::min(count - *accepted, chunk);
    for (uint32_t i = 0; i < n; ++i) slots[i] = {run, args[*accepted + i]};
    // The last of the chunk is the sampled one, if any.
    const bool plain = !engine_.rate.limited() && policy_.on_full != POOL_ON_FULL_CALLER_RUNS;
    SampleIn sample(engine_, &slots[n - 1], plain && NextIsSample(tls, n));
    uint32_t more = 0;
    const Status status = Submit(slots, n, Admission::kLimited, policy_, deadline_ns, &more);
    *accepted += more;
    if (more < n) sample.TakeBack();
    if (status != POOL_OK) return status;
  }
  return POOL_OK;
}

}  // namespace workpool
