// Policy: one whole rule, from a load sample to the target: smoothing of what is seen, the decider, the floor of a schedule
// or a season, the shortest time between steps, and the bounds. Each part is an object of its own and can be another one.
//
//   sample -> smoothing -> decider -> floor -> cooldown -> bounds -> decision
//
// Threads: one at a time. It knows no clock and no thread; the simulator of tests/sim runs the same code.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "scaling/cooldown.h"
#include "scaling/decider.h"
#include "scaling/floor.h"
#include "scaling/load_sample.h"
#include "scaling/smoothing.h"

namespace workpool {

class Policy {
 public:
  // From its name and options, "pid,kp=10,setpoint=0.7,cooldown_up=2s": docs/scaling.md lists them all.
  // OK, INVALID (a text says what is known instead), NOMEM. The caller owns it: Delete.
  [[nodiscard]] static Status Parse(const char* spec, Policy** out);

  // With a decider that the caller has made. Owns it.
  explicit Policy(Decider* decider);
  ~Policy();
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // The target within the bounds of the sample, and why.
  [[nodiscard]] Decision Decide(const LoadSample& sample);
  // As Decider::Adopt.
  void Adopt(const LoadSample& sample);

  // Other times than the policy's own; 0: these.
  void SetTimes(uint64_t tick_ns, uint64_t patience_ns) {
    if (tick_ns != 0) tick_ns_ = tick_ns;
    if (patience_ns != 0) patience_ns_ = patience_ns;
  }

  [[nodiscard]] bool keeps() const;
  [[nodiscard]] bool own() const { return decider_->own(); }
  // How often to look while tasks wait.
  [[nodiscard]] uint64_t tick_ns() const { return tick_ns_; }
  // How long a task waits before somebody looks.
  [[nodiscard]] uint64_t patience_ns() const { return patience_ns_; }
  // What the policy wants instead of the pool's keep-alive; 0: nothing.
  [[nodiscard]] uint64_t keep_alive_ns() const { return keep_alive_ns_; }

 private:
  Decider* const decider_;
  Smoothing smoothing_;
  Cooldown cooldown_;
  Floor* floor_ = nullptr;  // of a schedule or a season, or none
  uint64_t tick_ns_;
  uint64_t patience_ns_;
  uint64_t keep_alive_ns_ = 0;
};

}  // namespace workpool
