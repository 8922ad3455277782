#include "dispatch/task_class.h"

#include "base/memory.h"

namespace workpool {

Classes::~Classes() {
  for (auto& place : classes_) Delete(place.load(kRelaxed));
}

TaskClass* Classes::Ensure(uint32_t id) {
  MutexLock lock(mu_);
  TaskClass* task_class = classes_[id - 1].load(kRelaxed);
  if (task_class != nullptr) return task_class;
  task_class = New<TaskClass>();
  // release: who finds it finds it whole.
  classes_[id - 1].store(task_class, kRelease);
  return task_class;
}

RetryRules Classes::RetryOf(const TaskClass& task_class) const {
  MutexLock lock(mu_);
  return task_class.retry;
}

void Classes::SetRetry(TaskClass& task_class, const RetryRules& rules) {
  MutexLock lock(mu_);
  task_class.retry = rules;
}

}  // namespace workpool
