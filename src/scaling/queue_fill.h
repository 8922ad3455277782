// QueueFill: some workers more while the queue is fuller than a share of its capacity, some fewer while it is emptier than
// another. The policies `queue-depth` and `queue-level`, which differ in the figures and in the cooldown.
// A share of the default queue limit, a million, would say nothing, so the capacity is an option of its own.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct QueueFillOptions {
  double capacity = 1000;  // tasks; at most the queue limit; 0: the queue limit
  double high = 0.75;      // fuller than this share: more
  double low = 0.10;       // emptier: fewer
  double up = 2;           // workers more
  double down = 1;         // workers fewer
};

inline constexpr QueueFillOptions kQueueLevelOptions = {.high = 0.5, .low = 0.25, .up = 1};

class QueueFill final : public Decider {
 public:
  explicit QueueFill(const QueueFillOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  const QueueFillOptions options_;
};

}  // namespace workpool
