// TimerWheel keeps timers by the time at which they are due. Adding and removing cost the same however many there are;
// an idle gap of any length costs no more than a look at each level.
// Threads:   not thread-safe; the caller holds a lock. No clock: time comes in.  No memory: a timer lies in its owner.
// Invariant: with now the wheel's own tick, a timer lies on the level of the highest group of bits in which its tick
//            differs from now's, in the slot which that group names. So its slot follows from its due time, and every
//            timer of a level is due before any of the level above. One added late lies in now's own slot, and now
//            does not leave a slot that is not empty.
// Order:     timers come out by ticks; those of one tick, and so those of one due time, in the order in which they were
//            added. One added when its time has come does not wait for the end of its tick, so it may overtake.
// Cost:      a timer is moved down a level at most seven times in its life, but all that share a slot are moved in one
//            call of TakeDue.
// Origin:    Varghese and Lauck, SOSP 1987, scheme 7.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/futex.h"

namespace workpool {

// Its owner keeps it in place while it is armed.
struct Timer {
  uint64_t due_ns = 0;
  Timer* next = nullptr;
  // The next of the one before it; in the first of a slot that of the last, so that both ends of a slot are at hand.
  Timer** link = nullptr;

  [[nodiscard]] bool armed() const { return link != nullptr; }
};
static_assert(sizeof(void*) != 8 || sizeof(Timer) == 24, "every task that can wait for a time carries one");

class TimerWheel {
 public:
  // 131 us: not far above the slack of 50 us that the kernel gives itself before it wakes a thread.
  static constexpr uint32_t kTickBits = 17;
  static constexpr uint64_t kTickNs = uint64_t{1} << kTickBits;

  explicit TimerWheel(uint64_t now_ns) : now_(TickReached(now_ns)), reached_ns_(now_ns) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // One that is not armed; never kNever. What is due already comes with the next TakeDue; its due_ns is rounded down.
  void Add(Timer& timer, uint64_t due_ns);

  // False: it was not armed.
  bool Remove(Timer& timer);

  // A timer whose time has come, no longer armed; nullptr: none is left. Never before its due time, and at most a tick
  // after it if the call is in time. A now_ns before the last one counts as the last one.
  [[nodiscard]] Timer* TakeDue(uint64_t now_ns);

  // Whatever the time; nullptr: empty.
  [[nodiscard]] Timer* TakeAny();

  // When to call TakeDue next: not after the end of the first timer's tick; before it if timers must be moved down
  // first. kNever: empty.
  [[nodiscard]] uint64_t NextNs() const;

  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr uint32_t kSlotBits = 6;
  static constexpr uint32_t kSlots = 1 << kSlotBits;  // as many as an occupancy word has bits
  static constexpr uint32_t kLevels = 8;
  static constexpr uint32_t kNone = kLevels * kSlots;
  // The last due time. Rounded up it is a tick that no clock shows, so that one counts as reached at this time.
  static constexpr uint64_t kLastNs = kNever - 1;
  static_assert(kLevels * kSlotBits > 64 - kTickBits, "room for the tick after the end of time");

  static uint64_t TickReached(uint64_t now_ns) { return (now_ns >> kTickBits) + (now_ns >= kLastNs ? 1 : 0); }
  static uint64_t TickOf(const Timer& timer) {
    return (timer.due_ns >> kTickBits) + ((timer.due_ns & (kTickNs - 1)) != 0 ? 1 : 0);
  }
  uint32_t IndexOf(const Timer& timer) const;
  uint32_t FirstIndex() const;
  uint64_t StartOf(uint32_t index) const;
  void Append(Timer& timer);
  void Unlink(Timer& timer, uint32_t index);
  void MoveDown(uint32_t index);

  uint64_t now_;         // a tick; behind reached_ns_ while timers that are due are left
  uint64_t reached_ns_;  // the last time that came in
  size_t size_ = 0;
  uint64_t occupied_[kLevels] = {};      // a bit for each slot
  Timer* slots_[kLevels * kSlots] = {};  // the first of each
};

}  // namespace workpool
