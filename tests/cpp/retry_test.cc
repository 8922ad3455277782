// Tasks that fail: retries, their filter and budget, codes of one's own.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "helpers.h"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

workpool::task_options Retries(std::uint32_t max,
                               workpool::retry_on when = workpool::retry_on::request) {
  return Rules([&](auto& o) {
    o.retry.max = max;
    o.retry.first_delay = 1us;
    o.retry.when = when;
  });
}

}  // namespace

TEST_CASE("a task that throws retry runs again, with the same callable and arguments", "[retry]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  auto t = pool.submit_ticket(
      Retries(5),
      [life = Life(lives), calls = 0](workpool::task_context& ctx, std::string& text) mutable {
        text += "x";
        if (++calls < 3) throw workpool::retry();
        return text + std::to_string(ctx.attempt());
      },
      std::string("y"));
  CHECK(t.get() == "yxxx3");
  CHECK(lives.live == 0);
  CHECK(t.result().attempts == 3);
  CHECK(t.result().outcome == POOL_DONE);
  CheckSettled(pool);
  CHECK(lives.ended == 1);
}

TEST_CASE("after the last attempt the future throws the retry itself, with its text", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  auto t = pool.submit_ticket(Retries(2), [](workpool::task_context& ctx) {
    throw workpool::retry("attempt " + std::to_string(ctx.attempt()));
  });
  CHECK_THROWS_WITH(t.get(), "attempt 3");
  CHECK(t.result().outcome == POOL_FAILED);
  CHECK(t.result().code == POOL_RETRY);
  CHECK(t.result().attempts == 3);
  // Without rules there is no further attempt at all.
  auto plain = pool.submit([] { throw workpool::retry("plain"); });
  CHECK_THROWS_AS(plain.get(), workpool::retry);
  CheckSettled(pool);
}

TEST_CASE(
    "F3: a task that ends its thread in a later attempt: THREADEXIT, not what it threw before",
    "[retry]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  auto t = pool.submit_ticket(Retries(2), [life = Life(lives)](workpool::task_context& ctx) {
    if (ctx.attempt() == 1) throw workpool::retry("first");
    pthread_exit(nullptr);
  });
  CHECK(CodeOf([&] { t.get(); }) == POOL_E_THREADEXIT);
  CHECK(lives.live == 0);
  CheckSettled(pool);
  CHECK(lives.ended == 1);
}

TEST_CASE("other exceptions are tried again only if asked for; the last one is the future's",
          "[retry]") {
  workpool::pool pool(Workers(1, 1));
  const auto fail = [](workpool::task_context& ctx) {
    throw std::runtime_error("number " + std::to_string(ctx.attempt()));
  };
  auto once = pool.submit_ticket(Retries(2), fail);
  CHECK_THROWS_WITH(once.get(), "number 1");
  auto thrice = pool.submit_ticket(Retries(2, workpool::retry_on::failure), fail);
  CHECK_THROWS_WITH(thrice.get(), "number 3");
  CHECK(thrice.result().attempts == 3);
  CHECK(std::string(thrice.result().text) == "number 3");
  CheckSettled(pool);
}

TEST_CASE("retry_if is asked before each retry, with code, attempt and exception; a throw is a no",
          "[retry]") {
  workpool::pool pool(Workers(1, 1));
  std::vector<std::uint32_t> asked;
  auto o = Retries(9, workpool::retry_on::failure);
  o.retry_if = [&](const workpool::failed_attempt& f) {
    asked.push_back(f.attempt);
    CHECK(f.code == POOL_E_EXCEPTION);
    CHECK_THROWS_WITH(std::rethrow_exception(f.thrown), "busy");
    return f.attempt < 3;
  };
  auto t = pool.submit_ticket(o, [] { throw std::runtime_error("busy"); });
  CHECK_THROWS_WITH(t.get(), "busy");
  CHECK(asked == std::vector<std::uint32_t>{1, 2, 3});
  CHECK(t.result().attempts == 3);

  o.retry_if = [](const workpool::failed_attempt&) -> bool { throw 5; };
  auto stopped = pool.submit_ticket(o, [] { throw std::runtime_error("busy"); });
  CHECK_THROWS_WITH(stopped.get(), "busy");
  CHECK(stopped.result().attempts == 1);
  CheckSettled(pool);
}

