#include "base/clock.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <vector>

namespace workpool {
namespace {

TEST_CASE("the clock is the steady one and never goes back", "[base]") {
  uint64_t last_ns = NowNs();
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t now_ns = NowNs();
    REQUIRE(now_ns >= last_ns);
    last_ns = now_ns;
  }
  const auto steady = std::chrono::steady_clock::now().time_since_epoch();
  const uint64_t steady_ns =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(steady).count());
  CHECK(steady_ns >= last_ns);
  CHECK(NowNs() >= steady_ns);
}

TEST_CASE("H5: a deadline is the time limit from now on, however long that is", "[base]") {
  for (int64_t timeout_ns : {int64_t{0}, int64_t{1}, int64_t{1'000'000'000}, int64_t{1} << 31,
                             int64_t{1} << 62, INT64_MAX}) {
    INFO("timeout " << timeout_ns);
    const uint64_t before = NowNs();
    const uint64_t deadline_ns = DeadlineAfter(timeout_ns);
    const uint64_t after = NowNs();
    CHECK(deadline_ns >= before + static_cast<uint64_t>(timeout_ns));
    CHECK(deadline_ns <= after + static_cast<uint64_t>(timeout_ns));
    CHECK(deadline_ns != kNever);
  }
}

TEST_CASE("H5: a negative time limit never comes", "[base]") {
  for (int64_t timeout_ns : {int64_t{-1}, int64_t{-2}, INT64_MIN}) {
    CHECK(DeadlineAfter(timeout_ns) == kNever);
  }
}

}  // namespace
}  // namespace workpool
