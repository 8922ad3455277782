// What the system allows this process now, looked up at most once a second and shared by all pools.
// Threads: all, any thread.
#pragma once

#include <cstdint>

namespace workpool {

struct Allowance {
  double cores = 1;      // CPUs by affinity and quota, at least 1 (base/cpus.h)
  uint32_t threads = 1;  // workers that a pool may have by itself (base/proc_limits.h)
};

[[nodiscard]] Allowance CurrentAllowance();

}  // namespace workpool
