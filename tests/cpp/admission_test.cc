// What a submit does where there is no room: queue limits, rates, classes, shedding.
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "helpers.h"

namespace {

workpool::options Full(std::uint64_t limit, workpool::on_full then) {
  workpool::options o = Workers(1, 1);
  o.queue_limit = limit;
  o.when_full = then;
  o.queue_strategy = workpool::strategy::fifo;
  return o;
}

workpool::rate_limit OneAnHour(std::uint32_t burst) {
  workpool::rate_limit rate;
  rate.count = 1;
  rate.period = std::chrono::hours(1);
  rate.burst = burst;
  return rate;
}

}  // namespace

TEST_CASE(
    "caller_runs: a submit to a full pool runs its task itself, and its exception is the "
    "future's",
    "[admission]") {
  Lives lives;
  workpool::pool pool(Full(1, workpool::on_full::caller_runs));
  pool.pause();
  pool.post([] {});
  auto id = pool.submit([life = Life(lives)] { return std::this_thread::get_id(); });
  CHECK(id.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
  CHECK(id.get() == std::this_thread::get_id());
  auto bad = pool.submit({}, [life = Life(lives)]() -> int { throw 5; });
  CHECK_THROWS_AS(bad.get(), int);
  CHECK(lives.ended == 2);
  pool.resume();
  CheckSettled(pool);
}

TEST_CASE("drop_oldest: the task that has waited longest is shed; its future throws FULL",
          "[admission]") {
  Lives lives;
  workpool::pool pool(Full(2, workpool::on_full::drop_oldest));
  pool.pause();
  std::vector<std::future<int>> futures;
  for (int i = 0; i < 4; ++i) {
    futures.push_back(i % 2 == 0 ? pool.submit([i, life = Life(lives)] { return i; })
                                 : pool.submit({}, [i, life = Life(lives)] { return i; }));
  }
  CHECK(lives.ended == 2);
  CHECK(CodeOf([&] { futures[0].get(); }) == POOL_E_FULL);
  CHECK_THROWS_WITH(futures[1].get(), Catch::Contains("shed"));
  pool.resume();
  CHECK(futures[2].get() == 2);
  CHECK(futures[3].get() == 3);
  CheckSettled(pool);
  CHECK(pool.stats().shed == 2);
  CHECK(lives.ended == 4);
}

TEST_CASE("drop_lowest: a task of lower priority makes room, else the submit is refused",
          "[admission]") {
  workpool::options o = Full(2, workpool::on_full::drop_lowest);
  o.queue_strategy = workpool::strategy::priority;
  workpool::pool pool(o);
  pool.pause();
  const auto submit = [&](int priority) {
    return pool.submit(Rules([&](auto& r) { r.priority = priority; }), [=] { return priority; });
  };
  auto one = submit(1);
  auto five = submit(5);
  auto three = submit(3);
  CHECK(CodeOf([&] { one.get(); }) == POOL_E_FULL);
  CHECK(CodeOf([&] { submit(3); }) == POOL_E_FULL);
  pool.resume();
  CHECK(five.get() + three.get() == 8);
  CheckSettled(pool);
}

TEST_CASE("when_full of a task overrides the pool's", "[admission]") {
  workpool::pool pool(Full(1, workpool::on_full::reject));
  pool.pause();
  auto first = pool.submit([] { return 1; });
  CHECK(CodeOf([&] { pool.submit({}, [] {}); }) == POOL_E_FULL);
  CHECK(CodeOf([&] {
          pool.post(Rules([](auto& o) {
                      o.when_full = workpool::on_full::block;
                      o.submit_timeout = std::chrono::milliseconds(5);
                    }),
                    [] {});
        }) == POOL_E_TIMEOUT);
  auto second = pool.submit(Rules([](auto& o) { o.when_full = workpool::on_full::drop_oldest; }),
                            [] { return 2; });
  CHECK(CodeOf([&] { first.get(); }) == POOL_E_FULL);
  pool.resume();
  CHECK(second.get() == 2);
  CheckSettled(pool);
}

TEST_CASE("queue_limit_bytes: waiting tasks may cost so much in all", "[admission]") {
  workpool::options o = Workers(1, 1);
  o.queue_limit_bytes = 100;
  workpool::pool pool(o);
  pool.pause();
  const auto cost = [](std::uint64_t bytes) {
    return Rules([=](auto& r) { r.cost_bytes = bytes; });
  };
  pool.post(cost(60), [] {});
  CHECK(CodeOf([&] { pool.post(cost(60), [] {}); }) == POOL_E_FULL);
  pool.post(cost(40), [] {});
  pool.resume();
  CheckSettled(pool);
  CHECK(pool.stats().done == 2);
}

TEST_CASE("rate: what exceeds the burst is refused with RATE, waits in the submit, or in the pool",
          "[admission]") {
  workpool::options o = Workers(1, 1);
  o.rate = OneAnHour(3);
  o.when_rate = workpool::on_rate::reject;
  workpool::pool pool(o);
  CHECK(pool.submit([] { return 1; }).get() == 1);
  // A batch stops where the rate does.
  CHECK(pool.post_batch(std::vector<int>{1, 2, 3, 4}, [](int) {}) == 2);
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_RATE);
  CHECK(CodeOf([&] {
          pool.post(Rules([](auto& r) {
                      r.when_rate = workpool::on_rate::block;
                      r.submit_timeout = std::chrono::milliseconds(5);
                    }),
                    [] {});
        }) == POOL_E_TIMEOUT);
  auto later =
      pool.submit(Rules([](auto& r) { r.when_rate = workpool::on_rate::delay; }), [] { return 2; });
  CHECK(later.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout);
  CheckSettled(pool, workpool::close_mode::cancel_queued);
  CHECK(CodeOf([&] { later.get(); }) == POOL_E_CLOSED);
  CHECK(pool.stats().done == 3);
}

