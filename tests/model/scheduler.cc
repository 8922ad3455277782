#include "model/scheduler.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "base/futex.h"
#include "model/memory_model.h"
#include "model/trace.h"

namespace workpool::model {

bool g_running = false;
Scheduler g_scheduler;

namespace {

constexpr uint64_t kStartNs = 1'000'000'000'000;
// What looking at the clock or one round of a spin takes.
constexpr uint64_t kTickNs = 100;
// Rounds in which every runnable thread has spun and nothing was written: past them nothing will
// change but the time. More than any bounded spin of the library.
constexpr uint32_t kIdleRoundsMax = 1000;

}  // namespace

void Fail(const char* format, ...) {
  g_running = false;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(g_scheduler.failure_buffer(), Scheduler::kFailureBytes, format, arguments);
  va_end(arguments);
  g_scheduler.Abandon();
}

bool Scheduler::Run(const Options& options, void (*body)(void*), void* arg) {
  options_ = &options;
  for (Thread& thread : threads_) thread.alive = thread.owned = thread.sleeps = false;
  thread_count_ = 0;
  runnable_ = spinning_ = timed_ = 0;
  idle_rounds_ = steps_ = slice_ = last_spinner_ = 0;
  now_ns_ = kStartNs;
  spurious_left_ = options.spurious;
  early_timeouts_left_ = options.early_timeouts;
  start_failures_left_ = options.start_failures;
  stale_reads_left_ = options.stale_reads_total;
  failed_ = false;
  failure_[0] = '\0';
  g_strategy.BeginSchedule();
  g_memory.BeginSchedule();
  current_ = 0;
  Start(body, arg, false);
  threads_[0].owned = false;
  g_running = true;
  Fiber::Switch(driver_, threads_[0].fiber);
  g_running = false;
  return !failed_;
}

void Scheduler::Abandon() {
  failed_ = true;
  // Never continued, but Switch wants a place to save to.
  Fiber::Switch(threads_[current_].fiber, driver_);
  __builtin_unreachable();
}

void Scheduler::FailEndless() {
  Fail("the schedule does not end: more than %u operations", options_->steps_max);
}

void Scheduler::FailStuck() {
  char who[256] = "";
  for (uint32_t i = 0, used = 0; i < thread_count_; ++i) {
    const Thread& thread = threads_[i];
    if (!thread.alive || used >= sizeof(who)) continue;
    used += static_cast<uint32_t>(std::snprintf(who + used, sizeof(who) - used, "%s%u %s",
                                                used == 0 ? "" : ", ", i,
                                                thread.joins != kNobody ? "joins" : "sleeps"));
  }
  if (threads_[0].alive) Fail("deadlock or lost wake-up: all threads are parked (%s)", who);
  Fail("the test is over, but threads are left parked for ever (%s)", who);
}

// ---- who runs --------------------------------------------------------------------------------

void Scheduler::Go(bool can_go_on) {
  const uint32_t next = Next(can_go_on);
  if (next == current_) return;
  slice_ = 0;
  const uint32_t last = current_;
  current_ = next;
  Fiber::Switch(threads_[last].fiber, threads_[next].fiber);
}

uint32_t Scheduler::Next(bool can_go_on) {
  for (;;) {
    if (timed_ != 0) ExpireSleeps();
    uint32_t mask = runnable_ & ~spinning_;
    if (mask == 0 && runnable_ != 0) {
      // All spin. In turn, so that each gets on with its bounded spin; then time passes.
      if (++idle_rounds_ > kIdleRoundsMax) {
        const uint64_t nearest = NearestDeadline();
        if (nearest == kNever) Fail("livelock: all threads spin, nothing changes");
        now_ns_ = std::max(now_ns_, nearest);
        idle_rounds_ = 0;
        continue;
      }
      const uint32_t later = runnable_ & ~((Bit(last_spinner_) << 1) - 1);
      last_spinner_ = static_cast<uint32_t>(__builtin_ctz(later != 0 ? later : runnable_));
      spinning_ &= ~Bit(last_spinner_);
      return last_spinner_;
    }
    if (mask == 0) {
      const uint64_t nearest = NearestDeadline();
      if (nearest == kNever) FailStuck();
      now_ns_ = std::max(now_ns_, nearest);
      continue;
    }

    Alternatives alternatives;
    if (can_go_on && (mask & Bit(current_)) != 0) {
      alternatives.can_go_on = true;
      alternatives.thread[alternatives.threads++] = static_cast<uint8_t>(current_);
      mask &= ~Bit(current_);
    }
    for (; mask != 0; mask &= mask - 1) {
      alternatives.thread[alternatives.threads++] = static_cast<uint8_t>(__builtin_ctz(mask));
    }
    uint8_t sleepers[kThreadsMax];
    uint32_t sleeper_count = 0;
    if (spurious_left_ > 0) {
      for (uint32_t i = 0; i < thread_count_; ++i) {
        if (threads_[i].sleeps && threads_[i].address != nullptr) {
          sleepers[sleeper_count++] = static_cast<uint8_t>(i);
        }
      }
    }
    const bool may_expire = early_timeouts_left_ > 0 && timed_ != 0;
    alternatives.events = sleeper_count + (may_expire ? 1 : 0);

    const uint32_t pick = g_strategy.ChooseThread(alternatives, steps_);
    if (pick < alternatives.threads) return alternatives.thread[pick];
    const uint32_t event = pick - alternatives.threads;
    if (event < sleeper_count) {
      --spurious_left_;
      MODEL_TRACE("thread %u wakes spuriously", sleepers[event]);
      MakeRunnable(threads_[sleepers[event]], WakeReason::kWoken);
    } else {
      --early_timeouts_left_;
      now_ns_ = std::max(now_ns_, NearestDeadline());
      MODEL_TRACE("time passes up to the nearest deadline");
    }
  }
}

void Scheduler::Spin() {
  if (++steps_ > options_->steps_max) FailEndless();
  now_ns_ += kTickNs;
  spinning_ |= Bit(current_);
  g_strategy.ThreadWaits(current_);
  Go(true);
}

void Scheduler::EndSlice() {
  slice_ = 0;
  spinning_ = Bit(current_);
  g_strategy.ThreadWaits(current_);
}

bool Scheduler::InjectSpurious() {
  if (spurious_left_ == 0 || g_strategy.Choose(2) == 0) return false;
  --spurious_left_;
  return true;
}

// ---- sleep and time --------------------------------------------------------------------------

uint64_t Scheduler::Now() {
  now_ns_ += kTickNs;
  return now_ns_;
}

WakeReason Scheduler::Sleep(const void* address, uint64_t deadline_ns) {
  if (deadline_ns != kNever && deadline_ns <= now_ns_) return WakeReason::kTimeout;
  Thread& self = threads_[current_];
  self.address = address;
  self.deadline_ns = deadline_ns;
  self.sleeps = true;
  runnable_ &= ~Bit(current_);
  if (deadline_ns != kNever) timed_ |= Bit(current_);
  MarkProgress();
  Go(false);
  return self.reason;
}

void Scheduler::MakeRunnable(Thread& thread, WakeReason reason) {
  const uint32_t bit = Bit(static_cast<uint32_t>(&thread - threads_));
  thread.sleeps = false;
  thread.reason = reason;
  runnable_ |= bit;
  timed_ &= ~bit;
}

void Scheduler::ExpireSleeps() {
  for (uint32_t mask = timed_; mask != 0; mask &= mask - 1) {
    Thread& thread = threads_[__builtin_ctz(mask)];
    if (thread.deadline_ns <= now_ns_) MakeRunnable(thread, WakeReason::kTimeout);
  }
}

uint64_t Scheduler::NearestDeadline() const {
  uint64_t nearest = kNever;
  for (uint32_t mask = timed_; mask != 0; mask &= mask - 1) {
    nearest = std::min(nearest, threads_[__builtin_ctz(mask)].deadline_ns);
  }
  return nearest;
}

void Scheduler::Wake(const void* address, int count) {
  for (; count > 0; --count) {
    uint8_t sleepers[kThreadsMax];
    uint32_t n = 0;
    for (uint32_t i = 0; i < thread_count_; ++i) {
      if (threads_[i].sleeps && threads_[i].address == address)
        sleepers[n++] = static_cast<uint8_t>(i);
    }
    if (n == 0) return;
    // If all are woken the order is nobody's business.
    const uint32_t pick = static_cast<uint32_t>(count) >= n ? 0 : g_strategy.Choose(n);
    MakeRunnable(threads_[sleepers[pick]], WakeReason::kWoken);
    MarkProgress();
  }
}

// ---- life of threads -------------------------------------------------------------------------

uint64_t Scheduler::Start(void (*body)(void*), void* arg, bool may_fail) {
  if (may_fail && start_failures_left_ > 0 && g_strategy.Choose(2) == 1) {
    --start_failures_left_;
    return 0;
  }
  // The lowest free index, so that kernel ids are used again soon, as in the worst case of a
  // kernel.
  uint32_t index = 0;
  while (index < thread_count_ && (threads_[index].alive || threads_[index].owned)) ++index;
  if (index == kThreadsMax) Fail("more than %u threads", kThreadsMax);
  const bool reused = index < thread_count_;
  if (!reused) {
    ++thread_count_;
    threads_[index].handle = 0;
  }
  Thread& thread = threads_[index];
  thread.handle = ((thread.handle >> 8) + 1) << 8 | index;
  thread.tls = Tls();
  thread.body = body;
  thread.arg = arg;
  thread.joins = kNobody;
  thread.alive = thread.owned = true;
  thread.fiber.Prepare(Main);
  thread.tls.stack_base = thread.fiber.stack_base();
  g_memory.StartThread(current_, index, reused);
  g_strategy.ThreadStarted(index);
  runnable_ |= Bit(index);
  MarkProgress();
  return thread.handle;
}

void Scheduler::Main() {
  Thread& self = g_scheduler.threads_[g_scheduler.current_];
  self.body(self.arg);
  g_scheduler.End();
}

void Scheduler::End() {
  Thread& self = threads_[current_];
  self.alive = false;
  runnable_ &= ~Bit(current_);
  MarkProgress();
  bool any = false;
  for (uint32_t i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[i];
    any = any || thread.alive;
    if (thread.alive && thread.joins == current_) runnable_ |= Bit(i);
  }
  if (any) {
    Go(false);
  } else {
    for (uint32_t i = 0; i < thread_count_; ++i) {
      if (threads_[i].owned) Fail("thread %u was neither joined nor detached", i);
    }
    Fiber::Switch(self.fiber, driver_);
  }
}

Scheduler::Thread& Scheduler::Find(uint64_t handle) {
  Thread& thread = threads_[handle & (kThreadsMax - 1)];
  if (thread.handle != handle || !thread.owned) Fail("a thread is joined or detached twice");
  return thread;
}

void Scheduler::Join(uint64_t handle) {
  Point();
  Thread& thread = Find(handle);
  if (thread.alive) {
    threads_[current_].joins = static_cast<uint32_t>(handle & (kThreadsMax - 1));
    runnable_ &= ~Bit(current_);
    MarkProgress();
    Go(false);
    threads_[current_].joins = kNobody;
  }
  thread.owned = false;
  g_memory.JoinThread(current_, static_cast<uint32_t>(&thread - threads_));
}

void Scheduler::Detach(uint64_t handle) { Find(handle).owned = false; }

uint64_t Scheduler::Handle() const { return threads_[current_].handle; }

bool Scheduler::IsOnStack(const void* address) const {
  for (uint32_t i = 0; i < thread_count_; ++i) {
    const char* base = threads_[i].fiber.stack_base();
    if (static_cast<const char*>(address) - base < static_cast<ptrdiff_t>(kFiberStackBytes) &&
        address >= base) {
      return true;
    }
  }
  return false;
}

bool Scheduler::IsAlive(int32_t tid) {
  Point();
  const uint32_t index = static_cast<uint32_t>(tid - kFirstTid);
  if (index >= thread_count_) return false;
  if (threads_[index].alive) return true;
  // What the kernel reports as gone has done all it did.
  g_memory.JoinThread(current_, index);
  return false;
}

}  // namespace workpool::model
