// The load generator's clocks, and how a task of it spends time: computing, measured by the CPU clock of its thread, or
// asleep. Both are cut short when hurry is set.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace workpool_cli {

[[nodiscard]] uint64_t NowNs();  // CLOCK_MONOTONIC, as of pool_now_ns
[[nodiscard]] uint64_t ThreadCpuNs();
[[nodiscard]] double ProcessCpuS();
// CPUs that this process may run on.
[[nodiscard]] double CoresHere();

// False: cut short.
bool Compute(uint64_t cpu_ns, const std::atomic<bool>& hurry);
bool SleepUntil(uint64_t at_ns, const std::atomic<bool>& hurry);
// The same, and awake a little before, so that it returns within a microsecond or so of at_ns if a CPU is free.
bool WaitUntilExactly(uint64_t at_ns, const std::atomic<bool>& hurry);

}  // namespace workpool_cli
