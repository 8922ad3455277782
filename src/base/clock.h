// The one clock: CLOCK_MONOTONIC in nanoseconds. A step of the wall clock changes nothing here.
#pragma once

#include <cstdint>

#include "base/futex.h"

namespace workpool {

uint64_t NowNs();
// Seconds since 1970, which step and leap: only for what follows the time of day.
int64_t WallSeconds();
// CPU time of any thread of this process, by its kernel id. False: there is no such thread.
[[nodiscard]] bool ReadThreadCpuNs(int32_t tid, uint64_t* out);
// CPU time of the calling thread.
uint64_t OwnCpuNs();

// So long after now_ns, at the latest when time ends.
inline uint64_t TimeAfter(uint64_t now_ns, uint64_t ns) {
  return ns >= kNever - 1 - now_ns ? kNever - 1 : now_ns + ns;
}

// timeout_ns of the public interface as an absolute deadline: -1 is never, what overflows saturates.
inline uint64_t DeadlineAfter(int64_t timeout_ns) {
  if (timeout_ns < 0) return kNever;
  const uint64_t now = NowNs();
  const uint64_t timeout = static_cast<uint64_t>(timeout_ns);
  return timeout >= kNever - now ? kNever : now + timeout;
}

}  // namespace workpool
