// oneTBB. Tasks from outside go through task_arena::enqueue into an arena of workers only; trees,
// forks and loops use task_group and parallel_for in an arena in which the caller is one of the
// threads, as its users do. oneTBB would start one worker fewer than there are cores;
// global_control raises that to what is asked for.
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/version.h>

#include <cstdint>
#include <optional>
#include <string>

#include "bench/peers/subject.h"

namespace bench {

class TbbPool {
 public:
  static constexpr Can kCan{.fork_join = true, .run_to_end = true, .parallel_for = true};
  static std::string Name() { return "oneTBB"; }
  static std::string Version() { return TBB_runtime_version(); }

  struct Context {
    tbb::task_group* group;

    template <class Task>
    void Spawn(void* arg) {
      group->run([inherited = group, arg] {
        Context context{inherited};
        Task::Run(context, arg);
      });
    }
    template <class Forked, class Here>
    void ForkJoin(Forked forked, Here here) {
      tbb::task_group inner;
      inner.run([this, &forked] { forked(*this); });
      here(*this);
      inner.wait();
    }
  };

  class Producer {
   public:
    explicit Producer(TbbPool& pool) : pool_(pool) {}
    template <class Task>
    void Submit(void* arg) {
      pool_.workers_only_->enqueue([group = &pool_.group_, arg] {
        Context context{group};
        Task::Run(context, arg);
      });
    }
    void Finish() {}

   private:
    TbbPool& pool_;
  };

  explicit TbbPool(Setup setup)
      : limit_(std::in_place, tbb::global_control::max_allowed_parallelism, setup.workers + 1),
        workers_only_(std::in_place, static_cast<int>(setup.workers), 0u),
        with_caller_(std::in_place, static_cast<int>(setup.workers), 1u) {}
  ~TbbPool() {
    workers_only_.reset();
    with_caller_.reset();
    limit_.reset();
    // Without it the threads outlive the arenas, and "destroy" would not be comparable.
    tbb::finalize(scheduler_, std::nothrow);
  }

  template <class Task>
  void RunToEnd(void* arg) {
    with_caller_->execute([this, arg] {
      Context context{&group_};
      Task::Run(context, arg);
      group_.wait();
    });
  }

  template <class Body>
  void ParallelFor(Loop, uint64_t n, double, Body body) {
    with_caller_->execute([n, &body] {
      tbb::parallel_for(tbb::blocked_range<uint64_t>(0, n),
                        [&body](const auto& range) { body(range.begin(), range.end()); });
    });
  }

 private:
  tbb::task_scheduler_handle scheduler_{tbb::attach{}};
  std::optional<tbb::global_control> limit_;
  std::optional<tbb::task_arena> workers_only_;
  std::optional<tbb::task_arena> with_caller_;
  tbb::task_group group_;
};

}  // namespace bench
