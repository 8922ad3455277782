// Group: a set of tasks that is waited for, and cancelled, as one.
// Threads:   all, any thread.
// Ownership: counted: the handle, and each member until it has left.
#pragma once

#include <cstdint>

#include "task/membership.h"
#include "task/task_details.h"

namespace workpool {

class Group {
 public:
  explicit Group(uint64_t pool) : pool_(pool) {}

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  uint64_t pool() const { return pool_; }
  Members& members() { return members_; }

  // Adds a task, which has details, before it is queued; takes a reference for it. False: the group was cancelled.
  [[nodiscard]] bool Add(TaskRecord& member);
  // Instead: it could not be queued.
  void Withdraw() { Leave(); }
  // The member has ended with its outcome and code; its result is about to be visible.
  void MemberOver(TaskRecord& member);

  [[nodiscard]] bool Empty() const { return (pending_.load(kAcquire) & ~kAwaited) == 0; }
  // Waits until no member is left. False: deadline_ns passed first.
  [[nodiscard]] bool Await(uint64_t deadline_ns);

  // Code of the member that failed first, or 0.
  [[nodiscard]] int32_t FirstCode() const { return first_code_.load(kRelaxed); }

 private:
  static constexpr uint32_t kAwaited = 1;  // the count is in steps of 2
  static constexpr uint32_t kOne = 2;

  void Leave();

  const uint64_t pool_;
  Atomic<uint32_t> refs_{1};
  Atomic<uint32_t> pending_{0};  // members that have not ended, times kOne, and kAwaited
  Atomic<int32_t> first_code_{0};
  Members members_;
};

}  // namespace workpool
