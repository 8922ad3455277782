// The clocks of a replay, and what a job does: computes by its thread's CPU clock, sleeps to a time, computes again.
// Threads: any.
#pragma once

#include <time.h>

#include "bench/load/schedule.h"

namespace bench_load {

inline uint64_t ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}
inline uint64_t NowNs() { return ReadClock(CLOCK_MONOTONIC); }
inline uint64_t ThreadCpuNs() { return ReadClock(CLOCK_THREAD_CPUTIME_ID); }
inline uint64_t ProcessCpuNs() { return ReadClock(CLOCK_PROCESS_CPUTIME_ID); }

inline void SleepUntil(uint64_t at_ns) {
  const timespec at = {static_cast<time_t>(at_ns / 1'000'000'000), static_cast<long>(at_ns % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

// To the microsecond, where the machine allows it: a timer of an ordinary thread may be 50 us late.
inline void WaitUntilExactly(uint64_t at_ns) {
  constexpr uint64_t kSpinNs = 60'000;
  if (NowNs() + kSpinNs < at_ns) SleepUntil(at_ns - kSpinNs);
  while (NowNs() < at_ns) {
  }
}

// The CPU clock is a system call: between two looks at it some microseconds pass.
inline void Compute(uint64_t cpu_us) {
  if (cpu_us == 0) return;
  const uint64_t end_ns = ThreadCpuNs() + cpu_us * 1'000;
  uint64_t x = end_ns;
  do {
    for (int i = 0; i < 2'000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));  // the rounds are not left out
  } while (ThreadCpuNs() < end_ns);
}

inline void RunJob(Job& job) {
  const uint64_t start_ns = NowNs();
  job.start_ns.store(start_ns, std::memory_order_relaxed);
  Compute(job.cpu_us);
  if (job.blocked_us != 0) SleepUntil(NowNs() + job.blocked_us * 1'000);
  Compute(job.cpu2_us);
  job.end_ns.store(NowNs(), std::memory_order_release);
}

}  // namespace bench_load
