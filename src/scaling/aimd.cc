#include "scaling/aimd.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {

Decision Aimd::Decide(const LoadSample& sample) {
  if (sample.head_age_s() > options_.wait_s) return {WholeWorkers(sample.target + options_.add), Reason::kLoad};
  const uint32_t active = Active(sample);
  if (active >= sample.target) return {sample.target, Reason::kHold};
  const uint32_t fewer = WholeWorkers(sample.target - std::max(1.0, sample.target * options_.cut));
  return {std::max(fewer, active), Reason::kLoad};
}

}  // namespace workpool
