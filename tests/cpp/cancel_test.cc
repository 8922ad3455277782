// Tasks that never run: what their futures, tickets and closures see.
#include <catch2/catch.hpp>
#include <vector>

#include "helpers.h"

TEST_CASE(
    "the future of a task that is closed out throws CLOSED, and its closure is destroyed once",
    "[cancel]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  std::vector<std::future<int>> futures;
  {
    Plug plug(pool);
    for (int i = 0; i < 100; ++i)
      futures.push_back(pool.submit([i, life = Life(lives)] { return i; }));
    CHECK_FALSE(pool.close(workpool::close_mode::cancel_queued, std::chrono::nanoseconds(0)));
    for (std::future<int>& f : futures) CHECK(CodeOf([&] { f.get(); }) == POOL_E_CLOSED);
    CHECK(lives.live == 0);
    CHECK(lives.ended == 100);
  }
  CHECK(pool.close());
  CHECK(pool.stats().cancelled == 100);
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_CLOSED);
}

TEST_CASE("a cancelled ticket's task never runs: get throws CANCELLED, its closure is gone at once",
          "[cancel]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  std::atomic<bool> ran{false};
  workpool::ticket<void> t;
  {
    Plug plug(pool);
    t = pool.submit_ticket([&ran, life = Life(lives)] { ran = true; });
    CHECK(lives.live == 1);
    CHECK(t.cancel());
    CHECK(lives.live == 0);
    CHECK(CodeOf([&] { t.get(); }) == POOL_E_CANCELLED);
    CHECK(t.result().outcome == POOL_CANCELLED);
    CHECK_FALSE(t.cancel());
  }
  CHECK(pool.close());
  CHECK_FALSE(ran);
  CHECK(lives.ended == 1);
}

TEST_CASE("cancel of a running task is refused and asks it to stop", "[cancel]") {
  workpool::pool pool(Workers(1, 1));
  Gate started;
  auto t = pool.submit_ticket([&](workpool::task_context& ctx) {
    started.Open();
    return Eventually([&] { return ctx.should_stop(); });
  });
  started.Pass();
  CHECK_FALSE(t.cancel());
  CHECK(t.get());
}

TEST_CASE("wait_for tells that a task is not over, and later that it is", "[cancel]") {
  workpool::pool pool(Workers(1, 1));
  workpool::ticket<int> t;
  {
    Plug plug(pool);
    t = pool.submit_ticket([] { return 9; });
    CHECK_FALSE(t.wait_for(std::chrono::milliseconds(1)));
  }
  CHECK(t.wait_for(std::chrono::seconds(20)));
  CHECK(t.get() == 9);
}

TEST_CASE("a ticket waited for in a task is run there, also by the only worker", "[cancel]") {
  workpool::pool pool(Workers(1, 1));
  auto outer = pool.submit([&] {
    auto inner = pool.submit_ticket([] { return 20; });
    return inner.get() + 1;
  });
  CHECK(outer.get() == 21);
}

TEST_CASE("a ticket's exception arrives through get", "[cancel]") {
  workpool::pool pool;
  auto t = pool.submit_ticket([]() -> int { throw std::runtime_error("broken"); });
  CHECK_THROWS_WITH(t.get(), "broken");
  CHECK(t.result().outcome == POOL_FAILED);
  CHECK(t.result().code == POOL_E_EXCEPTION);
}

TEST_CASE("a ticket outlives its pool, and a dropped ticket lets its task go on", "[cancel]") {
  std::atomic<int> runs{0};
  workpool::ticket<int> kept;
  {
    workpool::pool pool;
    kept = pool.submit_ticket([&] { return ++runs; });
    static_cast<void>(pool.submit_ticket([&] { return ++runs; }));
  }
  CHECK(runs == 2);
  CHECK(kept.get() >= 1);
}

TEST_CASE("releasing a pool with queued tasks ends their futures with CLOSED", "[cancel]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  Gate gate;
  auto running = pool.submit([&] { gate.Pass(); });
  REQUIRE(Eventually([&] { return pool.stats().started == 1; }));
  auto queued = pool.submit([life = Life(lives)] {});
  pool.release();
  CHECK(CodeOf([&] { queued.get(); }) == POOL_E_CLOSED);
  CHECK(lives.live == 0);
  gate.Open();
  running.get();
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_BADHANDLE);
}
