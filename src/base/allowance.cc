#include "base/allowance.h"

#include <algorithm>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/mutex.h"
#include "base/proc_limits.h"
#include "base/process.h"

namespace workpool {
namespace {

constexpr uint64_t kFreshNs = 1'000'000'000;

class Cache {
 public:
  Allowance Get() {
    const uint64_t now_ns = NowNs();
    // The mask is one system call, and what the process itself is most likely to change.
    const uint32_t affinity = ProcessCpus();
    {
      MutexLock lock(mu_);
      if (read_ns_ == 0 || now_ns - read_ns_ >= kFreshNs) {
        quota_ = ReadCpuAllowance().quota;
        threads_ = ThreadsAllowed(0);
        read_ns_ = now_ns;
      }
      return {std::max(1.0, std::min<double>(affinity, quota_)), threads_};
    }
  }

 private:
  Mutex mu_;
  uint64_t read_ns_ ABSL_GUARDED_BY(mu_) = 0;
  double quota_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t threads_ ABSL_GUARDED_BY(mu_) = 1;
};

constinit PerProcess<Cache> g_cache;

}  // namespace

Allowance CurrentAllowance() {
  if (Cache* cache = g_cache.Ensure()) return cache->Get();
  return {static_cast<double>(ProcessCpus()), kThreadsAutoMax};
}

}  // namespace workpool
