// No pool at all: one thread that sleeps on a futex word, for one task at a time. It is the
// physical limit of the latency workload.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "bench/harness/gate.h"
#include "bench/peers/subject.h"

namespace bench {

class FutexPool {
 public:
  static constexpr Can kCan{
      .renewable = false, .queues = false, .one_at_a_time = true, .spawn = false};
  static std::string Name() { return "raw futex"; }
  static std::string Version() { return "one thread on a futex word"; }

  struct Context {};

  class Producer {
   public:
    explicit Producer(FutexPool& pool) : pool_(pool) {}
    template <class Task>
    void Submit(void* arg) {
      pool_.run_ = &Run<Task>;
      pool_.arg_ = arg;
      pool_.Post(kTask);
    }
    void Finish() {}

   private:
    FutexPool& pool_;
  };

  explicit FutexPool(Setup) : thread_([this] { Work(); }) {}
  ~FutexPool() {
    Post(kStop);
    thread_.join();
  }

 private:
  static constexpr uint32_t kNothing = 0, kTask = 1, kStop = 2;

  template <class Task>
  static void Run(void* arg) {
    Context context;
    Task::Run(context, arg);
  }

  void Post(uint32_t what) {
    word_.store(what, std::memory_order_release);
    FutexWake(word_, 1);
  }

  void Work() {
    for (;;) {
      uint32_t what;
      while ((what = word_.load(std::memory_order_acquire)) == kNothing) FutexWait(word_, kNothing);
      if (what == kStop) return;
      // Before the task, which lets the submitter post the next one.
      word_.store(kNothing, std::memory_order_relaxed);
      run_(arg_);
    }
  }

  void (*run_)(void*) = nullptr;
  void* arg_ = nullptr;
  std::atomic<uint32_t> word_{kNothing};
  std::thread thread_;
};

}  // namespace bench
