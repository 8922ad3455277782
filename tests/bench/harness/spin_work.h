// Work of a fixed length: multiplications of which each needs the one before. No clock is read in
// it, so that a body costs the same however often its thread was interrupted.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/harness/clock.h"

namespace bench {

inline void SpinWork(uint64_t steps) {
  uint64_t x = steps | 1;
  for (uint64_t i = 0; i < steps; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));  // keeps the chain, and the loop as it is written
  }
}

// How many steps take ns. The quickest of several tries is the undisturbed one.
inline uint64_t StepsFor(uint64_t ns) {
  constexpr uint64_t kSteps = 200'000;
  uint64_t best_ns = UINT64_MAX;
  for (int i = 0; i < 8; ++i) {
    const uint64_t start_ns = NowNs();
    SpinWork(kSteps);
    best_ns = std::min(best_ns, NowNs() - start_ns);
  }
  return std::max<uint64_t>(1, ns * kSteps / best_ns);
}

}  // namespace bench
