// WaitTime: more workers, by a share of them, while the wait of the slowest task in a hundred is too long; fewer, one at a
// time, while the mean wait is short and a worker is idle. (Without the last condition a pool whose workers are all at
// work and just enough would shrink and grow for ever.)
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct WaitTimeOptions {
  double high_s = 0.5;   // p99 above: more
  double low_s = 0.02;   // mean below: fewer
  double grow = 0.25;    // of the workers, at least one
  double shrink = 1;     // workers
};

class WaitTime final : public Decider {
 public:
  explicit WaitTime(const WaitTimeOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  const WaitTimeOptions options_;
};

}  // namespace workpool
