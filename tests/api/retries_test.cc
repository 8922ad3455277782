// A task that fails is tried again: when it asks for it or by a rule, after a delay that it does not spend on a worker,
// as often as it may. (retry_rules_test.cc: budgets, classes, and rules that are refused; retry_ends_test.cc: tasks that are
// ended or waited for meanwhile; dead_letters_test.cc: those that failed for good.)
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "retry_support.h"

namespace workpool_test {
namespace {

// ---- what is tried again, and how often

TEST_CASE("a task that asks for it is tried again, at most retries_max times", "[retries]") {
  for (const uint32_t retries_max : {1u, 2u, 7u}) {
    ScopedPool pool(2);
    Story succeeds(SucceedsIn(retries_max + 1)), fails(POOL_RETRY);
    const Told first(pool, Retried(succeeds.Task(), retries_max));
    const Told second(pool, Retried(fails.Task(), retries_max));
    const pool_result_t good = WaitForResult(first);
    const pool_result_t bad = WaitForResult(second);
    CHECK(good.outcome == POOL_DONE);
    CHECK(good.code == 0);
    CHECK(good.attempts == retries_max + 1);
    CHECK(bad.outcome == POOL_FAILED);
    CHECK(bad.code == POOL_RETRY);
    CHECK(bad.attempts == retries_max + 1);
    CheckSettled(pool);
    CHECK(succeeds.Ended(POOL_DONE, 0));
    CHECK(fails.Ended(POOL_FAILED, POOL_RETRY));
    CHECK(fails.result.attempts == retries_max + 1);
    const pool_stats_t stats = Stats(pool);
    CHECK(stats.submitted == 2);
    CHECK(stats.started == 2);
    CHECK(stats.ended_run == 2);
    CHECK(stats.done == 1);
    CHECK(stats.failed == 1);
    CHECK(stats.attempts == 2 * (uint64_t{retries_max} + 1));
  }
}

TEST_CASE("a task that asks for it without having any retries has failed", "[retries]") {
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  const Told ticket(pool, story.Task());
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == POOL_RETRY);
  CHECK(result.attempts == 1);
  // By the plain ways, too.
  REQUIRE(pool_submit(pool, AskForRetry, nullptr) == POOL_OK);
  const pool_task_t bare = Task(AskForRetry, nullptr);
  REQUIRE(pool_submit_task(pool, &bare, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).failed == 3);
  CHECK(Stats(pool).attempts == 3);
}

TEST_CASE("a failure is tried again only with RETRY_ON_FAILURE, an exception too", "[retries]") {
  struct {
    int32_t retry_on;
    bool throws;
    uint32_t attempts;
  } const cases[] = {
      {POOL_RETRY_ON_DEFAULT, false, 1}, {POOL_RETRY_ON_REQUEST, false, 1}, {POOL_RETRY_ON_FAILURE, false, 3},
      {POOL_RETRY_ON_DEFAULT, true, 1},  {POOL_RETRY_ON_REQUEST, true, 1},  {POOL_RETRY_ON_FAILURE, true, 3},
  };
  ScopedPool pool(1);
  for (const auto& c : cases) {
    Story story([&](pool_ctx_t* ctx) -> int32_t {
      if (c.throws) throw std::runtime_error("attempt " + std::to_string(pool_ctx_attempt(ctx)));
      return -1001;
    });
    pool_task_t task = Retried(story.Task(), 2);
    task.retry_on = c.retry_on;
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == (c.throws ? POOL_E_EXCEPTION : -1001));
    CHECK(result.attempts == c.attempts);
    CHECK(story.runs == c.attempts);
    const std::string text = c.throws ? "attempt " + std::to_string(c.attempts) : "";
    CHECK(std::string(result.text) == text);  // of the last attempt
  }
  CheckSettled(pool);
}

TEST_CASE("what a successful attempt leaves is its own, not that of those before", "[retries]") {
  Story story([](pool_ctx_t* ctx) -> int32_t {
    if (pool_ctx_attempt(ctx) == 1) {
      pool_ctx_set_value(ctx, 77);
      SleepNs(30 * kMs);
      throw std::runtime_error("not yet");
    }
    return 0;
  });
  ScopedPool pool(1);
  pool_task_t task = Retried(story.Task(), 1);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.code == 0);
  CHECK(result.attempts == 2);
  CHECK(result.value == 0);
  CHECK(std::string(result.text).empty());
  CHECK(result.run_ns < uint64_t{30 * kMs});  // of the last run
  CHECK(result.flags == 0);
  CheckSettled(pool);
}

