// dead_letter: what is told of tasks that failed for good.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "helpers.h"

using namespace std::chrono_literals;

namespace {

// The letters of a pool.
class Letters {
 public:
  workpool::options Workers(std::uint32_t min, std::uint32_t max) {
    workpool::options o = ::Workers(min, max);
    o.dead_letter = [this](const workpool::failed_task& task) {
      const std::lock_guard<std::mutex> lock(mu_);
      all_.push_back(task);
    };
    return o;
  }
  std::vector<workpool::failed_task> Take() {
    const std::lock_guard<std::mutex> lock(mu_);
    return std::exchange(all_, {});
  }

 private:
  std::mutex mu_;
  std::vector<workpool::failed_task> all_;
};

workpool::task_options Named(const std::string& name, std::uint32_t retries = 0) {
  return Rules([&](auto& o) {
    o.name = name;
    o.retry.max = retries;
    o.retry.first_delay = 1us;
  });
}

}  // namespace

TEST_CASE("dead_letter is told once of each task that failed for good, before its future",
          "[dead_letter]") {
  std::mutex mu;
  std::vector<workpool::result> letters;
  workpool::options o = Workers(2, 2);
  o.dead_letter = [&](const workpool::result& r) {
    const std::lock_guard<std::mutex> lock(mu);
    letters.push_back(r);
    throw std::runtime_error("lost");
  };
  workpool::pool pool(o);
  auto twice = Named({}, 1);
  twice.retry.when = workpool::retry_on::failure;
  auto dead = pool.submit(twice, [](workpool::task_context& ctx) {
    ctx.set_value(42);
    throw std::runtime_error("attempt " + std::to_string(ctx.attempt()));
  });
  CHECK_THROWS_WITH(dead.get(), "attempt 2");
  {
    const std::lock_guard<std::mutex> lock(mu);
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].outcome == POOL_FAILED);
    CHECK(letters[0].code == POOL_E_EXCEPTION);
    CHECK(letters[0].attempts == 2);
    CHECK(letters[0].value == 42);
    CHECK(std::string(letters[0].text) == "attempt 2");
  }
  pool.submit({}, [] {}).get();
  workpool::pool moved(std::move(pool));
  CHECK_THROWS_AS(moved.submit({}, [] { throw 1; }).get(), int);
  CheckSettled(moved);
  CHECK(letters.size() == 2);
}

TEST_CASE("dead_letter outlives a pool that was given up", "[dead_letter]") {
  auto told = std::make_shared<std::atomic<int>>(0);
  std::future<void> running;
  Gate gate;
  {
    workpool::options o = Workers(1, 1);
    o.dead_letter = [told](const workpool::result&) { ++*told; };
    workpool::pool pool(o);
    Gate started;
    running = pool.submit({}, [&] {
      started.Open();
      gate.Pass();
      throw 1;
    });
    started.Pass();
    pool.release();
  }
  gate.Open();
  CHECK_THROWS_AS(running.get(), int);
  CHECK(*told == 1);
}

TEST_CASE("dead_letter tells which task failed, and what it threw, however it was submitted",
          "[dead_letter]") {
  Letters letters;
  workpool::pool pool(letters.Workers(1, 1));
  const auto told = [&](const std::string& name, const std::string& what) {
    CHECK(pool.wait_idle(20s));
    const std::vector<workpool::failed_task> all = letters.Take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].name == name);
    CHECK(std::string(all[0].text) == what);
    REQUIRE(all[0].thrown);
    CHECK_THROWS_WITH(std::rethrow_exception(all[0].thrown), what);
  };
  pool.post(Named("post"), [] { throw std::runtime_error("a"); });
  told("post", "a");
  auto future = pool.submit(Named("future"), []() -> int { throw std::runtime_error("b"); });
  told("future", "b");
  auto ticket = pool.submit_ticket(Named("ticket"), [] { throw std::runtime_error("c"); });
  told("ticket", "c");
  auto plain = pool.submit_ticket([] { throw std::runtime_error("d"); });
  told("", "d");
  workpool::group group(pool);
  group.run([] { throw std::runtime_error("e"); });
  told("", "e");
  CHECK_THROWS_WITH(group.wait(), "e");
  group.run(Named("member"), [] { throw std::runtime_error("f"); });
  told("member", "f");
  CHECK_THROWS_WITH(group.wait(), "f");
  auto batch = pool.submit_batch(Named("batch"), std::vector<int>{1},
                                 [](int n) { throw std::runtime_error(std::to_string(n)); });
  told("batch", "1");
  CheckSettled(pool);
}

