// The one clock: CLOCK_MONOTONIC in nanoseconds. A step of the wall clock changes nothing here.
#pragma once

#include <cstdint>

#include "base/futex.h"

namespace workpool {

uint64_t NowNs();

// timeout_ns of the public interface as an absolute deadline: -1 is never, what overflows saturates.
inline uint64_t DeadlineAfter(int64_t timeout_ns) {
  if (timeout_ns < 0) return kNever;
  const uint64_t now = NowNs();
  const uint64_t timeout = static_cast<uint64_t>(timeout_ns);
  return timeout >= kNever - now ? kNever : now + timeout;
}

}  // namespace workpool
