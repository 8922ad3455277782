// Policy: one whole rule, from a load sample to the target: smoothing of what is seen, the decider, the floor of a schedule
// or a season, the shortest time between steps, and the bounds. Each part is an object of its own and can be another one.
//
//   sample -> own signal -> smoothing -> decider -> floor -> bounds -> cooldown -> decision
//
// Threads: one at a time. It knows no clock and no thread; the simulator of tests/sim runs the same code.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "scaling/cooldown.h"
#include "scaling/decider.h"
#include "scaling/floor.h"
#include "scaling/load_sample.h"
#include "scaling/own_parts.h"
#include "scaling/smoothing.h"

namespace workpool {

class Policy {
 public:
  // From its name and options, "pid,kp=10,setpoint=0.7,cooldown_up=2s": docs/policies.md lists them all.
  // OK, INVALID (a text says what is known instead), NOMEM. The caller owns it: Delete.
  [[nodiscard]] static Status Parse(const char* spec, Policy** out);

  // The user's own decider, or the policy by its name, with his signal and cooldown. As Parse.
  [[nodiscard]] static Status Make(const pool_policy_t& own, Policy** out);

  // With a decider that the caller has made. Owns it.
  explicit Policy(Decider* decider);
  ~Policy();
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // The target within the bounds of the sample, and why.
  [[nodiscard]] Decision Decide(const LoadSample& sample);
  // As Decider::Adopt.
  void Adopt(const LoadSample& sample);

  // As OwnParts::Dismiss; the decisions are holds from now on.
  void Dismiss();

  // It calls the user's functions.
  [[nodiscard]] bool own() const { return own_.any(); }
  // So long they have run for one decision. False: too long, so many times in a row that they have to go.
  [[nodiscard]] bool MayGoOn(uint64_t took_ns);
  // What is too long.
  [[nodiscard]] uint64_t own_max_ns() const { return own_max_ns_; }

  // What a floor has learned, as Floor::Save.
  [[nodiscard]] size_t SaveHistory(char* out, size_t room) const;

  [[nodiscard]] bool keeps() const;
  // How often to look while tasks wait.
  [[nodiscard]] uint64_t tick_ns() const { return tick_ns_; }
  // How long a task waits before somebody looks.
  [[nodiscard]] uint64_t patience_ns() const { return patience_ns_; }
  // What the policy wants instead of the pool's keep-alive; 0: nothing.
  [[nodiscard]] uint64_t keep_alive_ns() const { return keep_alive_ns_; }

 private:
  static constexpr uint64_t kOwnMaxNs = 10'000'000;
  static constexpr uint32_t kOwnSlowMax = 3;

  [[nodiscard]] Status TakeParts(const pool_policy_t& own);
  [[nodiscard]] Decision DecideOn(const LoadSample& sample);

  Decider* const decider_;
  OwnParts own_;
  bool dismissed_ = false;
  uint64_t own_max_ns_ = kOwnMaxNs;
  uint32_t own_slow_ = 0;  // in a row
  Smoothing smoothing_;
  Cooldown cooldown_;
  Floor* floor_ = nullptr;  // of a schedule or a season, or none
  uint64_t tick_ns_;
  uint64_t patience_ns_;
  uint64_t keep_alive_ns_ = 0;
};

}  // namespace workpool
