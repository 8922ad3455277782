// The scaler of a pool from inside: when it looks, and what it leaves in the census.
#include "scaling/scaler.h"

#include <catch2/catch.hpp>

#include "growth_support.h"
#include "worker/engine.h"
#include "worker/frame.h"

namespace workpool_test {
namespace {

using workpool::Census;
using workpool::Engine;

// A pool whose engine is known, with a policy that counts how often it is asked.
struct Asked {
  std::atomic<uint64_t> calls{0};
  std::atomic<uint32_t> wanted{2};
  ScopedPool pool;
  Engine* engine = nullptr;

  explicit Asked(const pool_options_t& options = Options(), uint32_t flags = 0) : pool(options) {
    Body body([&](pool_ctx_t* ctx) {
      engine = ctx->engine;
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &body), "submit");
    Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
    pool_policy_t policy;
    Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
    policy.flags = flags;
    policy.user = this;
    policy.tick_ns = kMs;
    policy.patience_ns = kMs;
    policy.decide = [](void* user, const pool_load_t*, double) {
      auto* self = static_cast<Asked*>(user);
      ++self->calls;
      return self->wanted.load();
    };
    Must(pool_set_policy(pool, &policy), "set_policy");
    Must(AwaitSleep() ? POOL_OK : POOL_E_TIMEOUT, "sleep");
  }
  // The scaler sleeps, to be called by who queues a task that nobody can take.
  bool AwaitSleep() {
    return PollUntil([&] { return calls > 0 && engine->idle.Load().has(Census::kUnwatched); });
  }
  bool watched() const { return !engine->idle.Load().has(Census::kUnwatched); }
};

TEST_CASE("a scaler sleeps while nothing waits, and while workers are there for what waits",
          "[scaler]") {
  Asked asked;
  const uint64_t calls = asked.calls;
  CHECK(HoldsThroughout([&] { return asked.calls == calls; }));
  // Two may be up: one task after another finds a worker that is free, or may be started.
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 200; ++i) {
    Must(pool_submit(asked.pool, CountRun, &runs), "submit");
    Must(pool_wait_idle(asked.pool, kBoundNs), "wait_idle");
  }
  CHECK(runs == 200);
  CHECK(asked.calls == calls);
  CHECK_FALSE(asked.watched());
}

TEST_CASE("a scaler looks while tasks wait that nobody may take, and sleeps some ticks after",
          "[scaler]") {
  Asked asked;
  for (int round = 0; round < 5; ++round) {
    Gate gate;
    for (int i = 0; i < 2; ++i) Must(pool_submit(asked.pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(2));
    const uint64_t before = asked.calls;
    CHECK_FALSE(asked.watched());
    Must(pool_submit(asked.pool, PassGate, &gate), "submit");
    CHECK(asked.watched());
    REQUIRE(PollUntil([&] { return asked.calls > before + 20; }));
    CHECK(asked.watched());
    gate.Open();
    REQUIRE(WaitIdle(asked.pool));
    REQUIRE(asked.AwaitSleep());
    const uint64_t calls = asked.calls;
    CHECK(HoldsThroughout([&] { return asked.calls == calls; }));
  }
}

TEST_CASE("however the scaler goes to sleep just as a task is queued, somebody comes for the task",
          "[scaler]") {
  // Work that ends some ticks before more is queued, by turns at every moment up to the one in
  // which the scaler lies down.
  Asked asked;
  std::atomic<uint64_t> runs{0};
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    asked.wanted = 2;
    Gate gate;
    for (int i = 0; i < 2; ++i) Must(pool_submit(asked.pool, PassGate, &gate), "submit");
    Must(pool_submit(asked.pool, CountRun, &runs), "submit");
    gate.Open();
    SpinFor(std::chrono::microseconds(round * 37 % 7'000));
    asked.wanted = 4;
    Gate again;
    for (int i = 0; i < 4; ++i) Must(pool_submit(asked.pool, PassGate, &again), "submit");
    REQUIRE(again.AwaitArrivals(4));
    again.Open();
    REQUIRE(WaitIdle(asked.pool));
  }
  CHECK(runs == Rounds(300));
}

TEST_CASE("a scaler does not look while the number is set by hand, nor while the pool is paused",
          "[scaler]") {
  Asked asked;
  Must(pool_tune(asked.pool, 3), "tune");
  const uint32_t wanted = Cpus() + 5;  // more than are up without being asked for
  Gate gate;
  SubmitToGate(asked.pool, gate, 2 * wanted);
  REQUIRE(gate.AwaitArrivals(3));
  const uint64_t tuned = asked.calls;
  CHECK(HoldsThroughout([&] { return asked.calls == tuned && gate.arrivals() == 3; }));
  asked.wanted = wanted;
  Must(pool_tune(asked.pool, 0), "tune");
  CHECK(gate.AwaitArrivals(wanted));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == wanted; }));
  gate.Open();
  REQUIRE(WaitIdle(asked.pool));

