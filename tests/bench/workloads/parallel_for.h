// parallel_for over steps of very uneven length (uneven=1) or over a million tiny ones. The figure
// is the time as a multiple of the ideal: the serial time, measured just before in the same
// process, divided by the smaller of cores and workers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/rounds.h"
#include "bench/harness/spin_work.h"
#include "bench/harness/tally.h"
#include "bench/peers/subject.h"

namespace bench {

inline uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A few nanoseconds a step; the sum shows that each step ran once.
struct TinySteps {
  static constexpr Loop kLoop = Loop::kEven;
  static constexpr double kStepNs = 2;
  static constexpr uint64_t kSteps = 1'000'000;

  [[gnu::noinline]] uint64_t operator()(uint64_t begin, uint64_t end) const {
    uint64_t sum = 0;
    for (uint64_t i = begin; i < end; ++i) sum += Mix(i);
    return sum;
  }
};

// 1 to 9 µs, rising with the index so that equal halves are unequal work, and every 64th, by hash,
// 100 µs more.
struct UnevenSteps {
  static constexpr Loop kLoop = Loop::kUneven;
  static constexpr double kStepNs = 6'500;
  static constexpr uint64_t kSteps = 4'000;
  uint64_t steps_per_us = StepsFor(1000);

  [[gnu::noinline]] uint64_t operator()(uint64_t begin, uint64_t end) const {
    uint64_t sum = 0;
    for (uint64_t i = begin; i < end; ++i) {
      SpinWork(steps_per_us + steps_per_us * 8 * i / kSteps +
               (Mix(i) % 64 == 0 ? steps_per_us * 100 : 0));
      sum += Mix(i);
    }
    return sum;
  }
};

template <class Pool, class Steps>
void LoopWorkload(const Arguments& arguments, unsigned workers) {
  const Steps steps{};
  const double share = std::min(workers, Cores());
  Figures times_ideal, us;
  {
    Pool pool(Setup{.workers = workers});
    ForEachRound(arguments, {.warmups = 3, .budget_ms = 300}, [&](bool counted) {
      const uint64_t before = Tally::Sum();
      const uint64_t serial_start_ns = NowNs();
      const uint64_t expected = steps(0, Steps::kSteps);
      const uint64_t start_ns = NowNs();
      pool.ParallelFor(Steps::kLoop, Steps::kSteps, Steps::kStepNs,
                       [&steps](uint64_t begin, uint64_t end) { Tally::Add(steps(begin, end)); });
      const uint64_t end_ns = NowNs();
      Require(Tally::Sum() - before == expected, "steps of the loop");
      if (!counted) return;
      const double ideal_ns = static_cast<double>(start_ns - serial_start_ns) / share;
      times_ideal.Add(static_cast<double>(end_ns - start_ns) / ideal_ns);
      us.Add(static_cast<double>(end_ns - start_ns) / 1e3);
    });
  }
  Print("times_ideal", times_ideal.Median());
  Print("us", us.Median());
}

template <class Pool>
void ParallelForWorkload(const Arguments& arguments) {
  const auto workers = static_cast<unsigned>(arguments.Number("workers", 2));
  if (arguments.Number("uneven", 0) != 0) {
    LoopWorkload<Pool, UnevenSteps>(arguments, workers);
  } else {
    LoopWorkload<Pool, TinySteps>(arguments, workers);
  }
}

}  // namespace bench
