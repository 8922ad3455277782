// What a thread of this process has used: time on a CPU, and time it waited for one while it could run (run delay).
// Both together say how many CPUs a set of threads asks for; the CPU time alone does not: six threads that spin on two
// CPUs look like two that spin and four that block.
//
// Where it comes from, the best first; a self-test at start chooses:
//   kSchedStat  /proc/self/task/<tid>/schedstat: both times. Kernels without CONFIG_SCHED_INFO have no such file, or 0s.
//   kTaskState  /proc/self/task/<tid>/stat: the state at this moment, R for "runs or could": right in the mean of many.
//   kCpuClock   the thread's CPU clock, where /proc is not to be had: the CPU time alone.
// (Pressure stall information is of whole cgroups, and says nothing of one pool's threads.)
//
// The kernel brings a running thread's CPU time up to date at its ticks only, every 1 to 10 ms, except when the
// thread's CPU clock is read: that is done first, for 0.14 us, and windows of a few ms are exact. Run delay is booked
// when the thread gets its CPU: it comes late, up to some ms, and then all at once. It is never lost, so means are right.
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace workpool {

enum class UsageSource : uint8_t { kSchedStat, kTaskState, kCpuClock };

struct Usage {
  uint64_t cpu_ns = 0;    // kSchedStat, kCpuClock
  uint64_t delay_ns = 0;  // kSchedStat
  uint64_t slices = 0;    // kSchedStat: times on a CPU
  bool runnable = false;  // kTaskState
};

// Opens the source's file of a thread; -1: the thread is gone, or there is no descriptor left. Not for kCpuClock, which
// has no file.
[[nodiscard]] int OpenUsage(UsageSource source, int32_t tid);
// From such a descriptor; false: the thread has ended, whatever thread has its id now.
[[nodiscard]] bool ReadUsage(UsageSource source, int fd, int32_t tid, Usage* out);
// Open, read, close; false: no thread of this process has this id.
[[nodiscard]] bool ReadUsage(UsageSource source, int32_t tid, Usage* out);

// Seconds between two readings of one thread, dt_ns apart, in which it ran or waited for a CPU, as the source knows it.
// A booking of delay may make it more than dt.
[[nodiscard]] double RunnableSecondsBetween(UsageSource source, const Usage& before, const Usage& now, uint64_t dt_ns);

// The best source that tells the truth about the calling thread, which spins for some 0.2 ms to see. root stands before
// every path that is opened: "" is this system.
[[nodiscard]] UsageSource ChooseUsageSource(const char* root);
// The same for this system, once per process.
[[nodiscard]] UsageSource UsageSourceOfProcess();

// ---- its parts: texts of the files
// "on-CPU ns, run delay ns, time slices"; out stays as it is where the text is none.
[[nodiscard]] bool ParseSchedStat(std::string_view text, Usage* out);
// The state in a text of stat; 0: none.
[[nodiscard]] char ParseTaskState(std::string_view text);

}  // namespace workpool
