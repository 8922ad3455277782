// The plain pool that everybody writes first: a deque, a mutex and a condition variable, woken
// after the unlock.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/peers/subject.h"

namespace bench {

class MutexPool {
 public:
  static constexpr Can kCan{.bulk = true};
  static std::string Name() { return "mutex"; }
  static std::string Version() { return "std::deque + std::mutex + std::condition_variable"; }

  struct Context {
    MutexPool& pool;
    template <class Task>
    void Spawn(void* arg) {
      pool.Push(Entry{&Run<Task>, arg});
    }
  };

  class Producer {
   public:
    explicit Producer(MutexPool& pool) : pool_(pool) {}
    template <class Task>
    void Submit(void* arg) {
      pool_.Push(Entry{&Run<Task>, arg});
    }
    template <class Task>
    void SubmitMany(void* const* args, uint32_t n) {
      {
        std::lock_guard lock(pool_.mutex_);
        for (uint32_t i = 0; i < n; ++i) pool_.entries_.push_back(Entry{&Run<Task>, args[i]});
      }
      pool_.arrived_.notify_all();
    }
    void Finish() {}

   private:
    MutexPool& pool_;
  };

  explicit MutexPool(Setup setup) {
    for (unsigned i = 0; i < setup.workers; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~MutexPool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    arrived_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  struct Entry {
    void (*run)(MutexPool&, void*);
    void* arg;
  };

  template <class Task>
  static void Run(MutexPool& pool, void* arg) {
    Context context{pool};
    Task::Run(context, arg);
  }

  void Push(Entry entry) {
    {
      std::lock_guard lock(mutex_);
      entries_.push_back(entry);
    }
    arrived_.notify_one();
  }

  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      arrived_.wait(lock, [this] { return stop_ || !entries_.empty(); });
      if (entries_.empty()) return;
      const Entry entry = entries_.front();
      entries_.pop_front();
      lock.unlock();
      entry.run(*this, entry.arg);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Entry> entries_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bench
