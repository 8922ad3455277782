// Which task goes first: strategies, lanes, keys.
#include <catch2/catch.hpp>
#include <vector>

#include "helpers.h"

namespace {

// One worker, so that the order of takes is the order of runs.
workpool::options OneWorker(workpool::strategy order) {
  workpool::options o = Workers(1, 1);
  o.queue_strategy = order;
  o.aging = workpool::forever;
  return o;
}

// Posts a task for each priority while the pool takes none; the places of the tasks in the order in
// which they then ran.
std::vector<int> Order(workpool::pool& pool, const std::vector<int>& priorities) {
  std::vector<int> ran;
  pool.pause();
  for (int i = 0; i < static_cast<int>(priorities.size()); ++i) {
    const int priority = priorities[static_cast<std::size_t>(i)];
    pool.post(Rules([&](auto& o) { o.priority = priority; }), [&ran, i] { ran.push_back(i); });
  }
  pool.resume();
  CheckSettled(pool);
  return ran;
}

}  // namespace

TEST_CASE("fifo and lifo: one worker runs tasks in the order of arrival, or newest first",
          "[order]") {
  const std::vector<int> none(9, 0);
  workpool::pool fifo(OneWorker(workpool::strategy::fifo));
  CHECK(Order(fifo, none) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8});
  workpool::pool lifo(OneWorker(workpool::strategy::lifo));
  CHECK(Order(lifo, none) == std::vector<int>{8, 7, 6, 5, 4, 3, 2, 1, 0});
}

TEST_CASE("priority: any int32, highest first, in the order of arrival among equals", "[order]") {
  workpool::pool pool(OneWorker(workpool::strategy::priority));
  CHECK(Order(pool, {5, -7, 0, 5, 1'000'000, INT32_MIN}) == std::vector<int>{4, 0, 3, 2, 1, 5});
}

TEST_CASE("lanes: high tasks go before normal ones, low ones after; there are as many as asked for",
          "[order]") {
  workpool::options o = OneWorker(workpool::strategy::stealing);
  o.lanes = 5;
  workpool::pool pool(o);
  CHECK(Order(pool, {-2, -1, 0, 1, 2}) == std::vector<int>{4, 3, 2, 1, 0});
  workpool::pool five(o);
  CHECK_THROWS_WITH(five.post(Rules([](auto& r) { r.priority = 3; }), [] {}),
                    Catch::Contains("priority") && Catch::Contains("-2 ... 2"));
}

TEST_CASE("lane_limit: a lane takes so many tasks, the normal one is not concerned", "[order]") {
  workpool::options o = Workers(1, 1);
  o.lane_limit = 1;
  workpool::pool pool(o);
  pool.pause();
  const auto high = Rules([](auto& r) { r.priority = 1; });
  pool.post(high, [] {});
  CHECK(CodeOf([&] { pool.post(high, [] {}); }) == POOL_E_FULL);
  pool.post([] {});
  pool.post([] {});
  pool.resume();
  CheckSettled(pool);
  CHECK(pool.stats().done == 3);
}

TEST_CASE("key: tasks of one key run in the order of their submits and never at once", "[order]") {
  workpool::pool pool(Workers(4, 4));
  std::atomic<int> running{0};
  std::atomic<int> together{0};
  std::vector<int> ran;
  const auto keyed = Rules([](auto& o) { o.key = 77; });
  for (int i = 0; i < 500; ++i) {
    pool.post(keyed, [&, i] {
      if (running.fetch_add(1) != 0) ++together;
      ran.push_back(i);
      running.fetch_sub(1);
    });
  }
  CheckSettled(pool);
  CHECK(together == 0);
  REQUIRE(ran.size() == 500);
  int wrong = 0;
  for (int i = 0; i < 500; ++i) wrong += ran[static_cast<std::size_t>(i)] != i;
  CHECK(wrong == 0);
}

TEST_CASE("key: another key does not wait", "[order]") {
  workpool::pool pool(Workers(2, 2));
  Gate gate;
  std::atomic<bool> second{false};
  const auto seven = Rules([](auto& o) { o.key = 7; });
  pool.post(seven, [&] { gate.Pass(); });
  pool.post(seven, [&] { second = true; });
  CHECK(pool.submit(Rules([](auto& o) { o.key = 8; }), [] { return 8; }).get() == 8);
  CHECK_FALSE(second);
  gate.Open();
  CheckSettled(pool);
  CHECK(second);
}
