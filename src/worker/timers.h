// Timers of one pool: its tasks that wait for their time, and the deadlines of those that wait or run. One wheel, turned by
// the process's service thread, so that it turns while all workers block.
// Threads:   all, any thread.
// Ownership: an armed timer holds a reference to its record. The pool ends only when no timer is armed.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"
#include "park/service.h"
#include "task/task_record.h"
#include "task/timer_wheel.h"

namespace workpool {

class Timers {
 public:
  explicit Timers(Engine& engine) : engine_(engine) {}
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Before the first timer. OK, THREAD, NOMEM.
  [[nodiscard]] Status Start();
  [[nodiscard]] bool started() const { return started_.load(kAcquire); }

  // The held record, and the caller's reference to it, wait until start_ns, or expire_ns if that comes first. False: the
  // pool was closed; the caller settles it.
  [[nodiscard]] bool Hold(TaskRecord& record, uint64_t start_ns, bool another_period = false);
  // The queued record is settled as expired at due_ns, if it still waits then.
  void WatchWait(TaskRecord& record, uint64_t due_ns);
  // The calling worker runs it: at due_ns it is asked to stop.
  void WatchRun(TaskRecord& record, uint64_t due_ns);
  // After it was claimed, and after it ran: no timer of it is armed.
  void Disarm(TaskRecord& record);

  // Somebody is to look at the queues then: a low lane will be due (dispatch/lanes.h), or a worker could not be started.
  void LookAtQueuesAt(uint64_t due_ns);
  // Those in line for tokens are to be let in then. False: the pool is closed to them.
  [[nodiscard]] bool AdmitAt(uint64_t due_ns);
  // A worker has begun to work while the watch slept.
  void WatchAgain();

  enum class Close { kPeriods, kAll };
  // From now on Hold refuses periods, or everything; what it holds of that is settled.
  void Settle(Close what);

  // The pool has ended. wait: no thread of it is left on return.
  void Stop(bool wait);

 private:
  // What a turn may do.
  enum class Due { kLook, kWatch, kTokens, kTimer };
  // Timers that one turn acts on: then the service looks after other pools.
  static constexpr uint32_t kTimersAtOnce = 1024;

  static uint64_t Turn(void* timers);
  void LookNow();
  void WatchNow();
  void AdmitNow();
  void Act(TaskRecord& record, TimerRole role);
  void Arm(TaskRecord& record, TimerRole role, uint64_t due_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // When there is something to do.
  [[nodiscard]] uint64_t NextNs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // After a change: when the service is to be told to come, or kNever if it comes soon enough.
  [[nodiscard]] uint64_t Earlier() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tell(uint64_t due_ns);

  Engine& engine_;
  ServiceClient client_;
  Service* service_ = nullptr;  // constant once started
  Mutex mu_;
  TimerWheel* wheel_ ABSL_GUARDED_BY(mu_) = nullptr;
  uint64_t earliest_ns_ ABSL_GUARDED_BY(mu_) = kNever;
  uint64_t look_ns_ ABSL_GUARDED_BY(mu_) = kNever;
  uint64_t watch_ns_ ABSL_GUARDED_BY(mu_) = kNever;   // when the engine's watch is to look
  uint64_t tokens_ns_ ABSL_GUARDED_BY(mu_) = kNever;  // when somebody in line will have a token
  bool periods_over_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  Atomic<bool> started_{false};
};

}  // namespace workpool
