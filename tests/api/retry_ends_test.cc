// Tasks that are tried again, when they are cancelled, their pool is closed, or somebody waits for them.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>

#include "retry_support.h"

namespace workpool_test {
namespace {

// ---- cancel and close

TEST_CASE("H9: a task cancelled during its back-off is cancelled once, and not tried again", "[retries]") {
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  const Told ticket(pool, Retried(story.Task(), 100, 500 * kMs));
  REQUIRE(PollUntil([&] { return story.runs == 1 && Stats(pool).workers_busy == 0; }));
  CHECK(pool_cancel(ticket) == POOL_OK);
  CHECK(story.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.attempts == 1);
  CHECK(result.worker == 0);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CHECK(HoldsThroughout([&] { return story.runs == 1; }, std::chrono::milliseconds(600)));
  CheckSettled(pool);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.cancelled == 1);
  CHECK(stats.ended_run == 1);
  CHECK(story.drops == 1);
}

// One that failed by itself has failed; one that asks for another attempt does not get it.
TEST_CASE("H9: a task cancelled while it runs gets no further attempt, and keeps its own failure", "[retries]") {
  for (const int32_t code : {POOL_RETRY, -1600}) {
    Gate gate;
    Story story([&](pool_ctx_t* ctx) {
      gate.Pass();
      return pool_ctx_should_stop(ctx) == 1 ? code : -1;
    });
    ScopedPool pool(1);
    pool_task_t task = Retried(story.Task(), 100);
    task.retry_on = POOL_RETRY_ON_FAILURE;
    const Told ticket(pool, task);
    REQUIRE(gate.AwaitArrivals(1));
    CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
    gate.Open();
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == (code == POOL_RETRY ? POOL_CANCELLED : POOL_FAILED));
    CHECK(result.code == (code == POOL_RETRY ? POOL_E_CANCELLED : code));
    CHECK(result.attempts == 1);
    CheckSettled(pool);
    CHECK(story.runs == 1);
    CHECK(story.drops == 1);
  }
}

TEST_CASE("a task whose deadline passes while it runs gets no further attempt, and keeps its own failure", "[retries]") {
  for (const int32_t code : {POOL_RETRY, -1600}) {
    Story story([&](pool_ctx_t* ctx) {
      while (pool_now_ns() <= pool_ctx_deadline_ns(ctx)) SleepNs(kMs);
      return code;
    });
    ScopedPool pool(1);
    pool_task_t task = Retried(story.Task(), 100);
    task.retry_on = POOL_RETRY_ON_FAILURE;
    task.deadline_ns = FromNow(100 * kMs);
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.attempts <= 1);
    if (result.attempts == 0) continue;  // it started too late on a busy machine
    CHECK(result.outcome == (code == POOL_RETRY ? POOL_EXPIRED : POOL_FAILED));
    CHECK(result.code == (code == POOL_RETRY ? POOL_E_EXPIRED : code));
  }
}

