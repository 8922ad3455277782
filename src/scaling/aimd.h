// Aimd: additive increase, multiplicative decrease, as TCP does it with its window. While the oldest waiting task has waited
// longer than the target, some workers more each time; while it has not and workers are idle, a share of all fewer, but
// none of those at work.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct AimdOptions {
  double wait_s = 0.02;  // the oldest task may wait so long
  double add = 1;        // workers
  double cut = 0.25;     // of the workers, at least one
};

class Aimd final : public Decider {
 public:
  explicit Aimd(const AimdOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  const AimdOptions options_;
};

}  // namespace workpool
