// BusyShare: while tasks wait and nearly all workers are at work, one more for each task that waits. Fewer is left to idle
// expiry. It sees threads, not CPUs: for work that computes workers_max must say how many are enough.
// Origin: a common rule of adaptive pools; pond and ants in Go grow so.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct BusyShareOptions {
  double share = 0.8;  // of the workers must be at work
};

class BusyShare final : public Decider {
 public:
  explicit BusyShare(const BusyShareOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;

 private:
  const BusyShareOptions options_;
};

}  // namespace workpool
