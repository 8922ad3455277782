#include "scaling/queue_fill.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {

Decision QueueFill::Decide(const LoadSample& sample) {
  const double limit = static_cast<double>(sample.queue_limit);
  const double capacity = options_.capacity > 0 ? std::min(options_.capacity, limit) : limit;
  const double queued = static_cast<double>(sample.queued);
  if (queued > options_.high * capacity) return {WholeWorkers(sample.target + options_.up), Reason::kLoad};
  if (queued < options_.low * capacity && sample.target > 0) {
    return {WholeWorkers(sample.target - options_.down), Reason::kLoad};
  }
  return {sample.target, Reason::kHold};
}

}  // namespace workpool
