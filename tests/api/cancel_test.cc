// pool_cancel: it wins or it does not, never both, never neither.
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

TEST_CASE("a cancelled task never runs, and its callbacks have been made on return", "[cancel]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Tally tally;
  const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
  CHECK(pool_cancel(ticket) == POOL_OK);
  CHECK(tally.dones == 1);
  CHECK(tally.drops == 1);
  CHECK(tally.done_before_drop);
  CHECK(tally.drop_outcome == POOL_CANCELLED);
  CHECK(tally.done_code == POOL_E_CANCELLED);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);

  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, 0, &result, sizeof(result)) == POOL_OK);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.code == POOL_E_CANCELLED);
  CHECK(result.attempts == 0);
  CHECK(result.worker == -1);
  CHECK(result.run_ns == 0);

  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(tally.runs == 0);
  CHECK(tally.drops == 1);
  CHECK(Stats(pool).cancelled == 1);
  CHECK(Stats(pool).ended_unrun == 1);
  CHECK(Stats(pool).started == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("cancelling a running task asks it to stop", "[cancel]") {
  ScopedPool pool(1);
  std::atomic<bool> running{false};
  std::atomic<int32_t> before{-1};
  Body body([&](pool_ctx_t* ctx) {
    before = pool_ctx_should_stop(ctx);
    running = true;
    return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? -1500 : 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  REQUIRE(PollUntil([&] { return running.load(); }));
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(before == 0);
  CHECK(result.outcome == POOL_FAILED);  // how it ends is its own decision
  CHECK(result.code == -1500);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a task that cancels itself is asked to stop", "[cancel]") {
  ScopedPool pool(1);
  Gate gate;
  pool_ticket_t ticket = 0;
  std::atomic<int32_t> status{1}, asked{-1};
  Body body([&](pool_ctx_t* ctx) {
    gate.Pass();
    status = pool_cancel(ticket);
    asked = pool_ctx_should_stop(ctx);
    return 0;
  });
  ticket = Submit(pool, Task(Body::Run, &body));
  gate.Open();
  REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(status == POOL_E_ALREADY);
  CHECK(asked == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a stop that was asked of one task is not seen by the next", "[cancel]") {
  ScopedPool pool(1);
  Gate gate;
  const pool_ticket_t first = Submit(pool, Task(PassGate, &gate));
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_cancel(first) == POOL_E_ALREADY);
  gate.Open();
  std::atomic<int32_t> asked{-1};
  Body body([&](pool_ctx_t* ctx) {
    asked = pool_ctx_should_stop(ctx);
    return 0;
  });
  const pool_ticket_t second = Submit(pool, Task(Body::Run, &body));
  REQUIRE(pool_wait(second, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(asked == 0);
  CHECK(pool_ticket_release(first) == POOL_OK);
  CHECK(pool_ticket_release(second) == POOL_OK);
}

TEST_CASE("a cancel that races a start has one winner", "[cancel]") {
  ScopedPool pool(2);
  std::minstd_rand random(1);
  uint64_t won = 0, lost = 0;
  for (uint64_t round = 0; round < Rounds(40'000); ++round) {
    Tally tally;
    const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
    for (auto spin = random() % 400; spin > 0; --spin) (void)pool_now_ns();
    const pool_status_t status = pool_cancel(ticket);
    pool_result_t result;
    REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
    if (status == POOL_OK) {
      ++won;
      REQUIRE(tally.runs == 0);
      REQUIRE(result.outcome == POOL_CANCELLED);
    } else {
      ++lost;
      REQUIRE(status == POOL_E_ALREADY);
      REQUIRE(tally.runs == 1);
      REQUIRE(result.outcome == POOL_DONE);
    }
    REQUIRE(tally.dones == 1);
    REQUIRE(tally.drops == 1);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.cancelled == won);
  CHECK(stats.done == lost);
}

TEST_CASE("of many cancels of one queued task exactly one wins", "[cancel]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  for (uint64_t round = 0; round < Rounds(500); ++round) {
    Tally tally;
    const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
    std::atomic<uint64_t> wins{0}, already{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { ++(pool_cancel(ticket) == POOL_OK ? wins : already); });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(wins == 1);
    REQUIRE(already == 3);
    REQUIRE(tally.drops == 1);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
}

TEST_CASE("cancel against helping waiters, workers and close keeps one outcome", "[cancel]") {
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    constexpr size_t kCount = 40;
    auto tallies = std::make_unique<std::array<Tally, kCount>>();
    ScopedPool pool(2);
    std::vector<pool_ticket_t> tickets;
    for (auto& tally : *tallies) tickets.push_back(Submit(pool, TallyTask(tally)));
    std::atomic<uint64_t> cancelled{0}, bad{0};
    std::thread canceller([&] {
      for (pool_ticket_t ticket : tickets) {
        const pool_status_t status = pool_cancel(ticket);
        if (status == POOL_OK) ++cancelled;
        if (status != POOL_OK && status != POOL_E_ALREADY) ++bad;
      }
    });
    std::thread helper([&] {
      for (auto it = tickets.rbegin(); it != tickets.rend(); ++it) {
        if (pool_wait(*it, POOL_WAIT_HELP, kBoundNs, nullptr, 0) != POOL_OK) ++bad;
      }
    });
    const pool_status_t closed = pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs);
    canceller.join();
    helper.join();
    REQUIRE(closed == POOL_OK);
    REQUIRE(bad == 0);
    uint64_t ran = 0, unrun = 0;
    for (auto& tally : *tallies) {
      REQUIRE(tally.runs <= 1);
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.drops == 1);
      ++(tally.runs == 1 ? ran : unrun);
    }
    REQUIRE(cancelled <= unrun);
    const pool_stats_t stats = Stats(pool);
    REQUIRE(stats.done == ran);
    REQUIRE(stats.cancelled == unrun);
    for (pool_ticket_t ticket : tickets) REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
}

}  // namespace
}  // namespace workpool_test
