// OwnDecider: a policy of the user's, as C functions with their user data (pool_policy_t).
// Threads: one at a time, the service thread, without a lock.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "scaling/decider.h"

namespace workpool {

class OwnDecider final : public Decider {
 public:
  // own.decide is given.
  explicit OwnDecider(const pool_policy_t& own) : own_(own) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool own() const override { return true; }
  [[nodiscard]] bool keeps() const override { return (own_.flags & POOL_POLICY_KEEP) != 0; }

 private:
  const pool_policy_t own_;
};

// As a policy of the user's sees it.
[[nodiscard]] pool_load_t PublicLoad(const LoadSample& sample);

}  // namespace workpool
