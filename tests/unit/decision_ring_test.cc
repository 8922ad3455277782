#include "scaling/decision_ring.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <vector>

#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint32_t kSize = DecisionRing::kSize;

std::vector<pool_decision_t> List(const DecisionRing& ring, uint64_t after = 0,
                                  uint32_t cap = kSize) {
  std::vector<pool_decision_t> list(cap);
  list.resize(ring.CopyTo(after, list.data(), cap));
  return list;
}

void AddSome(DecisionRing& ring, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    pool_decision_t decision{};
    decision.workers = i;
    decision.number = 77;  // the ring numbers them itself
    ring.Add(decision);
  }
}

TEST_CASE("a new ring has no decisions", "[decision_ring]") {
  DecisionRing ring;
  CHECK(List(ring).empty());
  CHECK(List(ring, 5).empty());
  CHECK(List(ring, UINT64_MAX).empty());
  CHECK(ring.CopyTo(0, nullptr, 0) == 0);
}

TEST_CASE("decisions are listed in order, numbered from one", "[decision_ring]") {
  DecisionRing ring;
  AddSome(ring, 10);
  const auto list = List(ring);
  REQUIRE(list.size() == 10);
  for (uint32_t i = 0; i < 10; ++i) {
    CHECK(list[i].number == i + 1);
    CHECK(list[i].workers == i);
    CHECK(list[i].struct_size == sizeof(pool_decision_t));
  }
}

TEST_CASE("of more than it has room for the last are kept, whole", "[decision_ring]") {
  for (const uint32_t count : {kSize - 1, kSize, kSize + 1, 2 * kSize, 5 * kSize + 3}) {
    DecisionRing ring;
    AddSome(ring, count);
    const auto list = List(ring);
    const uint32_t kept = std::min(count, kSize);
    REQUIRE(list.size() == kept);
    for (uint32_t i = 0; i < kept; ++i) {
      REQUIRE(list[i].number == count - kept + i + 1);
      REQUIRE(list[i].workers == count - kept + i);
    }
  }
}

TEST_CASE("a reader goes on after the last one it has seen", "[decision_ring]") {
  DecisionRing ring;
  uint64_t after = 0, seen = 0;
  for (uint32_t round = 0; round < 100; ++round) {
    AddSome(ring, 1 + round % 9);
    while (true) {
      const auto list = List(ring, after, 3);
      if (list.empty()) break;
      for (const pool_decision_t& decision : list) REQUIRE(decision.number == ++seen);
      after = list.back().number;
    }
  }
  CHECK(List(ring, after).empty());
  CHECK(List(ring, after + 1).empty());
  CHECK(List(ring, UINT64_MAX).empty());
}

TEST_CASE("a reader that was away finds by the numbers how much it has missed", "[decision_ring]") {
  DecisionRing ring;
  AddSome(ring, 10 + kSize);
  const auto list = List(ring, 4, 1);
  REQUIRE(list.size() == 1);
  CHECK(list[0].number == 11);
}

TEST_CASE("readers beside a writer see whole decisions, in order", "[decision_ring]") {
  DecisionRing ring;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  {
    const auto read = [&] {
      uint64_t after = 0;
      while (!stop) {
        for (const pool_decision_t& decision : List(ring, after)) {
          if (decision.number <= after || decision.queued != decision.workers ||
              decision.at_ns != decision.workers) {
            ++wrong;
          }
          after = decision.number;
        }
      }
    };
    ScopedThread a(read), b(read);
    for (uint32_t i = 0; i < workpool_test::Rounds(100'000); ++i) {
      pool_decision_t decision{};
      decision.workers = i;
      decision.queued = decision.at_ns = i;
      ring.Add(decision);
    }
    stop = true;
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace workpool
