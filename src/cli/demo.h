// `workpool demo`: real work in an elastic pool, seen growing and shrinking, and proved by a serial
// run.
#pragma once

#include <cstdint>
#include <string>

namespace workpool_cli {

struct DemoOptions {
  std::string directory = "/usr/include";
  uint32_t workers_min = 1;
  uint32_t workers_max = 16;
  uint32_t keep_alive_ms = 500;
  uint64_t files_max = 10'000;
  uint64_t mebibytes_max = 256;
  bool plain = false;
  bool flip_one_digest = false;  // spoils one serial digest, so that the comparison can be tested
};

// The exit code: 0 if every digest and size of the two runs agrees, no task failed and the pool
// shrank back. Throws std::exception if the pool cannot be made or the directory cannot be read.
[[nodiscard]] int RunDemo(const DemoOptions& options);

}  // namespace workpool_cli
