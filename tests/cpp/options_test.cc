// Every option of the binding reaches the library: each test fails if its field is ignored.
#include <pthread.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <mutex>
#include <stdexcept>
#include <string>

#include "helpers.h"

TEST_CASE("workers_max bounds how many tasks run at once, and participants", "[options]") {
  workpool::pool pool(Workers(0, 3));
  CHECK(pool.participants() == 4);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  Gate gate;
  for (int i = 0; i < 12; ++i) {
    pool.post([&] {
      const int now = ++running;
      int seen = most;
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      gate.Pass();
      --running;
    });
  }
  CHECK(Eventually([&] { return running == 3; }));
  gate.Open();
  CHECK(pool.wait_idle(std::chrono::seconds(20)));
  CHECK(most == 3);
}

TEST_CASE("keep_alive and workers_min: workers above the minimum end, the minimum stays",
          "[options]") {
  workpool::options o = Workers(1, 4);
  o.keep_alive = std::chrono::milliseconds(20);
  o.prestart = 4;
  workpool::pool pool(o);
  CHECK(Eventually([&] { return pool.stats().workers_live == 1; }));
  // More than 3 where starting four takes longer than the keep-alive.
  CHECK(Eventually([&] { return pool.stats().retired >= 3; }));
  CHECK(pool.stats().workers_live == 1);
}

TEST_CASE("prestart: the workers are there when the constructor returns", "[options]") {
  workpool::options o = Workers(2, 2);
  o.prestart = 2;
  workpool::pool pool(o);
  CHECK(pool.stats().workers_live == 2);
}

TEST_CASE(
    "queue_limit: the task that finds it reached is refused with FULL, and its closure is "
    "destroyed",
    "[options]") {
  Lives lives;
  workpool::options o = Workers(1, 1);
  o.queue_limit = 8;
  workpool::pool pool(o);
  pool.pause();
  int accepted = 0;
  while (accepted < 100 && CodeOf([&] { pool.post([life = Life(lives)] {}); }) == POOL_OK) {
    ++accepted;
  }
  CHECK(accepted == 8);
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_FULL);
  CHECK(lives.ended == 1);
  pool.resume();
  CHECK(pool.close());
  CHECK(lives.live == 0);
  CHECK(lives.ended == 9);
}

TEST_CASE("when_full block with submit_timeout: the submit gives up with TIMEOUT", "[options]") {
  workpool::options o = Workers(1, 1);
  o.queue_limit = 1;
  o.when_full = workpool::on_full::block;
  o.submit_timeout = std::chrono::milliseconds(5);
  workpool::pool pool(o);
  pool.pause();
  pool.post([] {});
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_TIMEOUT);
  pool.resume();
}

TEST_CASE("name: workers carry it as their thread's name", "[options]") {
  workpool::options o = Workers(0, 1);
  o.name = "render";
  workpool::pool pool(o);
  const std::string name = pool.submit([] {
                                 char text[16] = "";
                                 pthread_getname_np(pthread_self(), text, sizeof text);
                                 return std::string(text);
                               })
                               .get();
  CHECK_THAT(name, Catch::StartsWith("render"));
}

TEST_CASE("log: the sink hears of the pool by its name, and nothing when the level is off",
          "[options]") {
  struct Sink {
    std::mutex mu;
    std::string text;
  };
  for (const std::int32_t level : {POOL_LOG_OFF, POOL_LOG_DEBUG}) {
    Sink sink;
    workpool::options o = Workers(0, 1);
    o.name = "renderer";
    o.log_level = level;
    o.log_user = &sink;
    o.log_fn = [](void* user, std::int32_t, const char* text) {
      Sink* s = static_cast<Sink*>(user);
      const std::lock_guard<std::mutex> lock(s->mu);
      s->text += text;
    };
    {
      workpool::pool pool(o);
      pool.post([] { throw std::runtime_error("heard"); });
    }
    const bool heard = sink.text.find("renderer") != std::string::npos;
    CHECK(heard == (level == POOL_LOG_DEBUG));
  }
}

TEST_CASE("stack_bytes and workers_limit: a value out of range is refused by name", "[options]") {
  workpool::options o;
  o.stack_bytes = 1;
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("stack_bytes"));
  o = Workers(0, 4);
  o.workers_limit = 2;
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("workers_limit"));
}

TEST_CASE("inherit_affinity: workers run where the thread that makes the pool may", "[options]") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  workpool::options o = Workers(1, 1);
  o.inherit_affinity = true;
  workpool::pool pool(o);
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK(pool.submit([] {
              cpu_set_t cpus;
              CPU_ZERO(&cpus);
              sched_getaffinity(0, sizeof cpus, &cpus);
              return CPU_COUNT(&cpus);
            })
            .get() == 1);
}

