#include "scaling/policy_seat.h"

#include <utility>

#include "base/memory.h"

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
    // Another thread that has replaced it deletes it itself.
    if (!std::exchange(doomed_, false)) doomed = nullptr;
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
      doomed_ = true;
      before->Dismiss();
      return;
    }
  }
  (void)given_back_.Await(kNever, [&] {
    MutexLock lock(mu_);
    return taken_ != before;
  });
  Delete(before);
}

bool PolicySeat::ReplaceTaken(Policy* policy) {
  MutexLock lock(mu_);
  if (policy_ != taken_) return false;
  policy_ = policy;
  doomed_ = true;
  taken_->Dismiss();
  return true;
}

}  // namespace workpool
