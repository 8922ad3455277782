// Fixed: always the same number of workers, busy or idle: `n` of them, or with n = 0 workers_max.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct FixedOptions {
  double n = 0;
};

class Fixed final : public Decider {
 public:
  explicit Fixed(const FixedOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override {
    const uint32_t n = options_.n > 0 ? static_cast<uint32_t>(options_.n) : sample.workers_max;
    return {n, n == sample.target ? Reason::kHold : Reason::kLoad};
  }
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  const FixedOptions options_;
};

}  // namespace workpool
