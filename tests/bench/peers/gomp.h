// libgomp: tasks and loops in a parallel region, of which the caller is one thread. There is no way
// in from outside a region, so it has no rows for that. With more than 64 tasks a thread waiting it
// runs new ones at once, inline.
#pragma once

#include <omp.h>

#include <cstdint>
#include <string>

#include "bench/peers/subject.h"

namespace bench {

class GompPool {
 public:
  static constexpr Can kCan{.outside = false,
                            .queues = false,
                            .fork_join = true,
                            .run_to_end = true,
                            .parallel_for = true};
  static std::string Name() { return "libgomp"; }
  static std::string Version() { return "gcc " __VERSION__; }

  struct Context {
    template <class Task>
    void Spawn(void* arg) {
#pragma omp task firstprivate(arg)
      {
        Context child;
        Task::Run(child, arg);
      }
    }
    template <class Forked, class Here>
    void ForkJoin(Forked forked, Here here) {
#pragma omp task shared(forked)
      {
        Context child;
        forked(child);
      }
      here(*this);
#pragma omp taskwait
    }
  };

  explicit GompPool(Setup setup) : threads_(static_cast<int>(setup.workers)) {}

  template <class Task>
  void RunToEnd(void* arg) {
#pragma omp parallel num_threads(threads_)
#pragma omp single
    {
      Context context;
      Task::Run(context, arg);
    }
  }

  // schedule(dynamic) for uneven steps, schedule(static) for even ones: what its users write.
  template <class Body>
  void ParallelFor(Loop loop, uint64_t n, double, Body body) {
    if (loop == Loop::kUneven) {
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
      for (uint64_t i = 0; i < n; ++i) body(i, i + 1);
      return;
    }
#pragma omp parallel num_threads(threads_)
    {
      const auto threads = static_cast<uint64_t>(omp_get_num_threads());
      const auto mine = static_cast<uint64_t>(omp_get_thread_num());
      body(n * mine / threads, n * (mine + 1) / threads);
    }
  }

 private:
  int threads_;
};

}  // namespace bench