TEST_CASE("H9: a cancel at any moment of a task that is tried again ends it once", "[retries]") {
  ScopedPool pool(2);
  uint64_t won = 0, asked = 0;
  for (uint64_t round = 0; round < Rounds(4'000); ++round) {
    Story story(POOL_RETRY);
    pool_task_t task = Retried(story.Task(), UINT32_MAX, 20 * kUs);
    task.backoff_factor_percent = 100;
    const Told ticket(pool, task);
    SpinFor(std::chrono::microseconds(round % 400));
    const pool_status_t status = pool_cancel(ticket);
    const uint64_t runs = story.runs;
    const pool_result_t result = WaitForResult(ticket);
    REQUIRE(result.outcome == POOL_CANCELLED);
    REQUIRE(result.code == POOL_E_CANCELLED);
    REQUIRE(result.attempts == story.runs);
    if (status == POOL_OK) {
      ++won;
      REQUIRE(result.attempts == runs);
    } else {
      ++asked;
      REQUIRE(status == POOL_E_ALREADY);
      REQUIRE(result.attempts <= runs + 1);  // the run that was on, which may not have come to its body yet
    }
    REQUIRE(story.dones == 1);
    REQUIRE(story.drops == 1);
  }
  CHECK(won > 0);
  CheckSettled(pool);
  CHECK(Stats(pool).cancelled == won + asked);
}

TEST_CASE("a group or a token that is cancelled ends its members in their back-off, with its reason", "[retries]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  pool_token_t token = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  REQUIRE(pool_token_create(0, &token) == POOL_OK);
  std::array<Story, 5> members{Story{POOL_RETRY}, Story{POOL_RETRY}, Story{POOL_RETRY}, Story{POOL_RETRY},
                               Story{POOL_RETRY}};
  std::array<Story, 5> under{Story{POOL_RETRY}, Story{POOL_RETRY}, Story{POOL_RETRY}, Story{POOL_RETRY},
                             Story{POOL_RETRY}};
  for (auto& story : members) {
    pool_task_t task = Retried(story.Task(), 3, kHour);
    task.group = group;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  for (auto& story : under) {
    pool_task_t task = Retried(story.Task(), 3, kHour);
    task.token = token;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  REQUIRE(PollUntil([&] { return Stats(pool).started == 10 && Stats(pool).workers_busy == 0; }));
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_token_cancel(token, -1234) == POOL_OK);
  CheckSettled(pool);
  for (const auto& story : members) CHECK(story.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
  for (const auto& story : under) CHECK(story.Ended(POOL_CANCELLED, -1234));
  CHECK(Stats(pool).attempts == 10);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a token that is cancelled while its task runs ends it with its reason, if it asks for another attempt",
          "[retries]") {
  Gate gate;
  Story story([&](pool_ctx_t*) {
    gate.Pass();
    return POOL_RETRY;
  });
  ScopedPool pool(1);
  pool_token_t token = 0;
  REQUIRE(pool_token_create(0, &token) == POOL_OK);
  pool_task_t task = Retried(story.Task(), 3);
  task.token = token;
  const Told ticket(pool, task);
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_token_cancel(token, -1234) == POOL_OK);
  gate.Open();
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.code == -1234);
  CHECK(result.attempts == 1);
  CheckSettled(pool);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a draining close waits for the attempts that are left", "[retries]") {
  Story succeeds(SucceedsIn(3)), fails(POOL_RETRY);
  ScopedPool pool(1);
  pool_task_t task = Retried(succeeds.Task(), 5, 20 * kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  task = Retried(fails.Task(), 2, 20 * kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CheckSettled(pool);
  CHECK(succeeds.Ended(POOL_DONE, 0));
  CHECK(succeeds.runs == 3);
  CHECK(fails.Ended(POOL_FAILED, POOL_RETRY));
  CHECK(fails.runs == 3);
}

TEST_CASE("a cancelling close and a release end a task in its back-off at once", "[retries]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL, -1}) {
    Story story(POOL_RETRY);
    ScopedPool pool(1);
    const Told ticket(pool, Retried(story.Task(), 3, kHour));
    REQUIRE(PollUntil([&] { return story.runs == 1 && Stats(pool).workers_busy == 0; }));
    if (mode < 0) {
      CHECK(pool_release(pool.GiveUp()) == POOL_OK);
    } else {
      CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
      CheckSettled(pool);
    }
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_CANCELLED);
    CHECK(result.code == POOL_E_CLOSED);
    CHECK(result.attempts == 1);
    CHECK(PollUntil([&] { return story.drops == 1; }));
    CHECK(story.runs == 1);
  }
}

TEST_CASE("a task that asks for another attempt of a pool that cancels gets none, and ends once", "[retries]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    Gate gate;
    Story story([&](pool_ctx_t*) {
      gate.Pass();
      return POOL_RETRY;
    });
    ScopedPool pool(1);
    const Told ticket(pool, Retried(story.Task(), 100));
    REQUIRE(gate.AwaitArrivals(1));
    CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
    gate.Open();
    CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
    CheckSettled(pool);
    CHECK(story.runs == 1);
    CHECK(story.drops == 1);
    CHECK(WaitForResult(ticket).attempts == 1);
  }
}

