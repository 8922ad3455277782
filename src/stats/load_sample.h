// What a decider sees of a pool at one moment, and what it says. Plain values, so that every scaling policy
// is a pure function that can be tested as a table.
#pragma once

#include <cstdint>

namespace workpool {

struct LoadSample {
  uint64_t now_ns;
  uint64_t queued;           // tasks that wait
  uint32_t workers_live;
  uint32_t workers_idle;     // parked or searching
  uint32_t workers_blocked;  // waiting inside a task; they do not count against the maximum
  uint32_t workers_min;
  uint32_t workers_max;
};

enum class DecisionReason : uint8_t { kHold, kStarved };

struct Decision {
  uint32_t workers;  // the target
  DecisionReason reason;
};

using Decider = Decision (*)(const LoadSample& sample);

}  // namespace workpool
