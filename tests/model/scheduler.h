// The virtual machine's threads: which exist, which may run, who sleeps on what, and the virtual
// clock. One schedule is one call of Run. A thread runs without interruption from one point (an
// operation on shared memory, a futex call, a spin) to the next.
#pragma once

#include <cstdint>

#include "base/thread_line.h"
#include "model/fiber.h"
#include "model/options.h"
#include "model/strategy.h"

namespace workpool::model {

// True while a virtual thread runs; else atomics are plain variables.
extern bool g_running;

// Ends the schedule as failed. Does not return to the virtual thread that calls it.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

enum class WakeReason { kWoken, kTimeout };

class Scheduler {
 public:
  // Runs body(arg) as thread 0 until all threads have ended. False: the schedule failed, see
  // failure().
  bool Run(const Options& options, void (*body)(void*), void* arg);
  const char* failure() const { return failure_; }

  // ---- for virtual threads ----
  uint32_t current() const { return current_; }
  // A point: another thread may run first.
  void Point() {
    if (++steps_ > options_->steps_max) FailEndless();
    if (++slice_ > kSlice) EndSlice();
    Go(true);
  }
  // Something was written: spinning threads have reason to look again.
  void MarkProgress() {
    spinning_ = 0;
    idle_rounds_ = 0;
  }
  void Spin();
  // Sleeps until Wake(address) or the deadline; address nullptr: until the deadline only.
  WakeReason Sleep(const void* address, uint64_t deadline_ns);
  void Wake(const void* address, int count);
  uint64_t Now();

  // Handle of the new thread, or 0 if this start is made to fail.
  uint64_t Start(void (*body)(void*), void* arg, bool may_fail);
  void Join(uint64_t handle);
  void Detach(uint64_t handle);
  uint64_t Handle() const;
  int32_t Tid() const { return kFirstTid + static_cast<int32_t>(current_); }
  bool IsAlive(int32_t tid);
  Tls& tls() { return threads_[current_].tls; }
  const char* stack_base() const { return threads_[current_].fiber.stack_base(); }
  bool IsOnStack(const void* address) const;  // of any thread

  // Takes one from the budget of spurious events if there is one left and the strategy wants it.
  bool InjectSpurious();
  // Reads of old values that this schedule may still make.
  int stale_reads_left() const { return stale_reads_left_; }
  void CountStaleRead() { --stale_reads_left_; }

  const Options& options() const { return *options_; }
  uint32_t steps() const { return steps_; }
  uint32_t thread_count() const { return thread_count_; }
  [[noreturn]] void Abandon();  // back to Run, failed
  char* failure_buffer() { return failure_; }

  static constexpr size_t kFailureBytes = 512;

 private:
  static constexpr int32_t kFirstTid = 1000;
  // Operations that a thread may do while others could run: then its time slice is over, as under
  // any operating system. A loop that waits for another thread without a pause ends by this.
  static constexpr uint32_t kSlice = 1000;
  static constexpr uint32_t kNobody = kThreadsMax;

  struct Thread {
    Fiber fiber;
    Tls tls;
    void (*body)(void*) = nullptr;
    void* arg = nullptr;
    uint64_t handle = 0;            // number of starts so far and index of the thread
    const void* address = nullptr;  // sleeps on
    uint64_t deadline_ns = 0;       // of the sleep; kNever
    WakeReason reason = WakeReason::kWoken;
    uint32_t joins = kNobody;  // waits for the end of
    bool sleeps = false;
    bool alive = false;
    bool owned = false;  // neither joined nor detached
  };

  static constexpr uint32_t Bit(uint32_t thread) { return 1u << thread; }
  static void Main();  // of each fiber
  [[noreturn]] void FailEndless();
  void EndSlice();
  void Go(bool can_go_on);
  uint32_t Next(bool can_go_on);
  void End();
  void MakeRunnable(Thread& thread, WakeReason reason);
  void ExpireSleeps();
  uint64_t NearestDeadline() const;
  [[noreturn]] void FailStuck();
  Thread& Find(uint64_t handle);

  const Options* options_ = nullptr;
  Fiber driver_;
  Thread threads_[kThreadsMax];
  uint32_t thread_count_ = 0;  // indices used in this schedule
  uint32_t current_ = 0;
  uint32_t runnable_ = 0;
  uint32_t spinning_ = 0;  // wait for a change made by another
  uint32_t timed_ = 0;     // sleep with a deadline
  uint32_t idle_rounds_ = 0;
  uint32_t steps_ = 0;
  uint32_t slice_ = 0;
  uint32_t last_spinner_ = 0;
  uint64_t now_ns_ = 0;
  int spurious_left_ = 0;
  int early_timeouts_left_ = 0;
  int start_failures_left_ = 0;
  int stale_reads_left_ = 0;
  bool failed_ = false;
  char failure_[kFailureBytes] = {};
};

extern Scheduler g_scheduler;

}  // namespace workpool::model
