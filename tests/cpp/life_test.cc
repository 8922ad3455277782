// The pool object itself: moves, destruction, pause, close.
#include <catch2/catch.hpp>
#include <type_traits>

#include "helpers.h"

static_assert(!std::is_copy_constructible_v<workpool::pool>);
static_assert(!std::is_copy_assignable_v<workpool::pool>);
static_assert(std::is_nothrow_move_constructible_v<workpool::pool>);
static_assert(std::is_nothrow_move_assignable_v<workpool::pool>);
static_assert(!std::is_copy_constructible_v<workpool::ticket<int>>);
static_assert(std::is_nothrow_move_constructible_v<workpool::ticket<int>>);

TEST_CASE("the destructor runs what was accepted", "[life]") {
  std::atomic<int> runs{0};
  {
    workpool::pool pool(Workers(1, 2));
    for (int i = 0; i < 1000; ++i) pool.post([&] { ++runs; });
  }
  CHECK(runs == 1000);
}

TEST_CASE("a moved pool is the same pool, and the old object is empty", "[life]") {
  workpool::pool first;
  const pool_t handle = first.native_handle();
  auto before = first.submit([] { return 1; });
  workpool::pool second(std::move(first));
  CHECK(second.native_handle() == handle);
  CHECK(first.native_handle() == 0);  // NOLINT: what a moved-from pool is
  CHECK(before.get() == 1);
  CHECK(second.submit([] { return 2; }).get() == 2);
  CHECK(CodeOf([&] { first.post([] {}); }) == POOL_E_BADHANDLE);
}

TEST_CASE("assigning to a pool drains the one it held", "[life]") {
  std::atomic<int> runs{0};
  workpool::pool kept(Workers(1, 1));
  for (int i = 0; i < 100; ++i) kept.post([&] { ++runs; });
  const pool_t old = kept.native_handle();
  kept = workpool::pool(Workers(1, 1));
  CHECK(runs == 100);
  CHECK(kept.native_handle() != old);
  pool_stats_t s;
  CHECK(pool_stats(old, &s, sizeof s) == POOL_E_BADHANDLE);
}

TEST_CASE("C1: a pool may be destroyed by its own task, which ends it without waiting", "[life]") {
  auto owner = std::make_unique<workpool::pool>(Workers(1, 1));
  Gate moved;
  Gate destroyed;
  std::unique_ptr<workpool::pool> inside;
  owner->post([&] {
    moved.Pass();
    inside.reset();
    destroyed.Open();
  });
  const pool_t handle = owner->native_handle();
  inside = std::move(owner);
  moved.Open();
  destroyed.Pass();
  pool_stats_t s;
  CHECK(pool_stats(handle, &s, sizeof s) == POOL_E_BADHANDLE);
}

TEST_CASE("a paused pool takes tasks and runs them after resume", "[life]") {
  workpool::pool pool;
  pool.pause();
  auto future = pool.submit([] { return 5; });
  CHECK(pool.stats().queued == 1);
  CHECK(pool.stats().started == 0);
  pool.resume();
  CHECK(future.get() == 5);
}

TEST_CASE("after close the statistics still answer and every task has one outcome", "[life]") {
  workpool::pool pool;
  for (int i = 0; i < 500; ++i) {
    pool.post([i] {
      if (i % 5 == 0) throw i;
    });
  }
  CHECK(pool.close());
  const pool_stats_t s = pool.stats();
  CHECK(s.submitted == 500);
  CHECK(s.failed == 100);
  CHECK(s.done == 400);
  CHECK(s.queued == 0);
}

TEST_CASE("tune sets the number of workers, and 0 hands it back", "[life]") {
  workpool::pool pool(Workers(0, 4));
  pool.tune(3);
  CHECK(Eventually([&] { return pool.stats().workers_live == 3; }));
  pool.tune(1);
  CHECK(Eventually([&] { return pool.stats().workers_live == 1; }));
  pool.tune(0);
  CHECK(pool.submit([] { return 1; }).get() == 1);
}

TEST_CASE("a task knows its worker's index, an outsider has none", "[life]") {
  workpool::pool pool(Workers(0, 2));
  CHECK(pool.worker_index() == -1);
  const std::int32_t index = pool.submit([&] { return pool.worker_index(); }).get();
  CHECK(index >= 0);
  CHECK(index < 4);
}
