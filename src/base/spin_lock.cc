#include "base/spin_lock.h"

#include "base/spin.h"
#include "base/thread.h"

namespace workpool {
namespace {

constexpr int kSpins = 100;
constexpr int kYields = 100;
constexpr uint64_t kSleepNs = 50'000;

}  // namespace

void SpinLock::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (int round = 0; !TryLock(); ++round) {
    if (round < kSpins) {
      SpinPause();
    } else if (round < kSpins + kYields) {
      YieldThread();
    } else {
      SleepNs(kSleepNs);
    }
  }
}

}  // namespace workpool
