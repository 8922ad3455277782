// The scaler at work: growth for tasks that block and for no others, bounds, idle expiry, a target
// by hand.
#include <sched.h>

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <thread>

#include "growth_support.h"

namespace workpool_test {
namespace {

TEST_CASE("tasks that block until all of them run come to run, all of them, on a default pool",
          "[scaling]") {
  for (const uint32_t tasks : {64u, 200u}) {
    DYNAMIC_SECTION(tasks << " tasks") {
      ScopedPool pool(Options());
      Gate gate;
      SubmitToGate(pool, gate, tasks);
      CHECK(gate.AwaitArrivals(tasks));
      CHECK(Stats(pool).workers_live >= tasks);
      gate.Open();
      REQUIRE(WaitIdle(pool));
      CHECK(gate.arrivals() == tasks);
    }
  }
}

TEST_CASE(
    "tasks that block come to run also where one task of the pool's own has submitted all of them",
    "[scaling]") {
  for (const int32_t strategy : {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO}) {
    DYNAMIC_SECTION("strategy " << strategy) {
      pool_options_t options = Options();
      options.strategy = strategy;
      ScopedPool pool(options);
      Gate gate;
      Body body([&](pool_ctx_t* ctx) {
        for (int i = 0; i < 64; ++i) {
          if (const pool_status_t status = pool_ctx_submit(ctx, PassGate, &gate); status != POOL_OK)
            return status;
        }
        gate.Pass();
        return 0;
      });
      Must(pool_submit(pool, Body::Run, &body), "submit");
      CHECK(gate.AwaitArrivals(65));
      gate.Open();
      REQUIRE(WaitIdle(pool));
    }
  }
}

TEST_CASE("tasks that block come to run also where each is submitted by the one before",
          "[scaling]") {
  ScopedPool pool(Options());
  Gate gate;
  std::atomic<int> left{64};
  std::function<int32_t(pool_ctx_t*)> step;
  Body body([&](pool_ctx_t* ctx) { return step(ctx); });
  step = [&](pool_ctx_t* ctx) {
    const pool_status_t status =
        left.fetch_sub(1) > 1 ? pool_ctx_submit(ctx, Body::Run, &body) : POOL_OK;
    gate.Pass();
    return status;
  };
  Must(pool_submit(pool, Body::Run, &body), "submit");
  CHECK(gate.AwaitArrivals(64));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(left == 0);
}

TEST_CASE("tasks that compute never get more than four workers for each CPU", "[scaling]") {
  const uint32_t most = 4 * Cpus();
  ScopedPool pool(Options());
  Crowd crowd;
  Body body([&](pool_ctx_t*) {
    crowd.Enter();
    Compute(kMs);
    crowd.Leave();
    return 0;
  });
  for (int i = 0; i < 1'500; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(pool_wait_idle(pool, 3 * kBoundNs) == POOL_OK);
  CHECK(crowd.most() <= most);
  CHECK(HighestTarget(pool) <= most);  // which bounds the workers
}

TEST_CASE("a pool that has grown is back at workers_min when keep_alive is over, and not before",
          "[scaling]") {
  pool_options_t options = Options();
  options.workers_min = 2;
  options.keep_alive_ns = 300 * kMs;
  const size_t threads = ThreadCount();
  ScopedPool pool(options);
  for (int round = 0; round < 3; ++round) {
    const uint64_t retired = Stats(pool).retired;
    Gate gate;
    SubmitToGate(pool, gate, 40);
    REQUIRE(gate.AwaitArrivals(
        40));  // each on a worker of its own, which is idle from here on at the earliest:
    const uint64_t not_before_ns = FromNow(options.keep_alive_ns);
    gate.Open();
    bool early = false;
    for (;;) {
      const bool some = Stats(pool).retired != retired;
      if (pool_now_ns() >= not_before_ns) break;
      early = early || some;
      SleepNs(kMs);
    }
    CHECK_FALSE(early);
    REQUIRE(AwaitLive(pool, 2));
    CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 2; }));
    CHECK(AwaitThreadCount(threads + 3));  // two workers, and perhaps the service thread
  }
}

