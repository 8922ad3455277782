// PerCore: bounds another decider to so many workers for each CPU, and those that hang besides.
// Threads: one at a time.
#pragma once

#include <algorithm>

#include "base/memory.h"
#include "scaling/decider.h"
#include "scaling/signals.h"

namespace workpool {

class PerCore final : public Decider {
 public:
  // Owns inner.
  PerCore(Decider* inner, double workers) : inner_(inner), workers_(workers) {}
  ~PerCore() override { Delete(inner_); }

  [[nodiscard]] Decision Decide(const LoadSample& sample) override {
    const LoadSample bounded = Bounded(sample);
    Decision decision = inner_->Decide(bounded);
    if (decision.workers > bounded.workers_max) {
      decision.workers = bounded.workers_max;
      decision.reason = Reason::kBounds;
    }
    return decision;
  }
  void Adopt(const LoadSample& sample) override { inner_->Adopt(Bounded(sample)); }
  [[nodiscard]] bool keeps() const override { return inner_->keeps(); }

 private:
  [[nodiscard]] LoadSample Bounded(const LoadSample& sample) const {
    LoadSample bounded = sample;
    const uint32_t most = WholeWorkers(workers_ * sample.cores + sample.hung);
    bounded.workers_max = std::max({std::min(sample.workers_max, most), sample.workers_min, 1u});
    return bounded;
  }

  Decider* const inner_;
  const double workers_;
};

}  // namespace workpool
