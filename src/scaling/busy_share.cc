#include "scaling/busy_share.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {

Decision BusyShare::Decide(const LoadSample& sample) {
  const uint32_t live = Counted(sample);
  // 4 of 5 are 0.8, however that is rounded.
  const bool mostly_busy = Active(sample) >= options_.share * live - 1e-9;
  if (sample.queued == 0 || !mostly_busy || live >= sample.workers_max) return {live, Reason::kHold};
  const uint64_t room = sample.workers_max - live;
  return {live + static_cast<uint32_t>(std::min(sample.queued, room)), Reason::kLoad};
}

}  // namespace workpool
