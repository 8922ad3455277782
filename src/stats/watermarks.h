// Watermarks: whether many tasks wait, with hysteresis. Threads that change the number look at it; one other tells the
// user, so that changes are told one after another.
// Threads: all, any thread; Take: those that tell, mostly one.
#pragma once

#include <cstdint>

#include "base/atomic.h"

namespace workpool {

class Watermarks {
 public:
  // high 0: off.
  Watermarks(uint64_t high, uint64_t low) : high_(high), low_(low) {}

  bool on() const { return high_ != 0; }

  // So many wait now. True: that is a change to be told.
  [[nodiscard]] bool Note(uint64_t waiting) {
    const bool above = above_.load(kRelaxed);
    if (above ? waiting > low_ : waiting < high_) return false;
    return above_.exchange(!above, kRelaxed) == above;
  }

  // True: *above is to be told now.
  [[nodiscard]] bool Take(bool* above) {
    *above = above_.load(kRelaxed);
    return told_.load(kRelaxed) != *above && told_.exchange(*above, kRelaxed) != *above;
  }

 private:
  const uint64_t high_;
  const uint64_t low_;
  Atomic<bool> above_{false};
  Atomic<bool> told_{false};
};

}  // namespace workpool
