// pool_stats: what the numbers mean, and what holds between them in every snapshot.
#include <catch2/catch.hpp>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

bool Consistent(const pool_stats_t& s) {
  constexpr uint64_t kHuge = uint64_t{1} << 60;  // a counter below it has not gone negative
  return s.started >= s.ended_run && s.submitted >= s.started + s.ended_unrun &&
         s.done + s.failed + s.cancelled + s.expired + s.shed == s.ended_run + s.ended_unrun &&
         s.queued == s.submitted - s.started - s.ended_unrun && s.attempts >= s.ended_run &&
         s.submitted < kHuge && s.queued < kHuge && s.attempts < kHuge && s.steals < kHuge &&
         s.parks < kHuge && s.wakes < kHuge && s.retired < kHuge && s.rejected < kHuge &&
         s.workers_live <= POOL_WORKERS_MAX && s.workers_busy <= POOL_WORKERS_MAX &&
         s.workers_parked <= POOL_WORKERS_MAX && s.workers_blocked <= POOL_WORKERS_MAX;
}

TEST_CASE("a new pool's counters are zero", "[stats]") {
  ScopedPool pool(2);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.struct_size == sizeof(stats));
  CHECK(stats.workers_live == 0);
  CHECK(stats.workers_busy == 0);
  CHECK(stats.workers_parked == 0);
  CHECK(stats.workers_blocked == 0);
  CHECK(stats.queued + stats.submitted + stats.started + stats.ended_run + stats.ended_unrun == 0);
  CHECK(stats.done + stats.failed + stats.cancelled + stats.expired + stats.shed == 0);
  CHECK(stats.rejected + stats.attempts + stats.steals + stats.parks + stats.wakes == 0);
  CHECK(stats.retired + stats.start_failures == 0);
  CHECK(stats.wait_p50_ns + stats.wait_p99_ns + stats.run_p50_ns + stats.run_p99_ns == 0);
}

TEST_CASE("counters tell what has happened", "[stats]") {
  pool_options_t options = Options(1);
  options.queue_limit = 4;
  ScopedPool pool(options);
  Gate gate;
  Tally fails;
  fails.code = -1000;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(Stats(pool).workers_busy == 1);
  CHECK(Stats(pool).workers_live == 1);
  const pool_ticket_t failing = Submit(pool, TallyTask(fails));
  const pool_ticket_t cancelled = Submit(pool, Task(DoNothing, nullptr));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_FULL);
  CHECK(pool_cancel(cancelled) == POOL_OK);

  pool_stats_t stats = Stats(pool);
  CHECK(Consistent(stats));
  CHECK(stats.submitted == 5);
  CHECK(stats.started == 1);
  CHECK(stats.queued == 3);
  CHECK(stats.ended_run == 0);
  CHECK(stats.ended_unrun == 1);
  CHECK(stats.cancelled == 1);
  CHECK(stats.rejected == 1);

  gate.Open();
  REQUIRE(WaitIdle(pool));
  stats = Stats(pool);
  CHECK(Consistent(stats));
  CHECK(stats.queued == 0);
  CHECK(stats.started == 4);
  CHECK(stats.attempts == 4);
  CHECK(stats.ended_run == 4);
  CHECK(stats.done == 3);
  CHECK(stats.failed == 1);
  CHECK(stats.expired == 0);
  CHECK(stats.shed == 0);
  REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 1; }));
  CHECK(Stats(pool).workers_busy == 0);
  CHECK(Stats(pool).parks >= 1);
  CHECK(pool_ticket_release(failing) == POOL_OK);
  CHECK(pool_ticket_release(cancelled) == POOL_OK);
}

TEST_CASE("parks and wakes rise as workers sleep and are woken", "[stats]") {
  pool_options_t options = Options(1);
  options.workers_min = 1;
  ScopedPool pool(options);
  for (int i = 1; i <= 5; ++i) {
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 1; }));
    CHECK(Stats(pool).parks >= static_cast<uint64_t>(i));
    CHECK(Stats(pool).wakes >= static_cast<uint64_t>(i - 1));
  }
}

TEST_CASE("steals count tasks taken from another worker's queue", "[stats]") {
  ScopedPool pool(2);
  Gate gate;
  Body body([&](pool_ctx_t* ctx) {
    pool_ctx_submit(ctx, PassGate, &gate);
    const bool stolen = gate.AwaitArrivals(1);
    gate.Open();
    return stolen ? 0 : -1000;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).failed == 0);
  CHECK(Stats(pool).steals >= 1);
}

