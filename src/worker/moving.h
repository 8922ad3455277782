// How a task that was held goes on: through the gates of its key and its class, then into a queue. And back: the ways by
// which a claimed record ends or waits once more are in run_task.h.
// Threads: all, any thread; no lock held.
#pragma once

namespace workpool {

class TaskRecord;
struct Engine;

// False: it waits at one of them, with the caller's reference, until another task leaves; or it was claimed meanwhile.
[[nodiscard]] bool EnterGates(Engine& engine, TaskRecord& record);
// Takes over the caller's reference to a held record.
void MoveOn(Engine& engine, TaskRecord& record);
// The record has ended, or waits for its next period: who waits behind it goes on.
void LeaveGates(TaskRecord& record);
// Workers look at all queues before their next task, and somebody is there who looks.
void LookAtQueues(Engine& engine);

}  // namespace workpool
