// The list of what scaling has decided: pool_decisions, pool_reason_name.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "policy_support.h"

namespace workpool_test {
namespace {

TEST_CASE("pool_decisions lists what was decided, oldest first, under numbers without gaps",
          "[policy][decisions]") {
  ScopedPool pool(Options());
  CHECK(Decisions(pool).empty());
  constexpr uint32_t kTunes = 300, kKept = 256;
  for (uint32_t i = 1; i <= kTunes; ++i) REQUIRE(pool_tune(pool, 1 + i % 3 + Cpus()) == POOL_OK);
  const auto list = Decisions(pool);
  REQUIRE(list.size() == kKept);
  for (uint32_t i = 0; i < kKept; ++i) {
    const pool_decision_t& decision = list[i];
    CAPTURE(i, decision.number, decision.workers_before, decision.workers);
    REQUIRE(decision.number == kTunes - kKept + 1 + i);
    REQUIRE(decision.struct_size == sizeof(decision));
    REQUIRE(decision.reason == POOL_REASON_MANUAL);
    REQUIRE(decision.flags == 0);
    REQUIRE(decision.workers == 1 + decision.number % 3 + Cpus());
    REQUIRE(decision.workers_before == 1 + (decision.number - 1) % 3 + Cpus());
    REQUIRE(decision.workers_live <= Cpus() + 3);
    REQUIRE(decision.at_ns <= pool_now_ns());
    if (i > 0) REQUIRE(decision.at_ns >= list[i - 1].at_ns);
  }
}

TEST_CASE("pool_decisions tells those after a number, and as many as there is room for",
          "[policy][decisions]") {
  ScopedPool pool(Options());
  for (uint32_t i = 1; i <= 10; ++i) REQUIRE(pool_tune(pool, i + Cpus()) == POOL_OK);
  CHECK(Decisions(pool, 0).size() == 10);
  CHECK(Decisions(pool, 7).size() == 3);
  CHECK(Decisions(pool, 7).at(0).number == 8);
  CHECK(Decisions(pool, 10).empty());
  CHECK(Decisions(pool, 11).empty());
  CHECK(Decisions(pool, UINT64_MAX).empty());
  pool_decision_t some[4];
  std::memset(some, 0x5a, sizeof(some));
  uint32_t n = 77;
  REQUIRE(pool_decisions(pool, 2, some, sizeof(some[0]), 3, &n) == POOL_OK);
  CHECK(n == 3);
  CHECK(some[0].number == 3);
  CHECK(some[2].number == 5);
  CHECK(some[3].struct_size == 0x5a5a5a5a);
  n = 77;
  CHECK(pool_decisions(pool, 0, nullptr, sizeof(some[0]), 0, &n) == POOL_OK);
  CHECK(n == 0);
  std::vector<pool_decision_t> many(1'000);
  CHECK(pool_decisions(pool, 0, many.data(), sizeof(many[0]), 1'000, &n) == POOL_OK);
  CHECK(n == 10);
}

TEST_CASE("pool_decisions fills elements of a caller that knows less, or more",
          "[policy][decisions]") {
  ScopedPool pool(Options());
  for (uint32_t i = 1; i <= 3; ++i) REQUIRE(pool_tune(pool, i + Cpus()) == POOL_OK);
  struct Less {
    uint32_t struct_size;
    int32_t reason;
    uint32_t flags;
    uint32_t workers_before;
    uint32_t workers;
  } less[3];
  uint32_t n = 0;
  REQUIRE(pool_decisions(pool, 0, less, sizeof(less[0]), 3, &n) == POOL_OK);
  REQUIRE(n == 3);
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK(less[i].struct_size == sizeof(less[i]));
    CHECK(less[i].reason == POOL_REASON_MANUAL);
    CHECK(less[i].workers == i + 1 + Cpus());
  }
  struct More {
    pool_decision_t ours;
    uint64_t later[2];
  } more[3];
  std::memset(more, 0x5a, sizeof(more));
  REQUIRE(pool_decisions(pool, 0, more, sizeof(more[0]), 3, &n) == POOL_OK);
  REQUIRE(n == 3);
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK(more[i].ours.struct_size == sizeof(pool_decision_t));
    CHECK(more[i].ours.workers == i + 1 + Cpus());
    CHECK(more[i].later[0] == 0);
    CHECK(more[i].later[1] == 0);
  }
}

TEST_CASE("pool_decisions refuses arguments that it cannot use", "[policy][decisions]") {
  ScopedPool pool(Options());
  REQUIRE(pool_tune(pool, 3) == POOL_OK);
  pool_decision_t out;
  uint32_t n = 7;
  CHECK(pool_decisions(pool, 0, &out, sizeof(out), 1, nullptr) == POOL_E_INVALID);
  CHECK(pool_decisions(pool, 0, nullptr, sizeof(out), 1, &n) == POOL_E_INVALID);
  CHECK(n == 0);
  n = 7;
  CHECK(pool_decisions(pool, 0, &out, 3, 1, &n) == POOL_E_INVALID);
  CHECK(n == 0);
  CHECK(pool_decisions(0, 0, &out, sizeof(out), 1, &n) == POOL_E_BADHANDLE);
}

TEST_CASE("a pool that has nothing to decide lists nothing", "[policy][decisions]") {
  ScopedPool pool(1);
  GrowTo(pool, 1);
  CHECK(Decisions(pool).empty());
}

TEST_CASE("each reason has a name, and what is none has one too", "[policy][decisions]") {
  const std::vector<std::pair<int32_t, std::string>> names = {
      {POOL_REASON_HOLD, "hold"},
      {POOL_REASON_STARVED, "starved"},
      {POOL_REASON_EXPIRED, "expired"},
      {POOL_REASON_TRIMMED, "trimmed"},
      {POOL_REASON_PACED, "paced"},
      {POOL_REASON_SEARCH_DOWN, "search-down"},
      {POOL_REASON_SEARCH_UP, "search-up"},
      {POOL_REASON_RELAXED, "relaxed"},
      {POOL_REASON_COMPENSATED, "compensated"},
      {POOL_REASON_LOAD, "load"},
      {POOL_REASON_COOLDOWN, "cooldown"},
      {POOL_REASON_MANUAL, "manual"},
      {POOL_REASON_SCHEDULE, "schedule"},
      {POOL_REASON_BUDGET, "budget"},
      {POOL_REASON_BOUNDS, "bounds"}};
  for (const auto& [reason, name] : names) CHECK(pool_reason_name(reason) == name);
  for (const int32_t reason : {-1, 15, 256, INT32_MAX, INT32_MIN}) {
    CHECK(std::string(pool_reason_name(reason)) == "unknown");
  }
}

TEST_CASE("growth is listed with its figures", "[policy][decisions]") {
  ScopedPool pool(Options());
  const uint32_t tasks = 2 * Cpus() + 4;
  GrowTo(pool, tasks);
  const auto list = Decisions(pool);
  REQUIRE_FALSE(list.empty());
  uint32_t target = Cpus();
  for (const pool_decision_t& decision : list) {
    CAPTURE(decision.number, pool_reason_name(decision.reason), decision.workers_before,
            decision.workers);
    CHECK((decision.reason == POOL_REASON_STARVED || decision.reason == POOL_REASON_COMPENSATED));
    CHECK(decision.workers_before == target);
    CHECK(decision.workers > decision.workers_before);
    CHECK(decision.workers <= tasks);
    CHECK(decision.queued > 0);
    CHECK(decision.queued <= tasks);
    CHECK(decision.head_age_ns >= 2 * kMs);
    CHECK(decision.cores >= 1);
    CHECK(decision.runnable < decision.cores);
    CHECK(decision.workers_live >= decision.workers_before);
    target = decision.workers;
  }
}

}  // namespace
}  // namespace workpool_test
