// group: run, wait, exceptions, cancel, nesting.
#include <catch2/catch.hpp>
#include <stdexcept>

#include "helpers.h"

TEST_CASE("wait returns when every member has ended", "[group]") {
  workpool::pool pool;
  workpool::group group(pool);
  std::atomic<int> runs{0};
  for (int i = 0; i < 1000; ++i) group.run([&] { ++runs; });
  group.wait();
  CHECK(runs == 1000);
}

TEST_CASE("F1: wait rethrows a member's exception after all have ended, and the group goes on",
          "[group]") {
  workpool::pool pool;
  workpool::group group(pool);
  std::atomic<int> runs{0};
  for (int i = 0; i < 100; ++i) {
    group.run([&, i] {
      ++runs;
      if (i == 50) throw std::runtime_error("fifty");
    });
  }
  CHECK_THROWS_WITH(group.wait(), "fifty");
  CHECK(runs == 100);
  group.run([&] { ++runs; });
  group.wait();
  CHECK(runs == 101);
}

TEST_CASE("members may add members", "[group]") {
  workpool::pool pool;
  workpool::group group(pool);
  std::atomic<int> runs{0};
  struct Tree {
    workpool::group& group;
    std::atomic<int>& runs;
    void operator()(int depth) const {
      ++runs;
      if (depth == 0) return;
      group.run(*this, depth - 1);
      group.run(*this, depth - 1);
    }
  };
  group.run(Tree{group, runs}, 10);
  group.wait();
  CHECK(runs == 2047);
}

TEST_CASE("groups nest in tasks as deep as one likes, with one worker", "[group]") {
  workpool::pool pool(Workers(1, 1));
  std::atomic<int> leaves{0};
  struct Nest {
    workpool::pool& pool;
    std::atomic<int>& leaves;
    void operator()(int depth) const {
      if (depth == 0) {
        ++leaves;
        return;
      }
      workpool::group inner(pool);
      for (int i = 0; i < 3; ++i) inner.run(*this, depth - 1);
      inner.wait();
    }
  };
  pool.submit(Nest{pool, leaves}, 6).get();
  CHECK(leaves == 729);
}

TEST_CASE("a nested group's exception passes up through its task", "[group]") {
  workpool::pool pool;
  workpool::group outer(pool);
  outer.run([&] {
    workpool::group inner(pool);
    inner.run([] { throw std::domain_error("deep"); });
    inner.wait();
  });
  CHECK_THROWS_AS(outer.wait(), std::domain_error);
}

TEST_CASE("cancel: what has not started never runs, wait says CANCELLED, new members are refused",
          "[group]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  workpool::group group(pool);
  Gate started;
  Gate gate;
  std::atomic<int> runs{0};
  group.run([&](workpool::task_context& ctx) {
    started.Open();
    gate.Pass();
    if (Eventually([&] { return ctx.should_stop(); })) ++runs;
  });
  started.Pass();
  for (int i = 0; i < 10; ++i) group.run([&runs, life = Life(lives)] { runs += 100; });
  group.cancel();
  CHECK(lives.live == 0);
  CHECK(CodeOf([&] { group.run([] {}); }) == POOL_E_CANCELLED);
  CHECK_FALSE(group.wait_for(std::chrono::milliseconds(1)));
  gate.Open();
  CHECK(CodeOf([&] { group.wait(); }) == POOL_E_CANCELLED);
  CHECK(runs == 1);
  CHECK(lives.ended == 10);
}

TEST_CASE("closing the pool ends members that wait, and wait says CLOSED", "[group]") {
  workpool::pool pool(Workers(1, 1));
  workpool::group group(pool);
  Gate gate;
  Gate started;
  group.run([&] {
    started.Open();
    gate.Pass();
  });
  started.Pass();
  group.run([] {});
  CHECK_FALSE(pool.close(workpool::close_mode::cancel_queued, std::chrono::nanoseconds(0)));
  gate.Open();
  CHECK(CodeOf([&] { group.wait(); }) == POOL_E_CLOSED);
}

TEST_CASE("waiting in a member for its own group is DEADLOCK", "[group]") {
  workpool::pool pool;
  workpool::group group(pool);
  std::atomic<std::int32_t> code{0};
  group.run([&] { code = CodeOf([&] { group.wait(); }); });
  group.wait();
  CHECK(code == POOL_E_DEADLOCK);
}

TEST_CASE("the destructor waits for the members", "[group]") {
  workpool::pool pool;
  std::atomic<int> runs{0};
  {
    workpool::group group(pool);
    for (int i = 0; i < 200; ++i) group.run([&] { ++runs; });
  }
  CHECK(runs == 200);
}

TEST_CASE("an exception between run and wait cancels what has not started", "[group]") {
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  std::atomic<int> runs{0};
  const auto scope = [&] {
    workpool::group group(pool);
    for (int i = 0; i < 10; ++i) group.run([&] { ++runs; });
    throw std::runtime_error("leaves the scope");
  };
  CHECK_THROWS_WITH(scope(), "leaves the scope");
  CHECK(runs == 0);
}

TEST_CASE("a group of the shared pool drops its closures", "[group]") {
  Lives lives;
  workpool::pool pool = workpool::pool::shared();
  workpool::group group(pool);
  for (int i = 0; i < 50; ++i) {
    group.run([life = Life(lives), i] {
      if (i == 7) throw i;
    });
  }
  CHECK_THROWS_AS(group.wait(), int);
  CHECK(lives.live == 0);
  CHECK(lives.ended == 50);
}
