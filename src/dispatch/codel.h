// Codel: which tasks to shed while the queue is too long. Asked for each task that is taken from the queue. Once tasks
// have waited longer than a target for a whole interval it sheds one, and the next ones ever sooner, until a task has
// waited less. A burst that is worked off within an interval costs nothing.
// Threads:   the caller holds a lock. There is no clock in here: now_ns comes in.
// Origin:    Nichols and Jacobson, ACM Queue 2012; RFC 8289. Its loop inside one dequeue is here a call for each
//            task, so the next time is set with a shed, also when the task after it turns out to be in time.
#pragma once

#include <cstdint>

#include "base/futex.h"

namespace workpool {

class Codel {
 public:
  Codel(uint64_t target_ns, uint64_t interval_ns)
      : target_ns_(target_ns), interval_ns_(interval_ns) {}

  // sojourn_ns: how long the task has waited. last: nothing else waits, so shedding it would help nobody.
  [[nodiscard]] bool ShouldShed(uint64_t now_ns, uint64_t sojourn_ns, bool last);

 private:
  [[nodiscard]] bool AboveForAnInterval(uint64_t now_ns, uint64_t sojourn_ns, bool last);
  // From one shed to the next: interval / sqrt(count_).
  [[nodiscard]] uint64_t StepNs() const;

  const uint64_t target_ns_;
  const uint64_t interval_ns_;
  // When the wait will have been above the target for an interval; kNever while it is below.
  uint64_t above_until_ns_ = kNever;
  uint64_t shed_next_ns_ = 0;
  uint32_t count_ = 0;           // sheds that set the pace
  uint32_t count_at_start_ = 0;  // count_ when the shedding began
  bool shedding_ = false;
};

}  // namespace workpool
