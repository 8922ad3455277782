// TaskRecord: a task with a ticket, a group, callbacks, or time stamps.
//
//   kQueued --Claim--> kClaimed --Finish--> kOver
//
// Whoever claims it (the worker that takes it from a queue, a waiter that runs it itself, a canceller) is
// the only one to run or settle it. Its queue entry stays behind as a tombstone and is dropped when taken.
// Threads:   Claim, AskStop, Await...: any thread.  Everything else: the claimer.
// Ownership: counted. One reference each for the queue entry, the ticket, and whoever claims it elsewhere.
// Proof:     README.md.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/futex.h"
#include "task/entry.h"

namespace workpool {

class Group;
struct Engine;

class TaskRecord : public Entry {
 public:
  enum Phase : uint32_t { kQueued = 0, kClaimed = 1, kOver = 2, kPhaseMask = 3 };

  // ---- constant once queued
  RunFn run = nullptr;
  DoneFn done = nullptr;
  DropFn drop = nullptr;
  void* arg = nullptr;
  Engine* engine = nullptr;
  uint64_t pool = 0;    // handle of the pool, for those who cannot be sure that it still lives
  Group* group = nullptr;  // owned reference
  uint64_t ticket = 0;
  uint64_t submit_ns = 0;
  char name[64] = {};

  // ---- written by the claimer, read by anyone once it is over
  int32_t outcome = 0;
  int32_t code = 0;
  uint32_t attempts = 0;
  int32_t worker = -1;
  uint64_t value = 0;
  uint64_t wait_ns = 0;
  uint64_t run_ns = 0;
  char text[256] = {};

  // ---- place in the group, under its lock
  enum Membership : uint8_t { kAdded, kOffered, kTaken };
  Membership membership = kAdded;
  TaskRecord* previous = nullptr;
  TaskRecord* next = nullptr;

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  [[nodiscard]] Phase phase() const {
    // acquire: whoever sees kOver sees the result.
    return static_cast<Phase>(state_.load(kAcquire) & kPhaseMask);
  }

  // True: the caller now owns its fate.
  [[nodiscard]] bool Claim();

  void AskStop() { state_.fetch_or(kStopAsked, kRelaxed); }
  [[nodiscard]] bool StopAsked() const { return (state_.load(kRelaxed) & kStopAsked) != 0; }

  // Makes the result visible and wakes who waits.
  void Finish();

  // Waits until it is over. False: deadline_ns passed first.
  [[nodiscard]] bool Await(uint64_t deadline_ns);
  // From now on Finish tells the process-wide event of pool_wait_many. True: it is over already.
  [[nodiscard]] bool WatchByMany();

  void CopyResult(pool_result_t* out) const;

 private:
  static constexpr uint32_t kStopAsked = 4;
  static constexpr uint32_t kAwaited = 8;
  static constexpr uint32_t kWatchedByMany = 16;

  Atomic<uint32_t> state_{kQueued};
  Atomic<uint32_t> refs_{1};
};

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
