// Growing and shrinking: on demand, by idle expiry, by pool_tune, and beside tasks that block.
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;

bool AwaitLive(pool_t pool, uint32_t workers) {
  return PollUntil([&] { return Stats(pool).workers_live == workers; });
}

TEST_CASE("a pool grows on demand up to workers_max and not beyond", "[elastic]") {
  ScopedPool pool(3);
  Gate gate;
  for (int i = 0; i < 8; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 3; }));
  CHECK(Stats(pool).workers_live == 3);
  CHECK(Stats(pool).workers_busy == 3);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(gate.arrivals() == 8);
}

TEST_CASE("work spreads over workers without further submits", "[elastic]") {
  // One task makes children on its own queue; all workers have to come and take them.
  ScopedPool pool(4);
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    Gate gate;
    Body body([&](pool_ctx_t* ctx) {
      for (int i = 0; i < 3; ++i) {
        if (pool_ctx_submit(ctx, PassGate, &gate) != POOL_OK) return -1000;
      }
      return gate.AwaitArrivals(3) ? 0 : -1001;
    });
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
    pool_result_t result;
    REQUIRE(pool_wait(ticket, 0, 2 * kBoundNs, &result, sizeof(result)) == POOL_OK);
    gate.Open();
    REQUIRE(result.code == 0);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE("an idle worker ends when its keep-alive has passed, and a later task starts a new one",
          "[elastic]") {
  pool_options_t options = Options(4);
  options.keep_alive_ns = 20 * kMillisecondNs;
  const size_t threads = ThreadCount();
  ScopedPool pool(options);
  for (int round = 0; round < 4; ++round) {
    Gate gate;
    for (int i = 0; i < 4; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(4));
    CHECK(Stats(pool).workers_live == 4);
    gate.Open();
    REQUIRE(WaitIdle(pool));
    REQUIRE(AwaitLive(pool, 0));
    REQUIRE(AwaitThreadCount(threads));
    CHECK(Stats(pool).retired == static_cast<uint64_t>(4 * (round + 1)));
  }
}

TEST_CASE("a submit at the moment of expiry is never left without a worker", "[elastic]") {
  pool_options_t options = Options(2);
  options.keep_alive_ns = 50'000;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0};
  for (uint64_t round = 0; round < Rounds(3'000); ++round) {
    Must(pool_submit(pool, CountRun, &runs), "submit");
    REQUIRE(WaitIdle(pool));
    const uint64_t until = pool_now_ns() + 20'000 + round % 60'000;
    while (pool_now_ns() < until) {
    }
  }
  CHECK(runs == Rounds(3'000));
  // On a busy machine the last expiry may still be under way.
  CHECK(PollUntil([&] { return Stats(pool).retired > 0; }));
}

TEST_CASE("workers_min workers stay, those above it end", "[elastic]") {
  pool_options_t options = Options(4);
  options.workers_min = 2;
  options.keep_alive_ns = 5 * kMillisecondNs;
  ScopedPool pool(options);
  Gate gate;
  for (int i = 0; i < 4; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(4));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  REQUIRE(AwaitLive(pool, 2));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 2; }));
}

TEST_CASE("keep-alive POOL_FOREVER keeps idle workers", "[elastic]") {
  pool_options_t options = Options(2);
  options.keep_alive_ns = POOL_FOREVER;
  ScopedPool pool(options);
  Gate gate;
  for (int i = 0; i < 2; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 2; },
                        std::chrono::milliseconds(1'300)));  // past the default of 1 s
}

TEST_CASE("the default keep-alive is about one second", "[elastic][serial]") {
  ScopedPool pool(1);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  const Stopwatch watch;
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 1; },
                        std::chrono::milliseconds(700)));
  REQUIRE(AwaitLive(pool, 0));
  CHECK(watch.Seconds() < 5.0);
}

TEST_CASE("B20: no timer wakes an idle worker, so a lost wake-up would hang and not limp",
          "[elastic]") {
  pool_options_t options = Options(3);
  options.workers_min = 3;
  const auto before = ThreadIds();
  ScopedPool pool(options);
  Gate gate;
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 3; }));
  const auto switches = [&] {
    std::vector<std::string> all;
    for (int id : ThreadsSince(before)) {
      all.push_back(ThreadStatus(id, "voluntary_ctxt_switches") + "/" +
                    ThreadStatus(id, "nonvoluntary_ctxt_switches"));
    }
    return all;
  };
  // A parked worker has counted its last switch once it really sleeps.
  REQUIRE(PollUntil([&] {
    for (int id : ThreadsSince(before)) {
      if (ThreadStatus(id, "State").substr(0, 1) != "S") return false;
    }
    return true;
  }));
  const auto first = switches();
  CHECK(first.size() == 3);
  CHECK(HoldsThroughout([&] { return switches() == first; }, std::chrono::milliseconds(500)));
}

