#include "dispatch/byte_limit.h"

#include <catch2/catch.hpp>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

TEST_CASE("tasks that wait cost as much as the limit together, not a byte more", "[byte_limit]") {
  for (const uint64_t value : {uint64_t{1}, uint64_t{100}, uint64_t{1} << 40, UINT64_MAX - 1}) {
    INFO("limit " << value);
    ByteLimit limit(value);
    CHECK(limit.limit() == value);
    CHECK(limit.TryAcquire(value - value / 3));
    CHECK_FALSE(limit.HasRoom(value / 3 + 1));
    CHECK_FALSE(limit.TryAcquire(value / 3 + 1));
    CHECK(limit.HasRoom(value / 3));
    CHECK(limit.TryAcquire(value / 3));
    CHECK_FALSE(limit.TryAcquire(1));
    CHECK_FALSE(limit.HasRoom(1));
    limit.Release(1);
    CHECK(limit.HasRoom(1));
    CHECK(limit.TryAcquire(1));
    CHECK_FALSE(limit.TryAcquire(1));
  }
}

TEST_CASE("what costs nothing is always let in", "[byte_limit]") {
  ByteLimit limit(1);
  CHECK(limit.TryAcquire(1));
  CHECK(limit.TryAcquire(0));
  limit.AcquireExempt(100);
  CHECK(limit.TryAcquire(0));
}

TEST_CASE("a task that costs more than the whole limit is let in when nothing else waits", "[byte_limit]") {
  for (const uint64_t cost : {uint64_t{101}, uint64_t{1'000'000}, UINT64_MAX}) {
    INFO("cost " << cost);
    ByteLimit limit(100);
    CHECK(limit.TryAcquire(1));
    CHECK_FALSE(limit.HasRoom(cost));
    CHECK_FALSE(limit.TryAcquire(cost));
    limit.Release(1);
    CHECK(limit.HasRoom(cost));
    CHECK(limit.TryAcquire(cost));
    // Beside it nothing has room, and another giant neither.
    CHECK_FALSE(limit.HasRoom(1));
    CHECK_FALSE(limit.TryAcquire(1));
    CHECK_FALSE(limit.TryAcquire(cost));
    limit.Release(cost);
    CHECK(limit.TryAcquire(100));
  }
}

TEST_CASE("exempt tasks pass the limit and count against it", "[byte_limit]") {
  ByteLimit limit(100);
  CHECK(limit.TryAcquire(60));
  limit.AcquireExempt(70);
  CHECK_FALSE(limit.HasRoom(1));
  CHECK_FALSE(limit.TryAcquire(1));
  limit.Release(60);
  CHECK_FALSE(limit.TryAcquire(31));
  CHECK(limit.TryAcquire(30));
}

TEST_CASE("without a limit no sum overflows", "[byte_limit]") {
  ByteLimit limit(POOL_UNLIMITED);
  CHECK(limit.TryAcquire(UINT64_MAX - 10));
  CHECK(limit.HasRoom(10));
  CHECK(limit.TryAcquire(10));
  CHECK_FALSE(limit.TryAcquire(1));  // rather than that the count begins again at 0
  limit.Release(UINT64_MAX);
  CHECK(limit.TryAcquire(UINT64_MAX));
}

TEST_CASE("three threads never pass the limit together, and lose no byte", "[byte_limit]") {
  constexpr uint64_t kLimit = 1000;
  const uint64_t rounds = workpool_test::Rounds(200'000);
  ByteLimit limit(kLimit);
  std::atomic<uint64_t> waiting{0};
  std::atomic<uint64_t> too_many{0}, refused{0};
  const auto come_and_go = [&](uint32_t seed) {
    Random random(seed);
    for (uint64_t i = 0; i < rounds; ++i) {
      const uint64_t cost = 1 + random.Below(700);
      if (!limit.TryAcquire(cost)) {
        ++refused;
        continue;
      }
      if (waiting.fetch_add(cost) + cost > kLimit) ++too_many;
      if (i % 8 == 0) std::this_thread::yield();
      waiting.fetch_sub(cost);
      limit.Release(cost);
    }
  };
  {
    ScopedThread one([&] { come_and_go(1); });
    ScopedThread two([&] { come_and_go(2); });
    come_and_go(3);
  }
  CHECK(too_many == 0);
  CHECK(limit.TryAcquire(kLimit));
  CHECK_FALSE(limit.TryAcquire(1));
}

}  // namespace
}  // namespace workpool
