// How many CPUs the process may use.
#pragma once

#include <cstdint>

namespace workpool {

// CPUs in the affinity mask of the process's main thread; at least 1.
uint32_t ProcessCpus();

struct CpuAllowance {
  double cores = 1;        // what can be used at once: the smaller of the two, at least 1
  double quota = 0;        // of the process's cgroups, infinite if there is none
  uint32_t affinity = 1;   // CPUs of the process's main thread
  uint64_t throttled = 0;  // how often the quota was used up: an alarm; it may fall (base/cpu_quota.h)
};

// As it is now: masks and quotas change while a process runs, and it may be moved to another cgroup. It reads a dozen
// files: for once a second. root stands before every path that is opened: a tree of a test's own, or this system.
[[nodiscard]] CpuAllowance ReadCpuAllowance(const char* root = "");

}  // namespace workpool
