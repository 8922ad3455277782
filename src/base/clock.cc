#include "base/clock.h"

#include <ctime>

namespace workpool {

namespace {

bool TryRead(clockid_t clock, uint64_t* out) {
  timespec time;
  if (clock_gettime(clock, &time) != 0) return false;
  *out = static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  return true;
}

uint64_t Read(clockid_t clock) {
  uint64_t ns = 0;
  (void)TryRead(clock, &ns);
  return ns;
}

}  // namespace

uint64_t NowNs() { return Read(CLOCK_MONOTONIC); }

int64_t WallSeconds() { return static_cast<int64_t>(Read(CLOCK_REALTIME) / 1'000'000'000); }

bool ReadThreadCpuNs(int32_t tid, uint64_t* out) {
  // libc knows the way only for a pthread_t; this is linux/posix-timers.h.
  constexpr uint32_t kPerThread = 4;
  constexpr uint32_t kSchedulerTime = 2;
  return TryRead(static_cast<clockid_t>(~static_cast<uint32_t>(tid) << 3 | kPerThread | kSchedulerTime), out);
}

uint64_t OwnCpuNs() { return Read(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace workpool
