// What the tests of the simulator share: traces from a text, and deciders that do one thing.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "judge.h"

namespace workpool::sim {

inline Trace TraceOf(const std::string& text) {
  std::istringstream in(text);
  return workpool_cli::ParseTrace(in, "t");
}

inline Case CaseOf(const std::string& text, uint64_t seed = 1) { return Case(TraceOf(text), seed); }

// Keeps the target where it is, and what it has seen.
class Watcher final : public Decider {
 public:
  explicit Watcher(uint32_t target = 0) : target_(target) {}
  Decision Decide(const LoadSample& sample) override {
    seen.push_back(sample);
    return {target_ > 0 ? target_ : sample.target, Reason::kHold, kNever};
  }

  std::vector<LoadSample> seen;

 private:
  const uint32_t target_;
};

inline Result RunWith(const Case& c, Decider& decider, const Options& options = {}) {
  DeciderSteering steering(decider);
  return Simulation(c.trace, c.arrivals, steering, options).Run();
}

}  // namespace workpool::sim
