// OwnParts: the parts of a policy that are the user's, as C functions with their user data (pool_policy_t): a signal, the
// decider, a cooldown. Each may be missing.
// Threads: one at a time, the service thread, without a lock.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "scaling/decider.h"

namespace workpool {

class OwnParts {
 public:
  OwnParts() = default;
  explicit OwnParts(const pool_policy_t& own) : own_(own) {}

  [[nodiscard]] bool any() const { return has_signal() || own_.decide != nullptr || own_.cooldown != nullptr; }
  [[nodiscard]] bool has_signal() const { return own_.signal != nullptr; }

  // What the signal returns to *out; without one that stays. False: it has thrown.
  [[nodiscard]] bool Measure(const LoadSample& sample, double* out) const;
  // Whether the target may change to workers now; one that throws says no.
  [[nodiscard]] bool MayChange(const LoadSample& sample, uint32_t workers) const;

  // One of the functions has put another policy in this one's place: none is called any more.
  void Dismiss() { own_ = {}; }

 private:
  pool_policy_t own_{};
};

// The decider of a user. What it decides by is LoadSample::own.
class OwnDecider final : public Decider {
 public:
  // own.decide is given.
  explicit OwnDecider(const pool_policy_t& own) : own_(own) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return (own_.flags & POOL_POLICY_KEEP) != 0; }
  [[nodiscard]] bool reads_own() const override { return true; }

 private:
  const pool_policy_t own_;
};

// As a policy of the user's sees it.
[[nodiscard]] pool_load_t PublicLoad(const LoadSample& sample);

}  // namespace workpool
