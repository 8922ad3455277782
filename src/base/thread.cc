#include "base/thread.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/no_cancellation.h"
#include "base/thread_line.h"

namespace workpool {
namespace {

struct StartInfo {
  void (*body)(void*);
  void* arg;
};

void* ThreadMain(void* memory) {
  const StartInfo info = *static_cast<StartInfo*>(memory);
  FreeBytes(memory, sizeof(StartInfo));
  pthread_attr_t attr;
  if (pthread_getattr_np(pthread_self(), &attr) == 0) {
    void* base = nullptr;
    size_t size = 0;
    if (pthread_attr_getstack(&attr, &base, &size) == 0) CurrentTls().stack_base = base;
    pthread_attr_destroy(&attr);
  }
  info.body(info.arg);
  return nullptr;
}

// Synchronous faults stay deliverable: blocking them would turn a crash report into a silent kill.
sigset_t AsynchronousSignals() {
  sigset_t set;
  sigfillset(&set);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
    sigdelset(&set, signal);
  }
  return set;
}

static_assert(sizeof(cpu_set_t) == sizeof(CpuMask));

int CreateWithAttributes(const ThreadOptions& options, const cpu_set_t* cpus, StartInfo* info,
                         pthread_t* thread) {
  pthread_attr_t attr;
  int error = pthread_attr_init(&attr);
  if (error != 0) return error;
  const sigset_t mask = AsynchronousSignals();
  error = pthread_attr_setstacksize(&attr, options.stack_bytes);
  if (error == 0) error = pthread_attr_setsigmask_np(&attr, &mask);
  if (error == 0 && cpus != nullptr) error = pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
  if (error == 0) error = pthread_create(thread, &attr, ThreadMain, info);
  pthread_attr_destroy(&attr);
  return error;
}

}  // namespace

bool CurrentThreadCpus(CpuMask* out) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return false;
  std::memcpy(out->bits, &cpus, sizeof(cpus));
  return true;
}

int StartThread(const ThreadOptions& options, void (*body)(void*), void* arg, ThreadHandle* out) {
  auto* info = static_cast<StartInfo*>(AllocateBytes(sizeof(StartInfo), alignof(StartInfo)));
  if (info == nullptr) return ENOMEM;
  *info = {body, arg};
  cpu_set_t cpus;
  std::memcpy(&cpus, options.cpus.bits, sizeof(cpus));
  // The main thread's id is the process id.
  bool set_cpus = options.own_cpus || sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0;
  // What the thread inherits anyway need not be set, which would make it wait for its creator.
  cpu_set_t inherited;
  if (set_cpus && sched_getaffinity(0, sizeof(inherited), &inherited) == 0) {
    set_cpus = !CPU_EQUAL(&cpus, &inherited);
  }
  pthread_t thread;
  int error = CreateWithAttributes(options, set_cpus ? &cpus : nullptr, info, &thread);
  // EINVAL: the CPUs of the process changed under us; better on the creator's CPUs than not at all.
  if (error == EINVAL && set_cpus) error = CreateWithAttributes(options, nullptr, info, &thread);
  if (error != 0) {
    FreeBytes(info, sizeof(StartInfo));
    return error;
  }
  static_assert(sizeof(pthread_t) <= sizeof(ThreadHandle));
  *out = static_cast<ThreadHandle>(thread);
  return 0;
}

void JoinThread(ThreadHandle thread) {
  const WithoutCancellation no_cancellation;
  pthread_join(static_cast<pthread_t>(thread), nullptr);
}
void DetachThread(ThreadHandle thread) { pthread_detach(static_cast<pthread_t>(thread)); }
ThreadHandle CurrentThread() { return static_cast<ThreadHandle>(pthread_self()); }

void SetThreadName(const char* name) {
  char cut[16];
  std::snprintf(cut, sizeof(cut), "%s", name);
  pthread_setname_np(pthread_self(), cut);
}

int32_t CurrentTid() { return static_cast<int32_t>(syscall(SYS_gettid)); }

bool ThreadAlive(int32_t tid) {
  const int saved = errno;
  const bool alive = syscall(SYS_tgkill, getpid(), tid, 0) == 0 || errno != ESRCH;
  errno = saved;
  return alive;
}

namespace {

// The beginning of a file of /proc/self/task/<tid>; "" if there is none.
template <size_t kSize>
void ReadThreadFile(int32_t tid, const char* name, char (&text)[kSize]) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
  text[0] = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t length = read(fd, text, kSize - 1);
  text[length > 0 ? length : 0] = 0;
  close(fd);
}

}  // namespace

uint64_t ThreadCpuNs(int32_t tid) {
  char text[128];
  ReadThreadFile(tid, "schedstat", text);
  return std::strtoull(text, nullptr, 10);  // its first number
}

int32_t ThreadState(int32_t tid) {
  char text[256];
  ReadThreadFile(tid, "stat", text);
  // After the name, which is in parentheses and may hold some.
  const char* end = std::strrchr(text, ')');
  return end != nullptr && end[1] == ' ' ? end[2] : 0;
}

void YieldThread() { sched_yield(); }

void SleepNs(uint64_t ns) {
  const WithoutCancellation no_cancellation;
  timespec time{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
}

size_t StackLeft() {
  const char* base = static_cast<const char*>(CurrentTls().stack_base);
  if (base == nullptr) return SIZE_MAX;
  return static_cast<size_t>(static_cast<const char*>(__builtin_frame_address(0)) - base);
}

}  // namespace workpool
