#include "task/backoff.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace workpool {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kHour = 3'600'000 * kMs;
constexpr uint64_t kAttempts32 = uint64_t{1} << 32;

// Attempts 0 to 5000 one by one, then sparsely to 2^32 and to the end.
std::vector<uint64_t> Attempts() {
  std::vector<uint64_t> attempts;
  for (uint64_t attempt = 0; attempt <= 5000; ++attempt) attempts.push_back(attempt);
  for (uint64_t attempt = 5000; attempt < UINT64_MAX / 2; attempt += attempt / 3)
    attempts.push_back(attempt);
  for (uint64_t attempt :
       {kAttempts32 - 1, kAttempts32, kAttempts32 + 1, UINT64_MAX - 1, UINT64_MAX}) {
    attempts.push_back(attempt);
  }
  std::sort(attempts.begin(), attempts.end());
  return attempts;
}

const std::vector<Backoff> kBackoffs = {
    {100 * kMs, kHour, 200, Jitter::kNone},
    {kMs, 30'000 * kMs, 150, Jitter::kNone},
    {1, UINT64_MAX, 101, Jitter::kNone},
    {1, UINT64_MAX, 200, Jitter::kNone},
    {3, UINT64_MAX, 110, Jitter::kNone},
    {7, kHour, 1000, Jitter::kNone},
    {1, kHour, UINT32_MAX, Jitter::kNone},
    {UINT64_MAX, UINT64_MAX, 200, Jitter::kNone},
    {UINT64_MAX / 3, UINT64_MAX, 101, Jitter::kNone},
    {kHour, kMs, 200, Jitter::kNone},
    {0, kHour, 200, Jitter::kNone},
    {kMs, 0, 200, Jitter::kNone},
    {kMs, kHour, 100, Jitter::kNone},
    {kMs, kHour, 0, Jitter::kNone},
};

TEST_CASE("H8: delays rise to their cap and stay there, from attempt 0 to 2^32 and beyond",
          "[backoff]") {
  const std::vector<uint64_t> attempts = Attempts();
  Random random(8);
  for (Backoff backoff : kBackoffs) {
    INFO(backoff.first_ns << " to " << backoff.max_ns << " by " << backoff.factor_percent << " %");
    const bool grows = backoff.first_ns != 0 && backoff.factor_percent > 100;
    uint64_t before_ns = 0, delay_before_ns = 0;
    for (uint64_t attempt : attempts) {
      INFO("attempt " << attempt);
      backoff.jitter = Jitter::kNone;
      const uint64_t ceiling_ns = BackoffCeiling(backoff, attempt);
      REQUIRE(ceiling_ns <= backoff.max_ns);
      REQUIRE(ceiling_ns >= before_ns);
      REQUIRE(BackoffDelay(backoff, attempt, random) == ceiling_ns);
      backoff.jitter = Jitter::kEqual;
      const uint64_t delay_ns = BackoffDelay(backoff, attempt, random);
      REQUIRE(delay_ns <= ceiling_ns);
      REQUIRE(delay_ns >= ceiling_ns / 2);
      REQUIRE(delay_ns >= delay_before_ns / 2);
      backoff.jitter = Jitter::kFull;
      REQUIRE(BackoffDelay(backoff, attempt, random) <= ceiling_ns);
      before_ns = ceiling_ns;
      delay_before_ns = delay_ns;
    }
    CHECK(before_ns == (grows ? backoff.max_ns : std::min(backoff.first_ns, backoff.max_ns)));
  }
}

TEST_CASE("H8: known delays are right", "[backoff]") {
  struct Row {
    uint64_t first_ns, max_ns;
    uint32_t factor_percent;
    uint64_t attempt, delay_ns;
  };
  for (const Row& row : {
           Row{100, 5000, 200, 0, 100},
           Row{100, 5000, 200, 1, 100},
           Row{100, 5000, 200, 2, 200},
           Row{100, 5000, 200, 6, 3200},
           Row{100, 5000, 200, 7, 5000},
           Row{100, 5000, 100, 1000, 100},
           Row{100, 5000, 50, 1000, 100},
           Row{10, 5000, 110, 2, 11},
           Row{10, 5000, 110, 3, 12},  // 12.1
           Row{10, 5000, 150, 3, 23},  // 22.5
           Row{1, 5000, 150, 3, 2},    // small delays grow too: 2.25
           Row{1, UINT64_MAX, 200, 63, uint64_t{1} << 62},
           Row{1, UINT64_MAX, 200, 64, uint64_t{1} << 63},
           Row{1, UINT64_MAX, 200, 65, UINT64_MAX},
           Row{3, UINT64_MAX, 200, 63, uint64_t{3} << 62},
           Row{3, UINT64_MAX, 200, 64, UINT64_MAX},
           Row{1, UINT64_MAX, 300, 41, 12157665459056928801u},  // 3^40
           Row{1, UINT64_MAX, 300, 42, UINT64_MAX},
           Row{kMs, kHour, 1000, 7, 1'000'000 * kMs},
           Row{5000, 100, 200, 1, 100},
       }) {
    INFO(row.first_ns << " by " << row.factor_percent << " %, attempt " << row.attempt);
    const uint64_t delay_ns =
        BackoffCeiling({row.first_ns, row.max_ns, row.factor_percent, Jitter::kNone}, row.attempt);
    // What the header promises.
    const uint64_t error_ns = std::max(delay_ns, row.delay_ns) - std::min(delay_ns, row.delay_ns);
    CHECK(error_ns <= (row.delay_ns >> 48));
  }
}

TEST_CASE("H8: delays are what real numbers give", "[backoff]") {
  Random random(88);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t first_ns = 1 + random.Below64(uint64_t{1} << random.Below(42));
    const uint32_t factor_percent = 101 + random.Below(i % 2 == 0 ? 20 : 400);
    const uint64_t attempt = 1 + random.Below(i % 3 == 0 ? 5000 : 60);
    INFO(first_ns << " by " << factor_percent << " %, attempt " << attempt);
    const uint64_t delay_ns =
        BackoffCeiling({first_ns, UINT64_MAX, factor_percent, Jitter::kNone}, attempt);
    const auto power = static_cast<long double>(attempt - 1);
    const long double factor = static_cast<long double>(factor_percent) / 100;
    const long double exact_ns =
        std::min(static_cast<long double>(first_ns) * std::pow(factor, power),
                 static_cast<long double>(UINT64_MAX));
    // What the header promises, and what rounding the factor does to this model; more where long double is short.
    const long double model_error = (power + 2) * std::numeric_limits<long double>::epsilon();
    const long double error_ns = std::fabs(static_cast<long double>(delay_ns) - exact_ns);
    REQUIRE(error_ns <= 1 + exact_ns * (0x1p-48L + model_error));
  }
}

