// What a pool has to offer to be a subject. Each header in this folder has one class of this shape;
// each workload is a template over it, so a workload is written once and is the same for all.
//
//   static constexpr Can kCan;              which workloads it can run
//   static std::string Name(), Version();
//   explicit P(Setup);                      workers = threads that run tasks, the caller not among
//   them unless
//                                           kCan.caller_takes_part
//   ~P();                                   drains and joins every thread
//   class Producer { Producer(P&);          made and used on the thread that submits
//     Submit<Task>(void* arg);              Task::Run(context, arg) will run; one Task type at a
//     time in a pool SubmitMany<Task>(void* const* args, uint32_t n);   kCan.bulk Finish(); };
//     after the last Submit of a round; returns when no callback is due
//   struct Context { Spawn<Task>(void* arg);             kCan.spawn
//     ForkJoin(forked, here); };            kCan.fork_join: forked(context) may run elsewhere while
//     here(context)
//                                           runs; returns when both are over
//   RunToEnd<Task>(void* arg);              kCan.run_to_end: runs Task and all that it spawned; the
//   caller takes part ParallelFor(Loop, n, ns, body);         kCan.parallel_for: body(begin, end);
//   ns is about what one step takes PrintStats(uint64_t tasks);             kCan.stats
#pragma once

#include <cstdint>

namespace bench {

struct Can {
  bool outside = true;         // takes tasks from threads that are not its own
  bool renewable = true;       // can be destroyed and made again in one process
  bool queues = true;          // holds a million waiting tasks without running one in the submitter
  bool one_at_a_time = false;  // no queue at all: the next submit only when the last task is over
  bool bulk = false;
  bool spawn = true;
  bool fork_join = false;
  bool run_to_end = false;
  bool parallel_for = false;
  bool stats = false;
};

struct Setup {
  unsigned workers = 1;
  bool queue_unlimited = false;  // where the pool would refuse tasks by default
  bool workers_kept = false;     // where the pool would let idle workers go
};

enum class Loop { kEven, kUneven };

}  // namespace bench
