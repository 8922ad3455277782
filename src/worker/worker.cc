#include "worker/worker.h"

#include <cxxabi.h>

#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "base/spin.h"
#include "base/thread.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/forking.h"
#include "worker/run_task.h"

namespace workpool {
namespace {

// A sleep shorter than this was not worth its wake-up.
constexpr uint64_t kShortSleepNs = 20'000;

}  // namespace

Worker::Worker(Engine& engine, uint32_t index)
    : engine_(engine),
      index_(index),
      idle_(engine.idle),
      plain_submits_(!engine.exact_limit && engine.own_queues),
      random_(index + 1), quiet_(engine.quiet, engine.idle) {}

void Worker::ThreadMain(void* memory) {
  Worker& worker = *static_cast<Worker*>(memory);
  char name[16];
  std::snprintf(name, sizeof(name), "%.10s/%u", worker.engine_.options.name, worker.index_ % 10000);
  SetThreadName(name);
  Tls& tls = CurrentTls();
  // Taken now, so that submits from here never have to.
  (void)CurrentLine(tls);
  tls.worker = &worker;
  worker.tls_ = &tls;
  worker.tid_.store(CurrentTid(), kRelaxed);
  if (worker.engine_.options.task_isolation != POOL_ISOLATION_NONE) worker.settings_.Save();
  worker.frame_ = MakeFrame(worker.engine_, &worker, nullptr, tls);
  tls.frame = &worker.frame_;
  tls.calm = &worker.calm_;
  worker.counted_ = true;
  worker.BeginSearch();
  worker.hooks_epoch_ = 0;
  worker.Disturb();
  Engine& engine = worker.engine_;
  try {
    engine.log.Write(POOL_LOG_DEBUG, "worker %u started", worker.index_);
    worker.Loop();
    worker.End(false);
  } catch (abi::__forced_unwind&) {
    worker.EndByUnwind();
    engine.TellIfIdle();
    engine.workers.ThreadEnds();
    throw;
  }
  engine.TellIfIdle();
  engine.workers.ThreadEnds();
}

// The fast path: a call and two counts.
[[gnu::always_inline]] inline void Worker::RunSimple(Slot slot) {
  AssertNoLocks();
  counters.started.Add();
  int32_t code;
  try {
    code = slot.run(slot.arg, &frame_);
  } catch (abi::__forced_unwind&) {
    counters.failed.Add();
    throw;
  } catch (...) {
    code = POOL_E_EXCEPTION;
  }
  if (code == 0) [[likely]] {
    counters.done.Add();
  } else {
    counters.failed.Add();
  }
}

void Worker::Loop() {
  for (;;) {
    if (RunOwn()) {
      Slot slot;
      if (FindTask(&slot)) {
        if (RunTaken(slot)) continue;
      } else if (!Calm()) {
        (void)Attend();
      }
    }
    if (!GoIdle()) return;
  }
}

// The worker's own tasks, newest first, until there is none, or it is time to be fair. A function of its own, with nothing
// in it that is rare, so that its variables stay in registers. False: the worker may not work now.
[[gnu::noinline]] bool Worker::RunOwn() {
  Slot slot;
  while (--until_fair_ != 0 && TryPop(&slot)) {
    if (Calm() && !searching_ && simple_ && !IsEntry(slot)) [[likely]] {
      RunSimple(slot);
    } else {
      place_ = {};
      if (!RunTaken(slot)) return false;
    }
  }
  return true;
}

// Runs slot, which was just taken. False: the worker may not work, and slot is back in a queue.
[[gnu::noinline]] bool Worker::RunTaken(Slot slot) {
  // A hook, or the log, that ends this thread leaves the task to others.
  const auto with_slot_safe = [&](auto step) {
    try {
      return step();
    } catch (abi::__forced_unwind&) {
      if (IsFork(slot)) {
        CancelStolenFork(slot);
      } else {
        MoveOut(slot, place_);
      }
      throw;
    }
  };
  const bool may_work = Calm() || with_slot_safe([&] { return Attend(); });
  if (!may_work && !TakeFork(&slot)) [[unlikely]] return false;
  if (!std::exchange(lanes_asked_, false) && lanes_press_) [[unlikely]] PreferLanes(&slot);
  if (searching_) [[unlikely]] with_slot_safe([&] { BeginWork(); });
  if (simple_ && !IsEntry(slot)) [[likely]] {
    RunSimple(slot);
  } else {
    Execute(slot);
    if (engine_.options.task_isolation != POOL_ISOLATION_NONE) [[unlikely]] PutBackSettings();
  }
  return true;
}

void Worker::PutBackSettings() {
  const char* changed = engine_.options.task_isolation == POOL_ISOLATION_FULL ? settings_.RestoreAll()
                                                                              : settings_.RestoreFloat();
  if (changed == nullptr) return;
  engine_.log.Write(POOL_LOG_DEBUG, "a task has changed the %s of worker %u; it was put back", changed, index_);
}

// slot was just taken, and something waits in a lane: if that goes first, slot goes back.
void Worker::PreferLanes(Slot* slot) {
  // A parent waits for a fork, and what comes from a lane is not to be put back there.
  Slot first;
  if (IsFork(*slot) || place_.priority != 0) return;
  const TaskPlace place = place_;
  if (!engine_.dispatcher.TakeFromLanes(&first, Dispatcher::Ordinary::kHere, lane_turn_, &place_)) return;
  (void)GaveRoom();
  if (!deque_.TryPush(*slot)) MoveOut(*slot, place);
  *slot = first;
}

// slot was just taken, and the worker may not work. A fork among its tasks it runs all the same: the parent runs
// already and waits for it. False: there is none, and all are back in an injection queue, so that no task lies in the
// deque of a sleeping worker; the announcement that follows makes others look.
bool Worker::TakeFork(Slot* slot) {
  do {
    if (IsFork(*slot)) return true;
    MoveOut(*slot, std::exchange(place_, {}));
  } while (TryPop(slot));
  return false;
}

// True: the worker may run a task.
bool Worker::Attend() {
  LeaveForkedChild(frame_);
  EndAnnouncedBlocks();
  const Census census = engine_.idle.Load();
  closing_ = census.has(Census::kCancelQueued);
  const bool may_work = !census.has(Census::kPaused) && !census.HasSurplus();
  // 0 is no census: what is not calm is looked at before every task.
  // Lanes: the same pattern as for hooks, below.
  const bool calm = may_work && !closing_ && !census.has(Census::kStartFailed);
  calm_.store(calm ? census.word() : 0, kRelaxed);
  const EngineOptions& options = engine_.options;
  simple_ = !closing_ && !engine_.exact_limit && options.drop == nullptr && !options.terminate_on_exception &&
            options.task_isolation == POOL_ISOLATION_NONE;
  // calm_ before the epoch; partner: the fence between a change of hooks and Disturb. Either we see the
  // change, or Disturb's 0 comes after our store.
  FullFence();
  // The same for a task in a lane; partner: the fence between its push and Disturb.
  lanes_press_ = engine_.dispatcher.LanesPress();
  if (lanes_press_) calm_.store(0, kRelaxed);
  const uint64_t epoch = engine_.hooks.epoch();
  // What a closing worker still takes is cancelled, not run, so no start is owed.
  if (epoch != hooks_epoch_ && !closing_) {
    hooks_epoch_ = epoch;
    engine_.hooks.CatchUp(hooks_started_, engine_.handle, static_cast<int32_t>(index_));
  }
  if (census.has(Census::kStartFailed)) engine_.workers.StartAgain();
  return may_work;
}

void EndBlocksOf(Frame& frame) {
  for (; frame.blocks > 0; --frame.blocks) {
    if (frame.worker != nullptr) (void)frame.worker->EndAnnouncedBlock();
  }
}

void Worker::BeginAnnouncedBlock() {
  // Before the next task it looks whether this one has ended them all.
  Disturb();
  if (announced_++ == 0) engine_.workers.BeginBlocked();
}

bool Worker::EndAnnouncedBlock() {
  if (announced_ == 0) return false;
  if (--announced_ == 0) engine_.workers.EndBlocked();
  return true;
}

void Worker::EndAnnouncedBlocks() {
  if (announced_ == 0) [[likely]] return;
  announced_ = 0;
  frame_.blocks = 0;
  engine_.workers.EndBlocked();
}

// The census counts it as searching from now on; deques are looked at only after this.
void Worker::BeginSearch() {
  searching_ = true;
  engine_.quiet.Alert();
}

void Worker::BeginWork() {
  busy_.store(true, kRelaxed);
  searching_ = false;
  engine_.idle.EndSearch();
  // No longer searching before the look at the queues; partner: the fence after a task is queued. Whoever saw
  // us searching left it to us to see his task and to find help for it.
  FullFence();
  if (engine_.watch.on() && engine_.watch.MustWake()) [[unlikely]] engine_.timers.WatchAgain();
  engine_.workers.PassOn();
}

bool Worker::GoIdle() {
  EndAnnouncedBlocks();
  busy_.store(false, kRelaxed);
  engine_.TellIfIdle();
  quiet_.Leave();
  engine_.idle.Announce(parker, searching_);
  if (!searching_) engine_.quiet.Alert();
  searching_ = false;
  const Census census = engine_.idle.Load();
  const bool work = !census.has(Census::kPaused) && census.up() < census.ceiling() && engine_.HasTasks();
  const bool hooks = engine_.hooks.epoch() != hooks_epoch_ && !closing_;
  const bool stop = census.has(Census::kStop) || (census.has(Census::kStopWhenIdle) && engine_.IsIdle());
  if (work || hooks || stop) {
    if (engine_.idle.Withdraw(parker)) {
      BeginSearch();
      if (!work && stop) {
        engine_.idle.EndSearch();
        engine_.idle.Leave();
        counted_ = false;
        searching_ = false;
        return false;
      }
      SpinPause();  // what it saw and did not find is in the hands of another worker, or of a submitter
      return true;
    }
  }
  // What a worker that may be up no longer has put back was in nobody's queue for a moment, and whoever queued a task while it
  // searched left it to it: if all that may be up are up, the scaler is to be told.
  if (!work && !census.MayAdd() && census.NeedsHelp() && engine_.HasTasks()) [[unlikely]] engine_.workers.CallScaler(false);
  // Above the target by hand: at once. Above the minimum: after its keep-alive. Else never.
  uint64_t deadline_ns = kNever;
  if (census.live() > engine_.workers.keep().load(kRelaxed)) {
    if (engine_.workers.exact()) {
      deadline_ns = 0;
    } else if (const uint64_t keep_alive_ns = engine_.keep_alive_ns.load(kRelaxed); keep_alive_ns != kNever) {
      deadline_ns = DeadlineAfter(static_cast<int64_t>(keep_alive_ns));
    }
  }
  counters.parks.Add();
  engine_.dispatcher.GiveBackMemory();
  const uint64_t sleep_ns = NowNs();
  if (engine_.idle.Sleep(parker, deadline_ns, engine_.workers.keep()) == SleepResult::kExpired) {
    engine_.workers.Relax();
    return !Expired();
  }
  // A longer search would have spared a short sleep; before a long one it only keeps a CPU from others, perhaps
  // from the thread that has just been told of a result.
  rounds_ = NowNs() - sleep_ns < kShortSleepNs ? kSearchRounds : 0;
  BeginSearch();
  return true;
}

// True: the worker ends; it is counted as neither live nor parked.
bool Worker::Expired() {
  counted_ = false;
  if (engine_.idle.Load().live() != 0) return true;
  // The last one. A submitter that saw it live may be about to queue a task without starting anybody: wait for
  // those, then look once more. Later ones see that nobody lives and start a worker themselves.
  WaitUntilUnused(engine_.line_slot, [this] { return engine_.idle.Load().live() != 0; });
  const Census census = engine_.idle.Load();
  if (census.live() != 0 || census.has(Census::kPaused | Census::kStop) || !engine_.HasTasks()) return true;
  engine_.idle.Return();
  counted_ = true;
  BeginSearch();
  return false;
}

void Worker::MoveOut(Slot slot, TaskPlace place) {
  // Without memory for the queue it is run here: late, but not lost.
  if (!engine_.dispatcher.PutBack(slot, index_, place)) Execute(slot);
}

void Worker::End(bool unwound) {
  // From here on an outsider, whose tasks go to the injection queues; but the frame stays: what would wait for this
  // thread, called by a hook or the log, is refused.
  tls_->worker = nullptr;
  tls_->calm = nullptr;
  frame_.worker = nullptr;
  engine_.hooks.StopAll(hooks_started_, engine_.handle, static_cast<int32_t>(index_), unwound);
  // Not on a thread that a task, or the log itself, has ended: as for stop.
  if (!unwound) engine_.log.Write(POOL_LOG_DEBUG, "worker %u ended", index_);
  tls_->frame = nullptr;
  engine_.workers.FreeSlot(*this);
}

void Worker::EndByUnwind() {
  Engine& engine = engine_;
  const bool counted = counted_;
  busy_.store(false, kRelaxed);
  for (Slot slot; TryPop(&slot);) {
    if (IsFork(slot)) {
      counters.cancelled.Add();  // its parent was unwound with this thread, and it lay in the parent's frame
    } else {
      MoveOut(slot, {});
    }
  }
  EndAnnouncedBlocks();
  if (searching_) engine.idle.EndSearch();
  searching_ = false;
  quiet_.Leave();
  End(true);
  if (!counted) return;  // it was at its end already when a stop hook, or the log, ended its thread
  engine.idle.Leave();
  engine.quiet.Alert();
  const bool tasks = engine.HasTasks();
  // A replacement, whether tasks wait or not: the pool keeps its strength. A closing pool needs one only for tasks.
  if (tasks || !engine.idle.Load().has(Census::kStop | Census::kCancelQueued)) {
    (void)engine.workers.StartOne(true);
  }
  // If threads are refused just now and nobody is left, this one tries for a while: it cannot go on itself.
  if (tasks && engine.idle.Load().live() == 0) (void)engine.workers.StartUpTo(1);
  if (engine.HasTasks()) engine.workers.Help();
}

void Worker::Help() { engine_.workers.Help(); }

void Worker::Execute(Slot slot) {
  if (IsEntry(slot)) {
    Entry& entry = EntryOf(slot);
    entry.kind->execute(entry, *this, closing_);
  } else if (closing_) {
    EndPlainUnrun(engine_, this, slot.arg, POOL_CANCELLED);
  } else {
    RunPlain(*this, slot);
  }
}

}  // namespace workpool
