// Tally counts what tasks did. Each thread has a line of its own, so that the count costs about 1
// ns and adds no line that two workers write: otherwise the count, not the pool, would be measured.
// Threads: Add: any. Sum, WaitUntil: any; exact once the counted tasks are over.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bench/harness/clock.h"

namespace bench {

class Tally {
 public:
  static void Add(uint64_t n = 1) {
    Line* line = mine_;
    if (line == nullptr) [[unlikely]]
      line = Claim();
    line->count.store(line->count.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }

  static uint64_t Sum() {
    uint64_t sum = 0;
    const uint32_t claimed = claimed_.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < claimed; ++i) sum += lines_[i].count.load(std::memory_order_acquire);
    return sum;
  }

  // Returns about when the sum reached target: halfway between the look that saw it and the look
  // before. The looks are a 64th of the elapsed time apart, which bounds both the error (1 %) and
  // the disturbance of the workers by the looks. expected_ns is how long it took last time, 0 if
  // unknown: no look in the first two thirds of it.
  static uint64_t WaitUntil(uint64_t target, uint64_t start_ns, uint64_t expected_ns = 0) {
    const uint64_t first_look_ns = start_ns + expected_ns / 3 * 2;
    uint64_t before_ns = NowNs();
    if (before_ns < first_look_ns) SleepNs(first_look_ns - before_ns);
    if (Sum() == target) return NowNs();
    for (;;) {
      before_ns = NowNs();
      SleepNs(std::clamp<uint64_t>((before_ns - start_ns) / 64, 20'000, 500'000));
      if (Sum() == target) return before_ns + (NowNs() - before_ns) / 2;
    }
  }

 private:
  struct alignas(128) Line {
    std::atomic<uint64_t> count;
  };
  static constexpr uint32_t kLines = 16384;  // threads of one process, over its whole life

  static Line* Claim() {
    const uint32_t i = claimed_.fetch_add(1, std::memory_order_acq_rel);
    if (i >= kLines) {
      std::fprintf(stderr, "bench: more than %u threads\n", kLines);
      std::abort();
    }
    return mine_ = &lines_[i];
  }

  static inline Line lines_[kLines];
  static inline std::atomic<uint32_t> claimed_{0};
  static inline constinit thread_local Line* mine_ = nullptr;
};

}  // namespace bench