TEST_CASE("watermark: told when enough tasks wait, and when few do", "[options]") {
  std::atomic<int> above_told{0};
  std::atomic<int> below_told{0};
  std::atomic<std::uint64_t> least{UINT64_MAX};
  workpool::options o = Workers(1, 1);
  o.queue_high = 3;
  o.queue_low = 1;
  o.watermark = [&](bool above, std::uint64_t waiting) {
    if (!above) least = waiting;
    ++(above ? above_told : below_told);
    throw 1;
  };
  workpool::pool pool(o);
  pool.pause();
  pool.post([] {});
  pool.post([] {});
  CHECK(above_told == 0);
  pool.post([] {});
  CHECK(Eventually([&] { return above_told == 1; }));
  CHECK(below_told == 0);
  pool.resume();
  CHECK(Eventually([&] { return below_told == 1; }));
  CHECK(least <= 1);
  CheckSettled(pool);
  o = {};
  o.queue_high = 3;
  o.queue_low = 4;
  o.watermark = [](bool, std::uint64_t) {};
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("queue_low"));
}

TEST_CASE("stuck: told once of a run that takes too long, which running() lists meanwhile",
          "[options]") {
  std::atomic<int> told{0};
  std::string name;
  workpool::options o = Workers(1, 1);
  o.stuck_after = std::chrono::milliseconds(2);
  o.stuck = [&](const workpool::running_task& task) {
    name = task.name;
    ++told;
  };
  workpool::pool pool(o);
  Gate gate;
  auto t = pool.submit_ticket(Rules([](auto& r) { r.name = "slow"; }), [&] { gate.Pass(); });
  CHECK(Eventually([&] { return told == 1; }));
  CHECK(name == "slow");
  const std::vector<workpool::running_task> running = pool.running(std::chrono::milliseconds(2));
  REQUIRE(running.size() == 1);
  CHECK(running[0].ticket == t.native_handle());
  CHECK(running[0].wall_time() >= std::chrono::milliseconds(2));
  CHECK(running[0].cpu_time() < running[0].wall_time());
  CHECK(pool.running(std::chrono::hours(1)).empty());
  gate.Open();
  CheckSettled(pool);
  CHECK(told == 1);
}

TEST_CASE("running lists all tasks, however many", "[options]") {
  workpool::options o = Workers(0, 70);
  o.stuck_after = std::chrono::hours(1);
  workpool::pool pool(o);
  Gate gate;
  for (int i = 0; i < 66; ++i) pool.submit({}, [&] { gate.Pass(); });
  CHECK(Eventually([&] { return pool.running().size() == 66; }));
  gate.Open();
  CheckSettled(pool);
}

TEST_CASE("options by name: a preset, fields over it, names over both; set and get in a pool",
          "[options]") {
  workpool::options o;
  o.preset = "io";
  o.workers_max = 3;
  o.queue_limit = 55;
  o.by_name = {{"aging_ms", "20"}, {"queue_limit", "77"}};
  workpool::pool pool(o);
  CHECK(pool.participants() == 4);
  CHECK(pool.get("on_full") == "block");
  CHECK(pool.get("queue_limit") == "77");
  CHECK(pool.get("aging_ms") == "20");
  pool.set("aging_ms", "0.5");
  CHECK(pool.get("aging_ms") == "0.5");
  CHECK(CodeOf([&] { pool.set("aging", "1"); }) == POOL_E_NOTFOUND);
  CHECK(CodeOf([&] { pool.set("queue_limit", "5"); }) == POOL_E_INVALID);
  CHECK(CodeOf([&] { pool.get("aging"); }) == POOL_E_NOTFOUND);
  o.by_name = {{"no_such", "1"}};
  CHECK(CodeOf([&] { workpool::pool wrong(o); }) == POOL_E_NOTFOUND);
  o.by_name = {};
  o.preset = "no_such";
  CHECK(CodeOf([&] { workpool::pool wrong(o); }) == POOL_E_NOTFOUND);

  int live = 0;
  bool found = false;
  for (const pool_option_t& option : workpool::option_list()) {
    live += option.live != 0;
    found = found || std::string(option.name) == "aging_ms";
  }
  CHECK(found);
  CHECK(live > 0);
}