TEST_CASE("workers that block where the pool cannot see do not stop the rest", "[elastic]") {
  ScopedPool pool(4);
  Gate gate;
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 1'000; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(PollUntil([&] { return runs == 1'000; }));
  gate.Open();
}

TEST_CASE("a worker that blocks leaves the tasks on its own queue to others", "[elastic]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    Gate gate;
    std::atomic<uint64_t> runs{0};
    Body body([&](pool_ctx_t* ctx) {
      for (int i = 0; i < 10; ++i) pool_ctx_submit(ctx, CountRun, &runs);
      gate.Pass();
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(PollUntil([&] { return runs == 10; }));
    gate.Open();
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE("tasks that block one after the other never stop a batch that was queued behind them",
          "[elastic]") {
  // A worker may have moved tasks to its own queue in a batch before it met the blocking one.
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    REQUIRE(pool_pause(pool) == POOL_OK);
    Gate gate;
    std::atomic<uint64_t> runs{0};
    for (int i = 0; i < 100; ++i) {
      if (i == 3) Must(pool_submit(pool, PassGate, &gate), "submit");
      Must(pool_submit(pool, CountRun, &runs), "submit");
    }
    REQUIRE(pool_resume(pool) == POOL_OK);
    REQUIRE(PollUntil([&] { return runs == 100; }));
    gate.Open();
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE("a waiting worker is stood in for, so that waits cannot starve the pool", "[elastic]") {
  // All workers wait in tasks for a task that runs elsewhere; what ends it is queued behind.
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    Gate held;
    std::atomic<uint64_t> opened{0};
    const pool_ticket_t target = Submit(pool, Task(PassGate, &held));
    REQUIRE(held.AwaitArrivals(1));
    std::atomic<uint64_t> good{0};
    Body waiter([&](pool_ctx_t*) {
      if (pool_wait(target, 0, kBoundNs, nullptr, 0) == POOL_OK) ++good;
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &waiter), "submit");
    REQUIRE(PollUntil([&] { return Stats(pool).workers_blocked == 1; }));
    Body opens([&](pool_ctx_t*) {
      ++opened;
      held.Open();
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &opens), "submit");
    REQUIRE(WaitIdle(pool));
    REQUIRE(opened == 1);
    REQUIRE(good == 1);
    REQUIRE(pool_ticket_release(target) == POOL_OK);
  }
}

TEST_CASE("a worker that waits for another pool is stood in for", "[elastic]") {
  // Each pool has one worker, and each one's task needs the other pool's.
  for (const char* way : {"wait_idle", "close", "loop"}) {
    DYNAMIC_SECTION(way) {
      ScopedPool a(1), b(1);
      std::atomic<uint64_t> runs{0};
      Body back([&](pool_ctx_t*) {
        const pool_ticket_t ticket = Submit(a, Task(CountRun, &runs));
        const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
        pool_ticket_release(ticket);
        return status;
      });
      Body there([&](pool_ctx_t*) -> int32_t {
        const std::string what = way;
        if (what == "loop") {
          const pool_range_fn body = [](void* arg, uint64_t begin, uint64_t, uint32_t, pool_ctx_t* ctx) {
            return begin == 0 ? Body::Run(arg, ctx) : 0;
          };
          int32_t code = 0;
          const pool_status_t status = pool_parallel_for(b, 0, 2, 1, 0, body, &back, &code);
          return status != POOL_OK ? status : code;
        }
        const pool_ticket_t ticket = Submit(b, Task(Body::Run, &back));
        const pool_status_t status =
            what == "close" ? pool_close(b, POOL_DRAIN, kBoundNs) : pool_wait_idle(b, kBoundNs);
        pool_result_t result;
        Must(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)), "wait");
        pool_ticket_release(ticket);
        return status != POOL_OK ? status : result.code;
      });
      const pool_ticket_t ticket = Submit(a, Task(Body::Run, &there));
      const Stopwatch watch;
      pool_result_t result;
      REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
      CHECK(result.code == 0);
      CHECK(watch.Seconds() < 10);
      CHECK(runs == 1);
      CHECK(pool_ticket_release(ticket) == POOL_OK);
    }
  }
}

TEST_CASE("tune starts workers at once and ends them after their current task", "[elastic][tune]") {
  const size_t threads = ThreadCount();
  ScopedPool pool(4);
  REQUIRE(pool_tune(pool, 3) == POOL_OK);
  CHECK(AwaitLive(pool, 3));
  CHECK(ThreadCount() == threads + 3);
  CHECK(Stats(pool).workers_wanted == 3);

  REQUIRE(pool_tune(pool, 1) == POOL_OK);
  CHECK(AwaitLive(pool, 1));
  CHECK(AwaitThreadCount(threads + 1));

  REQUIRE(pool_tune(pool, 4) == POOL_OK);
  CHECK(AwaitLive(pool, 4));
  CHECK(Stats(pool).retired == 2);
}

TEST_CASE("a target raised for workers that live, but had no place, lets them work", "[elastic][tune]") {
  ScopedPool pool(2);
  Gate held;
  const pool_ticket_t target = Submit(pool, Task(PassGate, &held));
  REQUIRE(held.AwaitArrivals(1));
  Body waits([&](pool_ctx_t*) { return pool_wait(target, 0, kBoundNs, nullptr, 0); });
  Must(pool_submit(pool, Body::Run, &waits), "submit");
  REQUIRE(PollUntil([&] { return Stats(pool).workers_blocked == 1; }));
  Must(pool_submit(pool, PassGate, &held), "submit");
  REQUIRE(held.AwaitArrivals(2));  // by the worker that stands in
  std::atomic<uint64_t> runs{0};
  Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(pool_tune(pool, 3) == POOL_OK);
  CHECK(PollUntil([&] { return runs == 1; }, kBoundNs / 4));  // well before the gate gives up
  held.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(pool_ticket_release(target) == POOL_OK);
}

TEST_CASE("B2: tune and the removal of a hook wake each sleeping worker once", "[elastic][tune]") {
  constexpr uint32_t kWorkers = 64;
  pool_options_t options = Options(kWorkers);
  options.prestart = kWorkers;
  options.keep_alive_ns = POOL_FOREVER;
  ScopedPool pool(options);
  const auto all_sleep = [&] { return Stats(pool).workers_parked == kWorkers; };
  REQUIRE(PollUntil(all_sleep));
  uint64_t before = Stats(pool).wakes;
  REQUIRE(pool_tune(pool, kWorkers) == POOL_OK);
  REQUIRE(PollUntil(all_sleep));
  CHECK(Stats(pool).wakes - before <= kWorkers);
  uint64_t id = 0;
  const pool_hook_fn nothing = [](void*, pool_t, int32_t) {};
  REQUIRE(pool_hook_add(pool, nothing, nullptr, nullptr, &id) == POOL_OK);
  before = Stats(pool).wakes;
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CHECK(Stats(pool).wakes - before <= kWorkers);
}

TEST_CASE("tune may go above workers_max up to workers_limit", "[elastic][tune]") {
  pool_options_t options = Options(2);
  options.workers_limit = 6;
  ScopedPool pool(options);
  CHECK(pool_tune(pool, 7) == POOL_E_INVALID);
  CHECK(pool_tune(pool, UINT32_MAX) == POOL_E_INVALID);
  REQUIRE(pool_tune(pool, 6) == POOL_OK);
  Gate gate;
  for (int i = 0; i < 6; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  CHECK(gate.AwaitArrivals(6));
  gate.Open();
  REQUIRE(WaitIdle(pool));

  REQUIRE(pool_tune(pool, 0) == POOL_OK);  // back to 0 ... 2
  Gate again;
  for (int i = 0; i < 6; ++i) Must(pool_submit(pool, PassGate, &again), "submit");
  REQUIRE(again.AwaitArrivals(2));
  CHECK(AwaitLive(pool, 2));
  CHECK(HoldsThroughout([&] { return again.arrivals() == 2; }));
  again.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("tune works under load, without draining first", "[elastic][tune]") {
  ScopedPool pool(8);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> submitted{0}, runs{0}, bad{0};
  std::thread load([&] {
    while (!stop) {
      for (int i = 0; i < 100; ++i) {
        if (pool_submit(pool, CountRun, &runs) == POOL_OK) {
          ++submitted;
        } else {
          ++bad;
        }
      }
      if (pool_wait_idle(pool, kBoundNs) != POOL_OK) ++bad;
    }
  });
  for (uint64_t round = 0; round < Rounds(400); ++round) {
    REQUIRE(pool_tune(pool, 1 + (round * 7) % 8) == POOL_OK);
    REQUIRE(Stats(pool).workers_live <= 8);
  }
  REQUIRE(pool_tune(pool, 2) == POOL_OK);
  CHECK(PollUntil([&] { return Stats(pool).workers_live <= 2; }));  // while the load goes on
  stop = true;
  load.join();
  CHECK(bad == 0);
  CHECK(runs == submitted);
}

TEST_CASE("tuning down while the queue is long takes effect before it is empty",
          "[elastic][tune]") {
  ScopedPool pool(4);
  std::array<Gate, 4> gates;
  for (auto& gate : gates) Must(pool_submit(pool, PassGate, &gate), "submit");
  for (auto& gate : gates) REQUIRE(gate.AwaitArrivals(1));
  Gate behind;
  for (int i = 0; i < 10; ++i) Must(pool_submit(pool, PassGate, &behind), "submit");
  REQUIRE(pool_tune(pool, 1) == POOL_OK);
  for (auto& gate : gates) gate.Open();
  REQUIRE(AwaitLive(pool, 1));
  CHECK(behind.AwaitArrivals(1));
  CHECK(HoldsThroughout([&] { return behind.arrivals() == 1; }));
  behind.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(behind.arrivals() == 10);
}

TEST_CASE("a tuned size is kept when idle, and 0 gives it back to the keep-alive",
          "[elastic][tune]") {
  pool_options_t options = Options(4);
  options.keep_alive_ns = 5 * kMillisecondNs;
  ScopedPool pool(options);
  REQUIRE(pool_tune(pool, 3) == POOL_OK);
  REQUIRE(AwaitLive(pool, 3));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 3; }));
  REQUIRE(pool_tune(pool, 0) == POOL_OK);
  CHECK(AwaitLive(pool, 0));
}

