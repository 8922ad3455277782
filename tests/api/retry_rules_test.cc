// Who decides whether a task is tried again, but for itself: the budget of its pool, the rules of its class.
#include <catch2/catch.hpp>
#include <vector>

#include "retry_support.h"

namespace workpool_test {
namespace {

// ---- the budget

TEST_CASE("retries beyond the pool's budget have failed", "[retries]") {
  pool_options_t options = Options(1);
  options.retry_count = 5;
  options.retry_period_ns = kHour;
  ScopedPool pool(options);
  std::vector<uint32_t> attempts;
  for (int i = 0; i < 4; ++i) {
    Story story(POOL_RETRY);
    const Told ticket(pool, Retried(story.Task(), 3));
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == POOL_RETRY);
    attempts.push_back(result.attempts);
  }
  CHECK(attempts == std::vector<uint32_t>{4, 3, 1, 1});  // 3 + 2 retries
  // First attempts are no retries.
  Story story;
  const Told ticket(pool, story.Task());
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CheckSettled(pool);
  CHECK(Stats(pool).attempts == 4 + 3 + 1 + 1 + 1);
}

TEST_CASE("the budget of retries fills up again with time", "[retries]") {
  pool_options_t options = Options(1);
  options.retry_count = 1;
  options.retry_period_ns = 100 * kMs;
  ScopedPool pool(options);
  const auto attempts = [&] {
    Story story(POOL_RETRY);
    const Told ticket(pool, Retried(story.Task(), 1));
    return WaitForResult(ticket).attempts;
  };
  const uint64_t first_ns = pool_now_ns();
  CHECK(attempts() == 2);
  CHECK(PollUntil([&] { return attempts() == 2; }));
  CHECK(pool_now_ns() - first_ns >= uint64_t{100 * kMs});
  CheckSettled(pool);
}

TEST_CASE("what a filter refuses does not take from the budget", "[retries]") {
  pool_options_t options = Options(1);
  options.retry_count = 1;
  options.retry_period_ns = kHour;
  ScopedPool pool(options);
  Story refused(POOL_RETRY), tried(POOL_RETRY);
  pool_task_t task = Retried(refused.Task(), 3);
  task.retry_if = [](void*, int32_t, uint32_t) { return 0; };
  const Told first(pool, task);
  CHECK(WaitForResult(first).attempts == 1);
  const Told second(pool, Retried(tried.Task(), 1));
  CHECK(WaitForResult(second).attempts == 2);
  CheckSettled(pool);
}

// ---- rules of a class

TEST_CASE("a task without rules of its own has those of its class", "[retries]") {
  ScopedPool pool(1);
  pool_class_options_t rules = ClassOptions();
  rules.retries_max = 3;
  rules.backoff_first_ns = 10 * kUs;
  rules.retry_on = POOL_RETRY_ON_FAILURE;
  REQUIRE(pool_class_set(pool, 7, &rules) == POOL_OK);

  Story by_class(-1001), by_itself(POOL_RETRY), by_nobody(-1001);
  pool_task_t task = by_class.Task();
  task.class_id = 7;
  const Told first(pool, task);
  CHECK(WaitForResult(first).attempts == 4);
  task = Retried(by_itself.Task(), 1);
  task.class_id = 7;
  const Told second(pool, task);
  CHECK(WaitForResult(second).attempts == 2);
  const Told third(pool, by_nobody.Task());
  CHECK(WaitForResult(third).attempts == 1);
  // Its own rules are all its own: a failure is no request.
  Story own_rule(-1001);
  task = Retried(own_rule.Task(), 1);
  task.class_id = 7;
  const Told fourth(pool, task);
  CHECK(WaitForResult(fourth).attempts == 1);
  CheckSettled(pool);
}

TEST_CASE("a class's back-off and filter hold for its tasks", "[retries]") {
  ScopedPool pool(1);
  pool_class_options_t rules = ClassOptions();
  rules.retries_max = 10;
  rules.backoff_first_ns = 10 * kMs;
  rules.backoff_factor_percent = 300;
  rules.backoff_max_ns = 20 * kMs;
  rules.backoff_jitter = POOL_JITTER_NONE;
  rules.retry_if = [](void*, int32_t code, uint32_t attempt) { return code == POOL_RETRY && attempt < 4 ? 1 : 0; };
  REQUIRE(pool_class_set(pool, 1, &rules) == POOL_OK);
  Story story(POOL_RETRY);
  pool_task_t task = story.Task();
  task.class_id = 1;
  const uint64_t before_ns = pool_now_ns();
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).attempts == 4);
  CHECK(story.begun_ns >= before_ns + (10 + 20 + 20) * kMs);
  CheckSettled(pool);
}

