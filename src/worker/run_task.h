// Running tasks. How they end is in settle.h, how they wait for another attempt in again.h.
#pragma once

#include "queue/slot.h"
#include "task/task_record.h"

namespace workpool {

class Worker;
struct Engine;

// A plain task, just taken from a queue.
void RunPlain(Worker& worker, Slot slot);
// It ends without having run. worker: nullptr on a thread that is not one.
void EndPlainUnrun(Engine& engine, Worker* worker, void* arg, int32_t outcome);

// A record that the caller has claimed; the caller keeps its reference. It may wait for another attempt on return.
void RunClaimed(TaskRecord& record, Worker* worker);

// Makes the entry functions of a record.
void BindRecord(TaskRecord& record);

// A plain task that carries time stamps, one in kSamplePeriod; nullptr: out of memory (then it goes unsampled).
[[nodiscard]] Entry* MakeSample(Engine& engine, Slot slot);
void DropSample(Entry& sample);

// Ends a queued slot without running it, on a thread that need not be a worker: the pool closes, or makes room.
void DiscardSlot(Engine& engine, Slot slot, int32_t outcome, int32_t code);

}  // namespace workpool
