// Pools with the rules of others, so that these run under the same load: how many threads there are, when one starts
// and ends, and which task it takes. They are small and plain; what they show is the rule, not the speed of a submit.
//   threads-per-task  A thread for each task.
//   fixed:N           N threads and one queue.
//   ants:CAP[,IDLE]   panjf2000/ants v2 (pool.go, worker.go, worker_stack.go). A submit takes the newest idle worker,
//                     else starts one below CAP, else waits in line; every IDLE (1s) those go that have been idle for
//                     so long.
//   pond:MAX          alitto/pond v1.8 (pond.go, resizer.go), strategy Balanced. A submit goes to the queue if a worker
//                     is idle; else every (cores / 2)th one starts a worker below MAX, and the others wait in the
//                     queue. Every 5 s one idle worker goes.
// Where ants lets the caller of a submit wait, here its task waits: under an open load each arrival is a caller of its
// own.
#pragma once

#include <memory>
#include <string>

#include "load_subject.h"

namespace workpool_cli {

// cores: as many as the rules take the machine to have. Throws std::invalid_argument, which tells
// what is allowed.
[[nodiscard]] std::unique_ptr<LoadSubject> MakePeer(const std::string& spec, double cores);

}  // namespace workpool_cli