TEST_CASE("class: at most so many of its tasks run at once, and workers are left for others",
          "[admission]") {
  workpool::options o = Workers(4, 4);
  o.queue_strategy = workpool::strategy::fifo;  // without a limit the class would take all workers
  workpool::pool pool(o);
  workpool::class_options two;
  two.concurrency_max = 2;
  pool.set_class(3, two);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  Gate gate;
  const auto of_class = Rules([](auto& r) { r.class_id = 3; });
  for (int i = 0; i < 8; ++i) {
    pool.post(of_class, [&] {
      const int now = ++running;
      int seen = most;
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      gate.Pass();
      --running;
    });
  }
  auto other = pool.submit([] {});
  CHECK(other.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  CHECK(Eventually([&] { return running == 2; }));
  gate.Open();
  CheckSettled(pool);
  CHECK(most == 2);
}

TEST_CASE("class: it has a rate of its own, and must have been set", "[admission]") {
  workpool::pool pool(Workers(1, 1));
  workpool::class_options slow;
  slow.rate = OneAnHour(2);
  slow.when_rate = workpool::on_rate::reject;
  pool.set_class(1, slow);
  const auto of_class = Rules([](auto& o) { o.class_id = 1; });
  CHECK(pool.submit(of_class, [] { return 1; }).get() == 1);
  CHECK(pool.submit(of_class, [] { return 2; }).get() == 2);
  CHECK(CodeOf([&] { pool.post(of_class, [] {}); }) == POOL_E_RATE);
  CHECK(pool.submit({}, [] { return 2; }).get() == 2);
  CHECK(CodeOf([&] { pool.post(Rules([](auto& o) { o.class_id = 2; }), [] {}); }) ==
        POOL_E_NOTFOUND);
  CHECK(CodeOf([&] { pool.set_class(0, slow); }) == POOL_E_INVALID);
  CheckSettled(pool);
}

TEST_CASE("codel: while all tasks wait too long some are shed, and their futures tell",
          "[admission]") {
  Lives lives;
  workpool::options o = Workers(1, 1);
  o.codel_target = std::chrono::nanoseconds(1);
  o.codel_interval = std::chrono::nanoseconds(1);
  workpool::pool pool(o);
  pool.pause();
  std::vector<std::future<void>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([life = Life(lives)] {}));
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit({}, [life = Life(lives)] {}));
  pool.resume();
  CheckSettled(pool);
  std::uint64_t shed = 0;
  for (auto& f : futures) {
    const std::int32_t code = CodeOf([&] { f.get(); });
    shed += code == POOL_E_FULL || code == POOL_E_TIMEOUT ? 1 : 0;
  }
  CHECK(shed > 0);
  CHECK(shed == pool.stats().shed);
  CHECK(lives.live == 0);
  CHECK(lives.ended == 200);
}

TEST_CASE("a group tells that a member was shed", "[admission]") {
  workpool::pool pool(Full(1, workpool::on_full::drop_oldest));
  pool.pause();
  workpool::group group(pool);
  group.run({}, [] {});
  pool.post([] {});
  CHECK(CodeOf([&] { group.wait_for(std::chrono::seconds(20)); }) == POOL_E_FULL);
  pool.resume();
  CheckSettled(pool);
}
