#include "base/cpus.h"

#include <algorithm>
#include <sched.h>
#include <unistd.h>

#include "base/cpu_quota.h"

namespace workpool {

uint32_t ProcessCpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0) {
    const int count = CPU_COUNT(&cpus);
    if (count > 0) return static_cast<uint32_t>(count);
  }
  // More CPUs than a cpu_set_t holds.
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<uint32_t>(online) : 1;
}

CpuAllowance ReadCpuAllowance(const char* root) {
  const uint32_t affinity = ProcessCpus();
  const CpuQuota quota = ReadCpuQuota(root);
  return {.cores = std::max(1.0, std::min(static_cast<double>(affinity), quota.cpus)),
          .quota = quota.cpus,
          .affinity = affinity,
          .throttled = quota.throttled};
}

}  // namespace workpool
