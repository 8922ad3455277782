// MultiSignal: three signals vote: the share of workers at work, the mean wait, and the tasks that wait for each worker. Two
// of them, or a wait that is far too long, make the pool grow; all of them must be low for it to shrink. While many tasks
// fail it does not grow: more calls to a service that fails make it fail more.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct MultiSignalOptions {
  double utilisation_high = 0.8;
  double utilisation_low = 0.5;
  double wait_high_s = 0.05;
  double wait_low_s = 0.005;
  double wait_urgent_s = 0.2;  // enough by itself
  double depth_high = 1;       // tasks for each worker
  double depth_low = 0.1;
  double errors_max = 0.1;     // of the runs of late
  double grow = 0.25;          // of the workers, at least one
  double shrink = 1;           // workers
};

class MultiSignal final : public Decider {
 public:
  explicit MultiSignal(const MultiSignalOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  void NoteErrors(const LoadSample& sample);

  const MultiSignalOptions options_;
  double ended_ = 0;  // both fade with every sample
  double failed_ = 0;
};

}  // namespace workpool
