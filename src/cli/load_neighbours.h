// LoadNeighbours: threads beside the pool that always want to run, as many as the trace says at a time.
// Threads: its own, and one that makes and destroys it.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "trace_file.h"

namespace workpool_cli {

class LoadNeighbours {
 public:
  LoadNeighbours(const Trace& trace, uint64_t start_ns);
  ~LoadNeighbours() { End(); }
  LoadNeighbours(const LoadNeighbours&) = delete;
  LoadNeighbours& operator=(const LoadNeighbours&) = delete;

  void End();
  // CPU time of all of them, after End.
  [[nodiscard]] double CpuS() const { return static_cast<double>(cpu_ns_) / 1e9; }

 private:
  // Runs while the trace has more than index of them.
  void Run(uint32_t index, std::vector<NeighbourStep> steps, uint64_t start_ns);

  std::atomic<bool> end_{false};
  std::atomic<uint64_t> cpu_ns_{0};
  std::vector<std::thread> threads_;
};

}  // namespace workpool_cli
