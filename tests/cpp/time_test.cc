// Deadlines, timeouts, delays, periods. Only lower bounds of times are looked at.
#include <catch2/catch.hpp>
#include <vector>

#include "helpers.h"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_CASE("deadline: a task that has not begun by then has expired, whichever way it is given",
          "[time]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  {
    Plug plug(pool);
    auto absolute = pool.submit(Rules([](auto& o) { o.deadline = Clock::now() + 1ms; }),
                                [life = Life(lives)] {});
    auto relative = pool.submit(Rules([](auto& o) { o.deadline = 1ms; }), [life = Life(lives)] {});
    CHECK(CodeOf([&] { absolute.get(); }) == POOL_E_EXPIRED);
    CHECK(CodeOf([&] { relative.get(); }) == POOL_E_EXPIRED);
    CHECK(lives.live == 0);
  }
  CheckSettled(pool);
  CHECK(pool.stats().expired == 2);
  CHECK(lives.ended == 2);
}

TEST_CASE("deadline: one that has passed is refused, one far away or none does not matter",
          "[time]") {
  workpool::pool pool(Workers(1, 1));
  CHECK(CodeOf([&] { pool.post(Rules([](auto& o) { o.deadline = Clock::now() - 1s; }), [] {}); }) ==
        POOL_E_EXPIRED);
  CHECK(CodeOf([&] { pool.post(Rules([](auto& o) { o.deadline = -1s; }), [] {}); }) ==
        POOL_E_EXPIRED);
  CHECK(pool.submit(Rules([](auto& o) { o.deadline = Clock::time_point::max(); }), [] { return 1; })
            .get() == 1);
  CHECK(pool.submit(Rules([](auto& o) { o.deadline = std::chrono::nanoseconds::max(); }),
                    [] { return 2; })
            .get() == 2);
  CheckSettled(pool);
}

TEST_CASE("a task sees its deadline and the number of its attempt", "[time]") {
  workpool::pool pool(Workers(1, 1));
  const auto deadline = Clock::now() + 1h;
  pool.submit(Rules([&](auto& o) { o.deadline = deadline; }),
              [&](workpool::task_context& ctx) {
                CHECK(ctx.deadline() == deadline);
                CHECK(ctx.attempt() == 1);
              })
      .get();
  pool.submit(
          {},
          [](workpool::task_context& ctx) { CHECK(ctx.deadline() == Clock::time_point::max()); })
      .get();
  CheckSettled(pool);
}

TEST_CASE("queue_timeout: a task that waits longer has expired", "[time]") {
  workpool::pool pool(Workers(1, 1));
  {
    Plug plug(pool);
    auto t = pool.submit_ticket(Rules([](auto& o) { o.queue_timeout = 1ms; }), [] {});
    CHECK(CodeOf([&] { t.get(); }) == POOL_E_EXPIRED);
    CHECK(t.result().outcome == POOL_EXPIRED);
    CHECK(t.result().attempts == 0);
    CHECK(t.result().wait_time() >= 1ms);
  }
  CheckSettled(pool);
}

TEST_CASE("run_timeout: a run that lasts longer is asked to stop, and the result says so",
          "[time]") {
  workpool::pool pool(Workers(1, 1));
  auto t = pool.submit_ticket(
      Rules([](auto& o) { o.run_timeout = 1ms; }),
      [](workpool::task_context& ctx) { return Eventually([&] { return ctx.should_stop(); }); });
  CHECK(t.get());
  CHECK(t.result().outcome == POOL_DONE);
  CHECK(t.result().overran());
  CHECK(t.result().run_time() >= 1ms);
  auto quick = pool.submit_ticket({}, [] {});
  CHECK_FALSE(quick.result().overran());
  CheckSettled(pool);
}

TEST_CASE("delay: a task does not begin before", "[time]") {
  workpool::pool pool(Workers(1, 1));
  const auto before = Clock::now();
  auto t = pool.submit_ticket(Rules([](auto& o) { o.delay = 20ms; }), [] { return Clock::now(); });
  CHECK(t.get() >= before + 20ms);
  CHECK(t.result().wait_time() >= 20ms);
  CheckSettled(pool);
}

TEST_CASE(
    "period: one run after another until it is cancelled; the last one's value is the "
    "future's",
    "[time]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  std::atomic<int> runs{0};
  auto t = pool.submit_ticket(Rules([](auto& o) { o.period = 1ms; }),
                              [&runs, life = Life(lives)] { return ++runs; });
  CHECK(Eventually([&] { return runs >= 3; }));
  CHECK(lives.live == 1);
  t.cancel();
  CHECK(t.get() == runs);
  CHECK(t.result().outcome == POOL_DONE);
  CHECK(static_cast<int>(t.result().attempts) == runs);
  CHECK(lives.live == 0);
  CheckSettled(pool);
  CHECK(lives.ended == 1);
}

TEST_CASE("period by fixed delay: it counts from the end of a run", "[time]") {
  workpool::pool pool(Workers(1, 1));
  std::vector<Clock::time_point> ends;
  std::vector<Clock::duration> gaps;
  auto t = pool.submit_ticket(Rules([](auto& o) {
                                o.period = 10ms;
                                o.period_by = workpool::period_mode::fixed_delay;
                              }),
                              [&] {
                                if (!ends.empty()) gaps.push_back(Clock::now() - ends.back());
                                if (gaps.size() == 3) throw std::runtime_error("enough");
                                std::this_thread::sleep_for(9ms);  // on a grid 1 ms would be left
                                ends.push_back(Clock::now());
                              });
  CHECK_THROWS_WITH(t.get(), "enough");
  REQUIRE(gaps.size() == 3);
  for (const auto& gap : gaps) CHECK(gap >= 10ms);
  CheckSettled(pool);
}

TEST_CASE("a member with a delay is waited for by its group", "[time]") {
  workpool::pool pool(Workers(1, 1));
  workpool::group group(pool);
  std::atomic<bool> ran{false};
  group.run(Rules([](auto& o) { o.delay = 5ms; }), [&] { ran = true; });
  group.wait();
  CHECK(ran);
  CheckSettled(pool);
}
