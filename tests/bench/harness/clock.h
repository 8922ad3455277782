// The clocks of the benchmarks, and the number of cores a process may use.
#pragma once

#include <sched.h>
#include <time.h>

#include <cstdint>

namespace bench {

inline uint64_t ReadClock(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

inline uint64_t NowNs() { return ReadClock(CLOCK_MONOTONIC); }
// CPU time of the whole process.
inline uint64_t CpuNs() { return ReadClock(CLOCK_PROCESS_CPUTIME_ID); }

inline void SleepNs(uint64_t ns) {
  timespec t{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) != 0) {
  }
}

inline unsigned Cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

}  // namespace bench
