// submit_batch and post_batch: many tasks in one call.
#include <catch2/catch.hpp>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <numeric>
#include <vector>

#include "helpers.h"

TEST_CASE("a batch gives one future an element, in their order", "[batch]") {
  workpool::pool pool;
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  auto futures = pool.submit_batch(items, [](int n) { return n * n; });
  REQUIRE(futures.size() == 1000);
  int wrong = 0;
  for (int i = 0; i < 1000; ++i) wrong += futures[static_cast<std::size_t>(i)].get() != i * i;
  CHECK(wrong == 0);
}

TEST_CASE("a batch takes any range, an empty one, and callables", "[batch]") {
  workpool::pool pool;
  std::list<std::function<int()>> calls{[] { return 1; }, [] { return 2; }};
  int sum = 0;
  for (auto& f : pool.submit_batch(calls, [](const auto& call) { return call(); })) sum += f.get();
  CHECK(sum == 3);
  CHECK(pool.submit_batch(std::vector<int>{}, [](int n) { return n; }).empty());
  const int raw[] = {4, 5};
  CHECK(pool.post_batch(raw, [](int) {}) == 2);
  CHECK(pool.post_batch({}, raw, [](int) {}) == 2);
  CHECK(pool.submit_batch({}, raw, [](int n) { return n; }).size() == 2);
}

TEST_CASE("move iterators move the elements into their tasks", "[batch]") {
  workpool::pool pool;
  std::vector<std::unique_ptr<int>> owners;
  for (int i = 0; i < 10; ++i) owners.push_back(std::make_unique<int>(i));
  auto futures = pool.submit_batch(std::make_move_iterator(owners.begin()),
                                   std::make_move_iterator(owners.end()),
                                   [](std::unique_ptr<int> p) { return *p; });
  int sum = 0;
  for (auto& f : futures) sum += f.get();
  CHECK(sum == 45);
  CHECK(owners[3] == nullptr);
}

TEST_CASE("each task of a batch carries its own exception", "[batch]") {
  workpool::pool pool;
  auto futures = pool.submit_batch(std::vector<int>{0, 1, 2}, [](int n) {
    if (n == 1) throw std::runtime_error("one");
    return n;
  });
  CHECK(futures[0].get() == 0);
  CHECK_THROWS_WITH(futures[1].get(), "one");
  CHECK(futures[2].get() == 2);
}

TEST_CASE("a batch that does not fit is accepted as a prefix; the other futures throw FULL",
          "[batch]") {
  Lives lives;
  workpool::options o = Workers(1, 1);
  o.queue_limit = 4;
  workpool::pool pool(o);
  pool.pause();
  auto futures = pool.submit_batch(std::vector<int>{0, 1, 2, 3, 4, 5, 6},
                                   [life = Life(lives)](int n) { return n; });
  CHECK(pool.post_batch(std::vector<int>{1, 2}, [life = Life(lives)](int) {}) == 0);
  pool.resume();
  REQUIRE(futures.size() == 7);
  for (int i = 0; i < 4; ++i) CHECK(futures[static_cast<std::size_t>(i)].get() == i);
  for (std::size_t i = 4; i < 7; ++i) CHECK(CodeOf([&] { futures[i].get(); }) == POOL_E_FULL);
  CHECK(pool.close());
  CHECK(lives.live == 0);
}

TEST_CASE("100 000 tasks posted in one call run once each", "[batch]") {
  std::vector<std::atomic<int>> runs(100'000);
  std::vector<int> indices(runs.size());
  std::iota(indices.begin(), indices.end(), 0);
  {
    workpool::pool pool;
    REQUIRE(pool.post_batch(indices, [&](int i) { ++runs[static_cast<std::size_t>(i)]; }) ==
            runs.size());
  }
  int wrong = 0;
  for (const std::atomic<int>& n : runs) wrong += n != 1;
  CHECK(wrong == 0);
}
