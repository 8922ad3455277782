// fork beside a scaler: the child's inherited handles answer at once, its own pools are scaled
// anew, the parent goes on.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "child.h"
#include "growth_support.h"

namespace workpool_test {
namespace {

[[maybe_unused]] const int g_in_children =
    pthread_atfork(nullptr, nullptr, [] { g_cannot_look_for_leaks = true; });

uint32_t DecideFive(void*, const pool_load_t*, double) { return 5; }

pool_policy_t FivePolicy() {
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.decide = DecideFive;
  return policy;
}

// In a child: a pool grows there for tasks that block, by auto and by a policy of its own, and
// lists it.
void ExpectGrowth() {
  const size_t threads = ThreadCount();
  const pool_options_t options = Options();
  pool_t pool = 0;
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  GrowTo(pool, 20);
  EXPECT(HighestTarget(pool) >= 20);
  const pool_policy_t policy = FivePolicy();
  EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
  EXPECT(AwaitTarget(pool, 5));
  EXPECT(pool_health(pool) == POOL_OK);
  EXPECT(pool_destroy(pool) == POOL_OK);
  EXPECT(AwaitThreadCount(threads));
}

void ExpectForked(pool_t pool) {
  pool_policy_t policy = FivePolicy();
  EXPECT(pool_set_policy(pool, &policy) == POOL_E_FORKED);
  pool_decision_t decision;
  uint32_t n = 7;
  EXPECT(pool_decisions(pool, 0, &decision, sizeof(decision), 1, &n) == POOL_E_FORKED);
  EXPECT(n == 0);
  EXPECT(pool_health(pool) == POOL_E_FORKED);
  EXPECT(std::strcmp(pool_reason_name(POOL_REASON_STARVED), "starved") == 0);
  EXPECT(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
}

TEST_CASE(
    "D2: in the child of a process whose pools are scaled every call on an inherited pool is "
    "FORKED, and new pools "
    "grow",
    "[fork][live_child]") {
  ScopedPool pool(Options());
  GrowTo(pool, 20);
  const ChildEnd end = RunChild([&] {
    ExpectForked(pool);
    ExpectGrowth();
    EXPECT(pool_destroy(pool) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  GrowTo(pool, 30);
}

TEST_CASE("a process may fork at any moment of the growth of its pools", "[fork][live_child]") {
  ScopedPool pool(Options());
  for (int round = 0; round < 20; ++round) {
    Gate gate;
    SubmitToGate(pool, gate, 40);
    SleepNs(round * 2 * kMs);
    const ChildEnd end = RunChild([&] {
      ExpectForked(pool);
      if (round % 4 == 0) ExpectGrowth();
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
    REQUIRE(gate.AwaitArrivals(40));
    gate.Open();
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE(
    "a policy that forks finds in its child that the pool is the parent's, and the pool goes on",
    "[fork]") {
  struct Mine {
    pool_t pool;
    std::atomic<int> forks{0};
    std::atomic<int> good{0};
  } mine;
  {
    ScopedPool pool(Options());
    mine.pool = pool;
    pool_policy_t policy = FivePolicy();
    policy.user = &mine;
    policy.decide = [](void* user, const pool_load_t*, double) {
      auto& m = *static_cast<Mine*>(user);
      if (m.forks++ == 0) {
        const ChildEnd end = RunChild([&] {
          ExpectForked(m.pool);
          _exit(0);
        });
        if (end.ExitedWith(0)) ++m.good;
      }
      return uint32_t{9};
    };
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    CHECK(PollUntil([&] { return mine.good == 1; }));
    GrowTo(pool, 9);
  }
}

}  // namespace
}  // namespace workpool_test
