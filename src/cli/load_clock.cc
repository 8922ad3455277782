#include "load_clock.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace workpool_cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// How soon a sleeper sees hurry.
constexpr uint64_t kSliceNs = 50'000'000;
// A timer of an ordinary thread may be 50 us late by the kernel's leave (timer slack).
constexpr uint64_t kSpinNs = 60'000;
// Rounds between two looks at the CPU clock, which is a system call: some microseconds, so the error is as small.
constexpr uint32_t kRounds = 2'000;

uint64_t Read(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

uint64_t NowNs() { return Read(CLOCK_MONOTONIC); }

uint64_t ThreadCpuNs() { return Read(CLOCK_THREAD_CPUTIME_ID); }

double ProcessCpuS() { return static_cast<double>(Read(CLOCK_PROCESS_CPUTIME_ID)) / 1e9; }

double CoresHere() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

bool Compute(uint64_t cpu_ns, const std::atomic<bool>& hurry) {
  if (cpu_ns == 0) return true;
  const uint64_t end_ns = ThreadCpuNs() + cpu_ns;
  uint64_t x = end_ns;
  do {
    if (hurry.load(std::memory_order_relaxed)) return false;
    for (uint32_t i = 0; i < kRounds; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));  // the rounds are not left out
  } while (ThreadCpuNs() < end_ns);
  return true;
}

bool SleepUntil(uint64_t at_ns, const std::atomic<bool>& hurry) {
  for (;;) {
    if (hurry.load(std::memory_order_relaxed)) return false;
    const uint64_t now_ns = NowNs();
    if (now_ns >= at_ns) return true;
    const uint64_t next_ns = std::min(at_ns, now_ns + kSliceNs);
    const timespec next = {static_cast<time_t>(next_ns / kSecond), static_cast<long>(next_ns % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
}

bool WaitUntilExactly(uint64_t at_ns, const std::atomic<bool>& hurry) {
  if (at_ns > kSpinNs && !SleepUntil(at_ns - kSpinNs, hurry)) return false;
  while (NowNs() < at_ns) {
  }
  return !hurry.load(std::memory_order_relaxed);
}

}  // namespace workpool_cli
