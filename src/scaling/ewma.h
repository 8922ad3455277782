// Ewma: the exponentially weighted mean of one signal (signals.h), held at a setpoint: of a level, mean / setpoint workers;
// of a ratio, workers * mean / setpoint, at most twice as many as now. By default the demand by Little's law.
// Fewer only when that is at least a tenth fewer, so that what wavers around a whole number moves nothing.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"
#include "scaling/signals.h"

namespace workpool {

struct EwmaOptions {
  double alpha = 0.3;   // the weight of the newest figure
  double signal = 0;    // a Signal
  double setpoint = 0;  // 0: the signal's own
  double band = 0.1;    // fewer only by at least this share
};

class Ewma final : public Decider {
 public:
  explicit Ewma(const EwmaOptions& options = {});

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  void Adopt(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }
  [[nodiscard]] bool reads_own() const override { return signal_ == Signal::kOwn; }

 private:
  const EwmaOptions options_;
  const Signal signal_;
  const double setpoint_;
  bool any_ = false;
  double mean_ = 0;
};

}  // namespace workpool
