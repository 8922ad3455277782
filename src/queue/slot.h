// A queued task: 16 bytes, a function and its argument.
#pragma once

#include <cstdint>

#include "base/api.h"

namespace workpool {

struct Slot {
  RunFn run;
  void* arg;
};

// Where a task stood that was taken, so that it can be put back.
struct TaskPlace {
  int32_t priority = 0;
  uint64_t sequence = 0;  // in a queue with a strict order; 0: in none
};

}  // namespace workpool
