#include "base/futex.h"

#include <cerrno>
#include <climits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace workpool {
namespace {

// The kernel's struct timespec of SYS_futex: two longs on every ABI, also where libc's time_t is wider.
struct FutexTime {
  long seconds;
  long nanoseconds;
};

}  // namespace

FutexResult FutexWait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns) {
  FutexTime time;
  FutexTime* limit = nullptr;
  const uint64_t seconds = deadline_ns / 1'000'000'000;
  // A deadline past what the kernel's type can hold is no deadline.
  if (deadline_ns != kNever && seconds < static_cast<uint64_t>(LONG_MAX)) {
    time.seconds = static_cast<long>(seconds);
    time.nanoseconds = static_cast<long>(deadline_ns % 1'000'000'000);
    limit = &time;
  }
  // FUTEX_WAIT_BITSET takes an absolute time, on CLOCK_MONOTONIC without FUTEX_CLOCK_REALTIME.
  const long rc = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit,
                          nullptr, FUTEX_BITSET_MATCH_ANY);
  if (rc != 0 && errno == ETIMEDOUT) return FutexResult::kTimeout;
  return FutexResult::kWoken;
}

void FutexWake(Atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
}

}  // namespace workpool
