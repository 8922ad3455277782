// Policies by name: what they keep, and what is refused.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "policy_support.h"

namespace workpool_test {
namespace {

TEST_CASE("every policy that has a name takes over a pool at work, and loses no task", "[policy]") {
  ScopedPool pool(Options());
  std::atomic<uint64_t> runs{0};
  uint64_t submitted = 0;
  for (const char* name :
       {"fixed,n=2", "busy-share", "jobs-per-worker", "queue-depth", "queue-level", "wait-time",
        "aimd", "ewma", "multi-signal", "pid", "pid,setpoint=0.6", "seasonal", "cpu", "io",
        "shared-downstream", "batch", "auto"}) {
    CAPTURE(name);
    for (int i = 0; i < 200; ++i, ++submitted) Must(pool_submit(pool, CountRun, &runs), "submit");
    const pool_policy_t policy = Named(name);
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    for (int i = 0; i < 200; ++i, ++submitted) Must(pool_submit(pool, CountRun, &runs), "submit");
    if (submitted % 800 == 0) REQUIRE(WaitIdle(pool));
  }
  REQUIRE(WaitIdle(pool));
  CHECK(runs == submitted);
}

TEST_CASE("the policy fixed keeps exactly so many workers, busy or idle", "[policy]") {
  // Named at create, or later; fewer and more than are up without a policy.
  for (const uint32_t n : {1u, 3u, Cpus() + 5}) {
    for (const bool at_create : {true, false}) {
      DYNAMIC_SECTION(n << (at_create ? " from the beginning" : " from now on")) {
        const std::string name = "fixed,n=" + std::to_string(n);
        pool_options_t options = Options();
        options.keep_alive_ns = 20 * kMs;
        if (at_create) options.policy = name.c_str();
        ScopedPool pool(options);
        const pool_policy_t policy = Named(name.c_str());
        if (!at_create) {
          REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
          REQUIRE(AwaitTarget(pool, n));
        }
        Must(pool_submit(pool, DoNothing, nullptr), "submit");
        REQUIRE(WaitIdle(pool));
        CHECK(AwaitLive(pool, n));
        CHECK(
            HoldsThroughout([&] { return Stats(pool).workers_live == n; }));  // past the keep-alive
        CheckRunsExactly(pool, n);
        CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == n; }));
      }
    }
  }
}

TEST_CASE("the policy fixed holds from the first task on", "[policy]") {
  pool_options_t options = Options();
  options.policy = "fixed,n=1";
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    ScopedPool pool(options);
    Crowd crowd;
    Body body([&](pool_ctx_t*) {
      crowd.Enter();
      SpinFor(std::chrono::microseconds(20));
      crowd.Leave();
      return 0;
    });
    for (int i = 0; i < 20; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(WaitIdle(pool));
    REQUIRE(crowd.most() == 1);
  }
}

TEST_CASE("a fixed number lies within workers_min and workers_max", "[policy]") {
  pool_options_t options = Options(Cpus() + 4);
  options.workers_min = 2;
  ScopedPool pool(options);
  pool_policy_t policy = Named("fixed,n=1");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 2));
  CHECK(AwaitLive(pool, 2));
  CheckRunsExactly(pool, 2);
  policy = Named("fixed,n=100");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(AwaitLive(pool, options.workers_max));
  CheckRunsExactly(pool, options.workers_max);
  // The bounds may move.
  REQUIRE(pool_set(pool, "workers_max", "3") == POOL_OK);
  REQUIRE(AwaitTarget(pool, 3));
  CHECK(AwaitLive(pool, 3));
  CheckRunsExactly(pool, 3);
}

TEST_CASE("a policy that is not known is refused with a text that lists those that are",
          "[policy]") {
  pool_options_t options = Options();
  options.policy = "magic";
  pool_t none = 0;
  CHECK(pool_create(&options, &none) == POOL_E_INVALID);
  CHECK(none == 0);
  const auto lists_names = [] {
    const std::string text = LastErrorText();
    for (const char* name : {"auto", "fixed", "pid", "aimd", "schedule", "seasonal"}) {
      if (text.find(name) == std::string::npos) return false;
    }
    return true;
  };
  CHECK(lists_names());
  ScopedPool pool(Options());
  for (const char* name :
       {"magic", "", "Auto", "auto2", "fixed,m=1", "fixed,n", "fixed,n=-1", "fixed,n=x"}) {
    CAPTURE(name);
    const pool_policy_t policy = Named(name);
    CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
    options.policy = name;
    CHECK(pool_create(&options, &none) == POOL_E_INVALID);
  }
  const pool_policy_t policy = Named("magic");
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  CHECK(lists_names());
  GrowTo(pool, 2 * Cpus() + 3);  // the one before holds
}

