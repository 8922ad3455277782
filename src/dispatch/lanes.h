// Lanes: which of the tasks that wait is to be taken next, by their priority. Lane 0 is for ordinary tasks; those above it
// are urgent, those below it are for what has time. Higher lanes go first; but a lane in which tasks have waited for
// aging_ns times its distance from the top is due. While higher ones wait, the first task of a lane that is due goes next,
// and of those behind it every eighth take is one, from each such lane in turn.
// So nothing starves, and a backlog of old tasks does not hold up urgent ones.
// Threads: all, any thread. Pure but for the times since when lanes have waited.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/futex.h"

namespace workpool {

inline constexpr uint32_t kLanesMax = 16;

// Of one who takes.
struct LaneTurn {
  uint32_t since_due = UINT32_MAX;  // how many takes ago a lane that was due had its turn
  uint32_t served = 0;              // which ones have had theirs in this round
  uint64_t normal_since_ns = 0;     // since when it has passed ordinary tasks over, which carry no time; 0: it does not
  bool normal_first = false;         // its last look at the lanes let an ordinary task go first
  uint64_t turn_ns[kLanesMax] = {};  // when each lane last had a turn for being due
};

class Lanes {
 public:
  static constexpr uint32_t kMax = kLanesMax;
  // One take in so many is from a lane that is due.
  static constexpr uint32_t kDueShare = 8;

  // aging_ns: kNever, and lanes do not age.
  Lanes(uint32_t count, uint64_t aging_ns)
      : lowest_(-static_cast<int32_t>((count - 1) / 2)),
        highest_(static_cast<int32_t>(count / 2)),
        aging_ns_(aging_ns) {}

  bool ages() const { return aging_ns_.load(kRelaxed) != kNever; }
  // For what waits already, too. Who lowers it tells those that take.
  void SetAging(uint64_t aging_ns) { aging_ns_.store(aging_ns, kRelaxed); }
  uint32_t count() const { return static_cast<uint32_t>(highest_ - lowest_ + 1); }
  int32_t lowest() const { return lowest_; }
  int32_t highest() const { return highest_; }
  // 0 is the highest.
  int32_t PriorityOf(uint32_t lane) const { return highest_ - static_cast<int32_t>(lane); }
  uint32_t IndexOf(int32_t priority) const { return static_cast<uint32_t>(highest_ - priority); }
  uint32_t normal() const { return static_cast<uint32_t>(highest_); }

  // The first task of a lane begins to wait. This and the next under the lock of the lane's queue, if it has one.
  void BeginsToWait(uint32_t lane, uint64_t now_ns) { since_ns_[lane].store(now_ns, kRelaxed); }
  // The last one has been taken.
  void Emptied(uint32_t lane) { since_ns_[lane].store(0, kRelaxed); }

  // The lane to take from; count(): none. waits: a bit for each lane in which something waits.
  [[nodiscard]] uint32_t Choose(uint32_t waits, uint64_t now_ns, LaneTurn& turn);

  // When a lane other than 0 will be due; kNever: nothing waits in it, or it does not age.
  [[nodiscard]] uint64_t DueNs(uint32_t lane) const { return DueNs(lane, since_ns_[lane].load(kRelaxed)); }
  // A lane below 0 is due.
  [[nodiscard]] bool LowIsDue(uint32_t waits, uint64_t now_ns) const;

 private:
  [[nodiscard]] uint64_t DueNs(uint32_t lane, uint64_t since_ns) const;

  const int32_t lowest_;
  const int32_t highest_;
  Atomic<uint64_t> aging_ns_;
  Atomic<uint64_t> since_ns_[kMax] = {};  // 0: nothing waits, or nothing is known
};

}  // namespace workpool
