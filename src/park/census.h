// Census: how many workers there are and what they do, in one word, so that a submit decides with one load
// whether anybody must be woken or started, and a worker with one comparison whether anything has changed.
//
//   bits  0..12 searching   awake without a task, or woken or started and not yet at work
//   bits 13..25 parked      asleep, or about to be, in the idle set
//   bits 26..38 live        all workers, those being started included
//   bits 39..51 ceiling     how many may be up at once: the target, and one for each that waits inside a task
//   bits 52..63 flags, the lowest of them so that with it the ceiling is one that is never reached
// Every field holds 0 .. 4096 of 8191, so that no addition carries into its neighbour.
#pragma once

#include <cstdint>

namespace workpool {

class Census {
 public:
  static constexpr uint64_t kSearchingOne = 1;
  static constexpr uint64_t kParkedOne = uint64_t{1} << 13;
  static constexpr uint64_t kLiveOne = uint64_t{1} << 26;
  static constexpr uint64_t kCeilingOne = uint64_t{1} << 39;
  static constexpr uint64_t kFieldMask = (1 << 13) - 1;
  static constexpr int kFlagsShift = 52;

  static constexpr uint64_t kPaused = uint64_t{1} << 56;         // workers take nothing
  static constexpr uint64_t kRefuseOutside = uint64_t{1} << 57;  // closing: outsiders are refused
  static constexpr uint64_t kRefuseAll = uint64_t{1} << 58;      // and the pool's own tasks
  static constexpr uint64_t kCancelQueued = uint64_t{1} << 59;   // what is taken is cancelled, not run
  static constexpr uint64_t kStopRunning = uint64_t{1} << 60;    // running tasks are asked to stop
  static constexpr uint64_t kStop = uint64_t{1} << 61;           // workers without a task end
  static constexpr uint64_t kStartFailed = uint64_t{1} << 62;    // a thread could not be started: try again

  static constexpr uint64_t kStopWhenIdle = uint64_t{1} << 63;   // the same once nothing runs: only hooks and logs could submit more

  // There is a scaler, and nobody watches for it whether more should be up than the ceiling says: it is to be told when tasks
  // wait.
  static constexpr uint64_t kUnwatched = uint64_t{1} << kFlagsShift;

  constexpr explicit Census(uint64_t word) : word_(word) {}

  constexpr uint64_t word() const { return word_; }
  constexpr uint32_t searching() const { return Field(0); }
  constexpr uint32_t parked() const { return Field(13); }
  constexpr uint32_t live() const { return Field(26); }
  constexpr uint32_t ceiling() const { return Field(39); }
  constexpr bool has(uint64_t flags) const { return (word_ & flags) != 0; }

  // Up: live and not parked. Those beyond the ceiling park at their next task boundary.
  constexpr uint32_t up() const { return live() - parked(); }
  constexpr bool HasSurplus() const { return up() > ceiling(); }

  // A waiting task needs somebody: no more than searchers look for work, and one could be woken or started, or else the
  // scaler is to be told.
  constexpr bool NeedsHelp(uint32_t searchers = 0) const {
    return searching() <= searchers && up() < (word_ >> 39 & kCeilingOrNoneMask) && !has(kPaused);
  }
  // One more may be up.
  constexpr bool MayAdd() const { return up() < ceiling(); }

 private:
  // The ceiling with kUnwatched.
  static constexpr uint64_t kCeilingOrNoneMask = 2 * kFieldMask + 1;

  constexpr uint32_t Field(int shift) const {
    return static_cast<uint32_t>(word_ >> shift & kFieldMask);
  }

  uint64_t word_;
};

}  // namespace workpool
