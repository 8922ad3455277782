// Sleeping on a futex word, without any library in between: the harness's own waits, and the
// yardstick for the pools' ones.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace bench {

inline void FutexWait(std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

inline void FutexWake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// A gate that threads wait at until it is opened. It may go as soon as all who wait have left.
class Gate {
 public:
  void Open() {
    open_.store(1, std::memory_order_release);
    FutexWake(open_, INT_MAX);
  }
  void Wait() {
    while (open_.load(std::memory_order_acquire) == 0) FutexWait(open_, 0);
  }
  // Only while nobody waits.
  void Close() { open_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> open_{0};
};

// Opens when it has been counted down from n to 0.
class Countdown {
 public:
  explicit Countdown(uint32_t n) : left_(n) {}
  void Count() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) FutexWake(left_, INT_MAX);
  }
  void Wait() {
    for (uint32_t left; (left = left_.load(std::memory_order_acquire)) != 0;)
      FutexWait(left_, left);
  }

 private:
  std::atomic<uint32_t> left_;
};

}  // namespace bench
