#include "base/thread_settings.h"

#include <cerrno>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/thread.h"

namespace workpool {
namespace {

#if defined(__x86_64__) || defined(__i386__)

constexpr uint32_t kMxcsrFlags = 0x3F;  // exceptions that have occurred, which are a result, not a setting

uint64_t FloatControl() {
  uint16_t x87;
  asm volatile("fnstcw %0" : "=m"(x87));
  const uint32_t sse = __builtin_ia32_stmxcsr() & ~kMxcsrFlags;
  return uint64_t{x87} << 32 | sse;
}

void SetFloatControl(uint64_t control) {
  const auto x87 = static_cast<uint16_t>(control >> 32);
  asm volatile("fldcw %0" : : "m"(x87));
  __builtin_ia32_ldmxcsr(static_cast<uint32_t>(control));
}

#else

uint64_t FloatControl() { return static_cast<uint64_t>(fegetround()); }
void SetFloatControl(uint64_t control) { fesetround(static_cast<int>(control)); }

#endif

}  // namespace

void ThreadSettings::Save() {
  float_control_ = FloatControl();
  errno_ = errno;
  pthread_sigmask(SIG_SETMASK, nullptr, &signals_);
  pthread_getname_np(pthread_self(), name_, sizeof(name_));
  nice_ = getpriority(PRIO_PROCESS, static_cast<id_t>(CurrentTid()));
  CpuMask cpus;
  has_cpus_ = CurrentThreadCpus(&cpus);
  std::memcpy(cpus_, cpus.bits, sizeof(cpus_));
  locale_ = uselocale(nullptr);
}

const char* ThreadSettings::RestoreFloat() {
  errno = errno_;
  if (FloatControl() == float_control_) return nullptr;
  SetFloatControl(float_control_);
  return "floating-point control";
}

const char* ThreadSettings::RestoreAll() {
  const char* changed = RestoreFloat();
  sigset_t signals;
  pthread_sigmask(SIG_SETMASK, &signals_, &signals);
  for (int signal = 1; signal < NSIG; ++signal) {
    if (sigismember(&signals, signal) != sigismember(&signals_, signal)) changed = "signal mask";
  }
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof(name));
  if (std::strcmp(name, name_) != 0) {
    pthread_setname_np(pthread_self(), name_);
    changed = "thread name";
  }
  const auto self = static_cast<id_t>(CurrentTid());
  if (getpriority(PRIO_PROCESS, self) != nice_) {
    setpriority(PRIO_PROCESS, self, nice_);  // back to a better one only as far as the process may
    changed = "nice value";
  }
  CpuMask cpus;
  if (has_cpus_ && CurrentThreadCpus(&cpus) && std::memcmp(cpus.bits, cpus_, sizeof(cpus_)) != 0) {
    sched_setaffinity(0, sizeof(cpus_), reinterpret_cast<const cpu_set_t*>(cpus_));
    changed = "CPUs";
  }
  if (uselocale(locale_) != locale_) changed = "locale";
  int before = PTHREAD_CANCEL_ENABLE;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
  if (before != PTHREAD_CANCEL_ENABLE) changed = "cancel state";
  pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before);
  if (before != PTHREAD_CANCEL_DEFERRED) changed = "cancel type";
  errno = errno_;
  return changed;
}

}  // namespace workpool
