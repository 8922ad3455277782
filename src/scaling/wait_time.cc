#include "scaling/wait_time.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {

Decision WaitTime::Decide(const LoadSample& sample) {
  if (sample.wait_p99_s > options_.high_s) {
    return {WholeWorkers(sample.target + std::max(1.0, sample.target * options_.grow)), Reason::kLoad};
  }
  const bool idle = Active(sample) < sample.target;
  if (sample.wait_mean_s < options_.low_s && idle)
    return {WholeWorkers(sample.target - options_.shrink), Reason::kLoad};
  return {sample.target, Reason::kHold};
}

}  // namespace workpool
