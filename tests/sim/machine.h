// Machine: cores that share themselves equally among all threads that can run, those of neighbours included. With n
// threads on C cores each runs at min(1, C / n), times what switching between them leaves: 1 / (1 + 0.015 min(10, n / C
// - 1)). All threads run at the same rate, so one number says how much each has had since the beginning, and a thread
// that needs so much more is done when the number has grown by that: an event costs a heap operation, whatever the
// threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "time_heap.h"

namespace workpool::sim {

constexpr double kNeverS = std::numeric_limits<double>::infinity();

class Machine {
 public:
  explicit Machine(double cores) { Set(cores, 0); }

  void Set(double cores, uint32_t neighbours) {
    cores_ = cores;
    neighbours_ = neighbours;
    for (size_t own = 0; own < rates_.size(); ++own) rates_[own] = RateOf(own);
    Changed();
  }

  // Thread id wants so much CPU from now on.
  void Add(uint32_t id, double cpu_s) {
    runnable_.Push(served_s_ + cpu_s, id, 0);
    Changed();
  }
  // How long until the first of them has had it, if nothing changes before.
  double RemainingS() const {
    return runnable_.empty() ? kNeverS : std::max(0.0, runnable_.top().at - served_s_) / rate_;
  }
  // That thread, when the time has come.
  uint32_t Pop() {
    const TimeHeap::Item done = runnable_.Pop();
    served_s_ = std::max(served_s_, done.at);
    Changed();
    return done.id;
  }
  void Advance(double dt_s) { served_s_ += rate_ * dt_s; }

  double cores() const { return cores_; }
  uint32_t neighbours() const { return neighbours_; }
  // The threads of the pool that can run, and how many of these are more than there are cores for.
  double runnable() const { return static_cast<double>(runnable_.size()); }
  double excess() const { return excess_; }

 private:
  double RateOf(size_t own) const {
    const double threads = static_cast<double>(own + neighbours_);
    if (threads <= cores_) return 1;
    return cores_ / threads / (1 + 0.015 * std::min(10.0, threads / cores_ - 1));
  }
  void Changed() {
    const size_t own = runnable_.size();
    while (rates_.size() <= own) rates_.push_back(RateOf(rates_.size()));
    rate_ = rates_[own];
    excess_ = std::min(runnable(), std::max(0.0, runnable() + neighbours_ - cores_));
  }

  TimeHeap runnable_;  // by served_s_ at which each is done
  double cores_ = 1;
  uint32_t neighbours_ = 0;
  double served_s_ = 0;
  double rate_ = 1;
  double excess_ = 0;
  std::vector<double> rates_;  // by the number of own threads
};

}  // namespace workpool::sim
