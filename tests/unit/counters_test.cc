#include "stats/counters.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "unit_support.h"

namespace workpool {
namespace {

TEST_CASE("a counter adds, by one if nothing else is said, and wraps at 64 bits", "[stats]") {
  Counter own;
  SharedCounter shared;
  const auto check = [](auto& counter) {
    CHECK(counter.Read() == 0);
    counter.Add();
    counter.Add(41);
    CHECK(counter.Read() == 42);
    counter.Add(uint64_t{1} << 40);
    CHECK(counter.Read() == (uint64_t{1} << 40) + 42);
    counter.Add(0 - counter.Read());
    CHECK(counter.Read() == 0);
  };
  check(own);
  check(shared);
}

TEST_CASE("a counter of several writers misses none of them", "[stats]") {
  const uint64_t each = workpool_test::Rounds(200'000);
  SharedCounter counter;
  const auto add = [&] {
    for (uint64_t i = 0; i < each; ++i) counter.Add();
  };
  {
    ScopedThread other(add);
    add();
  }
  CHECK(counter.Read() == 2 * each);
}

TEST_CASE("who sees a later count sees the earlier ones of the same writer", "[stats]") {
  const uint64_t rounds = workpool_test::Rounds(200'000);
  Counter started, ended;
  std::atomic<bool> over{false};
  uint64_t wrong = 0;
  {
    ScopedThread writer([&] {
      for (uint64_t i = 0; i < rounds; ++i) {
        started.Add();
        ended.Add();
      }
      over = true;
    });
    while (!over.load()) {
      const uint64_t ended_seen = ended.Read();
      if (started.Read() < ended_seen) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(ended.Read() == rounds);
}

}  // namespace
}  // namespace workpool
