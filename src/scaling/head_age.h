// HeadAge: how long the oldest waiting task has waited, without a clock in any task. The monitor notes from time to time how
// many tasks have been taken so far and how many wait; the one at the head, number taken + 1 in the order of arrival,
// has waited at least since the first note whose sum was above taken. (A wait that is measured when a task is taken
// would stand still when all workers block.)
// Where tasks are not taken in the order of their arrival it is how far the takes lag behind the arrivals.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace workpool {

class HeadAge {
 public:
  // taken only rises; waiting is what is there now.
  void Note(uint64_t now_ns, uint64_t taken, uint64_t waiting) {
    if (waiting == 0) {
      size_ = 0;
      return;
    }
    // Tasks have ended without being taken. It is not known where they were: as if they had been the first, so that the age is
    // rather too small.
    const uint64_t arrived = taken + waiting;
    if (size_ > 0 && notes_[size_ - 1].arrived > arrived) {
      const uint64_t gone = notes_[size_ - 1].arrived - arrived;
      for (uint32_t i = 0; i < size_; ++i) notes_[i].arrived -= std::min(gone, notes_[i].arrived);
    }
    // Whatever had arrived by then has been taken.
    uint32_t served = 0;
    while (served < size_ && notes_[served].arrived <= taken) ++served;
    if (served > 0) Drop(served);
    if (size_ > 0 && notes_[size_ - 1].arrived >= arrived) return;
    if (size_ == kNotes) Thin();
    notes_[size_++] = {now_ns, arrived};
  }

  // A lower bound, as of the last note; 0: nothing waited.
  [[nodiscard]] uint64_t AgeNs(uint64_t now_ns) const { return size_ == 0 ? 0 : now_ns - notes_[0].at_ns; }

 private:
  // The oldest age is exact to a note, younger ones to two, four, ... of them.
  static constexpr uint32_t kNotes = 64;

  struct One {
    uint64_t at_ns;
    uint64_t arrived;
  };

  void Drop(uint32_t count) {
    for (uint32_t i = count; i < size_; ++i) notes_[i - count] = notes_[i];
    size_ -= count;
  }
  // Of two neighbours the later one stays, which is on the side of too young an age; the first one stays.
  void Thin() {
    uint32_t kept = 1;
    for (uint32_t i = 2; i < size_; i += 2) notes_[kept++] = notes_[i];
    size_ = kept;
  }

  One notes_[kNotes];
  uint32_t size_ = 0;
};

}  // namespace workpool