TEST_CASE("an explicit workers_max is never passed, but by workers that stand in for waits",
          "[scaling]") {
  // More than are up without being asked for, so that it is the scaler that stops there.
  const uint32_t most = Cpus() + 3;
  ScopedPool pool(most);
  Gate held;
  const pool_ticket_t target = Submit(pool, Task(PassGate, &held));
  REQUIRE(held.AwaitArrivals(1));
  Gate gate;
  SubmitToGate(pool, gate, 3 * most);
  REQUIRE(gate.AwaitArrivals(most - 1));
  CHECK(HoldsThroughout(
      [&] { return gate.arrivals() == most - 1 && Stats(pool).workers_live == most; }));
  held.Open();
  REQUIRE(gate.AwaitArrivals(most));
  CHECK(
      HoldsThroughout([&] { return gate.arrivals() == most && Stats(pool).workers_live == most; }));
  CHECK(HighestTarget(pool) == most);
  gate.Open();
  REQUIRE(WaitIdle(pool));

  // Two wait inside their tasks for one that blocks: two stand in for them.
  Gate last;
  const pool_ticket_t waited_for = Submit(pool, Task(PassGate, &last));
  REQUIRE(last.AwaitArrivals(1));
  Body waits([&](pool_ctx_t*) { return pool_wait(waited_for, 0, kBoundNs, nullptr, 0); });
  for (int i = 0; i < 2; ++i) Must(pool_submit(pool, Body::Run, &waits), "submit");
  REQUIRE(PollUntil([&] { return Stats(pool).workers_blocked == 2; }));
  SubmitToGate(pool, last, 3 * most);
  REQUIRE(last.AwaitArrivals(most));
  CHECK(HoldsThroughout(
      [&] { return last.arrivals() == most && Stats(pool).workers_live == most + 2; }));
  last.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(HighestTarget(pool) == most);
  CHECK(pool_ticket_release(target) == POOL_OK);
  CHECK(pool_ticket_release(waited_for) == POOL_OK);
}

TEST_CASE("a target by hand holds at once, whatever waits, and is listed as manual",
          "[scaling][tune]") {
  const uint32_t tuned = Cpus() + 10;
  ScopedPool pool(Options());
  REQUIRE(pool_tune(pool, tuned) == POOL_OK);
  CHECK(Stats(pool).workers_live == tuned);
  const auto list = Decisions(pool);
  REQUIRE(list.size() == 1);
  CHECK(list[0].reason == POOL_REASON_MANUAL);
  CHECK(std::string(pool_reason_name(list[0].reason)) == "manual");
  CHECK(list[0].workers == tuned);
  CHECK(list[0].workers_before < tuned);
  Gate gate;
  SubmitToGate(pool, gate, tuned + 20);
  REQUIRE(gate.AwaitArrivals(tuned));
  CHECK(HoldsThroughout(
      [&] { return gate.arrivals() == tuned && Stats(pool).workers_live == tuned; }));
  CHECK(LastNumber(pool) == 1);  // nobody else has decided anything

  // Down: at task boundaries.
  Gate behind;
  SubmitToGate(pool, behind, 10);
  REQUIRE(pool_tune(pool, 3) == POOL_OK);
  CHECK(Decisions(pool, 1).at(0).workers == 3);
  CHECK(Stats(pool).workers_live == tuned);
  gate.Open();
  REQUIRE(behind.AwaitArrivals(3));
  CHECK(AwaitLive(pool, 3));
  CHECK(HoldsThroughout([&] { return behind.arrivals() == 3; }));
  behind.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(gate.arrivals() == tuned + 20);
}

TEST_CASE(
    "a target by hand that is handed back drops no worker that is at work, and the scaler goes on "
    "from there",
    "[scaling][tune]") {
  const uint32_t tuned = Cpus() + 10;
  ScopedPool pool(Options());
  REQUIRE(pool_tune(pool, tuned) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, tuned);
  REQUIRE(gate.AwaitArrivals(tuned));
  REQUIRE(pool_tune(pool, 0) == POOL_OK);
  CHECK(HoldsThroughout(
      [&] { return Stats(pool).workers_live == tuned && HighestTarget(pool, 1) == 0; }));
  SubmitToGate(pool, gate, 20);
  CHECK(gate.AwaitArrivals(tuned + 20));
  for (const pool_decision_t& decision : Decisions(pool, 1)) {
    CAPTURE(decision.number, pool_reason_name(decision.reason), decision.workers_before,
            decision.workers);
    CHECK(decision.workers_before >= tuned);
    CHECK(decision.workers > decision.workers_before);
  }
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("hundreds of workers that block are not taken for such that compute", "[scaling][tune]") {
  // More than are looked at each time: what is not known of a worker is no reason to let it go.
  constexpr uint32_t kTuned = 300;
  ScopedPool pool(Options());
  REQUIRE(pool_tune(pool, kTuned) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, kTuned);
  REQUIRE(gate.AwaitArrivals(kTuned));
  REQUIRE(pool_tune(pool, 0) == POOL_OK);
  SubmitToGate(pool, gate, 20);
  CHECK(gate.AwaitArrivals(kTuned + 20));
  uint32_t let_go = 0;
  for (const pool_decision_t& decision : Decisions(pool, 1)) {
    if (decision.reason == POOL_REASON_TRIMMED || decision.workers < kTuned) ++let_go;
  }
  CHECK(let_go == 0);
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE(
    "workers that nobody needs any more when a target is handed back end after keep_alive, not "
    "before",
    "[scaling][tune]") {
  pool_options_t options = Options();
  options.keep_alive_ns = 200 * kMs;
  ScopedPool pool(options);
  REQUIRE(pool_tune(pool, 12) == POOL_OK);
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 12; },
                        std::chrono::milliseconds(300)));
  const uint64_t not_before_ns = FromNow(options.keep_alive_ns);
  REQUIRE(pool_tune(pool, 0) == POOL_OK);
  bool early = false;
  for (;;) {
    const bool some = Stats(pool).retired != 0;
    if (pool_now_ns() >= not_before_ns) break;
    early = early || some;
    SleepNs(kMs);
  }
  CHECK_FALSE(early);
  CHECK(AwaitLive(pool, 0));
  // What was allowed for that load is not allowed for the next: this one computes, and gets no more
  // than it needs.
  Crowd crowd;
  Body body([&](pool_ctx_t*) {
    crowd.Enter();
    Compute(kMs);
    crowd.Leave();
    return 0;
  });
  for (int i = 0; i < 200; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(pool_wait_idle(pool, 3 * kBoundNs) == POOL_OK);
  CHECK(crowd.most() <= std::max(4 * Cpus(), 4u));
}

