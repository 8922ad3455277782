// submit and post: values, exceptions, arguments, and the life of what a task captures.
#include <pthread.h>

#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "helpers.h"

TEST_CASE("a future carries the value of its task", "[submit]") {
  workpool::pool pool;
  CHECK(pool.submit([] { return 42; }).get() == 42);
  CHECK(pool.submit([](int a, const std::string& b) { return b + std::to_string(a); }, 7, "x")
            .get() == "x7");
  pool.submit([] {}).get();
}

TEST_CASE("F1: a throwing task's exception arrives through its future, and the worker lives on",
          "[submit]") {
  workpool::pool pool(Workers(1, 1));
  auto failing = pool.submit([]() -> int { throw std::out_of_range("no such row"); });
  CHECK_THROWS_WITH(failing.get(), "no such row");
  auto kept = pool.submit([]() -> int { throw std::out_of_range("again"); });
  CHECK_THROWS_AS(kept.get(), std::out_of_range);
  CHECK(pool.submit([] { return 1; }).get() == 1);
  CHECK(Eventually([&] { return pool.stats().failed == 2 && pool.stats().done == 1; }));
}

TEST_CASE("F1: a posted task that throws is counted as failed, and the worker lives on",
          "[submit]") {
  workpool::pool pool(Workers(1, 1));
  pool.post([] { throw std::runtime_error("nobody hears this"); });
  CHECK(pool.submit([] { return 1; }).get() == 1);
  CHECK(Eventually([&] { return pool.stats().failed == 1; }));
}

TEST_CASE("F3: a task that ends its thread: its future throws THREADEXIT, and the next task runs",
          "[submit]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  auto exits = pool.submit([life = Life(lives)] { pthread_exit(nullptr); });
  CHECK(CodeOf([&] { exits.get(); }) == POOL_E_THREADEXIT);
  workpool::group group(pool);
  group.run([life = Life(lives)] { pthread_exit(nullptr); });
  CHECK(CodeOf([&] { group.wait(); }) == POOL_E_THREADEXIT);
  CHECK(pool.submit([] { return 1; }).get() == 1);
  CHECK(lives.live == 0);
  CHECK(lives.ended == 2);
}

TEST_CASE("a result may be a reference, and is that object", "[submit]") {
  workpool::pool pool;
  std::vector<int> v{1, 2, 3};
  std::future<int&> second = pool.submit([&]() -> int& { return v[1]; });
  CHECK(&second.get() == &v[1]);
}

TEST_CASE("arguments and results may be move-only", "[submit]") {
  workpool::pool pool;
  auto one = std::make_unique<int>(1);
  const int* const address = one.get();
  auto moved = pool.submit([](std::unique_ptr<int> p) { return p; }, std::move(one)).get();
  CHECK(moved.get() == address);
  auto captured = pool.submit([p = std::move(moved)]() mutable { return std::move(p); }).get();
  CHECK(captured.get() == address);
}

TEST_CASE("a member function may be a task", "[submit]") {
  struct Account {
    int balance;
    int Add(int n) { return balance += n; }
  };
  workpool::pool pool;
  Account a{40};
  CHECK(pool.submit(&Account::Add, &a, 2).get() == 42);
  CHECK(a.balance == 42);
}

TEST_CASE("an lvalue callable is copied and may change before its task runs", "[submit]") {
  struct Says {
    std::string text;
    std::string operator()() const { return text; }
  };
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  Says says{"before"};
  auto future = pool.submit(says);
  says.text = "after";
  pool.resume();
  CHECK(future.get() == "before");
}

TEST_CASE("a big or over-aligned closure arrives whole", "[submit]") {
  workpool::pool pool;
  std::array<std::uint64_t, 4096> big;
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = i * i;
  auto sum = pool.submit([big] {
    std::uint64_t s = 0;
    for (const std::uint64_t x : big) s += x;
    return s;
  });
  std::uint64_t expected = 0;
  for (const std::uint64_t x : big) expected += x;
  CHECK(sum.get() == expected);

  struct alignas(128) Aligned {
    int value;
  };
  const Aligned aligned{5};
  auto address =
      pool.submit([aligned] { return reinterpret_cast<std::uintptr_t>(&aligned) + aligned.value; });
  CHECK(address.get() % 128 == 5);
}

