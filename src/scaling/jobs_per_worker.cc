#include "scaling/jobs_per_worker.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {

Decision JobsPerWorker::Decide(const LoadSample& sample) {
  const uint32_t live = Counted(sample);
  if (live == 0) return {sample.queued > 0 ? 1u : 0u, sample.queued > 0 ? Reason::kLoad : Reason::kHold};
  if (static_cast<double>(sample.queued) <= options_.threshold * live) return {live, Reason::kHold};
  return {std::max(WholeWorkers(live * options_.factor), live + 1), Reason::kLoad};
}

}  // namespace workpool
