#include "worker/timers.h"

#include <algorithm>

#include "base/clock.h"
#include "base/finally.h"
#include "base/memory.h"
#include "task/task_details.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/look_after.h"
#include "worker/moving.h"
#include "worker/other_thread.h"
#include "worker/settle.h"

namespace workpool {
namespace {

void TellWatermarks(Engine& engine) {
  bool above = false;
  if (!engine.watermarks.on()) return;
  // Who noted a number may have done so late, when it was another one already.
  (void)engine.watermarks.Note(engine.dispatcher.limit().waiting());
  if (!engine.watermarks.Take(&above)) return;
  CallOut([&] {
    engine.options.watermark(engine.options.watermark_user, engine.handle, above ? 1 : 0,
                             engine.dispatcher.limit().waiting());
  });
}

TaskRecord& RecordOf(Timer& timer) { return static_cast<TaskRecord&>(timer); }

}  // namespace

Timers::~Timers() { Delete(wheel_); }

Status Timers::Start() {
  // acquire: pairs with the release below; who sees it started sees the wheel and the service.
  if (started_.load(kAcquire)) return POOL_OK;
  MutexLock lock(mu_);
  if (started_.load(kRelaxed)) return POOL_OK;
  if (wheel_ == nullptr) wheel_ = New<TimerWheel>(NowNs());
  service_ = Service::OfProcess();
  if (wheel_ == nullptr || service_ == nullptr) return POOL_E_NOMEM;
  client_.call = &Turn;
  client_.owner = this;
  const Status status = service_->Add(client_);
  if (status != POOL_OK) return status;
  started_.store(true, kRelease);
  if (engine_.watch.on()) {
    watch_ns_ = NowNs() + engine_.watch.period_ns();
    Tell(Earlier());
  }
  return POOL_OK;
}

uint64_t Timers::NextNs() const { return std::min({wheel_->NextNs(), look_ns_, watch_ns_, tokens_ns_}); }

uint64_t Timers::Earlier() {
  const uint64_t next_ns = NextNs();
  if (next_ns >= earliest_ns_) return kNever;
  earliest_ns_ = next_ns;
  return next_ns;
}

void Timers::Tell(uint64_t due_ns) {
  if (due_ns != kNever) service_->CallAt(client_, due_ns);
}

void Timers::Arm(TaskRecord& record, TimerRole role, uint64_t due_ns) {
  record.timer_role = role;
  wheel_->Add(record, std::min(due_ns, kNever - 1));
}

bool Timers::Hold(TaskRecord& record, uint64_t start_ns, bool another_period) {
  const TaskDetails* details = record.details();
  const uint64_t expire_ns = details != nullptr ? details->expire_ns : kNever;
  const uint64_t due_ns = std::min(start_ns, expire_ns);
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    if (closed_ || (periods_over_ && another_period)) return false;
    // Claimed meanwhile: whoever did has looked for its timer, or will do so after this.
    if (!record.IsWaiting()) {
      record.Unref();
      return true;
    }
    // Its expiry was watched on its way to a queue, which found no memory for it.
    if (wheel_->Remove(record)) record.Unref();
    Arm(record, expire_ns < start_ns ? TimerRole::kExpire : TimerRole::kStart, due_ns);
    tell_ns = Earlier();
  }
  Tell(tell_ns);
  return true;
}

void Timers::WatchWait(TaskRecord& record, uint64_t due_ns) {
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    if (!record.IsWaiting() || record.armed()) return;  // as in Hold
    record.Ref();
    Arm(record, TimerRole::kExpire, due_ns);
    tell_ns = Earlier();
  }
  Tell(tell_ns);
}

void Timers::WatchRun(TaskRecord& record, uint64_t due_ns) {
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    record.Ref();
    Arm(record, TimerRole::kOverrun, due_ns);
    tell_ns = Earlier();
  }
  Tell(tell_ns);
}

void Timers::Disarm(TaskRecord& record) {
  {
    MutexLock lock(mu_);
    if (!wheel_->Remove(record)) return;
  }
  record.Unref();
}

void Timers::LookAtQueuesAt(uint64_t due_ns) {
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    look_ns_ = std::min(look_ns_, due_ns);
    tell_ns = Earlier();
  }
  Tell(tell_ns);
}

bool Timers::AdmitAt(uint64_t due_ns) {
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    if (closed_) return false;
    tokens_ns_ = std::min(tokens_ns_, due_ns);
    tell_ns = Earlier();
  }
  Tell(tell_ns);
  return true;
}

void Timers::WatchAgain() {
  uint64_t tell_ns;
  {
    MutexLock lock(mu_);
    watch_ns_ = std::min(watch_ns_, NowNs() + engine_.watch.period_ns());
    tell_ns = Earlier();
  }
  Tell(tell_ns);
}