TEST_CASE("a class that is changed holds for tasks submitted from then on", "[retries]") {
  BlockedPool pool(1);
  pool_class_options_t rules = ClassOptions();
  rules.retries_max = 1;
  rules.backoff_first_ns = 10 * kUs;
  REQUIRE(pool_class_set(pool, POOL_CLASS_MAX, &rules) == POOL_OK);
  Story before(POOL_RETRY), after(POOL_RETRY);
  pool_task_t task = before.Task();
  task.class_id = POOL_CLASS_MAX;
  const Told first(pool, task);
  rules.retries_max = 4;
  REQUIRE(pool_class_set(pool, POOL_CLASS_MAX, &rules) == POOL_OK);
  task = after.Task();
  task.class_id = POOL_CLASS_MAX;
  const Told second(pool, task);
  pool.Open();
  CHECK(WaitForResult(first).attempts == 2);
  CHECK(WaitForResult(second).attempts == 5);
  CheckSettled(pool);
}

TEST_CASE("rules of a class out of range are refused, and those before stay", "[retries]") {
  ScopedPool pool(1);
  pool_class_options_t good = ClassOptions();
  good.retries_max = 2;
  good.backoff_first_ns = 10 * kUs;
  REQUIRE(pool_class_set(pool, 1, &good) == POOL_OK);
  const auto refused = [&](auto change) {
    pool_class_options_t bad = ClassOptions();
    bad.retries_max = 9;
    change(bad);
    return pool_class_set(pool, 1, &bad) == POOL_E_INVALID;
  };
  CHECK(refused([](auto& bad) { bad.backoff_first_ns = -1; }));
  CHECK(refused([](auto& bad) { bad.backoff_max_ns = -1; }));
  CHECK(refused([](auto& bad) { bad.backoff_factor_percent = 99; }));
  CHECK(refused([](auto& bad) { bad.backoff_jitter = 4; }));
  CHECK(refused([](auto& bad) { bad.backoff_jitter = -1; }));
  CHECK(refused([](auto& bad) { bad.retry_on = 3; }));
  CHECK(refused([](auto& bad) { bad.retry_on = -1; }));
  Story story(POOL_RETRY);
  pool_task_t task = story.Task();
  task.class_id = 1;
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).attempts == 3);
  task.class_id = 2;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_NOTFOUND);
  CheckSettled(pool);
}

TEST_CASE("retry rules of a task out of range are refused, and nothing is called", "[retries]") {
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  const auto refused = [&](auto change) {
    pool_task_t bad = Retried(story.Task(), 1);
    change(bad);
    return pool_submit_task(pool, &bad, nullptr) == POOL_E_INVALID;
  };
  CHECK(refused([](auto& bad) { bad.backoff_factor_percent = 99; }));
  CHECK(refused([](auto& bad) { bad.backoff_factor_percent = 1; }));
  CHECK(refused([](auto& bad) { bad.backoff_jitter = 4; }));
  CHECK(refused([](auto& bad) { bad.backoff_jitter = -1; }));
  CHECK(refused([](auto& bad) { bad.retry_on = 3; }));
  CHECK(refused([](auto& bad) { bad.retry_on = -1; }));
  CHECK(refused([](auto& bad) { bad.period_mode = 2; }));
  CHECK(refused([](auto& bad) { bad.period_mode = -1; }));
  CHECK(Stats(pool).submitted == 0);
  CHECK(story.runs + story.dones + story.drops == 0);
  CheckSettled(pool);
}

}  // namespace
}  // namespace workpool_test
