#include "scaling/policy_seat.h"

#include <utility>

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"

namespace workpool {

PolicySeat::~PolicySeat() { Delete(policy_); }

Policy* PolicySeat::Take() {
  MutexLock lock(mu_);
  taken_ = policy_;
  taker_ = CurrentTid();
  return taken_;
}

void PolicySeat::GiveBack() {
  Policy* doomed;
  {
    MutexLock lock(mu_);
    doomed = std::exchange(taken_, nullptr);
    // Replaced by its own call; another thread that has replaced it deletes it itself.
    if (doomed == policy_ || taker_ != 0) doomed = nullptr;
    taker_ = 0;
  }
  Delete(doomed);
  given_back_.Notify();
}

void PolicySeat::Replace(Policy* policy) {
  Policy* before;
  {
    MutexLock lock(mu_);
    before = std::exchange(policy_, policy);
    if (before == nullptr) return;
    if (before == taken_ && taker_ == CurrentTid()) {
      taker_ = 0;  // GiveBack deletes it
      return;
    }
  }
  (void)given_back_.Await(kNever, [&] {
    MutexLock lock(mu_);
    return taken_ != before;
  });
  Delete(before);
}

}  // namespace workpool