uint64_t Timers::Turn(void* memory) {
  auto& timers = *static_cast<Timers*>(memory);
  Engine& engine = timers.engine_;
  // User code that runs here may give the pool up.
  if (!engine.try_ref(engine)) return kNever;
  struct Reference {
    Engine& engine;
    ~Reference() { engine.unref(engine); }
  } reference{engine};
  // Everything but timers once a turn: what takes long holds up neither those nor other pools.
  bool looked = false;
  bool watched = false;
  bool admitted = false;
  for (uint32_t acted = 0;;) {
    TaskRecord* record = nullptr;
    TimerRole role = TimerRole::kStart;
    Due due = Due::kTimer;
    {
      MutexLock lock(timers.mu_);
      const uint64_t now_ns = NowNs();
      if (!looked && timers.look_ns_ <= now_ns) {
        timers.look_ns_ = kNever;
        looked = true;
        due = Due::kLook;
      } else if (!watched && timers.watch_ns_ <= now_ns) {
        timers.watch_ns_ = kNever;
        watched = true;
        due = Due::kWatch;
      } else if (!admitted && timers.tokens_ns_ <= now_ns) {
        timers.tokens_ns_ = kNever;
        admitted = true;
        due = Due::kTokens;
      } else if (Timer* timer = acted < kTimersAtOnce ? timers.wheel_->TakeDue(now_ns) : nullptr) {
        ++acted;
        record = &RecordOf(*timer);
        role = record->timer_role;
        // Under the lock: when the worker has disarmed the timer, it is too late for this attempt.
        if (role == TimerRole::kOverrun) record->Overrun();
      } else {
        timers.earliest_ns_ = timers.NextNs();
        return timers.earliest_ns_;
      }
    }
    switch (due) {
      case Due::kLook: timers.LookNow(); break;
      case Due::kWatch: timers.WatchNow(); break;
      case Due::kTokens: timers.AdmitNow(); break;
      case Due::kTimer: timers.Act(*record, role); break;
    }
  }
}

void Timers::LookNow() {
  TellWatermarks(engine_);
  LookAtQueues(engine_);
  // It may have come for one lane, while another will be due later.
  const Lanes& lanes = engine_.dispatcher.lanes();
  for (int32_t priority = lanes.lowest(); priority < 0; ++priority) engine_.WatchLane(priority);
}

void Timers::WatchNow() {
  bool busy = true;  // also if user code ends this thread
  const Finally again([&] {
    if (!busy) return;  // then a worker says so, perhaps already has
    MutexLock lock(mu_);
    // From now: a look may take longer than a period.
    watch_ns_ = std::min(watch_ns_, NowNs() + engine_.watch.period_ns());
  });
  busy = engine_.watch.Look();
}

void Timers::AdmitNow() {
  const uint64_t next_ns = AdmitByRate(engine_);
  MutexLock lock(mu_);
  tokens_ns_ = std::min(tokens_ns_, next_ns);
}

void Timers::Act(TaskRecord& record, TimerRole role) {
  switch (role) {
    case TimerRole::kStart:
      // In the queue it may still expire, though all workers block.
      if (const TaskDetails* details = record.details(); details != nullptr && details->expire_ns != kNever) {
        WatchWait(record, details->expire_ns);
      }
      MoveOn(engine_, record);
      return;
    case TimerRole::kExpire: {
      const RecordReference reference(record);
      bool was_held = false;
      if (!record.Claim(&was_held)) return;
      engine_.ClaimedElsewhere(was_held);
      EndUnfinished(record, nullptr, POOL_EXPIRED, POOL_E_EXPIRED);
      return;
    }
    case TimerRole::kOverrun:
      record.Unref();
      return;
  }
}

void Timers::Settle(Close what) {
  // Claimed under the lock, so that nobody arms them again and they can be linked by their timers; ended without it.
  struct Doomed {
    Timer* first = nullptr;
    bool was_held;
  } doomed[2] = {{.was_held = false}, {.was_held = true}};
  {
    MutexLock lock(mu_);
    periods_over_ = true;
    if (what == Close::kAll) closed_ = true;
    if (wheel_ == nullptr) return;
    Timer* kept = nullptr;
    const uint64_t now_ns = NowNs();
    while (Timer* timer = wheel_->TakeAny()) {
      TaskRecord& record = RecordOf(*timer);
      const TaskDetails* details = record.details();
      // One whose time has come, and who waits for its turn or a token, has this run. (Nobody writes start_ns while a held
      // record is in the wheel; it came there under this lock.)
      const auto waits_for_period = [&] {
        return details != nullptr && details->period_ns != 0 && details->start_ns > now_ns;
      };
      const bool ends = record.held() && (what == Close::kAll || waits_for_period());
      bool was_held = false;
      Timer*& list = ends && record.Claim(&was_held) ? doomed[was_held].first : kept;
      timer->next = list;
      list = timer;
    }
    while (kept != nullptr) {
      Timer& timer = *kept;
      kept = timer.next;
      wheel_->Add(timer, timer.due_ns);
    }
  }
  // First: a drop may end this thread.
  if (what == Close::kAll) OpenLines(engine_);
  ThoughThreadsEnd(engine_, [&] {
    for (Doomed& list : doomed) {
      while (list.first != nullptr) {
        TaskRecord& record = RecordOf(*list.first);
        list.first = list.first->next;
        const RecordReference reference(record);
        engine_.ClaimedElsewhere(list.was_held);
        EndUnfinished(record, nullptr, POOL_CANCELLED, POOL_E_CLOSED);
      }
    }
  });
}

void Timers::Stop(bool wait) {
  if (started_.load(kAcquire)) service_->Remove(client_, wait);
}

}  // namespace workpool
