#include "base/clock.h"

#include <ctime>

namespace workpool {

namespace {

uint64_t Read(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

uint64_t NowNs() { return Read(CLOCK_MONOTONIC); }

uint64_t OwnCpuNs() { return Read(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace workpool
