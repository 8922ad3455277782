// Cost: what a run has cost, and J, the figure that policies are judged by:
//
//   J = (thread-seconds + 10 Σ delay + starts + excess-runnable seconds + flips + 10 s a failed task) / Σ nominal
//   service
//
// delay is what a task spent in the pool beyond its nominal service, which is what it takes alone when nothing is slow.
// A thread is excess when it can run and there are more such threads than cores. A flip is a turn of the number of live
// workers from growing to shrinking or back, by more than a tenth.
#pragma once

#include <cstdint>

namespace workpool::sim {

class Flips {
 public:
  void Note(uint32_t live) {
    const double now = live;
    if (direction_ >= 0 ? now > extreme_ : now < extreme_) {
      if (direction_ == 0 && now > 1.1 * extreme_) direction_ = 1;
      if (direction_ != 0 || extreme_ == 0) extreme_ = now;
    } else if (direction_ >= 0 ? now < 0.9 * extreme_ : now > 1.1 * extreme_) {
      if (direction_ != 0) ++count_;
      direction_ = direction_ >= 0 ? -1 : 1;
      extreme_ = now;
    }
  }
  uint32_t count() const { return count_; }

 private:
  int direction_ = 0;
  double extreme_ = 0;
  uint32_t count_ = 0;
};

struct Cost {
  double thread_s = 0;
  double delay_s = 0;
  double excess_s = 0;
  uint64_t starts = 0;
  uint64_t flips = 0;
  uint64_t failed = 0;
  double nominal_s = 0;

  double Sum() const {
    return thread_s + 10 * delay_s + static_cast<double>(starts) + excess_s + static_cast<double>(flips) +
           10 * static_cast<double>(failed);
  }
  double J() const { return nominal_s > 0 ? Sum() / nominal_s : 0; }
};

}  // namespace workpool::sim
