// Steering: whoever decides how many workers there are, as the simulator asks it: a policy as it ships, or a decider
// alone.
#pragma once

#include <cstdint>
#include <vector>

#include "scaling/decider.h"
#include "scaling/load_sample.h"
#include "scaling/policy.h"

namespace workpool::sim {

class Steering {
 public:
  virtual ~Steering() = default;
  virtual Decision Decide(const LoadSample& sample) = 0;
  virtual bool keeps() const = 0;
  virtual uint64_t tick_ns() const { return 5'000'000; }
  virtual uint64_t patience_ns() const { return 5'000'000; }
  virtual uint64_t keep_alive_ns() const { return 0; }  // 0: the pool's
  // It looks at nothing but the time, and the sample need not be made.
  virtual bool blind() const { return false; }
};

class PolicySteering final : public Steering {
 public:
  explicit PolicySteering(Policy& policy) : policy_(policy) {}
  Decision Decide(const LoadSample& sample) override { return policy_.Decide(sample); }
  bool keeps() const override { return policy_.keeps(); }
  uint64_t tick_ns() const override { return policy_.tick_ns(); }
  uint64_t patience_ns() const override { return policy_.patience_ns(); }
  uint64_t keep_alive_ns() const override { return policy_.keep_alive_ns(); }

 private:
  Policy& policy_;
};

class DeciderSteering final : public Steering {
 public:
  explicit DeciderSteering(Decider& decider) : decider_(decider) {}
  Decision Decide(const LoadSample& sample) override { return decider_.Decide(sample); }
  bool keeps() const override { return decider_.keeps(); }

 private:
  Decider& decider_;
};

// A schedule of targets, one for each segment of time; the last one holds from then on. Exactly so many are kept.
class TableSteering final : public Steering {
 public:
  TableSteering(const std::vector<uint32_t>& targets, uint64_t start_ns, uint64_t segment_ns)
      : targets_(targets), start_ns_(start_ns), segment_ns_(segment_ns) {}

  Decision Decide(const LoadSample& sample) override {
    const uint64_t index = (sample.now_ns - start_ns_) / segment_ns_;
    if (index + 1 >= targets_.size()) return {targets_.back(), Reason::kManual, kNever};
    return {targets_[index], Reason::kManual, start_ns_ + (index + 1) * segment_ns_};
  }
  bool keeps() const override { return true; }
  uint64_t tick_ns() const override { return kNever / 2; }
  uint64_t patience_ns() const override { return kNever / 2; }
  bool blind() const override { return true; }

 private:
  const std::vector<uint32_t>& targets_;
  const uint64_t start_ns_;
  const uint64_t segment_ns_;
};

}  // namespace workpool::sim
