// TaskClass: what tasks of one class share: how many may run at once, how often they start, how they are tried again.
// Threads: all, any thread; rules under the table's lock.
#pragma once

#include "dispatch/rate_limiter.h"
#include "task/gate.h"
#include "task/task_details.h"

namespace workpool {

struct TaskClass {
  TaskClass() : gate(0), rate(Rate{}) {}

  Gate gate;
  RateLimiter rate;
  Atomic<int32_t> on_rate{0};
  RetryRules retry;  // of tasks that bring none; written under the lock of Classes
};

// The classes of a pool, by number; made when first set.
class Classes {
 public:
  static constexpr uint32_t kMax = 255;

  ~Classes();
  // nullptr: out of memory.
  [[nodiscard]] TaskClass* Ensure(uint32_t id);
  // nullptr: there is none.
  [[nodiscard]] TaskClass* Find(uint32_t id) const { return classes_[id - 1].load(kAcquire); }
  [[nodiscard]] RetryRules RetryOf(const TaskClass& task_class) const;
  void SetRetry(TaskClass& task_class, const RetryRules& rules);

 private:
  mutable Mutex mu_;
  Atomic<TaskClass*> classes_[kMax] = {};
};

}  // namespace workpool
