#include "scaling/multi_signal.h"

#include <algorithm>

#include "scaling/signals.h"

namespace workpool {
namespace {

// Of the runs before, so many still count with the next sample: about the last ten samples.
constexpr double kKept = 0.9;

}  // namespace

Decision MultiSignal::Decide(const LoadSample& sample) {
  NoteErrors(sample);
  const double live = std::max(Counted(sample), 1u);
  const double utilisation = Active(sample) / live;
  const double depth = ReadSignal(Signal::kDepth, sample);
  const double wait_s = sample.wait_mean_s;

  const int high = (utilisation > options_.utilisation_high ? 1 : 0) + (wait_s > options_.wait_high_s ? 1 : 0) +
                   (depth > options_.depth_high ? 1 : 0);
  if (high >= 2 || wait_s > options_.wait_urgent_s) {
    // Somebody must be there to find out that it works again.
    if (sample.target > 0 && failed_ > options_.errors_max * ended_) return {sample.target, Reason::kPaced};
    return {WholeWorkers(sample.target + std::max(1.0, sample.target * options_.grow)), Reason::kLoad};
  }
  const bool low = utilisation < options_.utilisation_low && wait_s < options_.wait_low_s && depth < options_.depth_low;
  if (low) return {WholeWorkers(sample.target - options_.shrink), Reason::kLoad};
  return {sample.target, Reason::kHold};
}

void MultiSignal::NoteErrors(const LoadSample& sample) {
  ended_ = ended_ * kKept + static_cast<double>(sample.ended);
  failed_ = failed_ * kKept + static_cast<double>(sample.failed);
}

}  // namespace workpool