TEST_CASE("pool_set_policy refuses what does not go together", "[policy]") {
  ScopedPool pool(Options());
  CHECK(pool_set_policy(pool, nullptr) == POOL_E_INVALID);
  const pool_signal_fn signal = [](void*, const pool_load_t*) { return 0.0; };
  const pool_decide_fn decide = [](void*, const pool_load_t*, double) { return 1u; };
  pool_policy_t policy = Named("auto", 4);
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  policy = NewPolicy();
  policy.signal = signal;
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  policy = Named("auto", POOL_POLICY_KEEP);
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  policy = Named("auto");
  policy.decide = decide;
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  for (int64_t pool_policy_t::* time : {&pool_policy_t::tick_ns, &pool_policy_t::patience_ns,
                                        &pool_policy_t::call_max_ns}) {
    policy = NewPolicy();
    policy.*time = -1;
    CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  }
  policy = Named("auto");
  policy.history = "season 1 86400 288\n-x288\n";
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  policy = NewPolicy();
  policy.struct_size = 3;
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  struct {
    pool_policy_t policy;
    uint64_t more;
  } larger{NewPolicy(), 1};
  larger.policy.struct_size = sizeof(larger);
  CHECK(pool_set_policy(pool, &larger.policy) == POOL_E_TOOBIG);
  larger.more = 0;
  CHECK(pool_set_policy(pool, &larger.policy) == POOL_OK);
  policy = NewPolicy();
  policy.struct_size = 8;  // of a caller that knows no more: auto
  CHECK(pool_set_policy(pool, &policy) == POOL_OK);
  policy = NewPolicy();
  CHECK(pool_set_policy(0, &policy) == POOL_E_BADHANDLE);
  pool_t shared = 0;
  Must(pool_shared(&shared), "shared");
  CHECK(pool_set_policy(shared, &policy) == POOL_E_INVALID);
  Must(pool_release(shared), "release");
  Must(pool_close(pool, POOL_DRAIN, kBoundNs), "close");
  CHECK(pool_set_policy(pool, &policy) == POOL_E_CLOSED);
  CHECK(pool_policy_init(nullptr, sizeof(policy)) == POOL_E_INVALID);
  CHECK(pool_policy_init(&policy, 3) == POOL_E_INVALID);
}

TEST_CASE("what a seasonal policy has learned is saved as text, and another pool goes on from it",
          "[policy][season]") {
  const std::string known = "season 1 86400 288\n500x288\n";
  ScopedPool pool(Options());
  size_t needed = 7;
  CHECK(pool_policy_history(pool, nullptr, 0, &needed) == POOL_E_INVALID);  // auto learns nothing
  CHECK(needed == 0);
  pool_policy_t policy = Named("seasonal");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  char text[4096];
  REQUIRE(pool_policy_history(pool, text, sizeof(text), &needed) == POOL_OK);
  CHECK(std::string(text) == "season 1 86400 288\n-x288\n");
  CHECK(needed == std::strlen(text) + 1);
  for (const char* damaged : {"", "season 2 86400 288\n-x288\n", "season 1 86400 288\n-x287\n"}) {
    policy.history = damaged;
    CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
  }
  policy.history = known.c_str();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 5));
  CHECK(AwaitLive(pool, 5));
  // As pool_get does: what fits, and how much there is.
  REQUIRE(pool_policy_history(pool, text, 8, &needed) == POOL_OK);
  CHECK(std::string(text) == "season ");
  CHECK(needed == known.size() + 1);
  REQUIRE(pool_policy_history(pool, nullptr, 0, &needed) == POOL_OK);
  REQUIRE(pool_policy_history(pool, text, sizeof(text), nullptr) == POOL_OK);
  CHECK(std::string(text) == known);
  CHECK(pool_policy_history(pool, nullptr, 1, &needed) == POOL_E_INVALID);
  CHECK(pool_policy_history(0, text, sizeof(text), &needed) == POOL_E_BADHANDLE);
  // Inside a decision of the pool's own there is nothing that could be read.
  std::atomic<int32_t> inside{1};
  OwnPolicy own([&](const pool_load_t&) {
    inside = pool_policy_history(pool, nullptr, 0, nullptr);
    return 2u;
  });
  policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(PollUntil([&] { return inside != 1; }));
  CHECK(inside == POOL_E_INVALID);
}

TEST_CASE("the keep-alive of a policy holds as long as the policy, then that of the pool does again",
          "[policy]") {
  pool_options_t options = Options();
  options.keep_alive_ns = POOL_FOREVER;
  ScopedPool pool(options);
  pool_policy_t policy = Named("auto,keep_alive=10ms");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  GrowTo(pool, Cpus() + 4);
  REQUIRE(AwaitLive(pool, 0));
  policy = Named("auto");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  GrowTo(pool, Cpus() + 4);
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == Cpus() + 4; }));
}

TEST_CASE("workers above a floor stay as long as the pool's keep-alive says", "[policy]") {
  pool_options_t options = Options();
  options.keep_alive_ns = POOL_FOREVER;
  options.policy = "auto,floor='00:00=1'";
  ScopedPool pool(options);
  GrowTo(pool, Cpus() + 4);
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live >= Cpus() + 4; },
                        std::chrono::milliseconds(1'500)));
}

}  // namespace
}  // namespace workpool_test