// The largest distance between the share of the values up to a point and the share that uniform ones would have there.
double DistanceFromUniform(std::vector<uint64_t> values, uint64_t low, uint64_t high) {
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = (static_cast<double>(values[i]) - static_cast<double>(low)) /
                            (static_cast<double>(high) - static_cast<double>(low));
    const auto below = static_cast<double>(i);
    distance = std::max({distance, expected - below / count, (below + 1) / count - expected});
  }
  return distance;
}

TEST_CASE("H8: ten thousand delays are spread evenly over the window of their jitter",
          "[backoff]") {
  constexpr size_t kTasks = 10'000;
  // Kolmogorov and Smirnov: uniform ones are farther off once in a thousand times.
  const double limit = 1.95 / std::sqrt(static_cast<double>(kTasks));
  for (uint64_t ceiling_ns :
       {100 * kMs, uint64_t{5'000'000'000}, kHour, uint64_t{3} << 62, UINT64_MAX}) {
    for (Jitter jitter : {Jitter::kFull, Jitter::kEqual}) {
      INFO("ceiling " << ceiling_ns << (jitter == Jitter::kFull ? ", full" : ", equal"));
      const Backoff backoff = {ceiling_ns, ceiling_ns, 200, jitter};
      Random random(20150304);
      std::vector<uint64_t> delays;
      for (size_t i = 0; i < kTasks; ++i) delays.push_back(BackoffDelay(backoff, 3, random));
      const uint64_t low_ns = jitter == Jitter::kFull ? 0 : ceiling_ns - ceiling_ns / 2;
      CHECK(DistanceFromUniform(delays, low_ns, ceiling_ns) < limit);
    }
  }
}

TEST_CASE("H8: jitter reaches both ends of its window", "[backoff]") {
  struct Row {
    uint64_t ceiling_ns;
    Jitter jitter;
    uint64_t least_ns, most_ns;
  };
  for (const Row& row : {
           Row{0, Jitter::kFull, 0, 0},
           Row{1, Jitter::kFull, 0, 1},
           Row{10, Jitter::kFull, 0, 10},
           Row{0, Jitter::kEqual, 0, 0},
           Row{1, Jitter::kEqual, 1, 1},
           Row{2, Jitter::kEqual, 1, 2},
           Row{11, Jitter::kEqual, 6, 11},
           Row{11, Jitter::kNone, 11, 11},
       }) {
    INFO("ceiling " << row.ceiling_ns);
    Random random(1);
    uint64_t least_ns = UINT64_MAX, most_ns = 0;
    for (int i = 0; i < 1000; ++i) {
      const uint64_t delay_ns =
          BackoffDelay({row.ceiling_ns, row.ceiling_ns, 100, row.jitter}, 1, random);
      least_ns = std::min(least_ns, delay_ns);
      most_ns = std::max(most_ns, delay_ns);
    }
    CHECK(least_ns == row.least_ns);
    CHECK(most_ns == row.most_ns);
  }
}

}  // namespace
}  // namespace workpool
