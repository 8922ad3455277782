// B5: a pool whose census is wrong, which must not be, is found out and put right; and none that is
// merely busy is.
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "time_support.h"
#include "worker/engine.h"
#include "worker/frame.h"

namespace workpool_test {
namespace {

// What pool_health says within so long, asked ten times a second: the first that is not OK, or OK.
pool_status_t Health(pool_t pool, std::chrono::milliseconds time) {
  pool_status_t status = POOL_OK;
  const bool held = HoldsThroughout(
      [&] {
        status = pool_health(pool);
        if (status == POOL_OK) SleepNs(100 * kMs);
        return status == POOL_OK;
      },
      time);
  return held ? POOL_OK : status;
}

// Nobody searches, but the census says that somebody does.
int32_t InventSearcher(void*, pool_ctx_t* ctx) {
  return PollUntil([&] { return ctx->engine->idle.TryBeginSearch(); }) ? 0 : -1001;
}

void CheckServedPromptly(pool_t pool) {
  CHECK(OneIsInTime([&] {
    std::atomic<uint64_t> runs{0};
    const Stopwatch watch;
    Must(pool_submit(pool, CountRun, &runs), "submit");
    return PollUntil([&] { return runs == 1; }) && watch.Seconds() < 0.05;
  }));
}

TEST_CASE(
    "B5: a pool that waits for a searcher who is not there is found to be stalled within two "
    "seconds, and goes on",
    "[stalled]") {
  for (const uint32_t workers : {1u, 4u}) {
    for (const int searchers : {1, 3}) {
      DYNAMIC_SECTION(workers << " workers, " << searchers << " searchers too many") {
        pool_options_t options = Options(workers);
        options.prestart = workers;
        options.keep_alive_ns = POOL_FOREVER;
        options.log_level = POOL_LOG_ERROR;
        static std::atomic<uint64_t> told;
        told = 0;
        options.log_fn = [](void*, int32_t, const char* line) {
          if (std::string(line).find("stalled") != std::string::npos) ++told;
        };
        ScopedPool pool(options);
        const auto all_sleep = [&] { return Stats(pool).workers_parked == workers; };
        REQUIRE(PollUntil(all_sleep));
        Body invents([&](pool_ctx_t* ctx) {
          // As many woken and gone: each counts as searching, and none as live.
          for (int i = 0; i < searchers; ++i) ctx->engine->idle.Return();
          for (int i = 0; i < searchers; ++i) ctx->engine->idle.Leave();
          return 0;
        });
        const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &invents));
        REQUIRE(WaitForResult(ticket).code == 0);
        REQUIRE(pool_ticket_release(ticket) == POOL_OK);
        REQUIRE(PollUntil(all_sleep));
        CHECK(pool_health(pool) == POOL_OK);  // nothing waits: nothing is stalled
        std::atomic<uint64_t> runs{0};
        Must(pool_submit(pool, CountRun, &runs), "submit");
        REQUIRE(HoldsThroughout([&] { return runs == 0; }));
        const Stopwatch watch;
        CHECK(Health(pool, std::chrono::seconds(5)) == POOL_E_STALLED);
        CHECK(watch.Seconds() >= 0.9);
        CHECK(watch.Seconds() < 2.0);
        CHECK(PollUntil([&] { return runs == 1; }));
        CHECK(told == 1);
        REQUIRE(WaitIdle(pool));
        CheckServedPromptly(pool);
        Gate gate;
        for (uint32_t i = 0; i < workers; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
        CHECK(gate.AwaitArrivals(workers));
        gate.Open();
        REQUIRE(WaitIdle(pool));
        CHECK(pool_health(pool) == POOL_OK);
        CHECK(told == 1);
      }
    }
  }
}

TEST_CASE("B5: where no worker lives a submit starts one, whatever searchers are said to be there",
          "[stalled]") {
  pool_options_t options = Options(2);
  options.keep_alive_ns = kMs;
  ScopedPool pool(options);
  const pool_ticket_t ticket = Submit(pool, Task(InventSearcher, nullptr));
  REQUIRE(WaitForResult(ticket).code == 0);
  REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  std::atomic<uint64_t> runs{0};
  Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(PollUntil([&] { return runs == 1; }));
}

// Pools that do what they should, though tasks wait or nothing happens; each is asked for three
// seconds.
TEST_CASE("B5: a pool that is busy, paused, idle or held up for good reason is not stalled",
          "[stalled]") {
  std::vector<std::function<void()>> ends;
  std::vector<std::unique_ptr<ScopedPool>> pools;
  Gate gate;
  const auto add = [&](const pool_options_t& options) -> pool_t {
    pools.push_back(std::make_unique<ScopedPool>(options));
    return *pools.back();
  };
  // All workers block, as many as there may be, and more wait.
  const pool_t blocked = add(Options(2));
  for (int i = 0; i < 12; ++i) Must(pool_submit(blocked, PassGate, &gate), "submit");
  // As many as there may be, stand-ins for those that wait included.
  pool_options_t limited = Options(2);
  limited.workers_limit = 4;
  const pool_t waiting = add(limited);
  Body says([&](pool_ctx_t* ctx) {
    Must(pool_ctx_block_begin(ctx), "begin");
    gate.Pass();
    return pool_ctx_block_end(ctx);
  });
  for (int i = 0; i < 12; ++i) Must(pool_submit(waiting, Body::Run, &says), "submit");
  // One runs for long, nothing waits.
  const pool_t one = add(Options(2));
  Must(pool_submit(one, PassGate, &gate), "submit");
  // Paused, with tasks.
  const pool_t paused = add(Options(2));
  Must(pool_pause(paused), "pause");
  for (int i = 0; i < 5; ++i) Must(pool_submit(paused, DoNothing, nullptr), "submit");
  // Idle: never used, with workers that sleep, and with none any more.
  add(Options(2));
  pool_options_t asleep = Options(2);
  asleep.prestart = 2;
  asleep.keep_alive_ns = POOL_FOREVER;
  add(asleep);
  // A target by hand that is below what waits.
  const pool_t tuned = add(Options(4));
  Must(pool_tune(tuned, 1), "tune");
  for (int i = 0; i < 6; ++i) Must(pool_submit(tuned, PassGate, &gate), "submit");
  // Behind one another in the line of a key, for a delay, for a rate.
  const pool_t keyed = add(Options(2));
  for (int i = 0; i < 4; ++i) {
    pool_task_t task = Task(PassGate, &gate);
    task.key = 7;
    Must(pool_ticket_release(Submit(keyed, task)), "release");
  }
  const pool_t delayed = add(Options(2));
  pool_task_t later = Task(DoNothing, nullptr);
  later.delay_ns = 4'000 * kMs;
  Must(pool_ticket_release(Submit(delayed, later)), "release");
  pool_options_t slow = Options(2);
  slow.rate_count = 1;
  slow.rate_period_ns = 2'000 * kMs;
  slow.rate_burst = 1;
  slow.on_rate = POOL_ON_RATE_DELAY;
  const pool_t rated = add(slow);
  for (int i = 0; i < 3; ++i)
    Must(pool_ticket_release(Submit(rated, Task(DoNothing, nullptr))), "release");
  // The scaler is at it.
  const pool_t grown = add(Options());
  for (int i = 0; i < 100; ++i) Must(pool_submit(grown, PassGate, &gate), "submit");

  std::string stalled;
  CHECK(HoldsThroughout(
      [&] {
        for (size_t i = 0; i < pools.size(); ++i) {
          if (pool_health(*pools[i]) != POOL_OK) stalled += " " + std::to_string(i);
        }
        SleepNs(100 * kMs);
        return stalled.empty();
      },
      std::chrono::seconds(3)));
  CHECK(stalled == "");
  CHECK(pool_resume(paused) == POOL_OK);
  gate.Open();
  for (const auto& pool : pools) CHECK(WaitIdle(*pool));
}

TEST_CASE("B5: a pool that is not asked for a while is not stalled because of that", "[stalled]") {
  ScopedPool pool(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(pool_health(pool) == POOL_OK);
  SleepNs(1'200 * kMs);
  gate.Open();
  CHECK(pool_health(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(pool_health(pool) == POOL_OK);
  CHECK(pool_health(0) == POOL_E_BADHANDLE);
}

}  // namespace
}  // namespace workpool_test
