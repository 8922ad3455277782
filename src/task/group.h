// Group: a set of tasks that is waited for, and cancelled, as one. It knows its members, so that a waiter
// inside a task can run those that nobody has started, wherever they are queued.
// Threads:   all, any thread.
// Ownership: counted: the handle, and each member until it has left.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "task/task_record.h"

namespace workpool {

class Group {
 public:
  explicit Group(uint64_t pool) : pool_(pool) {}

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  uint64_t pool() const { return pool_; }

  // Adds a task before it is queued; takes a reference for it. False: the group was cancelled.
  [[nodiscard]] bool Add(TaskRecord& member);
  // It is queued: from now on ClaimOne finds it. False: the group was cancelled meanwhile, and the caller is to
  // claim and settle it. The caller holds a reference to it.
  [[nodiscard]] bool Offer(TaskRecord& member);
  // Instead: it could not be queued.
  void Withdraw() { Leave(); }
  // Called by TaskRecord::Claim.
  void MemberClaimed(TaskRecord& member);
  // The member has ended with this code; its result is about to be visible.
  void MemberOver(TaskRecord& member);

  // The newest member that nobody has started, claimed and with a reference for the caller; or nullptr.
  [[nodiscard]] TaskRecord* ClaimOne();

  // Refuses new members and asks running ones to stop; the caller then settles what ClaimOne gives it.
  void Cancel();

  [[nodiscard]] bool Empty() const { return (pending_.load(kAcquire) & ~kAwaited) == 0; }
  // Waits until no member is left. False: deadline_ns passed first.
  [[nodiscard]] bool Await(uint64_t deadline_ns);

  // Code of the member that failed first, or 0.
  [[nodiscard]] int32_t FirstCode() const { return first_code_.load(kRelaxed); }

 private:
  struct List {
    TaskRecord* newest = nullptr;
    void Push(TaskRecord& member);
    void Remove(TaskRecord& member);
  };
  static constexpr uint32_t kAwaited = 1;  // the count is in steps of 2
  static constexpr uint32_t kOne = 2;

  void Leave();

  const uint64_t pool_;
  Atomic<uint32_t> refs_{1};
  Atomic<uint32_t> pending_{0};  // members that have not ended, times kOne, and kAwaited
  Atomic<int32_t> first_code_{0};
  Mutex mu_;
  List queued_ ABSL_GUARDED_BY(mu_);
  List claimed_ ABSL_GUARDED_BY(mu_);
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace workpool