TEST_CASE("many threads tune at once, the last word holds", "[elastic][tune]") {
  ScopedPool pool(8);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> bad{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; round < Rounds(200); ++round) {
        if (pool_tune(pool, 1 + (round + static_cast<uint64_t>(t)) % 8) != POOL_OK) ++bad;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(bad == 0);
  REQUIRE(pool_tune(pool, 5) == POOL_OK);
  CHECK(AwaitLive(pool, 5));
  CHECK(Stats(pool).workers_wanted == 5);
}

TEST_CASE("A9: workers that come and go under constant stealing are seen whole or not at all",
          "[elastic][tune]") {
  // The children of one task are all on one queue, so that every other worker lives by stealing.
  struct Spreader {
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      for (int i = 0; i < 200; ++i) {
        if (pool_ctx_submit(ctx, CountRun, arg) != POOL_OK) return -1000;
      }
      return 0;
    }
  };
  std::atomic<uint64_t> runs{0};
  uint64_t spreaders = 0;
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    ScopedPool pool(64);
    REQUIRE(pool_tune(pool, 1) == POOL_OK);
    for (int i = 0; i < 10; ++i) Must(pool_submit(pool, Spreader::Run, &runs), "submit");
    spreaders += 10;
    for (const uint32_t workers : {64u, 2u, 16u}) {
      REQUIRE(pool_tune(pool, workers) == POOL_OK);
      Must(pool_submit(pool, Spreader::Run, &runs), "submit");
      ++spreaders;
    }
    REQUIRE(WaitIdle(pool));
    REQUIRE(Stats(pool).failed == 0);
    REQUIRE(runs == 200 * spreaders);
  }
}

TEST_CASE("G6: once reached, the minimum is kept under a random load, and after a worker's death",
          "[elastic]") {
  constexpr uint32_t kMin = 3;
  pool_options_t options = Options(6);
  options.workers_min = kMin;
  options.keep_alive_ns = 200'000;
  ScopedPool pool(options);
  Gate gate;
  for (uint32_t i = 0; i < kMin; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(kMin));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  std::minstd_rand random(7);
  uint32_t least = kMin;
  for (uint64_t round = 0; round < Rounds(2'000); ++round) {
    for (auto burst = random() % 20; burst > 0; --burst) pool_submit(pool, DoNothing, nullptr);
    for (auto samples = random() % 50; samples > 0; --samples) {
      least = std::min(least, Stats(pool).workers_live);
    }
  }
  CHECK(least == kMin);

  const auto exit_thread = [](void*, pool_ctx_t*) -> int32_t { pthread_exit(nullptr); };
  for (int i = 0; i < 5; ++i) {
    Must(pool_submit(pool, exit_thread, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    CHECK(PollUntil([&] { return Stats(pool).workers_live >= kMin; }));
  }
}

}  // namespace
}  // namespace workpool_test
