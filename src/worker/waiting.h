// Waiting inside a task without starving the pool. What a waiter waits for and nobody has started, it claims and runs
// itself; only if all of it runs elsewhere does it park, and then another worker may be up in its place. A
// stranger's task never runs inside a wait: it might want a lock that the waiter holds.
// Threads: any thread; called with a reference to what is waited for.
#pragma once

#include <cstdint>

#include "base/api.h"

namespace workpool {

class Group;
class TaskRecord;
class Worker;
struct Tls;

// OK, TIMEOUT, DEADLOCK. help: run it here also on a thread that is not a worker of its pool.
[[nodiscard]] Status WaitTask(TaskRecord& record, bool help, uint64_t deadline_ns);
// For one or all of them; *index: the one that is over.
[[nodiscard]] Status WaitTasks(TaskRecord* const* records, uint32_t count, bool all, uint64_t deadline_ns,
                               uint32_t* index);
[[nodiscard]] Status WaitGroup(Group& group, uint64_t deadline_ns);

// The worker this thread is, if it runs a task in this process, or nullptr: a forked child of a worker is none.
[[nodiscard]] Worker* CurrentWorker(Tls& tls);

// Enough is left of the calling worker's stack to run another task here; nullptr: no worker, always.
[[nodiscard]] bool HasStack(const Worker* worker);

// While it lives, the calling worker, of whatever pool, is about to sleep inside a task and another may be up in its place.
// If it is the service thread, in a callback, another one takes its place.
class BlockedScope {
 public:
  explicit BlockedScope(Worker* worker_or_null);
  ~BlockedScope();
  BlockedScope(const BlockedScope&) = delete;
  BlockedScope& operator=(const BlockedScope&) = delete;

 private:
  Worker* const worker_;
};

}  // namespace workpool
