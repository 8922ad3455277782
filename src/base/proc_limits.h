// How many threads and open files the system leaves to this process.
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace workpool {

inline constexpr uint64_t kNoLimit = UINT64_MAX;

// Threads of all processes of this user: RLIMIT_NPROC, or kNoLimit. How many there are is not known, and whoever has
// CAP_SYS_RESOURCE is not bound by it.
[[nodiscard]] uint64_t UserThreadsMax();
// Open files: RLIMIT_NOFILE, or kNoLimit.
[[nodiscard]] uint64_t OpenFilesMax();
// Threads that may still be started in the process's cgroups: the smallest pids.max - pids.current of the chain, in v1
// or v2, or kNoLimit. root: as of FindCgroup.
[[nodiscard]] uint64_t PidsLeft(const char* root);

// The maximum of workers where the user gives none.
inline constexpr uint32_t kThreadsAutoMax = 1024;

// The workers that a pool may have by itself, where the user gives no maximum: kThreadsAutoMax, but not more than half
// of what the limits leave, because neighbours of the same user or group live off the same, and a program that can
// start no thread or child any more fails in ways that are not ours to cause. own: workers that it has, which the
// groups count already; with it the answer does not fall while the pool grows. At least 1.
[[nodiscard]] uint32_t ThreadsAllowed(uint32_t own, const char* root = "");

// ---- its parts
[[nodiscard]] uint64_t PidsLeftOf(std::string_view pids_max, std::string_view pids_current);
[[nodiscard]] uint32_t ThreadsAllowedOf(uint64_t user_threads_max, uint64_t pids_left, uint32_t own);

}  // namespace workpool
