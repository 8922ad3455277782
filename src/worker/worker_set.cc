#include "worker/worker_set.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/clock.h"
#include "base/memory.h"
#include "worker/engine.h"
#include "worker/look_after.h"
#include "worker/worker.h"

namespace workpool {
namespace {

// After a refused thread start: 1 ms, doubling up to 32 ms, before the next try.
constexpr uint64_t kStartPauseNs = 1'000'000;
constexpr uint32_t kStartPauseDoublings = 5;
// Where more than kCrowd workers for each CPU are up, one that finds work sees to so many others at once.
constexpr uint32_t kFanOut = 4;
constexpr uint32_t kCrowd = 2;
// A caller that wants workers now tries for at most so long altogether.
constexpr uint64_t kStartPatienceNs = 100'000'000;

}  // namespace

WorkerSet::WorkerSet(Engine& engine, uint32_t limit, uint32_t base, uint32_t min, uint32_t max)
    : engine_(engine), limit_(limit), base_(base), min_(min), max_(max), target_(base), keep_(min), ceiling_(base) {}

WorkerSet::~WorkerSet() {
  if (slots_ == nullptr) return;
  for (uint32_t i = 0; i < size(); ++i) Delete(at(i));
  FreeBytes(slots_, limit_ * sizeof(slots_[0]));
}

bool WorkerSet::Allocate() {
  auto* memory =
      static_cast<Atomic<Worker*>*>(AllocateBytes(limit_ * sizeof(slots_[0]), alignof(Atomic<Worker*>)));
  if (memory == nullptr) return false;
  for (uint32_t i = 0; i < limit_; ++i) new (&memory[i]) Atomic<Worker*>(nullptr);
  slots_ = memory;
  return true;
}

Worker* WorkerSet::TakeSlot() {
  MutexLock lock(mu_);
  for (uint32_t i = 0; i < limit_; ++i) {
    Worker* worker = at(i);
    if (worker == nullptr) {
      worker = New<Worker>(engine_, i);
      if (worker == nullptr) return nullptr;
      worker->in_use = true;
      // release: thieves see a whole worker, with its deque. Who sees the size and not yet the worker finds nobody there.
      slots_[i].store(worker, kRelease);
      if (i >= size_.load(kRelaxed)) size_.store(i + 1, kRelaxed);
      return worker;
    }
    if (!worker->in_use) {
      worker->in_use = true;
      return worker;
    }
  }
  return nullptr;
}

void WorkerSet::FreeSlot(Worker& worker) {
  MutexLock lock(mu_);
  worker.in_use = false;
}

bool WorkerSet::MayStartNow() const {
  return start_failures_in_a_row_.load(kRelaxed) == 0 || NowNs() >= start_again_ns_.load(kRelaxed);
}

WorkerSet::StartResult WorkerSet::StartOne(bool forced, uint32_t searchers) {
  if (!engine_.idle.TryReserveStart(forced, searchers)) return StartResult::kNotWanted;
  Worker* worker = TakeSlot();
  // Only where workers_limit leaves no slack: a worker that counts as gone still runs its stop hooks.
  const uint64_t deadline_ns = worker == nullptr ? NowNs() + kStartPatienceNs : 0;
  for (; worker == nullptr && size() == limit_ && NowNs() < deadline_ns; worker = TakeSlot()) {
    YieldThread();
  }
  int error = 0;
  if (worker != nullptr) {
    threads_.fetch_add(1, kRelaxed);
    engine_.ref(engine_);
    ThreadHandle thread;
    error = StartThread(engine_.options.thread, &Worker::ThreadMain, worker, &thread);
    if (error == 0) {
      if (start_failures_in_a_row_.exchange(0, kRelaxed) != 0 &&
          (!tuned() || engine_.idle.Load().live() >= target())) {
        engine_.idle.ClearFlags(Census::kStartFailed);
      }
      return StartResult::kStarted;
    }
    FreeSlot(*worker);
  }
  NoteRefusal(error);
  engine_.idle.AbandonStart();
  if (worker != nullptr) threads_.fetch_sub(1, kRelaxed);
  // Begins with a fence. That is also: no longer counted before the caller looks for tasks; partner: the fence after a task
  // is queued. While this start counted as a searcher others relied on it.
  all_ended_.Notify();
  LookAgainIfStranded(engine_);
  if (worker != nullptr) engine_.unref(engine_);
  TellRefusal();
  return StartResult::kFailed;
}

void WorkerSet::NoteRefusal(int error) {
  engine_.outside.start_failures.Add();
  const uint32_t row = start_failures_in_a_row_.fetch_add(1, kRelaxed);
  last_error_.store(error, kRelaxed);
  start_again_ns_.store(NowNs() + (kStartPauseNs << std::min(row, kStartPauseDoublings)), kRelaxed);
  engine_.idle.SetFlags(Census::kStartFailed);
}

void WorkerSet::TellRefusal() {
  // Not inside a section: the log calls the user. There a worker logs it, see StartAgain.
  const ThreadLine* line = CurrentTls().line;
  if (line == nullptr || line->active.load(kRelaxed) == 0) {
    LogRefusal();
  } else {
    refusal_to_log_.store(true, kRelaxed);
  }
}

void WorkerSet::LogRefusal() {
  engine_.log.Write(POOL_LOG_WARN, "a worker thread could not be started (errno %d); %u live",
                    last_error_.load(kRelaxed), engine_.idle.Load().live());
}

void WorkerSet::Help(uint32_t searchers) {
  for (;;) {
    const Census census = engine_.idle.Load();
    if (!census.NeedsHelp(searchers)) return;
    if (!census.MayAdd()) return CallScaler();
    if (census.parked() > 0) {
      if (engine_.idle.WakeOne(searchers)) return;
      continue;
    }
    if (!MayStartNow()) {
      LookAgainIfStranded(engine_);
      return CallScaler();  // it tries again
    }
    const StartResult result = StartOne(false, searchers);
    if (result == StartResult::kStarted) return;
    if (result == StartResult::kNotWanted) continue;  // the census has changed: the ceiling may have come down to who is up
    // If a worker has gone to sleep meanwhile, it is the one to wake; if the last one has left, because this start counted
    // as live, somebody has to come.
    const Census now = engine_.idle.Load();
    if (!engine_.HasTasks()) return;
    if (now.live() == 0) {
      (void)StartUpTo(1);
      return;
    }
    if (now.parked() == 0) return CallScaler();
  }
}

void WorkerSet::CallScaler(bool may_log) {
  // Not too soon after its thread was refused. It does not matter here that a worker was: the scaler may have its thread.
  if (scaler_refused_.load(kRelaxed) && !MayStartNow()) return;
  // Who marks it as watched calls: one of many submitters.
  if (!engine_.idle.TryClearFlags(Census::kUnwatched)) return;
  if (!engine_.call_scaler(engine_)) {
    // As a worker's would be, so the same is done.
    scaler_refused_.store(true, kRelaxed);
    NoteRefusal(EAGAIN);
    if (may_log) {
      TellRefusal();
    } else {
      refusal_to_log_.store(true, kRelaxed);
    }
  } else if (scaler_refused_.exchange(false, kRelaxed) && !engine_.idle.Load().MayAdd()) {
    // Else a worker may have been refused, too, which the scaler tries again.
    start_failures_in_a_row_.store(0, kRelaxed);
    engine_.idle.ClearFlags(Census::kStartFailed);
  }
}

void WorkerSet::HelpMany(uint32_t count) {
  for (uint32_t i = 0; i < count && engine_.HasTasks(); ++i) Help(count);
}

void WorkerSet::PassOn() {
  // One at a time mostly: a wake-up costs as much as a hundred short tasks. But where far more workers are up than there
  // are CPUs, most of them wait inside tasks, so the queue will not empty by itself, and a chain would be slow.
  const uint32_t at_once = engine_.idle.Load().up() > kCrowd * engine_.options.cpus ? kFanOut : 1;
  for (uint32_t i = 0; i < at_once; ++i) {
    if (!engine_.idle.Load().NeedsHelp(at_once - 1) || !engine_.HasTasks()) return;
    Help(at_once - 1);
  }
}

void WorkerSet::StartAgain() {
  if (refusal_to_log_.load(kRelaxed) && refusal_to_log_.exchange(false, kRelaxed)) LogRefusal();
  // A stopping pool wants no more.
  if (!MayStartNow() || engine_.idle.Load().has(Census::kStop)) return;
  if (tuned()) {
    while (engine_.idle.Load().live() < target() && !engine_.idle.Load().has(Census::kStop | Census::kStopWhenIdle) &&
           StartOne(true) == StartResult::kStarted) {
    }
  } else if (engine_.HasTasks()) {
    Help();
  }
}

bool WorkerSet::StartUpTo(uint32_t count) {
  const uint64_t deadline_ns = NowNs() + kStartPatienceNs;
  uint64_t pause_ns = kStartPauseNs;
  while (engine_.idle.Load().live() < count) {
    // Without tasks the workers of a closing pool end as soon as they have started.
    if (engine_.idle.Load().has(Census::kStop | Census::kStopWhenIdle) && !engine_.HasTasks()) return true;
    const StartResult result = StartOne(true);
    if (result == StartResult::kStarted) continue;
    if (result == StartResult::kNotWanted) return true;
    if (NowNs() + pause_ns > deadline_ns) return false;
    SleepNs(pause_ns);
    pause_ns *= 2;
  }
  return true;
}

bool WorkerSet::Tune(uint32_t count) {
  {
    MutexLock lock(ceiling_mu_);
    // Handed back it stays for as long as it is used, so that nothing has to grow anew; idle workers expire.
    target_.store(count != 0 ? count : std::min(std::max(base(), target()), max()), kRelaxed);
    keep_.store(count != 0 ? count : min(), kRelaxed);
    tuned_.store(count != 0, kRelaxed);
    exact_.store(count != 0, kRelaxed);
    AdjustCeiling();
  }
  DisturbAll();
  engine_.idle.WakeAll();
  const bool all = count == 0 || StartUpTo(count);
  // The ceiling may be higher now, also above those that live; as in BeginBlocked.
  engine_.quiet.Alert();
  if (engine_.HasTasks()) Help();
  return all;
}

void WorkerSet::Aim(uint32_t target, uint32_t keep, bool exact) {
  bool keeps_fewer = false;
  {
    MutexLock lock(ceiling_mu_);
    if (tuned()) return;
    keeps_fewer = keep < keep_.load(kRelaxed) || (exact && !exact_.load(kRelaxed));
    target_.store(target, kRelaxed);
    keep_.store(keep, kRelaxed);
    exact_.store(exact, kRelaxed);
    AdjustCeiling();
  }
  // Those that sleep without a time to expire count anew.
  if (keeps_fewer) engine_.idle.WakeAll();
  // The ceiling may be higher now; as in BeginBlocked, but that the caller looks for tasks.
  engine_.quiet.Alert();
}

void WorkerSet::SetBounds(uint32_t min, uint32_t max) {
  min_.store(min, kRelaxed);
  max_.store(max, kRelaxed);
}

void WorkerSet::Relax() {
  if (target() <= base()) return;
  MutexLock lock(ceiling_mu_);
  if (tuned()) return;
  target_.store(std::min(target(), std::max(base(), engine_.idle.Load().live())), kRelaxed);
  AdjustCeiling();
}

void WorkerSet::AdjustCeiling() {
  const uint32_t ceiling = std::min(target() + blocked(), limit_);
  engine_.idle.MoveCeiling(static_cast<int32_t>(ceiling) - static_cast<int32_t>(ceiling_));
  ceiling_ = ceiling;
}

uint32_t WorkerSet::Wanted() const {
  const uint32_t live = engine_.idle.Load().live();
  if (tuned()) return target();
  const uint32_t missing = start_failures_in_a_row_.load(kRelaxed) != 0 && engine_.HasTasks() ? 1 : 0;
  return live + missing;
}

void WorkerSet::BeginBlocked() {
  {
    MutexLock lock(ceiling_mu_);
    blocked_.store(blocked() + 1, kRelaxed);
    AdjustCeiling();
  }
  // The higher ceiling before the look for tasks; partner: the fence after a task is queued.
  engine_.quiet.Alert();
  if (engine_.HasTasks()) Help();
}

void WorkerSet::EndBlocked() {
  MutexLock lock(ceiling_mu_);
  blocked_.store(blocked() - 1, kRelaxed);
  AdjustCeiling();
}

void WorkerSet::ThreadEnds() {
  Engine& engine = engine_;
  engine.outside.retired.Add();
  const ThreadHandle self = CurrentThread();
  ThreadHandle previous = 0;
  bool join_previous = false;
  {
    MutexLock lock(mu_);
    if (detached_) {
      DetachThread(self);
    } else {
      join_previous = has_exited_;
      previous = exited_;
      exited_ = self;
      has_exited_ = true;
    }
  }
  // It is past this line itself, so this wait is short.
  if (join_previous) JoinThread(previous);
  // release: exited_ is seen by JoinAll.
  threads_.fetch_sub(1, kRelease);
  all_ended_.Notify();
  engine.unref(engine);
}

void WorkerSet::JoinAll() {
  (void)all_ended_.Await(kNever, [&] { return threads_.load(kAcquire) == 0; });
  ThreadHandle last = 0;
  bool join = false;
  {
    MutexLock lock(mu_);
    std::swap(join, has_exited_);
    last = exited_;
  }
  if (join) JoinThread(last);
}

void WorkerSet::DetachAll() {
  MutexLock lock(mu_);
  detached_ = true;
  if (has_exited_) DetachThread(exited_);
  has_exited_ = false;
}

void WorkerSet::DisturbAll() {
  for (uint32_t i = 0; i < size(); ++i) {
    if (Worker* worker = at(i)) worker->Disturb();
  }
}

}  // namespace workpool