TEST_CASE("a closure is destroyed once, before its future is ready", "[submit]") {
  Lives lives;
  workpool::pool pool;
  for (int i = 0; i < 100; ++i) {
    pool.submit([life = Life(lives)] {}).get();
    REQUIRE(lives.live == 0);
    REQUIRE(lives.ended == i + 1);
  }
}

TEST_CASE("a closure is destroyed once, before its exception is ready", "[submit]") {
  Lives lives;
  workpool::pool pool;
  for (int i = 0; i < 100; ++i) {
    auto future = pool.submit([life = Life(lives)] { throw 5; });
    CHECK_THROWS_AS(future.get(), int);
    REQUIRE(lives.live == 0);
    REQUIRE(lives.ended == i + 1);
  }
}

TEST_CASE("100 000 small tasks from four threads each run once", "[submit]") {
  constexpr int kThreads = 4;
  constexpr int kEach = 25'000;
  Lives lives;
  std::vector<std::atomic<int>> runs(kThreads * kEach);
  {
    workpool::pool pool;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          pool.post([&runs, index = t * kEach + i, life = Life(lives)] { ++runs[index]; });
        }
      });
    }
    for (std::thread& t : threads) t.join();
    REQUIRE(pool.wait_idle(std::chrono::seconds(60)));
    const pool_stats_t s = pool.stats();
    CHECK(s.submitted == kThreads * kEach);
    CHECK(s.done == kThreads * kEach);
  }
  int wrong = 0;
  for (const std::atomic<int>& n : runs) wrong += n != 1;
  CHECK(wrong == 0);
  CHECK(lives.live == 0);
  CHECK(lives.ended == kThreads * kEach);
}

TEST_CASE("100 000 futures each carry their own value", "[submit]") {
  workpool::pool pool;
  std::vector<std::future<int>> futures;
  for (int i = 0; i < 100'000; ++i) futures.push_back(pool.submit([i] { return i; }));
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) wrong += futures[static_cast<std::size_t>(i)].get() != i;
  CHECK(wrong == 0);
}

TEST_CASE("a task sees its context: its value is in the result, its children run", "[submit]") {
  workpool::pool pool;
  std::atomic<int> children{0};
  auto t = pool.submit_ticket([&](workpool::task_context& ctx) {
    ctx.set_value(77);
    for (int i = 0; i < 10; ++i) ctx.post([&](int n) { children += n; }, 1);
    return ctx.should_stop();
  });
  CHECK(t.get() == false);
  const pool_result_t r = t.result();
  CHECK(r.value == 77);
  CHECK(r.outcome == POOL_DONE);
  CHECK(r.attempts == 1);
  REQUIRE(pool.wait_idle(std::chrono::seconds(20)));
  CHECK(children == 10);
}

TEST_CASE("the shared pool carries values, exceptions and drops like any other", "[submit]") {
  Lives lives;
  {
    workpool::pool pool = workpool::pool::shared();
    workpool::pool again = workpool::pool::shared();
    CHECK(pool.native_handle() == again.native_handle());
    CHECK(pool.submit([life = Life(lives)] { return 3; }).get() == 3);
    CHECK_THROWS_AS(again.submit([life = Life(lives)] { throw 3; }).get(), int);
    std::atomic<int> sum{0};
    pool.submit([&, life = Life(lives)](workpool::task_context& ctx) {
          ctx.post([&sum, inner = life] { sum += 1; });
        })
        .get();
    CHECK(pool.post_batch(std::vector<int>{1, 2, 3},
                          [&, life = Life(lives)](int n) { sum += n; }) == 3);
    for (std::future<int>& f : again.submit_batch(std::vector<int>{4, 5}, [](int n) { return n; }))
      sum += f.get();
    REQUIRE(pool.wait_idle(std::chrono::seconds(20)));
    CHECK(sum == 16);
    CHECK(CodeOf([&] { pool.close(); }) == POOL_E_INVALID);
  }
  CHECK(Eventually([&] { return lives.live == 0; }));
}
