// A queued task: 16 bytes, a function and its argument.
#pragma once

#include "base/api.h"

namespace workpool {

struct Slot {
  RunFn run;
  void* arg;
};

}  // namespace workpool
