// The one home of thread start. A thread chooses its own stack, signal mask and affinity; the creating
// thread's are not touched.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace workpool {

// A joinable thread, by number; valid until joined or detached.
using ThreadHandle = uint64_t;

// A set of CPUs, as sched_getaffinity(2) gives it.
struct CpuMask {
  uint64_t bits[16] = {};

  uint32_t count() const {
    int count = 0;
    for (const uint64_t word : bits) count += std::popcount(word);
    return static_cast<uint32_t>(count);
  }
};

// CPUs of the calling thread. False: more than a CpuMask holds, or the system refused.
[[nodiscard]] bool CurrentThreadCpus(CpuMask* out);

struct ThreadOptions {
  size_t stack_bytes;
  bool own_cpus;  // run on cpus; else where the process's main thread may run when the thread starts
  CpuMask cpus;
};

// Runs body(arg) on a new thread with every asynchronous signal blocked. 0, or an errno: EAGAIN is often
// passing.
[[nodiscard]] int StartThread(const ThreadOptions& options, void (*body)(void*), void* arg,
                              ThreadHandle* out);
void JoinThread(ThreadHandle thread);
void DetachThread(ThreadHandle thread);
[[nodiscard]] ThreadHandle CurrentThread();

// Name of the calling thread as ps and gdb show it, cut to 15 bytes.
void SetThreadName(const char* name);

// Kernel id of the calling thread, and whether a thread of this process has that id.
[[nodiscard]] int32_t CurrentTid();
[[nodiscard]] bool ThreadAlive(int32_t tid);

// CPU time of a thread of this process; 0: not known.
[[nodiscard]] uint64_t ThreadCpuNs(int32_t tid);
// Its state as in /proc: 'R', 'S', 'D', ...; 0: not known.
[[nodiscard]] int32_t ThreadState(int32_t tid);

void YieldThread();
void SleepNs(uint64_t ns);

// Bytes left on the calling thread's stack below this frame; SIZE_MAX where it is not known.
[[nodiscard]] size_t StackLeft();

}  // namespace workpool
