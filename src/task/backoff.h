// Backoff: how long a task that failed waits before its next attempt. Delays grow by a factor up to a maximum, and are
// spread at random, so that tasks which failed together do not come back together.
// Pure functions; the caller has the random numbers.
// Origin:    M. Brooker, "Exponential backoff and jitter", AWS 2015.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace workpool {

enum class Jitter {
  kFull,   // between 0 and the ceiling: spreads best
  kEqual,  // between half of the ceiling and the ceiling: never below half of the delay before
  kNone,
};

struct Backoff {
  uint64_t first_ns;
  uint64_t max_ns;
  uint32_t factor_percent;  // 200: twice the one before; 100: always the same. Less counts as 100
  Jitter jitter;
};

// The delay after an attempt, 1 being the first run, before jitter: first_ns * factor^(attempt - 1), at most max_ns.
// Never falls with the attempt, whatever its number. Right within a nanosecond up to 2^48, beyond within 2^-48 of it.
uint64_t BackoffCeiling(const Backoff& backoff, uint64_t attempt);

// The delay itself: uniform within what the jitter says, both ends included.
uint64_t BackoffDelay(const Backoff& backoff, uint64_t attempt, Random& random);

}  // namespace workpool
