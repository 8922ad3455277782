// Another attempt: a task that failed and is to be tried again, or the next run of a periodic one, waits for its time
// without a worker.
// Threads: the one that ran the task.
#pragma once

#include <cstdint>

namespace workpool {

class TaskRecord;
class Worker;

// The claimed record has run and returned code. True: it waits for another attempt, or was settled because it may not;
// the caller has nothing more to do with it. False: that was its last attempt.
[[nodiscard]] bool RunsAgain(TaskRecord& record, Worker* worker, int32_t code);

}  // namespace workpool
