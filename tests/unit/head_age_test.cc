#include "scaling/head_age.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>

#include "base/random.h"

namespace workpool {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST_CASE("nothing waits: the head has no age", "[head_age]") {
  HeadAge age;
  CHECK(age.AgeNs(5 * kMs) == 0);
  age.Note(5 * kMs, 10, 0);
  CHECK(age.AgeNs(5 * kMs) == 0);
  age.Note(10 * kMs, 10, 1);
  age.Note(15 * kMs, 11, 0);
  CHECK(age.AgeNs(15 * kMs) == 0);
}

TEST_CASE("the age of a head that nobody takes grows with the time", "[head_age]") {
  HeadAge age;
  uint64_t now_ns = 100 * kMs;
  for (int tick = 0; tick < 10'000; ++tick, now_ns += 5 * kMs) {
    age.Note(now_ns, 7, 3 + static_cast<uint64_t>(tick));  // more and more behind it
    REQUIRE(age.AgeNs(now_ns) == now_ns - 100 * kMs);
  }
}

TEST_CASE("the age is that of the new head once the old one has been taken", "[head_age]") {
  HeadAge age;
  age.Note(10 * kMs, 0, 2);  // tasks 1 and 2
  age.Note(20 * kMs, 0, 3);  // and 3
  age.Note(30 * kMs, 1, 2);
  CHECK(age.AgeNs(30 * kMs) == 20 * kMs);
  age.Note(40 * kMs, 2, 1);
  CHECK(age.AgeNs(40 * kMs) == 20 * kMs);
  age.Note(50 * kMs, 3, 5);  // none of those that were seen before
  CHECK(age.AgeNs(50 * kMs) == 0);
}

TEST_CASE("a queue that was empty in between is a new one", "[head_age]") {
  HeadAge age;
  age.Note(10 * kMs, 0, 4);
  age.Note(20 * kMs, 4, 0);
  age.Note(30 * kMs, 4, 4);
  CHECK(age.AgeNs(30 * kMs) == 0);
  age.Note(35 * kMs, 4, 4);
  CHECK(age.AgeNs(35 * kMs) == 5 * kMs);
}

TEST_CASE("tasks that leave the queue untaken make no head older", "[head_age]") {
  HeadAge age;
  age.Note(10 * kMs, 0, 10);
  age.Note(20 * kMs, 0, 4);  // six were cancelled, who knows which
  CHECK(age.AgeNs(20 * kMs) == 10 * kMs);
  age.Note(30 * kMs, 10, 1);
  CHECK(age.AgeNs(30 * kMs) == 0);
}

TEST_CASE(
    "whatever comes and goes, the age is never too high, and too low by no more than a share of it",
    "[head_age]") {
  constexpr uint64_t kTick = 5 * kMs;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    HeadAge age;
    std::deque<uint64_t> queue;  // when each came
    uint64_t taken = 0;
    const uint32_t burst = 1 + static_cast<uint32_t>(seed % 7),
                   served = 1 + static_cast<uint32_t>(seed % 5);
    for (uint64_t tick = 1; tick <= 3'000; ++tick) {
      const uint64_t now_ns = tick * kTick;
      // Long times of more arrivals than takes, and of fewer; and of no takes at all.
      const bool grows = tick / 300 % 2 == 0;
      const uint32_t come = random.Below(grows ? 2 * burst + 2 : burst + 1);
      const uint32_t go =
          tick % 100 < 10 ? 0 : random.Below(grows ? served : 3 * served + 2 * burst);
      for (uint32_t i = 0; i < come; ++i) queue.push_back(now_ns - random.Below(kTick));
      std::sort(queue.end() - come, queue.end());
      for (uint32_t i = 0; i < go && !queue.empty(); ++i) {
        queue.pop_front();
        ++taken;
      }
      age.Note(now_ns, taken, queue.size());
      const uint64_t right_ns = queue.empty() ? 0 : now_ns - queue.front();
      const uint64_t said_ns = age.AgeNs(now_ns);
      CAPTURE(seed, tick, right_ns, said_ns);
      REQUIRE(said_ns <= right_ns);
      // It came just after a tick, and the note of the next one may be gone; where many have been
      // taken out, more.
      const bool near = right_ns - said_ns <= std::max(2 * kTick, right_ns / 5);
      REQUIRE((near || (right_ns > 128 * kTick && said_ns > 100 * kTick)));
    }
  }
}

}  // namespace
}  // namespace workpool
