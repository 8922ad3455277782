// The first grow rule: while a task waits and at least four fifths of the workers are at work, one more.
// A pure function, as every decider (stats/load_sample.h).
#pragma once

#include "stats/load_sample.h"

namespace workpool {

Decision DecideByBusyShare(const LoadSample& sample);

}  // namespace workpool
