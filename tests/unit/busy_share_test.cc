#include "scaling/busy_share.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

namespace workpool {
namespace {

LoadSample Sample(uint64_t queued, uint32_t live, uint32_t idle, uint32_t min, uint32_t max) {
  return {.now_ns = 0,
          .queued = queued,
          .workers_live = live,
          .workers_idle = idle,
          .workers_blocked = 0,
          .workers_min = min,
          .workers_max = max};
}

TEST_CASE("a pool grows by one while tasks wait and four fifths of its workers are at work",
          "[scaling]") {
  struct Row {
    uint64_t queued;
    uint32_t live, idle, min, max, workers;
    DecisionReason reason;
  };
  constexpr DecisionReason kHold = DecisionReason::kHold;
  constexpr DecisionReason kStarved = DecisionReason::kStarved;
  static constexpr Row kRows[] = {
      {0, 0, 0, 0, 8, 0, kHold},        // nothing to do, nobody there
      {1, 0, 0, 0, 8, 1, kStarved},     // the first
      {1, 1, 0, 0, 8, 2, kStarved},     // all at work
      {0, 1, 0, 0, 8, 1, kHold},        // all at work, nothing waits
      {1, 1, 1, 0, 8, 1, kHold},        // the only one is idle
      {9, 4, 1, 0, 8, 4, kHold},        // three of four: too few
      {9, 5, 1, 0, 8, 6, kStarved},     // four of five: just enough
      {9, 10, 2, 0, 16, 11, kStarved},  // eight of ten
      {9, 10, 3, 0, 16, 10, kHold},     // seven of ten
      {9, 8, 0, 0, 8, 8, kHold},        // at the maximum
      {9, 9, 0, 0, 8, 9, kHold},        // above it: ending workers is not this rule's
      {0, 1, 0, 4, 8, 4, kHold},        // below the minimum
      {1000, 4, 0, 4, 8, 5, kStarved},  // one at a time, however much waits
      {1, 4095, 0, 0, 4096, 4096, kStarved},
      {1, 4096, 0, 0, 4096, 4096, kHold},
      {UINT64_MAX, 1, 7, 0, 8, 1, kHold},  // more idle than live, as a torn sample may say
  };
  for (const Row& row : kRows) {
    INFO("queued " << row.queued << ", live " << row.live << ", idle " << row.idle << ", min "
                   << row.min << ", max " << row.max);
    const Decision decision =
        DecideByBusyShare(Sample(row.queued, row.live, row.idle, row.min, row.max));
    CHECK(decision.workers == row.workers);
    CHECK(decision.reason == row.reason);
  }
}

TEST_CASE("no decision is below the minimum, ends a worker or passes the maximum", "[scaling]") {
  for (uint32_t live = 0; live <= 6; ++live) {
    for (uint32_t idle = 0; idle <= live; ++idle) {
      for (uint32_t max = 1; max <= 6; ++max) {
        for (uint32_t min = 0; min <= max; ++min) {
          for (uint64_t queued : {0, 1, 100}) {
            INFO("live " << live << ", idle " << idle << ", min " << min << ", max " << max);
            const Decision decision = DecideByBusyShare(Sample(queued, live, idle, min, max));
            REQUIRE(decision.workers >= std::max(live, min));
            REQUIRE(decision.workers <= std::max(live, max));
            if (queued == 0) REQUIRE(decision.reason == DecisionReason::kHold);
            // Where more are idle, no more are wanted.
            if (idle < live) {
              REQUIRE(DecideByBusyShare(Sample(queued, live, idle + 1, min, max)).workers <=
                      decision.workers);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a decision depends on the load, not on the clock", "[scaling]") {
  // This rule does not look at the time at all.
  for (uint64_t now_ns :
       {uint64_t{0}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX}) {
    LoadSample sample = Sample(1, 5, 1, 0, 8);
    sample.now_ns = now_ns;
    CHECK(DecideByBusyShare(sample).workers == 6);
  }
}

}  // namespace
}  // namespace workpool