TEST_CASE("a retry that is no other positive code", "[retries]") {
  Story story(2);
  ScopedPool pool(1);
  pool_task_t task = Retried(story.Task(), 3);
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.code == POOL_E_INVALID);
  CHECK(result.attempts == 1);
  CheckSettled(pool);
}

TEST_CASE("a task knows which attempt it is, and so do its forks", "[retries]") {
  std::mutex mu;
  std::vector<uint32_t> seen;
  Body fork_body([&](pool_ctx_t* ctx) {
    const std::lock_guard<std::mutex> lock(mu);
    seen.push_back(pool_ctx_attempt(ctx));
    return 0;
  });
  Story story([&](pool_ctx_t* ctx) {
    pool_fork_t fork;
    Must(pool_ctx_fork(ctx, &fork, Body::Run, &fork_body), "pool_ctx_fork");
    Must(pool_ctx_join(ctx, &fork, nullptr), "pool_ctx_join");
    const std::lock_guard<std::mutex> lock(mu);
    seen.push_back(pool_ctx_attempt(ctx));
    return pool_ctx_attempt(ctx) == 3 ? 0 : POOL_RETRY;
  });
  ScopedPool pool(2);
  const Told ticket(pool, Retried(story.Task(), 5));
  CHECK(WaitForResult(ticket).attempts == 3);
  CHECK(seen == std::vector<uint32_t>{1, 1, 2, 2, 3, 3});
  CHECK(pool_ctx_attempt(nullptr) == 0);
  std::atomic<uint32_t> plain{0};
  Body body([&](pool_ctx_t* ctx) {
    plain = pool_ctx_attempt(ctx);
    return 0;
  });
  REQUIRE(pool_submit(pool, Body::Run, &body) == POOL_OK);
  CheckSettled(pool);
  CHECK(plain == 1);
}

// ---- the filter

// What retry_if was asked, and what it says.
struct Asked {
  std::mutex mu;
  std::vector<std::pair<int32_t, uint32_t>> questions;
  std::atomic<uint32_t> yes_until{0};
  std::atomic<uint64_t> elsewhere{0};
  std::atomic<std::thread::id> ran_on{};
  int32_t code = POOL_RETRY;

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto& asked = *static_cast<Asked*>(arg);
    asked.ran_on = std::this_thread::get_id();
    return asked.code;
  }
  static int32_t Filter(void* arg, int32_t code, uint32_t attempt) {
    auto& asked = *static_cast<Asked*>(arg);
    if (asked.ran_on.load() != std::this_thread::get_id()) ++asked.elsewhere;
    const std::lock_guard<std::mutex> lock(asked.mu);
    asked.questions.emplace_back(code, attempt);
    return attempt <= asked.yes_until ? 1 : 0;
  }
};

using Questions = std::vector<std::pair<int32_t, uint32_t>>;

TEST_CASE("retry_if is asked before each retry, with the code and the attempt, where the task ran", "[retries]") {
  ScopedPool pool(2);
  for (const int32_t code : {POOL_RETRY, -1042}) {
    Asked asked;
    asked.code = code;
    asked.yes_until = 2;
    pool_task_t task = Retried(Task(Asked::Run, &asked), 10);
    task.retry_on = POOL_RETRY_ON_FAILURE;
    task.retry_if = Asked::Filter;
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == code);
    CHECK(result.attempts == 3);
    CHECK(asked.questions == Questions{{code, 1}, {code, 2}, {code, 3}});
    CHECK(asked.elsewhere == 0);
  }
  CheckSettled(pool);
}