TEST_CASE("workers_max that is set higher while tasks wait lets more of them run",
          "[scaling][set]") {
  // From where there is nothing to decide, and from where there is.
  for (const uint32_t before : {1u, Cpus() + 2}) {
    DYNAMIC_SECTION("from " << before) {
      const uint32_t after = Cpus() + 8;
      ScopedPool pool(before);
      Gate gate;
      SubmitToGate(pool, gate, after + 5);
      REQUIRE(gate.AwaitArrivals(before));
      CHECK(HoldsThroughout([&] { return gate.arrivals() == before; }));
      REQUIRE(pool_set(pool, "workers_max", std::to_string(after).c_str()) == POOL_OK);
      CHECK(gate.AwaitArrivals(after));
      CHECK(HoldsThroughout(
          [&] { return gate.arrivals() == after && Stats(pool).workers_live == after; }));
      gate.Open();
      REQUIRE(WaitIdle(pool));
    }
  }
}

TEST_CASE("workers_max that is set lower while tasks wait ends workers at their task boundaries",
          "[scaling][set]") {
  const uint32_t before = Cpus() + 6;
  pool_options_t options = Options(before);
  options.keep_alive_ns = 20 * kMs;
  ScopedPool pool(options);
  Gate gate;
  SubmitToGate(pool, gate, before);
  REQUIRE(gate.AwaitArrivals(before));
  Gate behind;
  SubmitToGate(pool, behind, 20);
  const uint64_t last = LastNumber(pool);
  REQUIRE(pool_set(pool, "workers_max", "2") == POOL_OK);
  REQUIRE(AwaitDecision(pool, last, POOL_REASON_BOUNDS, 2));
  CHECK(Stats(pool).workers_live == before);  // all are at work
  gate.Open();
  REQUIRE(behind.AwaitArrivals(2));
  CHECK(AwaitLive(pool, 2));
  CHECK(HoldsThroughout([&] { return behind.arrivals() == 2; }));
  behind.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(behind.arrivals() == 20);
}

TEST_CASE("workers_min that is set higher keeps more idle workers, and lower fewer",
          "[scaling][set]") {
  pool_options_t options = Options();
  options.keep_alive_ns = 400 * kMs;
  ScopedPool pool(options);
  Gate gate;
  SubmitToGate(pool, gate, 9);
  REQUIRE(gate.AwaitArrivals(9));
  REQUIRE(pool_set(pool, "workers_min", "6") == POOL_OK);
  gate.Open();
  REQUIRE(AwaitLive(pool, 6));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 6; },
                        std::chrono::milliseconds(600)));
  REQUIRE(pool_set(pool, "workers_min", "1") == POOL_OK);
  REQUIRE(AwaitLive(pool, 1));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 1; },
                        std::chrono::milliseconds(600)));
  REQUIRE(pool_set(pool, "workers_min", "0") == POOL_OK);
  CHECK(AwaitLive(pool, 0));
  GrowTo(pool, 9);  // none of it has bound what the pool may have
}

