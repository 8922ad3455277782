// priority: tasks in the strict order of their priorities, by libworkpool and by the pool that everybody would write
// for it, each in a process of its own.
//   queued   all are submitted while the workers are held, then run
//   flowing  producers submit while workers run
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "bench/features/calls.h"
#include "bench/harness/child.h"
#include "bench/harness/gate.h"
#include "bench/harness/rounds.h"
#include "bench/harness/tally.h"

namespace bench {

class WorkpoolPriority {
 public:
  explicit WorkpoolPriority(unsigned workers) {
    pool_options_t options = PoolOptions(workers);
    options.strategy = POOL_STRATEGY_PRIORITY;
    Must(pool_create(&options, &pool_), "pool_create");
  }
  ~WorkpoolPriority() { Must(pool_destroy(pool_), "pool_destroy"); }
  WorkpoolPriority(const WorkpoolPriority&) = delete;
  WorkpoolPriority& operator=(const WorkpoolPriority&) = delete;

  class Producer {
   public:
    explicit Producer(WorkpoolPriority& pool) : pool_(pool.pool_) {}
    void Submit(int32_t priority) {
      task_.priority = priority;
      Must(pool_submit_task(pool_, &task_, nullptr), "pool_submit_task");
    }

   private:
    pool_t pool_;
    pool_task_t task_ = CountTaskOf();
  };
  void Hold(bool hold) { Must(hold ? pool_pause(pool_) : pool_resume(pool_), "pool_pause"); }

 private:
  pool_t pool_ = 0;
};

// One lock around a std::priority_queue, and a number that keeps the order among equals.
class MutexPriority {
 public:
  explicit MutexPriority(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~MutexPriority() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  class Producer {
   public:
    explicit Producer(MutexPriority& pool) : pool_(pool) {}
    void Submit(int32_t priority) {
      {
        const std::lock_guard lock(pool_.mutex_);
        pool_.queue_.push({priority, pool_.next_++, &CountRun});
      }
      pool_.ready_.notify_one();
    }

   private:
    MutexPriority& pool_;
  };
  void Hold(bool hold) {
    {
      const std::lock_guard lock(mutex_);
      held_ = hold;
    }
    ready_.notify_all();
  }

 private:
  struct Entry {
    int32_t priority;
    uint64_t order;
    pool_run_fn run;
    bool operator<(const Entry& other) const {
      return priority != other.priority ? priority < other.priority : order > other.order;
    }
  };

  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ready_.wait(lock, [&] { return stop_ || (!held_ && !queue_.empty()); });
      if (stop_) return;
      const Entry entry = queue_.top();
      queue_.pop();
      lock.unlock();
      (void)entry.run(nullptr, nullptr);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::priority_queue<Entry> queue_;
  uint64_t next_ = 0;
  bool stop_ = false;
  bool held_ = false;
  std::vector<std::thread> threads_;
};

struct PriorityLoad {
  uint64_t tasks;
  uint32_t levels;  // distinct priorities
  unsigned producers;
  unsigned workers;
  bool held;  // until all are submitted
};

// ns a task from the first submit to the last run.
template <class Pool>
double PriorityNs(const PriorityLoad& load, const Arguments& arguments) {
  Pool pool(load.workers);
  const uint64_t each = load.tasks / load.producers;
  Figures ns;
  ForEachRound(arguments, {.budget_ms = 300}, [&](bool counted) {
    const uint64_t target = Tally::Sum() + each * load.producers;
    Countdown ready(load.producers);
    Gate go;
    std::vector<std::thread> threads;
    if (load.held) pool.Hold(true);
    for (unsigned p = 0; p < load.producers; ++p) {
      threads.emplace_back([&, p] {
        typename Pool::Producer producer(pool);
        ready.Count();
        go.Wait();
        for (uint64_t i = 0; i < each; ++i) {
          producer.Submit(static_cast<int32_t>(Scatter(p * each + i) % load.levels));
        }
      });
    }
    ready.Wait();
    const uint64_t start_ns = NowNs();
    go.Open();
    if (load.held) {
      for (std::thread& thread : threads) thread.join();
      pool.Hold(false);
    }
    const uint64_t end_ns = Tally::WaitUntil(target, start_ns);
    if (!load.held) {
      for (std::thread& thread : threads) thread.join();
    }
    if (counted) ns.Add(static_cast<double>(end_ns - start_ns) / static_cast<double>(each * load.producers));
  });
  return ns.Median();
}

inline void PriorityWorkload(bool held, const Arguments& arguments) {
  const PriorityLoad load{
      .tasks = arguments.Number("tasks", held ? 1'000'000 : 300'000),
      .levels = static_cast<uint32_t>(arguments.Number("levels", 3)),
      .producers = static_cast<unsigned>(arguments.Number("producers", held ? 1 : 2)),
      .workers = static_cast<unsigned>(arguments.Number("workers", held ? 1 : 2)),
      .held = held,
  };
  Print("workpool_ns", InChild([&] { return PriorityNs<WorkpoolPriority>(load, arguments); }));
  Print("mutex_ns", InChild([&] { return PriorityNs<MutexPriority>(load, arguments); }));
}

}  // namespace bench