TEST_CASE("the delay before a retry begins with first_delay and grows by the factor", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  std::vector<Clock::time_point> begins;
  auto o = Retries(2);
  o.retry.first_delay = 15ms;
  o.retry.factor_percent = 300;
  o.retry.spread = workpool::jitter::none;
  auto f = pool.submit(o, [&] {
    begins.push_back(Clock::now());
    throw workpool::retry();
  });
  CHECK_THROWS_AS(f.get(), workpool::retry);
  REQUIRE(begins.size() == 3);
  CHECK(begins[1] - begins[0] >= 15ms);
  CHECK(begins[2] - begins[1] >= 45ms);
  CheckSettled(pool);
}

TEST_CASE("max_delay bounds the delay", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  auto o = Retries(3);
  o.retry.first_delay = std::chrono::hours(1);
  o.retry.max_delay = 1us;
  CHECK_THROWS_AS(pool.submit(o, [] { throw workpool::retry(); }).get(), workpool::retry);
  CheckSettled(pool);
}

TEST_CASE("a task may fail with a code of its own", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  const auto fail = [] { throw workpool::error(-1500, "disk full"); };
  for (const bool by_rules : {false, true}) {
    auto t = by_rules ? pool.submit_ticket({}, fail) : pool.submit_ticket(fail);
    CHECK_THROWS_WITH(t.get(), "disk full");
    CHECK(t.result().code == -1500);
  }
  // A refusal of the library that escapes from a task is none of its own codes.
  auto t = pool.submit_ticket({}, [] { throw workpool::error(POOL_E_FULL); });
  CHECK(CodeOf([&] { t.get(); }) == POOL_E_FULL);
  CHECK(t.result().code == POOL_E_EXCEPTION);
  CheckSettled(pool);
}

TEST_CASE("retry budget: when it is spent, a task that asks for a retry has failed", "[retry]") {
  workpool::options o = Workers(1, 1);
  o.retry_count = 2;
  o.retry_period = std::chrono::hours(1);
  workpool::pool pool(o);
  auto t = pool.submit_ticket(Retries(9), [] { throw workpool::retry(); });
  CHECK_THROWS_AS(t.get(), workpool::retry);
  CHECK(t.result().attempts == 3);
  CheckSettled(pool);
}

TEST_CASE("a class has retries for tasks that bring none, and may ask whether", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  workpool::class_options c;
  c.retry.max = 4;
  c.retry.first_delay = 1us;
  c.retry.when = workpool::retry_on::failure;
  c.retry_if = [](void*, std::int32_t code, std::uint32_t attempt) {
    return code == POOL_E_EXCEPTION && attempt < 3 ? 1 : 0;
  };
  pool.set_class(9, c);
  auto t = pool.submit_ticket(Rules([](auto& o) { o.class_id = 9; }), [] { throw 1; });
  CHECK_THROWS_AS(t.get(), int);
  CHECK(t.result().attempts == 3);
  CheckSettled(pool);
}

TEST_CASE("cancel while a task waits for its retry: no further attempt, its callable is gone",
          "[retry]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  std::atomic<int> runs{0};
  auto o = Retries(9);
  o.retry.first_delay = o.retry.max_delay = std::chrono::hours(1);
  o.retry.spread = workpool::jitter::none;
  auto t = pool.submit_ticket(o, [&runs, life = Life(lives)] {
    ++runs;
    throw workpool::retry();
  });
  CHECK(Eventually([&] { return pool.stats().attempts == 1 && pool.stats().workers_busy == 0; }));
  CHECK(Eventually([&] { return t.cancel() || lives.live == 0; }));
  CHECK(lives.live == 0);
  CHECK(CodeOf([&] { t.get(); }) == POOL_E_CANCELLED);
  CHECK(t.result().outcome == POOL_CANCELLED);
  CheckSettled(pool);
  CHECK(runs == 1);
  CHECK(lives.ended == 1);
}

TEST_CASE("a group waits for the retries of its members; only the last attempt counts", "[retry]") {
  workpool::pool pool(Workers(2, 2));
  workpool::group group(pool);
  std::atomic<int> ran{0};
  for (int i = 0; i < 20; ++i) {
    group.run(Retries(3), [&](workpool::task_context& ctx) {
      if (ctx.attempt() < 3) throw workpool::retry();
      ++ran;
    });
  }
  group.wait();
  CHECK(ran == 20);
  group.run(Retries(1, workpool::retry_on::failure), [](workpool::task_context& ctx) {
    throw std::runtime_error("attempt " + std::to_string(ctx.attempt()));
  });
  CHECK_THROWS_WITH(group.wait(), "attempt 2");
  CheckSettled(pool);
}