TEST_CASE("workers_max that is set below the CPUs holds after a target by hand, too",
          "[scaling][set][tune]") {
  ScopedPool pool(Options(2));
  REQUIRE(pool_set(pool, "workers_max", "1") == POOL_OK);
  REQUIRE(pool_tune(pool, 2) == POOL_OK);
  REQUIRE(pool_tune(pool, 0) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, 5);
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 1; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("the log may ask the pool for its options while bounds change", "[scaling][set]") {
  struct Mine {
    pool_t pool = 0;
    std::atomic<uint64_t> lines{0};
  } mine;
  pool_options_t options = Options();
  options.log_level = POOL_LOG_DEBUG;
  options.log_user = &mine;
  options.log_fn = [](void* user, int32_t, const char*) {
    auto& own = *static_cast<Mine*>(user);
    ++own.lines;
    char text[64];
    if (own.pool != 0) Must(pool_get(own.pool, "workers_max", text, sizeof(text), nullptr), "get");
  };
  ScopedPool pool(options);
  mine.pool = pool;
  GrowTo(pool, Cpus() + 6);
  const uint64_t lines = mine.lines;
  REQUIRE(pool_set(pool, "workers_max", "2") == POOL_OK);
  CHECK(mine.lines > lines);
}

TEST_CASE("a pool with the CPUs of the thread that made it counts only those", "[scaling]") {
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  std::atomic<uint32_t> most{0};
  std::thread([&] {
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before)) continue;
      CPU_SET(cpu, &one);
      break;
    }
    if (sched_setaffinity(0, sizeof(one), &one) != 0) std::abort();
    pool_options_t options = Options();
    options.inherit_affinity = 1;
    ScopedPool pool(options);
    struct Compute {
      std::atomic<uint32_t>& most;
      std::atomic<uint32_t> now{0};
    } compute{most};
    const auto run = [](void* arg, pool_ctx_t*) -> int32_t {
      auto& own = *static_cast<Compute*>(arg);
      const uint32_t now = ++own.now;
      uint32_t seen = own.most;
      while (now > seen && !own.most.compare_exchange_weak(seen, now)) {
      }
      SpinFor(std::chrono::microseconds(300));
      --own.now;
      return 0;
    };
    for (int i = 0; i < 20; ++i) Must(pool_submit(pool, run, &compute), "submit");
    Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  }).join();
  CHECK(most == 1);
}

TEST_CASE("bounds that do not go together are refused, and nothing changes", "[scaling][set]") {
  pool_options_t options = Options(8);
  options.workers_min = 3;
  ScopedPool pool(options);
  CHECK(pool_set(pool, "workers_max", "2") == POOL_E_INVALID);
  CHECK(pool_set(pool, "workers_min", "9") == POOL_E_INVALID);
  char value[16];
  REQUIRE(pool_get(pool, "workers_max", value, sizeof(value), nullptr) == POOL_OK);
  CHECK(std::string(value) == "8");
  REQUIRE(pool_get(pool, "workers_min", value, sizeof(value), nullptr) == POOL_OK);
  CHECK(std::string(value) == "3");
  Gate gate;
  SubmitToGate(pool, gate, 12);
  REQUIRE(gate.AwaitArrivals(8));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 8; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("bounds that change all the time under load never lose a task", "[scaling][set]") {
  ScopedPool pool(Options());
  std::atomic<uint64_t> runs{0};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> submitted{0};
  std::thread load([&] {
    while (!stop) {
      for (int i = 0; i < 50; ++i) {
        Must(pool_submit(pool, CountRun, &runs), "submit");
        ++submitted;
      }
      Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
    }
  });
  for (uint64_t round = 0; round < Rounds(400); ++round) {
    REQUIRE(PollUntil([&] { return runs > 20 * round; }));
    const uint32_t min = round * 5 % 7;
    const uint32_t max = min + 1 + round % 4;
    Must(pool_set(pool, "workers_min", "0"), "set");
    Must(pool_set(pool, "workers_max", std::to_string(max).c_str()), "set");
    Must(pool_set(pool, "workers_min", std::to_string(min).c_str()), "set");
    if (round % 3 == 0) Must(pool_tune(pool, 1 + round % 5), "tune");
    if (round % 3 == 1) Must(pool_tune(pool, 0), "tune");
  }
  stop = true;
  load.join();
  CHECK(runs == submitted);
}

TEST_CASE("two pools share the idle CPUs: neither grows without bound for work that computes",
          "[scaling]") {
  ScopedPool a(Options()), b(Options());
  Crowd crowd;
  Body body([&](pool_ctx_t*) {
    crowd.Enter();
    Compute(kMs);
    crowd.Leave();
    return 0;
  });
  for (int i = 0; i < 500; ++i) {
    for (const pool_t pool : {pool_t{a}, pool_t{b}})
      Must(pool_submit(pool, Body::Run, &body), "submit");
  }
  REQUIRE(pool_wait_idle(a, 3 * kBoundNs) == POOL_OK);
  REQUIRE(pool_wait_idle(b, 3 * kBoundNs) == POOL_OK);
  CHECK(HighestTarget(a) <= 4 * Cpus());
  CHECK(HighestTarget(b) <= 4 * Cpus());
}

}  // namespace
}  // namespace workpool_test
