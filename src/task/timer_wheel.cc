#include "task/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace workpool {

void TimerWheel::Add(Timer& timer, uint64_t due_ns) {
  assert(!timer.armed() && "added once");
  assert(due_ns != kNever && "what is never due is not added");
  // The tick that is rounded up is for what has to wait.
  timer.due_ns = due_ns > reached_ns_ ? due_ns : due_ns & ~(kTickNs - 1);
  Append(timer);
  ++size_;
}

bool TimerWheel::Remove(Timer& timer) {
  if (!timer.armed()) return false;
  Unlink(timer, IndexOf(timer));
  return true;
}

Timer* TimerWheel::TakeDue(uint64_t now_ns) {
  reached_ns_ = std::max(reached_ns_, now_ns);
  const uint64_t target = TickReached(reached_ns_);
  for (;;) {
    const uint32_t index = FirstIndex();
    const uint64_t start = index == kNone ? kNever : StartOf(index);
    if (start > target) {
      now_ = target;
      return nullptr;
    }
    now_ = start;
    if (index < kSlots) {
      Timer* timer = slots_[index];
      Unlink(*timer, index);
      return timer;
    }
    MoveDown(index);
  }
}

Timer* TimerWheel::TakeAny() {
  const uint32_t index = FirstIndex();
  if (index == kNone) return nullptr;
  Timer* timer = slots_[index];
  Unlink(*timer, index);
  return timer;
}

uint64_t TimerWheel::NextNs() const {
  const uint32_t index = FirstIndex();
  if (index == kNone) return kNever;
  const Timer& first = *slots_[index];
  // For one that has a slot of its own no move down is needed: a thread that sleeps for it alone wakes up once.
  const uint64_t tick = first.next == nullptr ? TickOf(first) : StartOf(index);
  return tick > kNever >> kTickBits ? kLastNs : tick << kTickBits;
}

// The slot in which the timer lies, or belongs.
uint32_t TimerWheel::IndexOf(const Timer& timer) const {
  const uint64_t tick = std::max(TickOf(timer), now_);
  const uint32_t highest_bit = static_cast<uint32_t>(std::bit_width((tick ^ now_) | 1)) - 1;
  const uint32_t level = highest_bit / kSlotBits;
  return level * kSlots + static_cast<uint32_t>(tick >> (level * kSlotBits)) % kSlots;
}

// The slot that is due first. None that is occupied lies behind now, so the lowest bit is the nearest.
uint32_t TimerWheel::FirstIndex() const {
  for (uint32_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] != 0) return level * kSlots + static_cast<uint32_t>(std::countr_zero(occupied_[level]));
  }
  return kNone;
}

// The first tick of an occupied slot: above its level it agrees with now.
uint64_t TimerWheel::StartOf(uint32_t index) const {
  const uint32_t shift = index / kSlots * kSlotBits;
  const uint64_t above = now_ >> shift >> kSlotBits << kSlotBits;
  return (above | index % kSlots) << shift;
}

void TimerWheel::Append(Timer& timer) {
  const uint32_t index = IndexOf(timer);
  Timer* first = slots_[index];
  timer.next = nullptr;
  if (first == nullptr) {
    slots_[index] = &timer;
    occupied_[index / kSlots] |= uint64_t{1} << (index % kSlots);
    timer.link = &timer.next;
  } else {
    timer.link = first->link;
    *first->link = &timer;
    first->link = &timer.next;
  }
}

void TimerWheel::Unlink(Timer& timer, uint32_t index) {
  Timer*& first = slots_[index];
  Timer* const next = timer.next;
  if (first == &timer) {
    first = next;
  } else {
    *timer.link = next;
  }
  if (next != nullptr) {
    next->link = timer.link;
  } else if (first != nullptr) {
    first->link = timer.link;  // the last has gone
  } else {
    occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
  }
  timer.next = nullptr;
  timer.link = nullptr;
  --size_;
}

// now has come to a slot above the lowest level: its timers belong on lower levels.
void TimerWheel::MoveDown(uint32_t index) {
  Timer* timer = slots_[index];
  slots_[index] = nullptr;
  occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
  while (timer != nullptr) {
    Timer* const next = timer->next;
    Append(*timer);
    timer = next;
  }
}

}  // namespace workpool
