// PolicySeat: where a pool's policy sits. One thread at a time takes it, to ask it; any thread puts another one there, and
// knows on return that nobody is inside the old one any more.
// Threads:   all, any thread.
// Ownership: owns the policy.
#pragma once

#include <cstdint>

#include "base/mutex.h"
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

  // The old one is deleted: here, or if this thread has taken it, when it gives it back.
  void Replace(Policy* policy);

 private:
  Mutex mu_;
  Policy* policy_ ABSL_GUARDED_BY(mu_) = nullptr;
  Policy* taken_ ABSL_GUARDED_BY(mu_) = nullptr;
  int32_t taker_ ABSL_GUARDED_BY(mu_) = 0;
  Event given_back_;
};

}  // namespace workpool
