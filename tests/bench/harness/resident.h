// How much of this process lies in memory.
#pragma once

#include <cstdint>
#include <cstdio>

#include "bench/harness/arguments.h"

namespace bench {

// smaps_rollup counts exactly; statm may lag behind by some pages a thread.
inline uint64_t ResidentBytes() {
  FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
  Require(file != nullptr, "/proc/self/smaps_rollup");
  char line[256];
  unsigned long long kib = 0;
  while (std::fgets(line, sizeof line, file) != nullptr &&
         std::sscanf(line, "Rss: %llu kB", &kib) != 1) {
  }
  std::fclose(file);
  return kib * 1024;
}

}  // namespace bench
