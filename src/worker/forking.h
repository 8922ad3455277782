// Fork and join inside a task: children in the parent's stack frame, newest first, without allocation.
// Threads: the thread that runs the parent.
#pragma once

#include "base/api.h"
#include "queue/slot.h"
#include "worker/frame.h"

namespace workpool {

// slot holds a fork that the calling worker has stolen and, because its thread ends, will not run.
void CancelStolenFork(const Slot& slot);

void ForkChild(Frame& parent, pool_fork_t* memory, RunFn run, void* arg);
// OK; INVALID if memory holds no fork of this parent.
[[nodiscard]] Status JoinChild(Frame& parent, pool_fork_t* memory, int32_t* code);

}  // namespace workpool
