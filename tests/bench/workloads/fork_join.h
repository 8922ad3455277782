// fork_join: fib(n) where every call forks one half, computes the other and joins, without a
// cut-off. The figure is the time per call of fib.
#pragma once

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/gate.h"
#include "bench/harness/rounds.h"
#include "bench/peers/subject.h"
#include "bench/workloads/tree.h"

namespace bench {

template <class Context>
uint64_t ForkJoinFib(Context& context, uint64_t n) {
  if (n < 2) return n;
  uint64_t a = 0, b = 0;
  context.ForkJoin([&a, n](Context& other) { a = ForkJoinFib(other, n - 1); },
                   [&b, n](Context& same) { b = ForkJoinFib(same, n - 2); });
  return a + b;
}

struct ForkJoinRoot {
  uint64_t n;
  uint64_t answer = 0;
  Gate done;

  template <class Context>
  static void Run(Context& context, void* arg) {
    auto* root = static_cast<ForkJoinRoot*>(arg);
    root->answer = ForkJoinFib(context, root->n);
    root->done.Open();
  }
};

template <class Pool>
void ForkJoinWorkload(const Arguments& arguments) {
  const Setup setup{.workers = static_cast<unsigned>(arguments.Number("workers", 2))};
  const uint64_t n = arguments.Number("n", 27);
  uint64_t expected = 0;
  for (uint64_t i = 0, next = 1; i < n; ++i) {
    const uint64_t sum = expected + next;
    expected = next;
    next = sum;
  }

  Figures ns_per_call;
  {
    Pool pool(setup);
    ForEachRound(arguments, {}, [&](bool counted) {
      ForkJoinRoot root{.n = n, .answer = 0, .done = {}};
      const uint64_t start_ns = NowNs();
      if constexpr (Pool::kCan.run_to_end) {
        pool.template RunToEnd<ForkJoinRoot>(&root);
      } else {
        typename Pool::Producer producer(pool);
        producer.template Submit<ForkJoinRoot>(&root);
        root.done.Wait();
      }
      const uint64_t ns = NowNs() - start_ns;
      Require(root.answer == expected, "fib by fork and join");
      if (counted) ns_per_call.Add(static_cast<double>(ns) / static_cast<double>(FibCalls(n)));
    });
  }
  Print("ns_per_call", ns_per_call.Median());
}

}  // namespace bench