TEST_CASE("posts and batches may be tried again, too", "[retry]") {
  workpool::pool pool(Workers(2, 2));
  std::atomic<int> posted{0};
  pool.post(Retries(2), [&](workpool::task_context& ctx) {
    if (ctx.attempt() < 3) throw workpool::retry();
    posted = 3;
  });
  auto squares = pool.submit_batch(Retries(2), std::vector<int>{1, 2, 3},
                                   [](workpool::task_context& ctx, int n) {
                                     if (ctx.attempt() < 3) throw workpool::retry();
                                     return n * n;
                                   });
  std::atomic<int> sum{0};
  const std::vector<int> items{4, 5, 6};
  CHECK(pool.post_batch(Retries(2), items.begin(), items.end(),
                        [&](workpool::task_context& ctx, int n) {
                          if (ctx.attempt() == 1) throw workpool::retry();
                          sum += n;
                        }) == 3);
  CHECK(squares[0].get() + squares[1].get() + squares[2].get() == 14);
  CheckSettled(pool);
  CHECK(posted == 3);
  CHECK(sum == 15);
}

TEST_CASE("results of tasks with options: references, void, move-only", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  std::vector<int> v{1, 2};
  std::future<int&> second = pool.submit({}, [&]() -> int& { return v[1]; });
  CHECK(&second.get() == &v[1]);
  pool.submit({}, [] {}).get();
  auto owner = pool.submit(Retries(1), [](workpool::task_context& ctx) {
    auto p = std::make_unique<int>(7);
    if (ctx.attempt() == 1) throw workpool::retry();
    return p;
  });
  CHECK(*owner.get() == 7);
  CheckSettled(pool);
}

TEST_CASE("on_exception terminate leaves retries and the futures of tasks with options alone",
          "[retry]") {
  workpool::options o = Workers(1, 1);
  o.when_thrown = workpool::on_exception::terminate;
  workpool::pool pool(o);
  CHECK_THROWS_AS(pool.submit({}, [] { throw 3; }).get(), int);
  std::atomic<int> runs{0};
  pool.post(Retries(2), [&] {
    ++runs;
    throw workpool::retry();
  });
  CheckSettled(pool);
  CHECK(runs == 3);
}

TEST_CASE("a ticket's result has the text of a retry and of an own code, before and after get",
          "[retry]") {
  workpool::pool pool(Workers(1, 1));
  auto again = pool.submit_ticket(Retries(1), [](workpool::task_context& ctx) {
    throw workpool::retry("busy " + std::to_string(ctx.attempt()));
  });
  CHECK(std::string(again.result().text) == "busy 2");
  CHECK_THROWS_AS(again.get(), workpool::retry);
  const workpool::ticket<void> moved(std::move(again));
  CHECK(std::string(moved.result().text) == "busy 2");
  auto own = pool.submit_ticket({}, [] { throw workpool::error(-1500, std::string(300, 'x')); });
  CHECK(std::string(own.result().text) == std::string(255, 'x'));
  CheckSettled(pool);

  // Nothing passes to a pool that would terminate, and the text is there all the same.
  workpool::options o = Workers(1, 1);
  o.when_thrown = workpool::on_exception::terminate;
  workpool::pool strict(o);
  auto other = strict.submit_ticket({}, [] { throw std::runtime_error("other"); });
  CHECK(std::string(other.result().text) == "other");
  CheckSettled(strict);
}

TEST_CASE("a result has no text of an attempt that was not the last", "[retry]") {
  workpool::pool pool(Workers(1, 1));
  const auto ended_by = [&](auto last) {
    auto t = pool.submit_ticket(Retries(1), [last](workpool::task_context& ctx) {
      if (ctx.attempt() == 1) throw workpool::retry("first");
      last();
    });
    t.wait();
    CHECK(t.result().attempts == 2);
    return std::string(t.result().text);
  };
  CHECK(ended_by([] {}) == "");
  CHECK(ended_by([] { throw 5; }) == "an exception that is no std::exception");
  CHECK(ended_by([] { pthread_exit(nullptr); }) == "");
  CheckSettled(pool);
}
