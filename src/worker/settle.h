// How tasks end: outcome, callbacks, counters, result, exactly once on every path.
// Threads: any thread; no lock held.
#pragma once

#include <cstdint>

namespace workpool {

class TaskRecord;
class Worker;
struct Engine;

// One task has this outcome. worker: nullptr on a thread that is not one; ran: it had begun at least once.
void CountEnded(Engine& engine, Worker* worker, int32_t outcome, bool ran);
// A task that counts against the queue limit ends before its first attempt.
void CountNeverStarted(Engine& engine);

// A claimed record, whose reference stays the caller's, ends: callbacks, then its result is visible.
void Settle(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code, bool ran);
// The same without a further attempt: cancelled, expired, shed.
void EndClaimed(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code);
// The pool closes, or a cancel or its deadline came while it waited: a periodic task whose last run was good is done, any
// other has this outcome.
void EndUnfinished(TaskRecord& record, Worker* worker, int32_t outcome, int32_t code);
// The pool is closed to a held record; takes over the caller's reference.
void EndHeld(TaskRecord& record);

}  // namespace workpool
