// PolicySeat: where a pool's policy sits. One thread at a time takes it, to ask it; any thread puts another one there, and
// knows on return that nobody is inside the old one any more.
// Threads:   all, any thread.
// Ownership: owns the policy.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "park/event.h"
#include "scaling/policy.h"

namespace workpool {

class PolicySeat {
 public:
  PolicySeat() = default;
  ~PolicySeat();
  PolicySeat(const PolicySeat&) = delete;
  PolicySeat& operator=(const PolicySeat&) = delete;

  // The policy, or nullptr. It stays until GiveBack, by the same thread.
  [[nodiscard]] Policy* Take();
  void GiveBack();

  // The old one is deleted: here, or if this thread has taken it, when it gives it back; its user's functions are not called
  // any more.
  void Replace(Policy* policy);

  // By who has taken the policy: another one takes its place, as with Replace. False: somebody has done so already.
  [[nodiscard]] bool ReplaceTaken(Policy* policy);

  // Calls see(policy), which may be nullptr, while nobody has taken it, and nobody can. False: this thread has taken it.
  template <typename See>
  [[nodiscard]] bool Look(const See& see) {
    bool done = false, own = false;
    (void)given_back_.Await(kNever, [&] {
      MutexLock lock(mu_);
      own = taken_ != nullptr && taker_ == CurrentTid();
      done = taken_ == nullptr;
      if (done) see(policy_);
      return done || own;
    });
    return done;
  }

 private:
  Mutex mu_;
  Policy* policy_ ABSL_GUARDED_BY(mu_) = nullptr;
  Policy* taken_ ABSL_GUARDED_BY(mu_) = nullptr;
  int32_t taker_ ABSL_GUARDED_BY(mu_) = 0;
  bool doomed_ ABSL_GUARDED_BY(mu_) = false;  // taken_ was replaced by its taker
  Event given_back_;
};

}  // namespace workpool
