// Running a task and settling it: outcome, callbacks, counters, result, exactly once on every path.
#pragma once

#include "queue/slot.h"
#include "task/task_record.h"

namespace workpool {

class Worker;
struct Engine;

// A plain task, just taken from a queue.
void RunPlain(Worker& worker, Slot slot);
// It ends without having run. worker: nullptr on a thread that is not one.
void CancelPlain(Engine& engine, Worker* worker, void* arg);

// A record that the caller has claimed; the caller keeps its reference.
void RunClaimed(TaskRecord& record, Worker* worker);
void CancelClaimed(TaskRecord& record, Worker* worker, int32_t code);

// Makes the entry functions of a record.
void BindRecord(TaskRecord& record);

// A plain task that carries time stamps, one in kSamplePeriod; nullptr: out of memory (then it goes unsampled).
[[nodiscard]] Entry* MakeSample(Engine& engine, Slot slot);
void DropSample(Entry& sample);

// Ends a queued slot without running it, on a thread that is not a worker (a closing pool).
void DiscardSlot(Engine& engine, Slot slot);

}  // namespace workpool
