// Tasks that say that they block: pool_ctx_block_begin and pool_ctx_block_end.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "policy_support.h"

namespace workpool_test {
namespace {

// Runs one task of the pool to its end.
pool_result_t RunOne(pool_t pool, const std::function<int32_t(pool_ctx_t*)>& run) {
  Body body(run);
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  const pool_result_t result = WaitForResult(ticket);
  Must(pool_ticket_release(ticket), "release");
  return result;
}

TEST_CASE(
    "a task that says that it blocks gets what it waits for, though its worker is the only one",
    "[blocking]") {
  ScopedPool pool(1);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    const bool before = round % 2 == 0;  // what it waits for is submitted before it says so
    Gate came;
    Body other([&](pool_ctx_t*) {
      came.Open();
      return 0;
    });
    const pool_result_t result = RunOne(pool, [&](pool_ctx_t* ctx) -> int32_t {
      if (before && pool_ctx_submit(ctx, Body::Run, &other) != POOL_OK) return -1001;
      if (pool_ctx_block_begin(ctx) != POOL_OK) return -1002;
      if (!before && pool_submit(pool, Body::Run, &other) != POOL_OK) return -1003;
      const Stopwatch watch;
      came.Pass();
      if (watch.Seconds() * 1e9 >= kBoundNs) return -1004;
      return pool_ctx_block_end(ctx);
    });
    REQUIRE(result.code == 0);
    REQUIRE(WaitIdle(pool));
  }
  CheckRunsExactly(pool, 1);
}

TEST_CASE("without a word nobody stands in for a task that blocks beyond workers_max",
          "[blocking]") {
  ScopedPool pool(1);
  std::atomic<uint64_t> runs{0};
  Gate gate;
  SubmitToGate(pool, gate, 1);
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(HoldsThroughout([&] { return runs == 0; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 1);
}

TEST_CASE("a task is stood in for until the last of its begins has ended", "[blocking]") {
  ScopedPool pool(1);
  std::atomic<uint64_t> first{0}, second{0};
  const pool_result_t result = RunOne(pool, [&](pool_ctx_t* ctx) -> int32_t {
    for (int i = 0; i < 3; ++i) {
      if (pool_ctx_block_begin(ctx) != POOL_OK) return -1001;
    }
    for (int i = 0; i < 2; ++i) {
      if (pool_ctx_block_end(ctx) != POOL_OK) return -1002;
    }
    Must(pool_submit(pool, CountRun, &first), "submit");
    if (!PollUntil([&] { return first == 1; })) return -1003;
    if (pool_ctx_block_end(ctx) != POOL_OK) return -1004;
    Must(pool_submit(pool, CountRun, &second), "submit");
    if (!HoldsThroughout([&] { return second == 0; })) return -1005;
    return pool_ctx_block_end(ctx) == POOL_E_INVALID ? 0 : -1006;
  });
  CHECK(result.code == 0);
  REQUIRE(WaitIdle(pool));
  CHECK(second == 1);
  CheckRunsExactly(pool, 1);
}

TEST_CASE(
    "as many stand in as there are tasks that say that they block, as far as workers_limit goes",
    "[blocking]") {
  pool_options_t options = Options(2);
  options.workers_limit = 12;
  options.keep_alive_ns = 20 * kMs;
  ScopedPool pool(options);
  Gate gate;
  std::atomic<int> bad{0};
  Body body([&](pool_ctx_t* ctx) {
    if (pool_ctx_block_begin(ctx) != POOL_OK) ++bad;
    gate.Pass();
    if (pool_ctx_block_end(ctx) != POOL_OK) ++bad;
    return 0;
  });
  for (int i = 0; i < 30; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(12));
  CHECK(Stats(pool).workers_blocked == 12);
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 12 && Stats(pool).workers_live == 12; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(gate.arrivals() == 30);
  CheckRunsExactly(pool, 2);
  CHECK(AwaitLive(pool, 0));
}

TEST_CASE("an end without its begin is refused, and so is no context", "[blocking]") {
  ScopedPool pool(1);
  CHECK(pool_ctx_block_begin(nullptr) == POOL_E_INVALID);
  CHECK(pool_ctx_block_end(nullptr) == POOL_E_INVALID);
  std::string text;
  const auto end_alone = [&](pool_ctx_t* ctx) -> int32_t {
    if (pool_ctx_block_end(ctx) != POOL_E_INVALID) return -1001;
    text = LastErrorText();
    if (pool_ctx_block_begin(ctx) != POOL_OK || pool_ctx_block_end(ctx) != POOL_OK) return -1002;
    return pool_ctx_block_end(ctx) == POOL_E_INVALID ? 0 : -1003;
  };
  CHECK(RunOne(pool, end_alone).code == 0);
  CHECK(text.find("pool_ctx_block_begin") != std::string::npos);
  // What the task before has begun is not this one's.
  CHECK(RunOne(pool, [](pool_ctx_t* ctx) { return pool_ctx_block_begin(ctx); }).code == 0);
  CHECK(RunOne(pool, end_alone).code == 0);
}

TEST_CASE("a task that is run by a thread that is no worker may say that it blocks", "[blocking]") {
  ScopedPool pool(1);
  Must(pool_pause(pool), "pause");  // so that nobody else runs it
  Body body([&](pool_ctx_t* ctx) -> int32_t {
    if (pool_worker_index(pool) != -1) return -1001;
    if (pool_ctx_block_begin(ctx) != POOL_OK) return -1002;
    if (pool_ctx_block_end(ctx) != POOL_OK) return -1003;
    return pool_ctx_block_end(ctx) == POOL_E_INVALID ? 0 : -1004;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket, POOL_WAIT_HELP).code == 0);
  Must(pool_ticket_release(ticket), "release");
  Must(pool_resume(pool), "resume");
}

TEST_CASE("a task that ends with an open begin does not leave the pool with one more worker",
          "[blocking]") {
  const std::pair<const char*, std::function<int32_t()>> ways[] = {
      {"by returning", [] { return 0; }},
      {"by failing", [] { return -1000; }},
      {"by an exception", []() -> int32_t { throw std::runtime_error("no"); }},
      {"by the end of its thread", []() -> int32_t { pthread_exit(nullptr); }},
  };
  for (const auto& way : ways) {
    DYNAMIC_SECTION(way.first) {
      ScopedPool pool(1);
      for (uint64_t round = 0; round < Rounds(50); ++round) {
        std::atomic<uint64_t> runs{0};
        RunOne(pool, [&](pool_ctx_t* ctx) {
          for (uint64_t i = 0; i <= round % 3; ++i) Must(pool_ctx_block_begin(ctx), "begin");
          Must(pool_submit(pool, CountRun, &runs), "submit");
          if (!PollUntil([&] { return runs == 1; })) return -1001;  // on a worker that stands in
          return way.second();
        });
        REQUIRE(WaitIdle(pool));
        REQUIRE(PollUntil([&] { return Stats(pool).workers_blocked == 0; }));
      }
      CheckRunsExactly(pool, 1);
    }
  }
}

TEST_CASE("a begin belongs to its task also where another task runs inside it", "[blocking]") {
  ScopedPool pool(1);
  const auto inside = [&](pool_ctx_t* ctx,
                          const std::function<int32_t(pool_ctx_t*)>& run) -> int32_t {
    Body child(run);
    pool_fork_t fork;
    int32_t code = 77;
    if (pool_ctx_fork(ctx, &fork, Body::Run, &child) != POOL_OK) return -1001;
    const pool_status_t status = pool_ctx_join(ctx, &fork, &code);
    return status != POOL_OK ? status : code;
  };
  SECTION("one that the inner task leaves open is not the outer's") {
    const pool_result_t result = RunOne(pool, [&](pool_ctx_t* ctx) -> int32_t {
      if (inside(ctx, [](pool_ctx_t* own) { return pool_ctx_block_begin(own); }) != 0) return -1002;
      if (Stats(pool).workers_blocked != 0) return -1003;
      return pool_ctx_block_end(ctx) == POOL_E_INVALID ? 0 : -1004;
    });
    CHECK(result.code == 0);
  }
  SECTION("the outer's is not the inner task's to end") {
    const pool_result_t result = RunOne(pool, [&](pool_ctx_t* ctx) -> int32_t {
      if (pool_ctx_block_begin(ctx) != POOL_OK) return -1002;
      // It may be run by the worker that stands in, too: that is not inside.
      const int32_t code = inside(ctx, [](pool_ctx_t* own) {
        return pool_ctx_block_end(own) == POOL_E_INVALID ? 0 : -1003;
      });
      return code != 0 ? code : pool_ctx_block_end(ctx);
    });
    CHECK(result.code == 0);
  }
  REQUIRE(WaitIdle(pool));
  CheckRunsExactly(pool, 1);
}

TEST_CASE("begins and ends of many tasks at once leave nothing behind", "[blocking]") {
  pool_options_t options = Options(3);
  options.keep_alive_ns = kMs;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0}, bad{0};
  Body body([&](pool_ctx_t* ctx) {
    const uint64_t n = runs.fetch_add(1);
    for (uint64_t i = 0; i < n % 4; ++i) {
      if (pool_ctx_block_begin(ctx) != POOL_OK) ++bad;
    }
    if (n % 5 == 0) std::this_thread::yield();
    if (n % 64 == 0) SleepNs(100 * kUs);
    for (uint64_t i = 0; i < n % 4 && n % 7 != 0; ++i) {
      if (pool_ctx_block_end(ctx) != POOL_OK) ++bad;
    }
    return 0;
  });
  const uint64_t tasks = Rounds(20'000);
  std::vector<std::thread> producers;
  for (int p = 0; p < 2; ++p) {
    producers.emplace_back([&] {
      for (uint64_t i = 0; i < tasks; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
    });
  }
  for (std::thread& producer : producers) producer.join();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 2 * tasks);
  CHECK(bad == 0);
  CHECK(PollUntil([&] { return Stats(pool).workers_blocked == 0; }));
  CheckRunsExactly(pool, 3);
}

TEST_CASE("a growing pool counts a task that says that it blocks beside its target", "[blocking]") {
  // The scaler would have found it out by itself; the word is quicker, and is not counted twice.
  const uint32_t most = Cpus() + 2;
  ScopedPool pool(most);
  Gate gate;
  std::atomic<int> bad{0};
  Body body([&](pool_ctx_t* ctx) {
    if (pool_ctx_block_begin(ctx) != POOL_OK) ++bad;
    gate.Pass();
    return pool_ctx_block_end(ctx);
  });
  for (uint32_t i = 0; i < most; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(most));
  Gate others;
  SubmitToGate(pool, others, 3 * most);
  REQUIRE(others.AwaitArrivals(most));
  CHECK(HoldsThroughout([&] { return others.arrivals() == most; }));
  gate.Open();
  others.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
}

TEST_CASE("C7: a pool whose tasks say that they block ends within a second of their end",
          "[blocking][serial]") {
  const std::pair<const char*, std::function<void(pool_t)>> ways[] = {
      {"close, drain", [](pool_t pool) { Must(pool_close(pool, POOL_DRAIN, kBoundNs), "close"); }},
      {"close, cancel what waits",
       [](pool_t pool) { Must(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs), "close"); }},
      {"close, cancel",
       [](pool_t pool) { Must(pool_close(pool, POOL_CANCEL_ALL, kBoundNs), "close"); }},
      {"destroy", [](pool_t pool) { Must(pool_destroy(pool), "destroy"); }},
      {"release", [](pool_t pool) { Must(pool_release(pool), "release"); }},
  };
  for (const auto& way : ways) {
    for (const bool explicit_max : {true, false}) {
      DYNAMIC_SECTION(way.first << (explicit_max ? "" : ", a default pool")) {
        const size_t threads = ThreadCount();
        auto pool = std::make_unique<ScopedPool>(explicit_max ? Options(2) : Options());
        Gate gate;
        std::atomic<uint64_t> ended{0};
        Body body([&](pool_ctx_t* ctx) {
          Must(pool_ctx_block_begin(ctx), "begin");
          gate.Pass();
          if (ended.fetch_add(1) % 2 == 0) Must(pool_ctx_block_end(ctx), "end");
          return 0;
        });
        for (int i = 0; i < 12; ++i) Must(pool_submit(*pool, Body::Run, &body), "submit");
        REQUIRE(gate.AwaitArrivals(12));
        const std::string name = way.first;
        const bool ends_it = name == "destroy" || name == "release";
        const pool_t handle = ends_it ? pool->GiveUp() : pool_t{*pool};
        std::thread ending([&] { way.second(handle); });
        CHECK(HoldsThroughout([&] { return ended == 0; }));
        const Stopwatch watch;
        gate.Open();
        ending.join();
        pool.reset();
        CHECK(AwaitThreadCount(threads));
        CHECK(watch.Seconds() < (kSanitized ? 10.0 : 1.0));
        CHECK(ended == 12);
      }
    }
  }
}

}  // namespace
}  // namespace workpool_test
