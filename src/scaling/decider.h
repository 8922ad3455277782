// Decider: the part of a policy that says how many workers there should be. Each is a file of its own. A decider keeps what
// it has learned in itself; it knows no clock, no thread and no other global, so that equal samples give equal decisions.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/memory.h"
#include "scaling/load_sample.h"

namespace workpool {

enum class Reason : uint8_t {
  kHold,         // nothing to do
  kStarved,      // tasks wait, and CPUs are idle
  kExpired,      // workers have ended by idle expiry
  kTrimmed,      // far more can run than there are CPUs
  kPaced,        // growth waits until the last step has paid
  kSearchDown,   // fewer may do more
  kSearchUp,
  kLetGo,        // a bound that was found holds no longer: "relaxed"
  kCompensated,  // for hung workers
  kLoad,         // the policy's own figure asks for it
  kCooldown,     // it would, but too soon
  kManual,       // pool_tune
  kSchedule,     // the floor of a schedule or a season
  kBudget,       // the pools of a budget share it
  kBounds,       // workers_min or workers_max
};

const char* ReasonName(Reason reason);

struct Decision {
  uint32_t workers = 0;       // the target
  Reason reason = Reason::kHold;
  uint64_t again_ns = kNever;  // look again then, also if nothing waits
  double signal = 0;           // what it was decided by, of the user's own
};

class Decider : public Deletable {
 public:
  // target in the sample is what came of the decision before; it may have been clamped, or set by hand.
  [[nodiscard]] virtual Decision Decide(const LoadSample& sample) = 0;

  // The target was set by somebody else for a while, and is this decider's again: it goes on from there without a jump.
  virtual void Adopt(const LoadSample& sample) { (void)sample; }

  // True: exactly target workers are kept, idle or not. False: the target only bounds them, and idle ones expire.
  [[nodiscard]] virtual bool keeps() const { return false; }

  // It decides by LoadSample::own, which is the user's to measure.
  [[nodiscard]] virtual bool reads_own() const { return false; }

 protected:
  Decider() = default;
  Decider(const Decider&) = delete;
  Decider& operator=(const Decider&) = delete;
};

}  // namespace workpool
