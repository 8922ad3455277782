// PeerPool: what the comparison pools have in common: threads that are counted, tasks that are run and run again, the
// end.
// Threads: mu_ guards everything; functions that end in Locked are called with it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "load_subject.h"

namespace workpool_cli {

class PeerPool : public LoadSubject {
 public:
  explicit PeerPool(std::string name) : name_(std::move(name)) {}

  std::string Name() const override { return name_; }
  bool Submit(LoadTask& task) override;
  State Now() override;
  void Close() override;

 protected:
  using Lock = std::unique_lock<std::mutex>;

  // As many as a process can well have; and what a queue holds, as in a pool of the library.
  static constexpr uint32_t kThreadsMax = 4096;
  static constexpr size_t kQueueMax = 1'048'576;

  // A task comes. False: refused.
  virtual bool SubmitLocked(LoadTask& task) = 0;
  // What a thread does, from its start to its end.
  virtual void WorkLocked(Lock& lock, LoadTask* first) = 0;
  // closing_ was set: everybody who waits is to look.
  virtual void WakeAllLocked() = 0;
  virtual size_t QueuedLocked() { return queue_.size(); }

  // Starts a thread with its first task, or nullptr. False: the system refused.
  bool StartLocked(LoadTask* first);
  // Runs a task on this thread; the lock is not held meanwhile.
  void RunLocked(Lock& lock, LoadTask& task);
  // Calls tick again and again, each time so much later, until the end.
  void TickEvery(double period_s, std::function<void()> tick_locked);

  std::mutex mu_;
  uint32_t live_ = 0;
  uint32_t busy_ = 0;
  bool closing_ = false;
  std::deque<LoadTask*> queue_;

 private:
  static void* ThreadMain(void* start);

  const std::string name_;
  std::condition_variable none_left_;
  std::condition_variable end_tick_;
  std::thread ticker_;
};

}  // namespace workpool_cli
