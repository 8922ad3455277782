// How many CPUs the process may use.
#pragma once

#include <cstdint>

namespace workpool {

// CPUs in the affinity mask of the process's main thread; at least 1.
uint32_t ProcessCpus();

}  // namespace workpool
