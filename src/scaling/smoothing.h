// Smoothing: exponential smoothing of the figures of load samples, before a decider sees them: of every sample a share
// alpha counts, of all before it the rest. Counts of what happened are smoothed as rates, and as whole numbers they add up
// to the same sum. What is not a load (time, CPUs, bounds, the target) passes as it is, and so does everything with
// alpha = 1. After a time that was not watched (dt_ns = 0) it starts anew.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "scaling/load_sample.h"

namespace workpool {

class Smoothing {
 public:
  // alpha in (0, 1].
  explicit Smoothing(double alpha = 1) : alpha_(alpha) {}

  [[nodiscard]] LoadSample Smooth(const LoadSample& sample);

 private:
  // A level is what is so at one moment, a count is of the time since the sample before.
  enum Figure : uint32_t { kQueued, kBusyShare, kHeadAge, kWaitMean, kWaitP99, kRunnable, kOthers, kOwn, kLevels };
  enum Count : uint32_t { kArrived, kStarted, kEnded, kFailed, kCounts };

  void Start(const LoadSample& sample);
  double Level(Figure figure, double value);
  uint64_t Counted(Count count, uint64_t value, double dt_s);

  double alpha_;
  bool any_ = false;
  double level_[kLevels] = {};
  bool any_rate_ = false;
  double rate_[kCounts] = {};
  double carry_[kCounts] = {};  // the part of a whole number that is still owed
};

}  // namespace workpool
