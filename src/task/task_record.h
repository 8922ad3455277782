// TaskRecord: a task that is more than a function and its argument.
//
//   kWaiting --Claim--> kClaimed --Finish--> kOver
//        ^                 |
//        +----Requeue------+        (another attempt)
//
// Whoever claims it (the worker that takes it from a queue, a waiter that runs it itself, a canceller, a deadline) is
// the only one to run or settle it. Its queue entry stays behind as a tombstone and is dropped when taken.
// While it is held (until its time comes, or behind another task) it lies in no queue; only who settles it may claim it.
// Threads:   Claim, AskStop, Await...: any thread.  Everything else: the claimer, unless said otherwise.
// Ownership: counted. One reference each for the queue entry, or whatever holds it, the ticket, an armed timer, and
//            whoever claims it elsewhere.
// Memory:    a plain task that waits for its time needs no details, and 88 bytes.
// Proof:     README.md.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/futex.h"
#include "task/entry.h"
#include "task/timer_wheel.h"

namespace workpool {

struct Engine;
struct TaskDetails;

// What is to happen when a task's timer is due.
enum class TimerRole : uint8_t {
  kStart,    // it is to be queued
  kExpire,   // it has waited too long
  kOverrun,  // it has run too long
};

class TaskRecord : public Entry, public Timer {
 public:
  enum Phase : uint32_t { kWaiting = 0, kClaimed = 1, kOver = 2, kPhaseMask = 3 };

  // nullptr: out of memory.
  [[nodiscard]] static TaskRecord* Make(bool detailed);

  // ---- constant once queued
  RunFn run = nullptr;
  DropFn drop = nullptr;
  void* arg = nullptr;
  Engine* engine = nullptr;
  uint64_t submit_ns = 0;
  int32_t priority = 0;
  bool timed = false;  // it may have an armed timer
  bool detailed = false;

  // ---- under the lock of the engine's timers
  TimerRole timer_role = TimerRole::kStart;

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  // What only some tasks have, or nullptr.
  TaskDetails* details() { return detailed ? reinterpret_cast<TaskDetails*>(this + 1) : nullptr; }
  const TaskDetails* details() const { return const_cast<TaskRecord*>(this)->details(); }

  [[nodiscard]] Phase phase() const {
    // acquire: whoever sees kOver sees the result.
    return static_cast<Phase>(state_.load(kAcquire) & kPhaseMask);
  }
  [[nodiscard]] bool IsWaiting() const { return phase() == kWaiting; }
  // True while no worker could take it. It tells of nothing else.
  [[nodiscard]] bool held() const { return (state_.load(kRelaxed) & kHeld) != 0; }

  // True: the caller now owns its fate. *was_held: it lay in no queue, so that no tombstone stays behind.
  [[nodiscard]] bool Claim(bool* was_held = nullptr) { return ClaimUnless(0, was_held); }
  // The same, but not while it is held: to run it.
  [[nodiscard]] bool ClaimQueued() { return ClaimUnless(kHeld, nullptr); }

  // Before it is shown to anybody: it lies in no queue yet.
  void BeginHeld() { state_.store(kHeld, kRelaxed); }
  // It is about to be queued. False: it was claimed meanwhile.
  [[nodiscard]] bool Unhold();
  // The queue had no room for it after all. False: it was claimed meanwhile, in the belief that it was queued.
  [[nodiscard]] bool HoldAgain();
  // The claimer lets it wait for another attempt, held. False: it was asked to stop; the caller settles it.
  [[nodiscard]] bool Requeue();

  // True: it runs, or is over. False: it waits, and could be claimed.
  bool AskStop();
  // It has run too long.
  void Overrun() { state_.fetch_or(kOverran, kRelaxed); }
  [[nodiscard]] bool overran() const { return (state_.load(kRelaxed) & kOverran) != 0; }
  [[nodiscard]] bool ShouldStop() const { return (state_.load(kRelaxed) & (kStopAsked | kOverran)) != 0; }
  [[nodiscard]] bool StopAsked() const { return (state_.load(kRelaxed) & kStopAsked) != 0; }

  // Makes the result visible and wakes who waits.
  void Finish();

  // Waits until it is over. False: deadline_ns passed first. to_run: or until it can be claimed by one who would run it.
  [[nodiscard]] bool Await(uint64_t deadline_ns, bool to_run = false);
  // From now on Finish tells the process-wide event of pool_wait_many. True: it is over already.
  [[nodiscard]] bool WatchByMany();

 private:
  static constexpr uint32_t kStopAsked = 4;
  static constexpr uint32_t kAwaited = 8;
  static constexpr uint32_t kWatchedByMany = 16;
  static constexpr uint32_t kHeld = 32;
  static constexpr uint32_t kOverran = 64;
  static constexpr uint32_t kAwaitedToRun = 128;

  TaskRecord() = default;
  ~TaskRecord() = default;

  [[nodiscard]] bool ClaimUnless(uint32_t flags, bool* was_held);

  Atomic<uint32_t> state_{kWaiting};
  Atomic<uint32_t> refs_{1};
};
static_assert(sizeof(void*) != 8 || sizeof(TaskRecord) == 88);

// Gives a reference back at the end of its scope.
class RecordReference {
 public:
  explicit RecordReference(TaskRecord& record) : record_(record) {}
  ~RecordReference() { record_.Unref(); }
  RecordReference(const RecordReference&) = delete;
  RecordReference& operator=(const RecordReference&) = delete;

 private:
  TaskRecord& record_;
};

// Told by every task that pool_wait_many watches.
class Event;
Event& AnyTaskOver();

}  // namespace workpool
