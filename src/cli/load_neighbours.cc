#include "load_neighbours.h"

#include <algorithm>

#include "load_clock.h"

namespace workpool_cli {
namespace {

constexpr uint32_t kThreadsMax = 256;

}  // namespace

LoadNeighbours::LoadNeighbours(const Trace& trace, uint64_t start_ns) {
  uint32_t most = 0;
  for (const NeighbourStep& step : trace.neighbours) most = std::max(most, step.threads);
  for (uint32_t i = 0; i < std::min(most, kThreadsMax); ++i) {
    threads_.emplace_back([this, i, steps = trace.neighbours, start_ns] { Run(i, steps, start_ns); });
  }
}

void LoadNeighbours::End() {
  end_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void LoadNeighbours::Run(uint32_t index, std::vector<NeighbourStep> steps, uint64_t start_ns) {
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!SleepUntil(start_ns + static_cast<uint64_t>(steps[i].t_s * 1e9), end_)) break;
    if (steps[i].threads <= index) continue;
    const bool last = i + 1 == steps.size();
    const uint64_t until_ns = last ? UINT64_MAX : start_ns + static_cast<uint64_t>(steps[i + 1].t_s * 1e9);
    constexpr uint64_t kPieceNs = 1'000'000;
    while (NowNs() < until_ns && Compute(kPieceNs, end_)) {
    }
  }
  cpu_ns_ += ThreadCpuNs();
}

}  // namespace workpool_cli
