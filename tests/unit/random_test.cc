#include "base/random.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

namespace workpool {
namespace {

TEST_CASE("a random number is below its bound and reaches both ends of small ones", "[base]") {
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{12345}, UINT64_MAX}) {
    for (uint32_t bound : {1u, 2u, 3u, 61u, 4096u, 1u << 31, UINT32_MAX}) {
      INFO("seed " << seed << ", bound " << bound);
      Random random(seed);
      uint32_t least = UINT32_MAX, most = 0;
      for (int i = 0; i < 100'000; ++i) {
        const uint32_t value = random.Below(bound);
        least = std::min(least, value);
        most = std::max(most, value);
      }
      CHECK(most < bound);
      if (bound <= 4096) {
        CHECK(least == 0);
        CHECK(most == bound - 1);
      } else {
        CHECK(least < bound / 1000);
        CHECK(most > bound - bound / 1000);
      }
    }
  }
}

TEST_CASE("random numbers are spread evenly", "[base]") {
  constexpr int kRounds = 100'000;
  for (uint64_t seed : {0, 1, 2, 3}) {
    Random random(seed);
    int counts[10] = {};
    for (int i = 0; i < kRounds; ++i) ++counts[random.Below(10)];
    // 10000 each; five standard deviations are 475.
    for (int count : counts) CHECK(std::abs(count - kRounds / 10) < 475);
  }
}

TEST_CASE("64-bit random numbers are below their bound and spread evenly, for bounds of any size", "[base]") {
  constexpr int kRounds = 100'000;
  for (uint64_t bound : {uint64_t{1}, uint64_t{10}, uint64_t{1} << 32, (uint64_t{1} << 40) - 7, uint64_t{3} << 62,
                         UINT64_MAX}) {
    INFO("bound " << bound);
    Random random(5);
    int counts[10] = {};
    bool low_half_odd = false;
    for (int i = 0; i < kRounds; ++i) {
      const uint64_t value = random.Below64(bound);
      REQUIRE(value < bound);
      ++counts[static_cast<size_t>(static_cast<double>(value) / static_cast<double>(bound) * 10) % 10];
      low_half_odd |= value % 2 != 0;
    }
    CHECK(low_half_odd == (bound > 1));
    if (bound < 10) continue;
    for (int count : counts) CHECK(std::abs(count - kRounds / 10) < 475);
  }
}

TEST_CASE("neighbouring seeds give different sequences, the same seed the same", "[base]") {
  std::set<uint32_t> firsts;
  for (uint64_t seed = 0; seed < 1000; ++seed) firsts.insert(Random(seed).Next());
  CHECK(firsts.size() >= 999);  // a chance meeting among 32-bit numbers is allowed
  Random a(7), b(7);
  for (int i = 0; i < 100; ++i) REQUIRE(a.Next() == b.Next());
}

TEST_CASE("the generator never gets stuck", "[base]") {
  Random random(0);
  std::set<uint32_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(random.Next());
  CHECK(seen.size() > 9'900);
}

}  // namespace
}  // namespace workpool
