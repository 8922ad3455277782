#include "stats/histogram.h"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

namespace workpool {
namespace {

constexpr size_t kLast = Histogram::kBuckets - 1;
constexpr uint64_t kTop = uint64_t{1} << Histogram::kTopBit;

// Quantile of a fresh histogram that has recorded values.
uint64_t QuantileOf(const std::vector<uint64_t>& values, double q) {
  const auto histogram = std::make_unique<Histogram>();
  for (uint64_t value : values) histogram->Record(value);
  uint64_t sums[Histogram::kBuckets] = {};
  histogram->AddTo(sums);
  return Quantile(sums, q);
}

TEST_CASE("a bucket ends where the next one begins", "[stats]") {
  for (size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    REQUIRE(Histogram::BucketOf(Histogram::UpperBound(bucket)) == bucket);
    if (bucket == kLast) continue;
    REQUIRE(Histogram::BucketOf(Histogram::UpperBound(bucket) + 1) == bucket + 1);
    REQUIRE(Histogram::UpperBound(bucket) < Histogram::UpperBound(bucket + 1));
  }
  CHECK(Histogram::BucketOf(0) == 0);
  CHECK(Histogram::UpperBound(kLast) == kTop - 1);
}

TEST_CASE("the bound of a bucket is within 6.25 % of what it holds", "[stats]") {
  for (uint32_t bit = 0; bit < Histogram::kTopBit; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    for (uint64_t part = 0; part < 64; ++part) {
      const uint64_t value = power + (power * part) / 64;
      const uint64_t bound = Histogram::UpperBound(Histogram::BucketOf(value));
      REQUIRE(bound >= value);
      REQUIRE((bound - value) * 16 <= value);
    }
  }
}

TEST_CASE("values below 16 have a bucket of their own", "[stats]") {
  for (uint64_t value = 0; value < 16; ++value) {
    CHECK(Histogram::UpperBound(Histogram::BucketOf(value)) == value);
  }
}

TEST_CASE("what is longer than the last bucket shares it", "[stats]") {
  for (uint64_t value : {kTop - 1, kTop, kTop + 1, kTop << 1, uint64_t{1} << 63, UINT64_MAX}) {
    CHECK(Histogram::BucketOf(value) == kLast);
    CHECK(QuantileOf({value}, 0.5) == kTop - 1);
  }
  CHECK(Histogram::BucketOf(kTop - (kTop >> 6)) == kLast);
  CHECK(Histogram::BucketOf(kTop - (kTop >> 4)) < kLast);
}

TEST_CASE("quantiles of known data are right", "[stats]") {
  std::vector<uint64_t> values;
  for (uint64_t i = 0; i < 50; ++i) values.push_back(5);
  for (uint64_t i = 0; i < 45; ++i) values.push_back(1000);
  for (uint64_t i = 0; i < 5; ++i) values.push_back(1'000'000);
  const uint64_t thousand = Histogram::UpperBound(Histogram::BucketOf(1000));
  const uint64_t million = Histogram::UpperBound(Histogram::BucketOf(1'000'000));
  CHECK(QuantileOf(values, 0.01) == 5);
  CHECK(QuantileOf(values, 0.50) == 5);
  CHECK(QuantileOf(values, 0.51) == thousand);
  CHECK(QuantileOf(values, 0.95) == thousand);
  CHECK(QuantileOf(values, 0.96) == million);
  CHECK(QuantileOf(values, 1.00) == million);
  CHECK(QuantileOf({}, 0.5) == 0);
  CHECK(QuantileOf({0}, 0.99) == 0);
  CHECK(QuantileOf({7}, 0.001) == 7);
}

TEST_CASE("quantiles of evenly spread values are within a bucket of them", "[stats]") {
  std::vector<uint64_t> values;
  for (uint64_t i = 1; i <= 100'000; ++i) values.push_back(i);
  for (double q : {0.1, 0.5, 0.9, 0.99}) {
    const double exact = q * 100'000;
    const double found = static_cast<double>(QuantileOf(values, q));
    CHECK(found >= exact);
    CHECK(found <= exact * 1.0625);
  }
}

TEST_CASE("several histograms add up", "[stats]") {
  const auto first = std::make_unique<Histogram>(), second = std::make_unique<Histogram>();
  for (int i = 0; i < 3; ++i) first->Record(1);
  second->Record(9);
  uint64_t sums[Histogram::kBuckets] = {};
  first->AddTo(sums);
  second->AddTo(sums);
  CHECK(sums[1] == 3);
  CHECK(sums[9] == 1);
  CHECK(Quantile(sums, 0.75) == 1);
  CHECK(Quantile(sums, 0.76) == 9);
}

}  // namespace
}  // namespace workpool