TEST_CASE("dead_letter has name, text and exception of a retry, an own code and a thread's end",
          "[dead_letter]") {
  Letters letters;
  workpool::options o = letters.Workers(1, 1);
  SECTION("capture") {}
  SECTION("terminate") { o.when_thrown = workpool::on_exception::terminate; }
  workpool::pool pool(o);
  const auto told = [&](const std::string& name, std::int32_t code, const std::string& what) {
    CHECK(pool.wait_idle(20s));
    const std::vector<workpool::failed_task> all = letters.Take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].name == name);
    CHECK(all[0].code == code);
    CHECK(std::string(all[0].text) == what);
    return all[0].thrown;
  };
  pool.post(Named("retried", 1), [](workpool::task_context& ctx) {
    throw workpool::retry("attempt " + std::to_string(ctx.attempt()));
  });
  CHECK_THROWS_WITH(std::rethrow_exception(told("retried", POOL_RETRY, "attempt 2")), "attempt 2");
  pool.post(Named("own"), [] { throw workpool::error(-1500, "disk full"); });
  CHECK_THROWS_WITH(std::rethrow_exception(told("own", -1500, "disk full")), "disk full");
  auto exits = pool.submit(Named("exits", 1), [](workpool::task_context& ctx) {
    if (ctx.attempt() == 1) throw workpool::retry("not this");
    pthread_exit(nullptr);
  });
  CHECK(told("exits", POOL_E_THREADEXIT, "") == nullptr);
  CheckSettled(pool);
}

TEST_CASE("dead_letter of many tasks that fail at once: each has its own name and exception",
          "[dead_letter]") {
  Letters letters;
  workpool::pool pool(letters.Workers(4, 4));
  for (int i = 0; i < 500; ++i) {
    pool.post(Named(std::to_string(i), 1), [i](workpool::task_context& ctx) {
      if (i % 2 == 0 || ctx.attempt() == 1) throw workpool::retry(std::to_string(i));
    });
  }
  CheckSettled(pool);
  std::map<std::string, int> seen;
  for (const workpool::failed_task& task : letters.Take()) {
    CHECK(task.name == task.text);
    CHECK_THROWS_WITH(std::rethrow_exception(task.thrown), task.name);
    ++seen[task.name];
  }
  CHECK(seen.size() == 250);
  for (const auto& [name, times] : seen) CHECK(times == 1);
}

TEST_CASE("a task of C has a dead letter without name and exception, whatever its arg was before",
          "[dead_letter]") {
  Letters letters;
  workpool::pool pool(letters.Workers(1, 1));
  workpool::completion_queue ends(1);
  // A task that failed at first and then did not. Its address is free again.
  auto o = Named("before", 1);
  o.completions = &ends;
  pool.post(o, [](workpool::task_context& ctx) {
    if (ctx.attempt() == 1) throw workpool::retry("before");
  });
  std::vector<workpool::completion> one(1);
  REQUIRE(ends.poll(one, 20s) == 1);
  CHECK(one[0].outcome == POOL_DONE);
  CHECK(letters.Take().empty());
  for (void* arg : {one[0].arg, static_cast<void*>(nullptr)}) {
    pool_task_t task;
    REQUIRE(pool_task_init(&task, sizeof task) == POOL_OK);
    task.run = [](void*, pool_ctx_t*) -> std::int32_t { return -2000; };
    task.arg = arg;
    REQUIRE(pool_submit_task(pool.native_handle(), &task, nullptr) == POOL_OK);
    CHECK(pool.wait_idle(20s));
    const std::vector<workpool::failed_task> all = letters.Take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].code == -2000);
    CHECK(all[0].name.empty());
    CHECK(all[0].thrown == nullptr);
    CHECK(std::string(all[0].text).empty());
  }
  CheckSettled(pool);
}

TEST_CASE("a dead letter tells the history of its attempts, and a pool keeps the last ones", "[dead_letter]") {
  Letters letters;
  workpool::options o = letters.Workers(1, 1);
  o.dead_letter_limit = 30;
  workpool::pool pool(o);
  auto twice = Named("two", 1);
  twice.retry.when = workpool::retry_on::failure;
  for (int i = 0; i < 40; ++i) {
    pool.post(twice, [](workpool::task_context& ctx) { throw workpool::error(-1000 - static_cast<int>(ctx.attempt())); });
  }
  pool.wait_idle();
  for (const workpool::failed_task& task : letters.Take()) {
    REQUIRE(task.history.size() == 2);
    CHECK(task.history[0].code == -1001);
    CHECK(task.history[1].code == -1002);
  }
  std::uint64_t lost = 77;
  const auto kept = pool.dead_letters(&lost);
  CHECK(lost == 10);
  REQUIRE(kept.size() == 30);
  CHECK(kept[0].code == -1002);
  CHECK(kept[0].history_count == 2);
  CHECK(pool.dead_letters(&lost).empty());
  CHECK(lost == 0);
}
