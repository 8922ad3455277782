#include "scaling/cooldown.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/random.h"

namespace workpool {
namespace {

TEST_CASE("before the first step nothing is held", "[scaling]") {
  const Cooldown cooldown({100, 200, 0});
  CHECK(cooldown.Allow(0, 3, 9) == 9);
  CHECK(cooldown.Allow(0, 9, 3) == 3);
  CHECK(cooldown.UpNs(7) == 7);
  CHECK(cooldown.DownNs(7) == 7);
}

TEST_CASE("after a step the next one waits for the cooldown of its direction", "[scaling]") {
  Cooldown cooldown({100, 200, 0});
  cooldown.Record(1000);
  CHECK(cooldown.UpNs(1001) == 1100);
  CHECK(cooldown.DownNs(1001) == 1200);
  CHECK(cooldown.Allow(1099, 3, 9) == 3);
  CHECK(cooldown.Allow(1100, 3, 9) == 9);
  CHECK(cooldown.Allow(1199, 9, 3) == 9);
  CHECK(cooldown.Allow(1200, 9, 3) == 3);
  CHECK(cooldown.Allow(1000, 5, 5) == 5);
  CHECK(cooldown.UpNs(5000) == 5000);
}

TEST_CASE("no step up is larger than the largest", "[scaling]") {
  const Cooldown cooldown({0, 0, 4});
  CHECK(cooldown.Allow(0, 3, 9) == 7);
  CHECK(cooldown.Allow(0, 3, 7) == 7);
  CHECK(cooldown.Allow(0, 3, 4) == 4);
  CHECK(cooldown.Allow(0, 9, 1) == 1);
  CHECK(cooldown.Allow(0, UINT32_MAX - 1, UINT32_MAX) == UINT32_MAX);
}

TEST_CASE("a clock that steps back, and the end of time, hold no longer than they say", "[scaling]") {
  Cooldown cooldown({100, 200, 0});
  cooldown.Record(1000);
  CHECK(cooldown.Allow(10, 3, 9) == 3);
  CHECK(cooldown.UpNs(10) == 1100);
  cooldown.Record(kNever - 10);
  CHECK(cooldown.UpNs(kNever - 5) == kNever - 1);
}

TEST_CASE("no two steps in opposite directions come within the cooldown", "[scaling]") {
  Random random(3);
  Cooldown cooldown({300, 700, 0});
  uint64_t now_ns = 0, last_ns = 0;
  uint32_t workers = 50;
  uint32_t taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    now_ns += random.Below(100);
    const uint32_t next = cooldown.Allow(now_ns, workers, random.Below(100));
    if (next == workers) continue;
    if (taken++ > 0) REQUIRE(now_ns - last_ns >= (next > workers ? 300 : 700));
    cooldown.Record(now_ns);
    last_ns = now_ns;
    workers = next;
  }
  CHECK(taken > 1000);
}

}  // namespace
}  // namespace workpool
