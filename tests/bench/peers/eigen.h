// Eigen's (unsupported) ThreadPool without spinning. It is not a never-inline pool: each worker's
// queue has 1,024 places, and a submit that finds its queue full runs the task in the submitter.
#pragma once

#define EIGEN_USE_THREADS
#include <string>
#include <unsupported/Eigen/CXX11/Tensor>

#include "bench/peers/subject.h"

namespace bench {

class EigenPool {
 public:
  static constexpr Can kCan{.queues = false, .parallel_for = true};
  static std::string Name() { return "Eigen"; }
  static std::string Version() {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  }

  struct Context {
    EigenPool* pool;
    template <class Task>
    void Spawn(void* arg) {
      pool->pool_.Schedule([copy = *this, arg]() mutable { Task::Run(copy, arg); });
    }
  };

  class Producer {
   public:
    explicit Producer(EigenPool& pool) : context_{&pool} {}
    template <class Task>
    void Submit(void* arg) {
      context_.Spawn<Task>(arg);
    }
    void Finish() {}

   private:
    Context context_;
  };

  explicit EigenPool(Setup setup)
      : pool_(static_cast<int>(setup.workers), /*allow_spinning=*/false),
        device_(&pool_, static_cast<int>(setup.workers)) {}

  template <class Body>
  void ParallelFor(Loop, uint64_t n, double step_ns, Body body) {
    // Eigen counts in cycles; 3 a nanosecond is near enough for its choice of a block.
    const Eigen::TensorOpCost cost(0, 0, step_ns * 3);
    device_.parallelFor(static_cast<Eigen::Index>(n), cost,
                        [&body](Eigen::Index begin, Eigen::Index end) {
                          body(static_cast<uint64_t>(begin), static_cast<uint64_t>(end));
                        });
  }

 private:
  Eigen::ThreadPool pool_;
  Eigen::ThreadPoolDevice device_;
};

}  // namespace bench
