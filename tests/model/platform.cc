// The functions of src/base that touch the operating system, done by the virtual machine instead.
#include <pthread.h>

#include <cerrno>
#include <cstdint>

#include "base/allowance.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/event_fd.h"
#include "base/futex.h"
#include "base/memory.h"
#include "base/thread.h"
#include "base/thread_line.h"
#include "base/thread_usage.h"
#include "model/heap.h"
#include "model/memory_model.h"
#include "model/scheduler.h"
#include "model/trace.h"

// Every schedule starts a new process, as far as the library knows: handlers for fork would pile
// up.
extern "C" int pthread_atfork(void (*)(), void (*)(), void (*)()) { return 0; }

namespace workpool {

using model::g_heap;
using model::g_memory;
using model::g_scheduler;

// ---- futex.h ---------------------------------------------------------------------------------

FutexResult FutexWait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns) {
  g_scheduler.Point();
  g_memory.FullFence();
  if (g_memory.Newest(&word, sizeof(uint32_t), model::Site::current()) != expected)
    return FutexResult::kWoken;
  MODEL_TRACE("sleeps");
  const auto reason = g_scheduler.Sleep(&word, deadline_ns);
  MODEL_TRACE("%s", reason == model::WakeReason::kTimeout ? "times out" : "is awake");
  return reason == model::WakeReason::kTimeout ? FutexResult::kTimeout : FutexResult::kWoken;
}

void FutexWake(Atomic<uint32_t>& word, int count) {
  // The word may be gone by now: a wake is about an address only.
  if (!model::g_running) return;
  g_scheduler.Point();
  MODEL_TRACE("wakes %d", count);
  g_scheduler.Wake(&word, count);
}

// ---- clock.h ---------------------------------------------------------------------------------

uint64_t NowNs() { return g_scheduler.Now(); }
int64_t WallSeconds() { return 0; }
bool ReadThreadCpuNs(int32_t, uint64_t*) { return false; }
uint64_t OwnCpuNs() { return 0; }

// ---- cpus.h ----------------------------------------------------------------------------------

uint32_t ProcessCpus() { return 1; }

// ---- allowance.h -----------------------------------------------------------------------------

Allowance CurrentAllowance() { return {g_scheduler.options().cores, 64}; }

// ---- thread.h --------------------------------------------------------------------------------

bool CurrentThreadCpus(CpuMask*) { return false; }

int StartThread(const ThreadOptions&, void (*body)(void*), void* arg, ThreadHandle* out) {
  g_scheduler.Point();
  const uint64_t handle = g_scheduler.Start(body, arg, true);
  MODEL_TRACE("starts thread %u", static_cast<uint32_t>(handle & 0xFF));
  if (handle == 0) return EAGAIN;
  *out = handle;
  return 0;
}

void JoinThread(ThreadHandle thread) { g_scheduler.Join(thread); }
void DetachThread(ThreadHandle thread) { g_scheduler.Detach(thread); }
ThreadHandle CurrentThread() { return g_scheduler.Handle(); }
void SetThreadName(const char*) {}
int32_t CurrentTid() { return g_scheduler.Tid(); }
bool ThreadAlive(int32_t tid) { return g_scheduler.IsAlive(tid); }
uint64_t ThreadCpuNs(int32_t) { return 0; }

int32_t ThreadState(int32_t) { return 0; }
void YieldThread() { model::SpinPause(); }

void SleepNs(uint64_t ns) {
  g_scheduler.Point();
  (void)g_scheduler.Sleep(nullptr, g_scheduler.Now() + ns);
  g_memory.SeeAll();
}

size_t StackLeft() {
  return static_cast<size_t>(static_cast<const char*>(__builtin_frame_address(0)) -
                             g_scheduler.stack_base());
}

// ---- thread_usage.h --------------------------------------------------------------------------

// Virtual threads leave no trace in /proc, and none of them uses a CPU.
int OpenUsage(UsageSource, int32_t) { return -1; }
bool ReadUsage(UsageSource, int, int32_t, Usage*) { return false; }
bool ReadUsage(UsageSource, int32_t, Usage* out) {
  *out = {};
  return true;
}
double RunnableSecondsBetween(UsageSource, const Usage&, const Usage&, uint64_t) { return 0; }
UsageSource UsageSourceOfProcess() { return UsageSource::kCpuClock; }

// ---- event_fd.h ------------------------------------------------------------------------------

int OpenEventFd() { return -EMFILE; }
void CloseEventFd(int) {}
void SignalEventFd(int) {}
void ClearEventFd(int) {}

// ---- thread_line.h ---------------------------------------------------------------------------

Tls& CurrentTls() {
  static Tls outside;
  return model::g_running ? g_scheduler.tls() : outside;
}

// ---- memory.h --------------------------------------------------------------------------------

void* AllocateBytes(size_t bytes, size_t align) { return g_heap.Allocate(bytes, align); }
void FreeBytes(void* memory, size_t bytes) { g_heap.Free(memory, bytes); }

}  // namespace workpool