TEST_CASE("closing at any moment of tasks that are tried again ends each once", "[retries]") {
  constexpr size_t kCount = 30;
  std::minstd_rand random(8);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    const auto tallies = std::make_unique<std::array<Tally, kCount>>();
    ScopedPool pool(2);
    for (auto& tally : *tallies) {
      tally.code = POOL_RETRY;
      pool_task_t task = Retried(TallyTask(tally), 3, 1 + static_cast<int64_t>(random() % (200 * kUs)));
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    SpinFor(std::chrono::microseconds(random() % 400));
    const int32_t mode = static_cast<int32_t>(round % 4);
    if (mode == 3) {
      REQUIRE(pool_release(pool.GiveUp()) == POOL_OK);
    } else {
      REQUIRE(pool_close(pool, mode, kBoundNs) == POOL_OK);
      CheckSettled(pool);
    }
    for (const Tally& tally : *tallies) {
      REQUIRE(PollUntil([&] { return tally.drops == 1; }));
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.runs <= 4);
      if (mode == POOL_DRAIN) REQUIRE(tally.runs == 4);
    }
  }
}

// ---- groups

TEST_CASE("a group is waited for until its members are tried no more", "[retries]") {
  ScopedPool pool(2);
  pool_group_t group = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  Story succeeds(SucceedsIn(3)), fails([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 1 ? -1001 : -1002; });
  pool_task_t task = Retried(succeeds.Task(), 2, 10 * kMs);
  task.group = group;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  int32_t first_code = 1;
  CHECK(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
  CHECK(succeeds.runs == 3);
  CHECK(succeeds.drops == 1);
  CHECK(first_code == 0);  // what was mended by another attempt is no failure
  task = Retried(fails.Task(), 1, 10 * kMs);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  task.group = group;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  CHECK(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
  CHECK(fails.runs == 2);
  CHECK(first_code == -1002);  // that of its last attempt
  CheckSettled(pool);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("a group of many that fail, are tried again and are cancelled is left by each once", "[retries]") {
  std::minstd_rand random(10);
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    constexpr size_t kCount = 40;
    const auto tallies = std::make_unique<std::array<Tally, kCount>>();
    ScopedPool pool(2);
    pool_group_t group = 0;
    REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
    for (auto& tally : *tallies) {
      tally.code = random() % 2 == 0 ? POOL_RETRY : 0;
      pool_task_t task = Retried(TallyTask(tally), 50, 1 + static_cast<int64_t>(random() % (100 * kUs)));
      task.group = group;
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    SpinFor(std::chrono::microseconds(random() % 400));
    REQUIRE(pool_group_cancel(group) == POOL_OK);
    REQUIRE(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
    for (const Tally& tally : *tallies) {
      REQUIRE(tally.drops == 1);
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.drop_outcome == (tally.code == 0 && tally.runs == 1 ? POOL_DONE : POOL_CANCELLED));
    }
    CheckSettled(pool);
    REQUIRE(pool_group_release(group) == POOL_OK);
  }
}

TEST_CASE("a task that waits for a group runs its members, and waits for those that are tried again", "[retries]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  std::array<Story, 4> members{Story(SucceedsIn(2)), Story(SucceedsIn(3)), Story(SucceedsIn(1)), Story(SucceedsIn(4))};
  std::atomic<int32_t> waited{1};
  Story parent([&](pool_ctx_t*) {
    for (auto& member : members) {
      pool_task_t task = Retried(member.Task(), 3, 5 * kMs);
      task.group = group;
      Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
    }
    waited = pool_group_wait(group, kBoundNs, nullptr);
    return 0;
  });
  const Told ticket(pool, parent.Task());
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(waited == POOL_OK);
  for (auto& member : members) CHECK(member.Ended(POOL_DONE, 0));
  CheckSettled(pool);
  CHECK(Stats(pool).attempts == 1 + 2 + 3 + 1 + 4);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("a task that waits for one that is tried again does not run it before its time", "[retries]") {
  Story child(SucceedsIn(3));
  std::atomic<int32_t> waited{1};
  std::atomic<uint64_t> before_ns{0};
  ScopedPool pool(1);
  Story parent([&](pool_ctx_t*) {
    before_ns = pool_now_ns();
    const pool_ticket_t ticket = Submit(pool, Retried(child.Task(), 2, 20 * kMs));
    waited = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
    return pool_ticket_release(ticket);
  });
  const Told ticket(pool, parent.Task());
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(waited == POOL_OK);
  CHECK(child.Ended(POOL_DONE, 0));
  CHECK(child.begun_ns >= before_ns + (20 + 40) * kMs);
  CheckSettled(pool);
}

}  // namespace
}  // namespace workpool_test
