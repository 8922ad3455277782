// Every option of the binding reaches the library: each test fails if its field is ignored.
#include <pthread.h>

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

#if __cplusplus >= 202002L
TEST_CASE("options may be written in the call", "[options]") {
  workpool::pool pool({.workers_min = 1, .workers_max = 2, .name = "inline"});
  CHECK(pool.participants() == 3);
}
#endif
