// fork_join: right results, exceptions after the join, no allocation by the binding.
#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>

#include "helpers.h"

namespace {

int SerialFib(int n) { return n < 2 ? n : SerialFib(n - 1) + SerialFib(n - 2); }

int Fib(workpool::task_context& ctx, int n) {
  if (n < 2) return n;
  const auto [a, b] = ctx.fork_join([n](workpool::task_context& c) { return Fib(c, n - 1); },
                                    [n](workpool::task_context& c) { return Fib(c, n - 2); });
  return a + b;
}

}  // namespace

TEST_CASE("fork-join Fibonacci equals the serial one, with one worker and with many", "[fork]") {
  for (const std::uint32_t workers : {1u, 2u, 8u}) {
    workpool::pool pool(Workers(0, workers));
    CHECK(pool.submit(Fib, 22).get() == SerialFib(22));
  }
}

TEST_CASE("fork_join gives both values; void gives none", "[fork]") {
  workpool::pool pool;
  const auto both =
      pool.submit([](workpool::task_context& ctx) {
            return ctx.fork_join([] { return std::string("left"); }, [] { return 2; });
          })
          .get();
  CHECK(both.first == "left");
  CHECK(both.second == 2);
  std::atomic<int> runs{0};
  pool.submit([&](workpool::task_context& ctx) {
        ctx.fork_join([&] { ++runs; }, [&] { ++runs; });
        const auto half = ctx.fork_join([&] { ++runs; }, [] { return 3; });
        runs += half.second;
      })
      .get();
  CHECK(runs == 6);
}

TEST_CASE(
    "F1: an exception of either side arrives after both have ended; the first side's goes first",
    "[fork]") {
  workpool::pool pool;
  for (const bool left : {false, true}) {
    for (const bool right : {false, true}) {
      std::atomic<int> runs{0};
      auto future = pool.submit([&](workpool::task_context& ctx) {
        ctx.fork_join(
            [&] {
              ++runs;
              if (left) throw std::runtime_error("left");
            },
            [&] {
              ++runs;
              if (right) throw std::runtime_error("right");
            });
      });
      if (left) {
        CHECK_THROWS_WITH(future.get(), "left");
      } else if (right) {
        CHECK_THROWS_WITH(future.get(), "right");
      } else {
        CHECK_NOTHROW(future.get());
      }
      CHECK(runs == 2);
    }
  }
}

TEST_CASE("an exception far down a tree of forks arrives at the root", "[fork]") {
  struct Search {
    int operator()(workpool::task_context& ctx, int depth, int path) const {
      if (depth == 0) {
        if (path == 37) throw path;
        return 1;
      }
      const auto sums = ctx.fork_join(
          [&](workpool::task_context& c) { return (*this)(c, depth - 1, 2 * path); },
          [&](workpool::task_context& c) { return (*this)(c, depth - 1, 2 * path + 1); });
      return sums.first + sums.second;
    }
  };
  workpool::pool pool;
  CHECK_THROWS_AS(pool.submit(Search{}, 6, 0).get(), int);
  CHECK(pool.submit(Search{}, 5, 0).get() == 32);
}

TEST_CASE("forks work in tasks of groups and in posted children", "[fork]") {
  workpool::pool pool(Workers(1, 2));
  workpool::group group(pool);
  std::atomic<int> sum{0};
  for (int i = 0; i < 20; ++i) group.run([&](workpool::task_context& ctx) { sum += Fib(ctx, 10); });
  group.wait();
  CHECK(sum == 20 * SerialFib(10));
}