TEST_CASE("retry_if is not asked where there is no retry", "[retries]") {
  ScopedPool pool(1);
  Asked used_up, no_rule, none;
  used_up.yes_until = 100;
  no_rule.yes_until = 100;
  no_rule.code = -1042;  // a failure, but only requests are tried again
  none.yes_until = 100;
  none.code = 0;
  for (Asked* asked : {&used_up, &no_rule, &none}) {
    pool_task_t task = Retried(Task(Asked::Run, asked), 2);
    task.retry_if = Asked::Filter;
    const Told ticket(pool, task);
    (void)WaitForResult(ticket);
  }
  CHECK(used_up.questions == Questions{{POOL_RETRY, 1}, {POOL_RETRY, 2}});
  CHECK(no_rule.questions.empty());
  CHECK(none.questions.empty());
  CheckSettled(pool);
}

TEST_CASE("retry_if is part of its task: waiting for it there is a DEADLOCK", "[retries]") {
  struct Inside {
    pool_t pool;
    std::atomic<pool_ticket_t> ticket{0};
    std::atomic<int32_t> waited{1}, idle{1}, destroyed{1};
    Gate gate;
  } inside;
  ScopedPool pool(2);
  inside.pool = pool;
  pool_task_t task = Retried(Task(
                                 [](void* arg, pool_ctx_t*) {
                                   static_cast<Inside*>(arg)->gate.Pass();
                                   return POOL_RETRY;
                                 },
                                 &inside),
                             3);
  task.retry_if = [](void* arg, int32_t, uint32_t) {
    auto& in = *static_cast<Inside*>(arg);
    in.waited = pool_wait(in.ticket, 0, POOL_FOREVER, nullptr, 0);
    in.idle = pool_wait_idle(in.pool, POOL_FOREVER);
    in.destroyed = pool_destroy(in.pool);
    return 0;
  };
  const Told ticket(pool, task);
  inside.ticket = ticket;
  inside.gate.Open();
  CHECK(WaitForResult(ticket).outcome == POOL_FAILED);
  CHECK(inside.waited == POOL_E_DEADLOCK);
  CHECK(inside.idle == POOL_E_DEADLOCK);
  CHECK(inside.destroyed == POOL_E_DEADLOCK);
  CheckSettled(pool);
}

TEST_CASE("a retry_if that throws says no", "[retries]") {
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  pool_task_t task = Retried(story.Task(), 3);
  task.retry_if = [](void*, int32_t, uint32_t) -> int32_t { throw std::runtime_error("what now"); };
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).attempts == 1);
  CheckSettled(pool);
  CHECK(story.Ended(POOL_FAILED, POOL_RETRY));
}

// ---- when it is tried again

// Begins of all attempts of a task that always fails, with these rules.
std::vector<uint64_t> Begins(pool_task_t rules, std::vector<uint64_t>* ends = nullptr) {
  std::mutex mu;
  std::vector<uint64_t> begins;
  Story story([&](pool_ctx_t*) {
    const std::lock_guard<std::mutex> lock(mu);
    begins.push_back(pool_now_ns());
    if (ends != nullptr) ends->push_back(pool_now_ns());
    return POOL_RETRY;
  });
  pool_task_t task = story.Task();
  rules.run = task.run;
  rules.arg = task.arg;
  rules.done = task.done;
  rules.drop = task.drop;
  ScopedPool pool(1);
  const Told ticket(pool, rules);
  (void)WaitForResult(ticket);
  CheckSettled(pool);
  return begins;
}

TEST_CASE("H8: without jitter each delay is at least its share, up to the cap", "[retries]") {
  struct {
    uint32_t factor_percent;
    int64_t first_ns, max_ns;
    std::vector<int64_t> delays_ns;
  } const cases[] = {
      {0, 2 * kMs, 0, {2 * kMs, 4 * kMs, 8 * kMs, 16 * kMs}},
      {300, kMs, 0, {kMs, 3 * kMs, 9 * kMs, 27 * kMs}},
      {150, 4 * kMs, 0, {4 * kMs, 6 * kMs, 9 * kMs}},
      {100, 3 * kMs, 0, {3 * kMs, 3 * kMs, 3 * kMs}},
      {1000, kMs, 12 * kMs, {kMs, 10 * kMs, 12 * kMs, 12 * kMs}},
      {0, 20 * kMs, 5 * kMs, {5 * kMs, 5 * kMs}},
      {0, 0, 0, {10 * kMs, 20 * kMs}},
  };
  for (const auto& c : cases) {
    pool_task_t rules = Retried(Task(DoNothing, nullptr), static_cast<uint32_t>(c.delays_ns.size()), c.first_ns);
    rules.backoff_factor_percent = c.factor_percent;
    rules.backoff_max_ns = c.max_ns;
    std::vector<uint64_t> ends;
    const std::vector<uint64_t> begins = Begins(rules, &ends);
    REQUIRE(begins.size() == c.delays_ns.size() + 1);
    for (size_t i = 0; i < c.delays_ns.size(); ++i) {
      CHECK(begins[i + 1] - ends[i] >= static_cast<uint64_t>(c.delays_ns[i]));
    }
  }
}

