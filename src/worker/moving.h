// How a task that was held goes on: through the gates of its key and its class, and past the rates of its class and its
// pool, then into a queue. And back: the ways by which a claimed record ends or waits once more are in run_task.h.
// Threads: all, any thread; no lock held.
#pragma once

#include <cstdint>

namespace workpool {

class TaskRecord;
struct Engine;

// False: it waits at one of them, with the caller's reference, until another task leaves; or it was claimed meanwhile.
[[nodiscard]] bool EnterGates(Engine& engine, TaskRecord& record);
// Takes over the caller's reference to a held record.
void MoveOn(Engine& engine, TaskRecord& record);
// The record has ended, or waits for its next period: who waits behind it goes on.
void LeaveGates(TaskRecord& record);
// The record does not begin the attempt for which it has tokens.
void GiveBackTokens(TaskRecord& record);
// Lets in those in line for whom there are tokens now, some at a time; returns when to look again, or kNever.
[[nodiscard]] uint64_t AdmitByRate(Engine& engine);
// The pool is closed: nobody waits for tokens any more, and what is queued ends.
void OpenLines(Engine& engine);

}  // namespace workpool