TEST_CASE("workers_blocked counts workers that wait inside a task", "[stats]") {
  ScopedPool pool(2);
  Gate gate;
  const pool_ticket_t ticket = Submit(pool, Task(PassGate, &gate));
  REQUIRE(gate.AwaitArrivals(1));
  Body waiter([&](pool_ctx_t*) { return pool_wait(ticket, 0, kBoundNs, nullptr, 0); });
  Must(pool_submit(pool, Body::Run, &waiter), "submit");
  CHECK(PollUntil([&] { return Stats(pool).workers_blocked == 1; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).workers_blocked == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("G15: every snapshot is consistent while tasks of all kinds come and go", "[stats]") {
  pool_options_t options = Options(2);
  options.queue_limit = 200;
  options.keep_alive_ns = 100'000;
  ScopedPool pool(options);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> snapshots{0}, inconsistent{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        if (!Consistent(Stats(pool))) ++inconsistent;
        ++snapshots;
      }
    });
  }
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("for the counters"); });
  Body parent([](pool_ctx_t* ctx) {
    pool_fork_t fork;
    pool_ctx_fork(ctx, &fork, DoNothing, nullptr);
    pool_ctx_submit(ctx, DoNothing, nullptr);
    return pool_ctx_join(ctx, &fork, nullptr);
  });
  for (uint64_t round = 0; round < Rounds(3'000); ++round) {
    const pool_task_t task = Task(DoNothing, nullptr);
    pool_ticket_t ticket = 0;
    if (pool_submit_task(pool, &task, &ticket) == POOL_OK) {
      pool_cancel(ticket);
      pool_ticket_release(ticket);
    }
    for (int i = 0; i < 5; ++i) pool_submit(pool, DoNothing, nullptr);
    pool_submit(pool, Body::Run, &parent);
    if (round % 16 == 0) pool_submit(pool, Body::Run, &throws);
  }
  REQUIRE(WaitIdle(pool));
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(inconsistent == 0);
  CHECK(snapshots > 0);
  const pool_stats_t stats = Stats(pool);
  CHECK(Consistent(stats));
  CHECK(stats.queued == 0);
  CHECK(stats.submitted == stats.ended_run + stats.ended_unrun);
}

TEST_CASE("submitted equals the sum of outcomes when a pool is closed", "[stats]") {
  for (const int32_t mode : {POOL_DRAIN, POOL_CANCEL_QUEUED}) {
    ScopedPool pool(2);
    for (int i = 0; i < 5'000; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(pool_close(pool, mode, kBoundNs) == POOL_OK);
    const pool_stats_t stats = Stats(pool);
    CHECK(Consistent(stats));
    CHECK(stats.submitted == 5'000);
    CHECK(stats.done + stats.cancelled == 5'000);
    CHECK(stats.queued == 0);
    if (mode == POOL_DRAIN) CHECK(stats.cancelled == 0);
  }
}

TEST_CASE("the time histograms follow what tasks take", "[stats]") {
  ScopedPool pool(1);
  Body slow([](pool_ctx_t*) {
    const uint64_t until = pool_now_ns() + 2'000'000;
    while (pool_now_ns() < until) {
    }
    return 0;
  });
  pool_task_t task = Task(Body::Run, &slow);
  task.name = "slow";  // one with rules: all of these are timed
  for (int i = 0; i < 20; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.run_p50_ns >= 2'000'000);
  CHECK(stats.run_p99_ns >= stats.run_p50_ns);
  CHECK(stats.run_p99_ns < uint64_t{kBoundNs});
  CHECK(stats.wait_p50_ns >= 10'000'000);  // half of them waited for at least ten others, less 7 %
  CHECK(stats.wait_p99_ns >= stats.wait_p50_ns);
}

TEST_CASE("stats write at most the size they are given and say how much", "[stats]") {
  ScopedPool pool(1);
  unsigned char buffer[sizeof(pool_stats_t) + 32];
  for (const uint32_t size :
       {4u, 8u, 24u, uint32_t(sizeof(pool_stats_t)), uint32_t(sizeof(pool_stats_t) + 32)}) {
    std::memset(buffer, 0xa5, sizeof(buffer));
    REQUIRE(pool_stats(pool, reinterpret_cast<pool_stats_t*>(buffer), size) == POOL_OK);
    uint32_t written = 0;
    std::memcpy(&written, buffer, sizeof(written));
    CHECK(written == std::min<uint32_t>(size, sizeof(pool_stats_t)));
    for (size_t i = size; i < sizeof(buffer); ++i) REQUIRE(buffer[i] == 0xa5);
  }
  CHECK(pool_stats(pool, nullptr, sizeof(pool_stats_t)) == POOL_E_INVALID);
  CHECK(pool_stats(pool, reinterpret_cast<pool_stats_t*>(buffer), 3) == POOL_E_INVALID);
}

TEST_CASE("wait_idle waits for running and queued tasks and their children", "[stats]") {
  ScopedPool pool(2);
  CHECK(pool_wait_idle(pool, 0) == POOL_OK);
  for (uint64_t round = 0; round < Rounds(1'000); ++round) {
    std::atomic<uint64_t> runs{0};
    Body parent([&](pool_ctx_t* ctx) {
      for (int i = 0; i < 3; ++i) pool_ctx_submit(ctx, CountRun, &runs);
      return 0;
    });
    for (int i = 0; i < 3; ++i) Must(pool_submit(pool, Body::Run, &parent), "submit");
    REQUIRE(WaitIdle(pool));
    REQUIRE(runs == 9);
  }
}

}  // namespace
}  // namespace workpool_test
