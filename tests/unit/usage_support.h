// Threads whose usage is looked at: one that computes and tells how much, one that does what it is told.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/thread.h"
#include "base/thread_usage.h"
#include "test_support.h"
#include "unit_support.h"

namespace workpool {

inline constexpr UsageSource kUsageSources[] = {UsageSource::kSchedStat, UsageSource::kTaskState,
                                                UsageSource::kCpuClock};

// Whether this kernel has it.
inline bool Works(UsageSource source) {
  return source != UsageSource::kSchedStat || ChooseUsageSource("") == UsageSource::kSchedStat;
}

// A thread whose id is known, joined with its scope.
class TidThread {
 public:
  template <typename Body>
  explicit TidThread(Body body)
      : thread_([this, body = std::move(body)]() mutable {
          tid_.store(CurrentTid());
          body();
        }) {
    while (tid_.load() == 0) std::this_thread::yield();
  }

  [[nodiscard]] int32_t tid() const { return tid_.load(); }
  void Join() { thread_.Join(); }

 private:
  std::atomic<int32_t> tid_{0};
  ScopedThread thread_;
};

// Computes until its scope ends.
class Spinner {
 public:
  Spinner()
      : thread_([this] {
          while (!stop_.load(std::memory_order_relaxed)) cpu_ns_.store(OwnCpuNs(), std::memory_order_relaxed);
        }) {}
  ~Spinner() { stop_.store(true); }
  Spinner(const Spinner&) = delete;
  Spinner& operator=(const Spinner&) = delete;

  [[nodiscard]] int32_t tid() const { return thread_.tid(); }
  // Its CPU time, as it told last.
  [[nodiscard]] uint64_t cpu_ns() const { return cpu_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> cpu_ns_{0};
  TidThread thread_;
};

}  // namespace workpool
