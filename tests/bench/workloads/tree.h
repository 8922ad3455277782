// tree: each task submits two children until the depth is reached. fib_submit: the same with the
// shape of the calls of fib(n), which is lopsided; nobody joins, the tally of the leaves is the
// answer.
#pragma once

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/rounds.h"
#include "bench/peers/subject.h"
#include "bench/workloads/run_root.h"

namespace bench {

// The argument is the depth that is left below this task.
struct TreeTask {
  template <class Context>
  static void Run(Context& context, void* arg) {
    const auto depth = reinterpret_cast<uintptr_t>(arg);
    Tally::Add();
    if (depth == 0) return;
    context.template Spawn<TreeTask>(reinterpret_cast<void*>(depth - 1));
    context.template Spawn<TreeTask>(reinterpret_cast<void*>(depth - 1));
  }
};

// The argument is n.
struct FibSubmitTask {
  template <class Context>
  static void Run(Context& context, void* arg) {
    const auto n = reinterpret_cast<uintptr_t>(arg);
    Tally::Add();
    if (n < 2) return;
    context.template Spawn<FibSubmitTask>(reinterpret_cast<void*>(n - 1));
    context.template Spawn<FibSubmitTask>(reinterpret_cast<void*>(n - 2));
  }
};

// Calls that fib(n) takes, itself included.
constexpr uint64_t FibCalls(uint64_t n) {
  uint64_t calls = 1, next = 1;
  for (; n > 0; --n) {
    const uint64_t sum = calls + next + 1;
    calls = next;
    next = sum;
  }
  return calls;
}

template <class Pool, class Task>
void GrowingWorkload(const Arguments& arguments, uint64_t root, uint64_t tasks, Setup setup) {
  Figures ns_per_task;
  uint64_t last_ns = 0;
  {
    Pool pool(setup);
    ForEachRound(arguments, {}, [&](bool counted) {
      last_ns = TimeRoot<Task>(pool, reinterpret_cast<void*>(root), tasks, last_ns);
      if (counted) ns_per_task.Add(static_cast<double>(last_ns) / static_cast<double>(tasks));
    });
  }
  Print("ns_per_task", ns_per_task.Median());
}

template <class Pool>
void TreeWorkload(const Arguments& arguments) {
  const Setup setup{.workers = static_cast<unsigned>(arguments.Number("workers", 2))};
  const uint64_t depth = arguments.Number("depth", 18);
  GrowingWorkload<Pool, TreeTask>(arguments, depth, (uint64_t{2} << depth) - 1, setup);
}

template <class Pool>
void FibSubmitWorkload(const Arguments& arguments) {
  const Setup setup{.workers = static_cast<unsigned>(arguments.Number("workers", 2))};
  const uint64_t n = arguments.Number("n", 26);
  GrowingWorkload<Pool, FibSubmitTask>(arguments, n, FibCalls(n), setup);
}

}  // namespace bench
