#include "scaling/busy_share.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace workpool {
namespace {

LoadSample Sample(uint64_t queued, uint32_t live, uint32_t idle, uint32_t max) {
  LoadSample sample;
  sample.queued = queued;
  sample.live = live;
  sample.idle = idle;
  sample.workers_max = max;
  return sample;
}

TEST_CASE("busy-share grows by what waits while four fifths of the workers are at work", "[scaling]") {
  struct Row {
    uint64_t queued;
    uint32_t live, idle, max, workers;
    Reason reason;
  };
  static constexpr Row kRows[] = {
      {0, 0, 0, 8, 0, Reason::kHold},     // nothing to do, nobody there
      {1, 0, 0, 8, 1, Reason::kLoad},     // the first
      {1, 1, 0, 8, 2, Reason::kLoad},     // all at work
      {0, 1, 0, 8, 1, Reason::kHold},     // all at work, nothing waits
      {1, 1, 1, 8, 1, Reason::kHold},     // the only one is idle
      {9, 4, 1, 8, 4, Reason::kHold},     // three of four: too few
      {2, 5, 1, 8, 7, Reason::kLoad},     // four of five: just enough
      {9, 5, 1, 8, 8, Reason::kLoad},     // no more than the maximum
      {3, 10, 2, 16, 13, Reason::kLoad},  // eight of ten
      {9, 10, 3, 16, 10, Reason::kHold},  // seven of ten
      {9, 8, 0, 8, 8, Reason::kHold},     // at the maximum
      {9, 9, 0, 8, 9, Reason::kHold},     // above it: ending workers is not this rule's
      {UINT64_MAX, 4095, 0, 4096, 4096, Reason::kLoad},
      {UINT64_MAX, 1, 7, 8, 1, Reason::kHold},  // more idle than live, as a torn sample may say
  };
  for (const Row& row : kRows) {
    INFO("queued " << row.queued << ", live " << row.live << ", idle " << row.idle << ", max " << row.max);
    BusyShare decider;
    CHECK_FALSE(decider.keeps());
    const Decision decision = decider.Decide(Sample(row.queued, row.live, row.idle, row.max));
    CHECK(decision.workers == row.workers);
    CHECK(decision.reason == row.reason);
  }
}

TEST_CASE("busy-share counts no worker that waits inside a task", "[scaling]") {
  BusyShare decider;
  LoadSample sample = Sample(1, 5, 2, 8);
  // Two of four, with the one that waits left out.
  sample.blocked = 1;
  CHECK(decider.Decide(sample).workers == 4);
  sample.idle = 0;
  CHECK(decider.Decide(sample).workers == 5);
  sample.blocked = 5;
  CHECK(decider.Decide(sample).workers == 1);
  sample.blocked = 9;
  CHECK(decider.Decide(sample).workers == 1);
}

TEST_CASE("no decision of busy-share ends a worker or passes the maximum", "[scaling]") {
  for (uint32_t live = 0; live <= 6; ++live) {
    for (uint32_t idle = 0; idle <= live; ++idle) {
      for (uint32_t max = 1; max <= 6; ++max) {
        for (uint64_t queued : {0, 1, 100}) {
          INFO("live " << live << ", idle " << idle << ", max " << max);
          BusyShare decider;
          const Decision decision = decider.Decide(Sample(queued, live, idle, max));
          REQUIRE(decision.workers >= live);
          REQUIRE(decision.workers <= std::max(live, max));
          if (queued == 0) REQUIRE(decision.reason == Reason::kHold);
          // Where more are idle, no more are wanted.
          if (idle < live) {
            REQUIRE(decider.Decide(Sample(queued, live, idle + 1, max)).workers <= decision.workers);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace workpool
