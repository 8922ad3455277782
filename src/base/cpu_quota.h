// How much CPU time the process's cgroups allow: v2's cpu.max, v1's cpu.cfs_quota_us and cpu.cfs_period_us. A group's
// limit holds for all below it, so what counts is the smallest of the whole chain. It is a fraction: 150 ms in each
// 100 ms are 1.5 CPUs.
// Threads: any.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace workpool {

inline constexpr double kNoQuota = std::numeric_limits<double>::infinity();

struct CpuQuota {
  double cpus = kNoQuota;
  // How often one of the groups that set a limit has used it up, an alarm. It falls when the process is moved to
  // another group, or a limit is taken away.
  uint64_t throttled = 0;
};

// As it is now. root: as of FindCgroup.
[[nodiscard]] CpuQuota ReadCpuQuota(const char* root);

// ---- its parts: texts of the files. What is no limit, or cannot be understood, is kNoQuota or 0.
[[nodiscard]] double ParseCpuMax(std::string_view text);
[[nodiscard]] double ParseCfsQuota(std::string_view quota_us, std::string_view period_us);
// nr_throttled of cpu.stat.
[[nodiscard]] uint64_t ParseThrottled(std::string_view stat);

}  // namespace workpool
