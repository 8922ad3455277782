// libworkpool through its C interface, linked to the shared library, default options but for the
// number of workers and what the workload's Setup asks for.
#pragma once

#include <workpool/workpool.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/harness/arguments.h"
#include "bench/peers/subject.h"

namespace bench {

class WorkpoolPool {
 public:
  static constexpr Can kCan{.bulk = true, .fork_join = true, .parallel_for = true, .stats = true};
  static std::string Name() { return "workpool"; }
  static std::string Version() { return pool_version(); }

  struct Context {
    pool_ctx_t* ctx;

    template <class Task>
    void Spawn(void* arg) {
      Check(pool_ctx_submit(ctx, &Run<Task>, arg), "pool_ctx_submit");
    }
    template <class Forked, class Here>
    void ForkJoin(Forked forked, Here here) {
      pool_fork_t fork;
      Check(pool_ctx_fork(ctx, &fork, &RunForked<Forked>, &forked), "pool_ctx_fork");
      here(*this);
      Check(pool_ctx_join(ctx, &fork, nullptr), "pool_ctx_join");
    }
  };

  class Producer {
   public:
    explicit Producer(WorkpoolPool& pool) : pool_(pool.pool_) {}
    template <class Task>
    void Submit(void* arg) {
      Check(pool_submit(pool_, &Run<Task>, arg), "pool_submit");
    }
    template <class Task>
    void SubmitMany(void* const* args, uint32_t n) {
      Check(pool_submit_many(pool_, &Run<Task>, args, n, nullptr), "pool_submit_many");
    }
    void Finish() {}

   private:
    pool_t pool_;
  };

  explicit WorkpoolPool(Setup setup) {
    pool_options_t options;
    Check(pool_options_init(&options, sizeof options), "pool_options_init");
    options.workers_max = setup.workers;
    if (setup.workers_kept) options.workers_min = setup.workers;
    if (setup.queue_unlimited) options.queue_limit = POOL_UNLIMITED;
    Check(pool_create(&options, &pool_), "pool_create");
  }
  ~WorkpoolPool() { Check(pool_destroy(pool_), "pool_destroy"); }

  template <class Body>
  void ParallelFor(Loop, uint64_t n, double, Body body) {
    Check(pool_parallel_for(pool_, 0, n, 0, 0, &RunRange<Body>, &body, nullptr),
          "pool_parallel_for");
  }

  // tasks: how many the workload ran in all, which the pool must have counted too.
  void PrintStats(uint64_t tasks) {
    pool_stats_t stats;
    Check(pool_stats(pool_, &stats, sizeof stats), "pool_stats");
    Require(stats.submitted == tasks, "stats.submitted");
    const double n = static_cast<double>(tasks);
    Print("wakes_per_task", static_cast<double>(stats.wakes) / n);
    Print("parks_per_task", static_cast<double>(stats.parks) / n);
    Print("steals_per_task", static_cast<double>(stats.steals) / n);
  }

 private:
  template <class Task>
  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    Context context{ctx};
    Task::Run(context, arg);
    return 0;
  }
  template <class Forked>
  static int32_t RunForked(void* forked, pool_ctx_t* ctx) {
    Context context{ctx};
    (*static_cast<Forked*>(forked))(context);
    return 0;
  }
  template <class Body>
  static int32_t RunRange(void* body, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
    (*static_cast<Body*>(body))(begin, end);
    return 0;
  }

  static void Check(pool_status_t status, const char* call) {
    if (status == POOL_OK) [[likely]]
      return;
    std::fprintf(stderr, "bench: %s: %s\n", call, pool_strerror(status));
    std::abort();
  }

  pool_t pool_ = 0;
};

}  // namespace bench
