#include "scaling/busy_share.h"

#include <algorithm>

namespace workpool {

Decision DecideByBusyShare(const LoadSample& sample) {
  const uint32_t live = std::max(sample.workers_live, sample.workers_min);
  const uint32_t busy = sample.workers_live - std::min(sample.workers_idle, sample.workers_live);
  const bool mostly_busy = uint64_t{busy} * 5 >= uint64_t{sample.workers_live} * 4;
  if (sample.queued > 0 && mostly_busy && live < sample.workers_max) {
    return {live + 1, DecisionReason::kStarved};
  }
  return {live, DecisionReason::kHold};
}

}  // namespace workpool