TEST_CASE("the cap of the back-off is kept", "[retries][serial]") {
  pool_task_t rules = Retried(Task(DoNothing, nullptr), 20, kMs);
  rules.backoff_factor_percent = 1000;
  rules.backoff_max_ns = 4 * kMs;
  const std::vector<uint64_t> begins = Begins(rules);
  REQUIRE(begins.size() == 21);
  // Without it the fifth delay would be ten seconds.
  CHECK(begins.back() - begins.front() < uint64_t{5'000 * kMs});
}

TEST_CASE("with equal jitter a delay is at least half of its share, and delays differ", "[retries]") {
  pool_task_t rules = Retried(Task(DoNothing, nullptr), 12, 4 * kMs);
  rules.backoff_factor_percent = 100;
  rules.backoff_jitter = POOL_JITTER_EQUAL;
  std::vector<uint64_t> ends;
  const std::vector<uint64_t> begins = Begins(rules, &ends);
  for (size_t i = 1; i < begins.size(); ++i) CHECK(begins[i] - ends[i - 1] >= uint64_t{2 * kMs});
}

TEST_CASE("by default delays are spread from nothing to their share", "[retries][serial]") {
  for (const int32_t jitter : {POOL_JITTER_DEFAULT, POOL_JITTER_FULL}) {
    pool_task_t rules = Retried(Task(DoNothing, nullptr), 40, 10 * kMs);
    rules.backoff_factor_percent = 100;
    rules.backoff_jitter = jitter;
    CHECK(OneIsInTime([&] {
      const std::vector<uint64_t> begins = Begins(rules);
      const uint64_t all_ns = begins.back() - begins.front();
      CHECK(all_ns > uint64_t{60 * kMs});
      // 200 ms on the average; without jitter it would be 400 ms.
      return all_ns < uint64_t{340 * kMs};
    }));
  }
}

TEST_CASE("a task that waits for another attempt holds no worker", "[retries]") {
  Story story(POOL_RETRY);
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(1);
  const Told ticket(pool, Retried(story.Task(), 1, kHour));
  REQUIRE(PollUntil([&] { return story.runs == 1; }));
  for (int i = 0; i < 100; ++i) REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_OK);
  CHECK(PollUntil([&] { return runs == 100; }));
  CHECK(PollUntil([&] { return Stats(pool).workers_busy == 0; }));
  CHECK(story.drops == 0);
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait_idle(pool, 0) == POOL_E_TIMEOUT);
  CHECK(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("ten thousand tasks are in their back-off at once, with one worker", "[retries]") {
  const uint64_t count = Rounds(10'000);
  const auto tallies = std::make_unique<Tally[]>(count);
  ScopedPool pool(1);
  for (uint64_t i = 0; i < count; ++i) {
    tallies[i].code = POOL_RETRY;
    pool_task_t task = Retried(TallyTask(tallies[i]), 2, 20 * kMs);
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CheckSettled(pool);
  for (uint64_t i = 0; i < count; ++i) {
    REQUIRE(tallies[i].runs == 3);
    REQUIRE(tallies[i].dones == 1);
    REQUIRE(tallies[i].drops == 1);
    REQUIRE(tallies[i].drop_outcome == POOL_FAILED);
  }
  CHECK(Stats(pool).attempts == 3 * count);
}

TEST_CASE("G7: a pool with no worker starts one for another attempt", "[retries]") {
  Story story(SucceedsIn(4));
  pool_options_t options = Options(1);
  options.keep_alive_ns = kMs;
  ScopedPool pool(options);
  pool_task_t task = Retried(story.Task(), 3, 60 * kMs);
  task.backoff_factor_percent = 100;
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).attempts == 4);
  CHECK(Stats(pool).retired >= 1);
  CheckSettled(pool);
}

TEST_CASE("retries give back what they take of a queue limit", "[retries]") {
  for (const uint64_t queue_limit : {uint64_t{2}, uint64_t{5'000}}) {
    pool_options_t options = Options(1);
    options.queue_limit = queue_limit;
    {
      ScopedPool pool(options);
      for (int i = 0; i < 300; ++i) {
        Story story(SucceedsIn(4));
        const Told ticket(pool, Retried(story.Task(), 3, 1));
        REQUIRE(WaitForResult(ticket).outcome == POOL_DONE);
      }
      // While they wait for another attempt they are not queued: they have started.
      std::vector<std::unique_ptr<Story>> stories;
      std::vector<pool_ticket_t> tickets;
      for (uint64_t i = 0; i < queue_limit; ++i) {
        stories.push_back(std::make_unique<Story>(POOL_RETRY));
        tickets.push_back(0);
        const pool_task_t task = Retried(stories.back()->Task(), 1, kHour);
        while (pool_submit_task(pool, &task, &tickets.back()) == POOL_E_FULL) std::this_thread::yield();
      }
      REQUIRE(PollUntil([&] { return Stats(pool).started == 300 + queue_limit; }));
      CHECK(Stats(pool).queued == 0);
      for (const pool_ticket_t ticket : tickets) {
        CHECK(PollUntil([&] { return pool_cancel(ticket) == POOL_OK; }));
        CHECK(pool_ticket_release(ticket) == POOL_OK);
      }
      CheckSettled(pool);
      // All of the room is there.
      REQUIRE(pool_pause(pool) == POOL_OK);
      for (uint64_t i = 0; i < queue_limit; ++i) REQUIRE(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_FULL);
      REQUIRE(pool_resume(pool) == POOL_OK);
      CheckSettled(pool);
    }
  }
}

// ---- what the result says

TEST_CASE("a result tells how long a task waited and ran, how often, and where", "[retries]") {
  Story story([](pool_ctx_t* ctx) {
    SleepNs(pool_ctx_attempt(ctx) == 1 ? 40 * kMs : 10 * kMs);
    return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : 0;
  });
  BlockedPool pool(1);
  const uint64_t before_ns = pool_now_ns();
  const Told ticket(pool, Retried(story.Task(), 1, 30 * kMs));
  SleepNs(20 * kMs);
  pool.Open();
  const pool_result_t result = WaitForResult(ticket);
  const uint64_t all_ns = pool_now_ns() - before_ns;
  CHECK(result.wait_ns >= uint64_t{20 * kMs});  // to the first start, without the back-off
  CHECK(result.wait_ns <= all_ns - (40 + 30 + 10) * kMs);
  CHECK(result.run_ns >= uint64_t{10 * kMs});   // of the last run
  CHECK(result.run_ns <= all_ns - (20 + 40 + 30) * kMs);
  CHECK(result.attempts == 2);
  CHECK(result.worker == 0);
  CheckSettled(pool);
}

TEST_CASE("the place of a task in a strand or a class is kept between its attempts", "[retries]") {
  for (const bool by_key : {true, false}) {
    std::mutex mu;
    std::vector<int> order;
    const auto note = [&](int number) {
      const std::lock_guard<std::mutex> lock(mu);
      order.push_back(number);
    };
    Story first([&](pool_ctx_t* ctx) {
      note(1);
      return pool_ctx_attempt(ctx) < 3 ? POOL_RETRY : 0;
    });
    Story second([&](pool_ctx_t*) {
      note(2);
      return 0;
    });
    ScopedPool pool(2);
    pool_class_options_t rules = ClassOptions();
    rules.concurrency_max = 1;
    REQUIRE(pool_class_set(pool, 1, &rules) == POOL_OK);
    pool_task_t tasks[] = {Retried(first.Task(), 5, 10 * kMs), second.Task()};
    for (pool_task_t& task : tasks) {
      by_key ? task.key = 9 : task.class_id = 1;
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    CheckSettled(pool);
    CHECK(order == std::vector<int>{1, 1, 1, 2});
  }
}

}  // namespace
}  // namespace workpool_test