TEST_CASE("on_exception by name: a future's exception still does not terminate", "[options]") {
  workpool::options o = Workers(1, 1);
  o.by_name = {{"on_exception", "terminate"}};
  workpool::pool pool(o);
  CHECK_THROWS_AS(pool.submit({}, [] { throw 3; }).get(), int);
}

TEST_CASE("what cannot be seen from outside is refused by name when it is out of range",
          "[options]") {
  const std::chrono::nanoseconds bad(-5);
  const auto refusal = [](const workpool::options& o) {
    try {
      workpool::pool pool(o);
    } catch (const workpool::error& e) {
      return std::string(e.what());
    }
    return std::string("it was accepted");
  };
  workpool::options o;
  o.keep_alive = bad;
  CHECK_THAT(refusal(o), Catch::Contains("keep_alive_ns"));
  o = {};
  o.when_thrown = static_cast<workpool::on_exception>(99);
  CHECK_THAT(refusal(o), Catch::Contains("on_exception"));
  o = {};
  o.task_isolation = static_cast<workpool::isolation>(99);
  CHECK_THAT(refusal(o), Catch::Contains("task_isolation"));
  o = {};
  o.aging = bad;
  CHECK_THAT(refusal(o), Catch::Contains("aging_ns"));
  o = {};
  o.rate.period = bad;
  CHECK_THAT(refusal(o), Catch::Contains("rate_period_ns"));
  o = {};
  o.codel_target = bad;
  CHECK_THAT(refusal(o), Catch::Contains("codel_target_ns"));
  o = {};
  o.codel_interval = bad;
  CHECK_THAT(refusal(o), Catch::Contains("codel_interval_ns"));
  o = {};
  o.retry_period = bad;
  CHECK_THAT(refusal(o), Catch::Contains("retry_period_ns"));
  o = {};
  o.when_full = static_cast<workpool::on_full>(99);
  CHECK_THAT(refusal(o), Catch::Contains("on_full"));
}

TEST_CASE("so are the rules of a task and a class", "[options]") {
  workpool::pool pool(Workers(1, 1));
  const auto refusal = [&](const workpool::task_options& o) {
    try {
      pool.post(o, [] {});
    } catch (const workpool::error& e) {
      return std::string(e.what());
    }
    return std::string("it was accepted");
  };
  workpool::task_options o;
  o.retry.spread = static_cast<workpool::jitter>(99);
  CHECK_THAT(refusal(o), Catch::Contains("backoff_jitter"));
  o = {};
  o.retry.factor_percent = 99;
  CHECK_THAT(refusal(o), Catch::Contains("backoff_factor_percent"));
  o = {};
  o.name = std::string(64, 'x');
  CHECK_THAT(refusal(o), Catch::Contains("task.name"));

  const auto refused_class = [&](const workpool::class_options& c) {
    try {
      pool.set_class(1, c);
    } catch (const workpool::error& e) {
      return std::string(e.what());
    }
    return std::string("it was accepted");
  };
  const std::chrono::nanoseconds bad(-5);
  workpool::class_options c;
  c.rate.period = bad;
  CHECK_THAT(refused_class(c), Catch::Contains("rate_period_ns"));
  c = {};
  c.retry.first_delay = bad;
  CHECK_THAT(refused_class(c), Catch::Contains("backoff_first_ns"));
  c = {};
  c.retry.max_delay = bad;
  CHECK_THAT(refused_class(c), Catch::Contains("backoff_max_ns"));
  c = {};
  c.retry.factor_percent = 99;
  CHECK_THAT(refused_class(c), Catch::Contains("backoff_factor_percent"));
  c = {};
  c.retry.spread = static_cast<workpool::jitter>(99);
  CHECK_THAT(refused_class(c), Catch::Contains("backoff_jitter"));
}

#if __cplusplus >= 202002L
TEST_CASE("options may be written in the call", "[options]") {
  using namespace std::chrono_literals;
  workpool::pool pool({.workers_min = 1, .workers_max = 2, .name = "inline"});
  CHECK(pool.participants() == 3);
  pool.set_class(1, {.concurrency_max = 1, .rate = {.count = 1000}});
  auto t = pool.submit_ticket({.priority = 1,
                               .class_id = 1,
                               .deadline = 1h,
                               .delay = 1ms,
                               .retry = {.max = 1, .first_delay = 1us}},
                              [](workpool::task_context& ctx) {
                                if (ctx.attempt() == 1) throw workpool::retry();
                                return ctx.attempt();
                              });
  CHECK(t.get() == 2);
  pool.post({.name = "inline"}, [] {});
  CheckSettled(pool);
}
#endif