  Must(pool_pause(asked.pool), "pause");
  REQUIRE(PollUntil([&] {
    const uint64_t calls = asked.calls;
    return HoldsThroughout([&] { return asked.calls == calls; }, std::chrono::milliseconds(20));
  }));
  const uint64_t paused = asked.calls;
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 10; ++i) Must(pool_submit(asked.pool, CountRun, &runs), "submit");
  CHECK(HoldsThroughout([&] { return asked.calls == paused && runs == 0; }));
  Must(pool_resume(asked.pool), "resume");
  REQUIRE(WaitIdle(asked.pool));
  Gate more;
  SubmitToGate(asked.pool, more, wanted);
  CHECK(more.AwaitArrivals(wanted));
  more.Open();
  REQUIRE(WaitIdle(asked.pool));
}

TEST_CASE("tasks that wait while the pool is paused are watched again once it goes on",
          "[scaler]") {
  Asked asked;
  asked.wanted = 6;
  for (uint64_t round = 0; round < Rounds(50); ++round) {
    Must(pool_pause(asked.pool), "pause");
    Gate gate;
    for (int i = 0; i < 6; ++i) Must(pool_submit(asked.pool, PassGate, &gate), "submit");
    if (round % 2 == 0) SleepNs(kMs);
    Must(pool_resume(asked.pool), "resume");
    REQUIRE(gate.AwaitArrivals(6));
    gate.Open();
    REQUIRE(WaitIdle(asked.pool));
  }
}

TEST_CASE("what is lowered is taken from idle workers at once where a number is kept", "[scaler]") {
  pool_options_t options = Options();
  options.keep_alive_ns = POOL_FOREVER;
  Asked asked(options, POOL_POLICY_KEEP);
  for (const uint32_t n : {9u, 3u, 12u, 1u}) {
    asked.wanted = n;
    // It is not asked of its own accord by an idle pool that has nothing to lower; a change of the
    // bounds makes it look.
    Must(pool_set(asked.pool, "workers_min", "0"), "set");
    CHECK(PollUntil([&] { return Stats(asked.pool).workers_live == n; }));
  }
}

TEST_CASE("the ceiling of the census is the target and those that block, whatever moved them",
          "[scaler]") {
  Asked asked;
  asked.wanted = 3;
  Gate gate;
  Body says([&](pool_ctx_t* ctx) {
    Must(pool_ctx_block_begin(ctx), "begin");
    gate.Pass();
    return pool_ctx_block_end(ctx);
  });
  for (int i = 0; i < 5; ++i) Must(pool_submit(asked.pool, Body::Run, &says), "submit");
  REQUIRE(gate.AwaitArrivals(5));
  const auto ceiling = [&] { return asked.engine->idle.Load().ceiling(); };
  CHECK(ceiling() == asked.engine->workers.target() + 5);
  Must(pool_tune(asked.pool, 9), "tune");
  CHECK(ceiling() == 9 + 5);
  Must(pool_tune(asked.pool, 0), "tune");
  CHECK(PollUntil([&] { return ceiling() == asked.engine->workers.target() + 5; }));
  gate.Open();
  REQUIRE(WaitIdle(asked.pool));
  CHECK(PollUntil([&] { return ceiling() == asked.engine->workers.target(); }));
  CHECK(asked.engine->workers.blocked() == 0);
}

}  // namespace
}  // namespace workpool_test
