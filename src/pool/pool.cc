#include "pool/pool.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "base/spin.h"
#include "base/thread.h"

namespace workpool {
namespace {

constexpr uint64_t kFlagsOfMode[] = {
    Census::kRefuseOutside,
    Census::kRefuseOutside | Census::kRefuseAll | Census::kCancelQueued,
    Census::kRefuseOutside | Census::kRefuseAll | Census::kCancelQueued | Census::kStopRunning,
};

// Before a thread sleeps until the pool is idle; a yield that finds nobody is about 0.3 us.
constexpr int kIdleYields = 20;

}  // namespace

Pool::Pool(const PoolOptions& options)
    : engine_(options.engine),
      policy_{options.on_full, options.on_rate, options.submit_timeout_ns},
      prestart_(options.prestart),
      live_options_(options.given) {
  engine_.owner = this;
  engine_.ref = [](Engine& engine) { static_cast<Pool*>(engine.owner)->Ref(); };
  engine_.try_ref = [](Engine& engine) {
    auto& refs = static_cast<Pool*>(engine.owner)->refs_;
    uint32_t count = refs.load(kRelaxed);
    while (count != 0) {
      if (refs.compare_exchange_weak(count, count + 1, kRelaxed, kRelaxed)) return true;
    }
    return false;
  };
  engine_.unref = [](Engine& engine) { static_cast<Pool*>(engine.owner)->Unref(); };
  engine_.call_scaler = [](Engine& engine) { return static_cast<Pool*>(engine.owner)->scaler_.load(kAcquire)->Call(); };
  engine_.follow_bounds = [](Engine& engine) { return static_cast<Pool*>(engine.owner)->FollowBounds(); };
  engine_.tell_bounds = [](Engine& engine, uint32_t before) { static_cast<Pool*>(engine.owner)->TellBounds(before); };
}

Pool::~Pool() { Delete(scaler_.load(kRelaxed)); }

Status Pool::Create(const pool_options_t& options, Budget* budget, Pool** out) {
  PoolOptions checked;
  const Status status = CheckOptions(options, &checked);
  if (status != POOL_OK) return status;
  Pool* pool = New<Pool>(checked);
  if (pool == nullptr) return POOL_E_NOMEM;
  if (!pool->engine_.dispatcher.Allocate() || !pool->engine_.workers.Allocate() ||
      pool->engine_.log.Open(checked.engine.name, checked.log_fn, checked.log_user,
                             checked.log_level) != POOL_OK) {
    pool->Unref();
    return POOL_E_NOMEM;
  }
  const Status scaled = pool->BeginScaling(options, budget);
  if (scaled != POOL_OK) {
    pool->Unref();
    return scaled;
  }
  *out = pool;
  return POOL_OK;
}

void Pool::SetHandle(pool_t handle, uint64_t line_slot) {
  engine_.log.Write(POOL_LOG_INFO, "created: %u to %u workers, queue limit %llu", engine_.options.workers_min,
                    engine_.options.workers_max, static_cast<unsigned long long>(engine_.options.dispatch.queue_limit));
  engine_.handle = handle;
  engine_.line_slot = line_slot;
}

Status Pool::Prestart() {
  if (engine_.watermarks.on() || engine_.watch.on()) {
    const Status status = engine_.timers.Start();
    if (status != POOL_OK) return status;
  }
  if (looks_first_) {
    const Status status = scaler_.load(kAcquire)->LookAgain();
    if (status != POOL_OK) return status;
  }
  if (prestart_ == 0 || engine_.workers.StartUpTo(prestart_)) return POOL_OK;
  return FailConst(POOL_E_THREAD, "options.prestart workers could not all be started");
}

void Pool::Unref() {
  while (refs_.fetch_sub(1, kAcqRel) == 1) {
    if (engine_.dispatcher.HasTasks()) {
      // Helpers of loops that ended long ago, or what was queued when its key became free. Its callbacks find a pool that
      // lives, and what they move on may start a worker, which ends it then.
      refs_.store(1, kRelaxed);
      DiscardInjected();
      continue;
    }
    engine_.timers.Stop(false);
    StopScaler(false);
    Delete(this);
    return;
  }
}

bool Pool::IsOwnThread() const {
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return false;
  const auto* worker = static_cast<const Worker*>(tls.worker);
  return (worker != nullptr && &worker->engine() == &engine_) || RunsTaskOf(tls, engine_);
}

Pool* Pool::OfWorker(Tls& tls, uint64_t handle) {
  const Worker* worker = CurrentWorker(tls);
  if (worker == nullptr || worker->engine().handle != handle) return nullptr;
  // A closing one refuses by its handle, or that has ended.
  return worker->engine().idle.Load().has(Census::kRefuseAll) ? nullptr : static_cast<Pool*>(worker->engine().owner);
}

Worker* Pool::ForeignWorker() const {
  Worker* worker = CurrentWorker(CurrentTls());
  return worker != nullptr && &worker->engine() != &engine_ ? worker : nullptr;
}

void Pool::DiscardInjected() {
  while (engine_.dispatcher.HasTasks()) {
    Slot slot;  // one at a time: its drop may end this thread
    if (engine_.dispatcher.Take(&slot, 1, 0, 1) == 1 || engine_.dispatcher.TakeOldest(&slot, 0)) {
      DiscardSlot(engine_, slot, POOL_CANCELLED, POOL_E_CLOSED);
    } else {
      YieldThread();  // a queue is locked by somebody who is not running
    }
  }
}

Status Pool::Close(int32_t mode, int64_t timeout_ns) {
  const bool own = IsOwnThread();
  if (own && timeout_ns != 0) {
    return FailConst(POOL_E_DEADLOCK,
                     "a task of the pool would wait for itself; use timeout_ns = 0, or close from outside");
  }
  const uint64_t deadline_ns = DeadlineAfter(timeout_ns);
  engine_.idle.SetFlags(kFlagsOfMode[mode]);
  Unpause();
  engine_.space_event.Notify();
  // Every submitter that had passed the gate has queued its task, or given up.
  WaitUntilUnused(engine_.line_slot);
  engine_.idle.SetFlags(Census::kStopWhenIdle);
  engine_.timers.Settle(mode == POOL_DRAIN ? Timers::Close::kPeriods : Timers::Close::kAll);
  if (mode != POOL_DRAIN) DiscardInjected();
  if (engine_.HasTasks()) engine_.workers.Help();
  engine_.TellIfIdle();
  if (!AwaitIdle(deadline_ns)) {
    return FailConst(POOL_E_TIMEOUT, "tasks are still running or queued; the pool goes on closing");
  }
  engine_.idle.SetFlags(Census::kRefuseAll | Census::kStop);
  engine_.idle.WakeAll();
  engine_.log.Write(POOL_LOG_INFO, "closed");
  return POOL_OK;
}

void Pool::JoinWorkers() {
  StoodInFor([this] {
    engine_.workers.JoinAll();
    engine_.timers.Stop(true);
    StopScaler(true);
  });
}

void Pool::Abandon() {
  engine_.idle.ChangeFlags(kFlagsOfMode[POOL_CANCEL_QUEUED] | Census::kStop, Census::kPaused);
  engine_.space_event.Notify();
  engine_.workers.DetachAll();
  // Before the drops, which may end this thread: then workers cancel the rest, and who waits looks again.
  engine_.idle.WakeAll();
  const Finally rest([&] {
    if (engine_.HasTasks() && engine_.idle.Load().live() == 0) (void)engine_.workers.StartOne(true);
    engine_.idle_event.Notify();
  });
  engine_.timers.Settle(Timers::Close::kAll);
  DiscardInjected();
}

Status Pool::Pause() {
  // At once: a pause that came after the close had begun could not be undone.
  if (engine_.idle.TrySetFlags(Census::kPaused, Census::kRefuseOutside)) return POOL_OK;
  return FailConst(POOL_E_CLOSED, "the pool is closing");
}

Status Pool::Resume() {
  if (engine_.idle.Load().has(Census::kRefuseOutside)) return FailConst(POOL_E_CLOSED, "the pool is closing");
  Unpause();
  return POOL_OK;
}

void Pool::Unpause() {
  engine_.idle.ClearFlags(Census::kPaused);
  // No longer paused before the look for tasks; partner: the fence after a task is queued, and that in Announce.
  engine_.quiet.Alert();
  if (engine_.HasTasks()) engine_.workers.Help();
}

bool Pool::AwaitIdle(uint64_t deadline_ns) {
  // While threads are refused and nobody lives who could try again, the waiter does, in slices of this length.
  constexpr uint64_t kSliceNs = 5'000'000;
  // Mostly the last task is just ending, on this CPU or on another one.
  for (int i = 0; i < SpinRounds(kIdleYields) && !engine_.IsIdle(); ++i) YieldThread();
  if (engine_.IsIdle()) return true;
  const BlockedScope blocked(ForeignWorker());
  for (;;) {
    const auto stranded = [&] { return engine_.idle.Load().live() == 0 && engine_.HasTasks(); };
    if (stranded()) (void)engine_.workers.StartOne(true);
    const uint64_t slice_ns = stranded() ? std::min(deadline_ns, NowNs() + kSliceNs) : deadline_ns;
    const bool over =
        engine_.idle_event.Await(slice_ns, [&] { return engine_.IsIdle() || stranded(); });
    if (engine_.IsIdle()) return true;
    if (NowNs() >= deadline_ns) return false;
    if (over) SleepNs(kSliceNs / 50);
  }
}

Status Pool::WaitIdle(uint64_t deadline_ns) {
  if (IsOwnThread()) {
    return FailConst(POOL_E_DEADLOCK, "a task of the pool would wait for itself");
  }
  if (AwaitIdle(deadline_ns)) return POOL_OK;
  return FailConst(POOL_E_TIMEOUT, "tasks are still running or queued");
}

Status Pool::AddHook(HookFn start, HookFn stop, void* user, uint64_t* id) {
  if (engine_.idle.Load().has(Census::kRefuseAll)) {
    return FailConst(POOL_E_CLOSED, "the pool is closing");
  }
  const Status status = engine_.hooks.Add(start, stop, user, id);
  // The change before Disturb; partner: the fence in Worker::Attend.
  FullFence();
  engine_.workers.DisturbAll();
  return status;
}

Status Pool::RemoveHook(uint64_t id) {
  if (IsOwnThread()) {
    return FailConst(POOL_E_DEADLOCK, "stop has to run on workers, and this is one; remove from outside");
  }
  if (!engine_.hooks.BeginRemove(id)) {
    return Fail(POOL_E_NOTFOUND, "no hook has id %llu", static_cast<unsigned long long>(id));
  }
  FullFence();
  engine_.workers.DisturbAll();
  engine_.idle.WakeAll();
  StoodInFor([&] { engine_.hooks.FinishRemove(id); });
  return POOL_OK;
}

Status Pool::Tune(uint32_t workers) {
  if (workers > engine_.options.workers_limit) {
    return Fail(POOL_E_INVALID, "workers = %u is above options.workers_limit = %u; use 0 for automatic",
                workers, engine_.options.workers_limit);
  }
  if (in_budget_) {
    return FailConst(POOL_E_INVALID, "the pool is in a budget, which sets its number; use pool_budget_set or workers_max");
  }
  if (engine_.idle.Load().has(Census::kRefuseOutside)) {
    return FailConst(POOL_E_CLOSED, "the pool is closing");
  }
  const uint32_t before = engine_.workers.target();
  const bool all = engine_.workers.Tune(workers);
  NoteTune(before, workers);
  if (engine_.idle.Load().has(Census::kStop)) return FailConst(POOL_E_CLOSED, "the pool has been closed meanwhile");
  if (all) return POOL_OK;
  return FailConst(POOL_E_THREAD, "not all workers could be started; the target stays");
}

}  // namespace workpool
