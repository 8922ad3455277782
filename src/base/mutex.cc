#include "base/mutex.h"

#include "base/spin.h"

namespace workpool {

void Mutex::LockSlow(int spins) {
  for (int spin = 0; spin < spins; ++spin) {
    uint32_t free = 0;
    if (state_.load(kRelaxed) == 0 && state_.compare_exchange_strong(free, 1, kAcquire, kRelaxed)) {
      return;
    }
    SpinPause();
  }
  // From here on we leave 2 behind, because others may sleep as well. acquire: as in Lock.
  while (state_.exchange(2, kAcquire) != 0) (void)FutexWait(state_, 2, kNever);
}

}  // namespace workpool
