// The rounds of one sample. A sample is one process: rounds that warm it up and do not count, then
// rounds of which the median is the sample.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/harness/arguments.h"
#include "bench/harness/clock.h"

namespace bench {

class Figures {
 public:
  void Add(double value) { values_.push_back(value); }
  bool Empty() const { return values_.empty(); }
  double Median() { return Quantile(0.5); }
  double Quantile(double q) {
    Require(!values_.empty(), "a figure without a round");
    std::sort(values_.begin(), values_.end());
    return values_[static_cast<size_t>(q * static_cast<double>(values_.size() - 1) + 0.5)];
  }

 private:
  std::vector<double> values_;
};

struct RoundsDefault {
  uint64_t warmups = 1;
  uint64_t rounds_min = 2;
  uint64_t rounds_max = 1'000'000;
  uint64_t budget_ms = 350;
};

// Calls round(counted) for the warm-ups, then at least rounds_min times and until budget_ms or
// rounds_max is reached.
template <class Round>
void ForEachRound(const Arguments& arguments, RoundsDefault otherwise, Round round) {
  const uint64_t warmups = arguments.Number("warmups", otherwise.warmups);
  const uint64_t rounds_max = arguments.Number("rounds", otherwise.rounds_max);
  const uint64_t rounds_min = std::min(rounds_max, otherwise.rounds_min);
  const uint64_t budget_ns = arguments.Number("budget_ms", otherwise.budget_ms) * 1'000'000;
  arguments.FailIfUnasked();
  for (uint64_t i = 0; i < warmups; ++i) round(false);
  const uint64_t start_ns = NowNs();
  for (uint64_t i = 0; i < rounds_max; ++i) {
    if (i >= rounds_min && NowNs() - start_ns >= budget_ns) break;
    round(true);
  }
}

}  // namespace bench
