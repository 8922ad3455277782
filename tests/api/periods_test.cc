// period_ns: one run after another, on a grid or with a pause between them, never two at once and none made up for;
// until it is cancelled, fails or its pool closes.
#include <catch2/catch.hpp>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

struct Run {
  uint64_t begin_ns;
  uint64_t end_ns;
};

// A periodic task that writes down when it ran. more is called in each run, with its number from 1.
class Series {
 public:
  explicit Series(std::function<int32_t(pool_ctx_t*, uint64_t)> more = nullptr) : more_(std::move(more)) {}

  [[nodiscard]] pool_task_t Task(int64_t period_ns, int32_t mode = POOL_PERIOD_FIXED_RATE) {
    pool_task_t task = story.Task();
    task.period_ns = period_ns;
    task.period_mode = mode;
    return task;
  }
  [[nodiscard]] std::vector<Run> runs() {
    const std::lock_guard<std::mutex> lock(mu_);
    return runs_;
  }
  [[nodiscard]] uint64_t count() {
    const std::lock_guard<std::mutex> lock(mu_);
    return runs_.size();
  }
  [[nodiscard]] bool AwaitRuns(uint64_t count_of_runs) {
    return PollUntil([&] { return count() >= count_of_runs; });
  }
  [[nodiscard]] uint64_t overlaps() const { return overlaps_; }

  Story story{[this](pool_ctx_t* ctx) {
    if (inside_.exchange(true)) ++overlaps_;
    const uint64_t begin_ns = pool_now_ns();
    const int32_t code = more_ ? more_(ctx, ++number_) : 0;
    const uint64_t end_ns = pool_now_ns();
    inside_ = false;
    const std::lock_guard<std::mutex> lock(mu_);
    runs_.push_back({begin_ns, end_ns});
    return code;
  }};

 private:
  const std::function<int32_t(pool_ctx_t*, uint64_t)> more_;
  std::mutex mu_;
  std::vector<Run> runs_;
  uint64_t number_ = 0;
  std::atomic<bool> inside_{false};
  std::atomic<uint64_t> overlaps_{0};
};

// Ends it, and sees that nothing of it comes later.
void Stop(pool_t pool, pool_ticket_t ticket, Series& series) {
  const pool_status_t status = pool_cancel(ticket);
  CHECK((status == POOL_OK || status == POOL_E_ALREADY));
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.code == 0);
  CHECK(result.attempts == series.count());
  CheckSettled(pool);
  CHECK(series.story.Ended(POOL_DONE, 0));
  CHECK(series.overlaps() == 0);
}

// ---- when it runs

TEST_CASE("a task with a fixed rate never runs before its place on the grid", "[periods]") {
  constexpr int64_t kPeriodNs = 3 * kMs;
  Series series;
  ScopedPool pool(2);
  const uint64_t submit_ns = pool_now_ns();
  const Told ticket(pool, series.Task(kPeriodNs));
  REQUIRE(series.AwaitRuns(20));
  Stop(pool, ticket, series);
  const std::vector<Run> runs = series.runs();
  for (size_t i = 0; i < runs.size(); ++i) CHECK(runs[i].begin_ns >= submit_ns + i * kPeriodNs);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.submitted == 1);
  CHECK(stats.started == 1);
  CHECK(stats.done == 1);
  CHECK(stats.attempts == runs.size());
}

TEST_CASE("a task with a fixed rate keeps its rate, though its runs take time", "[periods][serial]") {
  constexpr int64_t kPeriodNs = 20 * kMs;
  CHECK(OneIsInTime([] {
    Series series([](pool_ctx_t*, uint64_t) {
      SleepNs(10 * kMs);
      return 0;
    });
    ScopedPool pool(1);
    const uint64_t submit_ns = pool_now_ns();
    const Told ticket(pool, series.Task(kPeriodNs));
    REQUIRE(series.AwaitRuns(26));
    Stop(pool, ticket, series);
    const std::vector<Run> runs = series.runs();
    CHECK(runs[25].begin_ns >= submit_ns + 25 * kPeriodNs);
    // With a pause of a period between runs it would be 750 ms.
    return runs[25].begin_ns < submit_ns + 25 * kPeriodNs + 120 * kMs;
  }));
}

TEST_CASE("a task with a fixed delay pauses between its runs", "[periods]") {
  constexpr int64_t kPeriodNs = 3 * kMs;
  Series series([](pool_ctx_t*, uint64_t number) {
    if (number % 4 == 0) SleepNs(5 * kMs);
    return 0;
  });
  ScopedPool pool(2);
  const Told ticket(pool, series.Task(kPeriodNs, POOL_PERIOD_FIXED_DELAY));
  REQUIRE(series.AwaitRuns(20));
  Stop(pool, ticket, series);
  const std::vector<Run> runs = series.runs();
  for (size_t i = 1; i < runs.size(); ++i) CHECK(runs[i].begin_ns >= runs[i - 1].end_ns + kPeriodNs);
}

TEST_CASE("after a slow run a fixed rate leaves out what it missed", "[periods]") {
  constexpr uint64_t kPeriodNs = uint64_t{10 * kMs};
  Series series([](pool_ctx_t*, uint64_t number) {
    if (number == 2) SleepNs(105 * kMs);
    return 0;
  });
  ScopedPool pool(2);
  const uint64_t submit_ns = pool_now_ns();
  const Told ticket(pool, series.Task(kPeriodNs));
  REQUIRE(series.AwaitRuns(8));
  Stop(pool, ticket, series);
  const std::vector<Run> runs = series.runs();
  // The first place after the slow run is the next one's; from there on each has a place of its own.
  const uint64_t missed = (runs[1].end_ns - submit_ns) / kPeriodNs;
  for (size_t i = 2; i < runs.size(); ++i) CHECK(runs[i].begin_ns >= submit_ns + (missed + i - 2) * kPeriodNs);
  CHECK(runs[3].begin_ns >= runs[1].end_ns + kPeriodNs);
}

TEST_CASE("the first run of a periodic task comes after its delay, and the grid begins there", "[periods]") {
  constexpr int64_t kPeriodNs = 5 * kMs;
  Series series;
  ScopedPool pool(1);
  const uint64_t submit_ns = pool_now_ns();
  pool_task_t task = series.Task(kPeriodNs);
  task.delay_ns = 50 * kMs;
  const Told ticket(pool, task);
  REQUIRE(series.AwaitRuns(4));
  Stop(pool, ticket, series);
  const std::vector<Run> runs = series.runs();
  for (size_t i = 0; i < 4; ++i) CHECK(runs[i].begin_ns >= submit_ns + 50 * kMs + i * kPeriodNs);
}

TEST_CASE("runs of one periodic task never overlap, whatever the period", "[periods]") {
  for (const int32_t mode : {POOL_PERIOD_FIXED_RATE, POOL_PERIOD_FIXED_DELAY}) {
    for (const int64_t period_ns : {int64_t{1}, 100 * kUs}) {
      Series series([](pool_ctx_t*, uint64_t) {
        SpinFor(std::chrono::microseconds(300));
        return 0;
      });
      ScopedPool pool(4);
      const Told ticket(pool, series.Task(period_ns, mode));
      REQUIRE(series.AwaitRuns(30));
      Stop(pool, ticket, series);
    }
  }
}

TEST_CASE("a task that is always due leaves the worker to others, and can be cancelled", "[periods]") {
  for (const int32_t strategy : {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO}) {
    Series series;
    std::atomic<uint64_t> runs{0};
    pool_options_t options = Options(1);
    options.strategy = strategy;
    ScopedPool pool(options);
    const Told ticket(pool, series.Task(1));
    REQUIRE(series.AwaitRuns(10));
    for (int i = 0; i < 100; ++i) REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_OK);
    CHECK(PollUntil([&] { return runs == 100; }));
    Stop(pool, ticket, series);
  }
}

TEST_CASE("many periodic tasks each keep their own time", "[periods]") {
  std::vector<std::unique_ptr<Series>> all;
  std::vector<pool_ticket_t> tickets;
  ScopedPool pool(2);
  for (int64_t i = 0; i < 50; ++i) {
    all.push_back(std::make_unique<Series>());
    tickets.push_back(Submit(pool, all.back()->Task((1 + i % 7) * kMs, i % 2 == 0 ? POOL_PERIOD_FIXED_RATE
                                                                                  : POOL_PERIOD_FIXED_DELAY)));
  }
  for (const auto& series : all) CHECK(series->AwaitRuns(6));
  for (const pool_ticket_t ticket : tickets) (void)pool_cancel(ticket);
  CheckSettled(pool);
  for (size_t i = 0; i < all.size(); ++i) {
    const auto period_ns = static_cast<uint64_t>((1 + static_cast<int64_t>(i) % 7) * kMs);
    const std::vector<Run> runs = all[i]->runs();
    CHECK(runs.back().begin_ns >= runs.front().begin_ns + (runs.size() - 2) * period_ns);
    CHECK(all[i]->story.Ended(POOL_DONE, 0));
    CHECK(all[i]->overlaps() == 0);
    CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
  }
}

TEST_CASE("G7: a pool with no worker starts one for each run of a periodic task", "[periods]") {
  Series series;
  pool_options_t options = Options(1);
  options.keep_alive_ns = kMs;
  ScopedPool pool(options);
  const Told ticket(pool, series.Task(40 * kMs));
  REQUIRE(series.AwaitRuns(4));
  CHECK(Stats(pool).retired >= 1);
  Stop(pool, ticket, series);
}

TEST_CASE("a period without end is one run", "[periods]") {
  for (const int32_t mode : {POOL_PERIOD_FIXED_RATE, POOL_PERIOD_FIXED_DELAY}) {
    Series series;
    ScopedPool pool(1);
    const Told ticket(pool, series.Task(INT64_MAX, mode));
    REQUIRE(series.AwaitRuns(1));
    CHECK(HoldsThroughout([&] { return series.count() == 1; }));
    Stop(pool, ticket, series);
  }
}

// ---- what one sees of it

TEST_CASE("a periodic task is waited for until it ends, and keeps its pool from being idle", "[periods]") {
  Series series([](pool_ctx_t* ctx, uint64_t number) { return pool_ctx_set_value(ctx, number); });
  ScopedPool pool(1);
  const Told ticket(pool, series.Task(kMs));
  REQUIRE(series.AwaitRuns(3));
  CHECK(pool_wait(ticket, 0, 10 * kMs, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait_idle(pool, 10 * kMs) == POOL_E_TIMEOUT);
  CHECK(series.story.drops == 0);
  Stop(pool, ticket, series);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.value == series.count());  // of the last run
  CHECK(result.worker == 0);
  CHECK(result.run_ns < uint64_t{kBoundNs});
}

TEST_CASE("each run of a periodic task has a number of its own", "[periods]") {
  std::atomic<uint64_t> bad{0};
  Series series([&](pool_ctx_t* ctx, uint64_t number) {
    if (pool_ctx_attempt(ctx) != number) ++bad;
    return 0;
  });
  ScopedPool pool(1);
  const Told ticket(pool, series.Task(kMs));
  REQUIRE(series.AwaitRuns(5));
  Stop(pool, ticket, series);
  CHECK(bad == 0);
}

// ---- how it ends

TEST_CASE("a periodic task cancelled before its first run is cancelled", "[periods]") {
  Series series;
  ScopedPool pool(1);
  pool_task_t task = series.Task(kMs);
  task.delay_ns = kHour;
  const Told ticket(pool, task);
  CHECK(pool_cancel(ticket) == POOL_OK);
  CHECK(series.story.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
  CheckSettled(pool);
  CHECK(series.count() == 0);
}

TEST_CASE("a periodic task cancelled between two runs is done, at once", "[periods]") {
  Series series;
  ScopedPool pool(1);
  const Told ticket(pool, series.Task(kHour));
  REQUIRE(series.AwaitRuns(1));
  REQUIRE(PollUntil([&] { return Stats(pool).workers_busy == 0; }));
  CHECK(pool_cancel(ticket) == POOL_OK);
  CHECK(series.story.Ended(POOL_DONE, 0));
  CHECK(series.story.result.attempts == 1);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CheckSettled(pool);
  CHECK(Stats(pool).ended_run == 1);
}

TEST_CASE("a periodic task cancelled in a run is asked to stop, and that is its last", "[periods]") {
  std::atomic<bool> running{false};
  Series series([&](pool_ctx_t* ctx, uint64_t number) {
    if (number < 3) return 0;
    running = true;
    return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? 0 : -1;
  });
  ScopedPool pool(2);
  const Told ticket(pool, series.Task(kMs));
  REQUIRE(PollUntil([&] { return running.load(); }));
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.attempts == 3);
  CHECK(HoldsThroughout([&] { return series.count() == 3; }, std::chrono::milliseconds(20)));
  CheckSettled(pool);
}

TEST_CASE("a periodic task may end itself by its own ticket", "[periods]") {
  Gate gate;
  pool_ticket_t ticket = 0;
  std::atomic<int32_t> status{1};
  Series series([&](pool_ctx_t*, uint64_t number) {
    if (number == 1) gate.Pass();
    if (number == 4) status = pool_cancel(ticket);
    return 0;
  });
  ScopedPool pool(1);
  ticket = Submit(pool, series.Task(kMs));
  gate.Open();
  const pool_result_t result = WaitForResult(ticket);
  CHECK(status == POOL_E_ALREADY);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.attempts == 4);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a failure ends a periodic task", "[periods]") {
  for (const bool throws : {false, true}) {
    Series series([&](pool_ctx_t*, uint64_t number) {
      if (number < 3) return 0;
      if (throws) throw std::runtime_error("no more");
      return -1700;
    });
    ScopedPool pool(1);
    const Told ticket(pool, series.Task(kMs));
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == (throws ? POOL_E_EXCEPTION : -1700));
    CHECK(result.attempts == 3);
    CHECK(std::string(result.text) == (throws ? "no more" : ""));
    CheckSettled(pool);
    CHECK(series.story.runs == 3);
    CHECK(series.story.drops == 1);
    CHECK(Stats(pool).failed == 1);
  }
}

TEST_CASE("a close of any kind, a destroy and a release end a periodic task as its last run did", "[periods]") {
  enum End { kDrain, kCancelQueued, kCancelAll, kDestroy, kRelease };
  for (const End end : {kDrain, kCancelQueued, kCancelAll, kDestroy, kRelease}) {
    for (const int64_t period_ns : {kMs / 2, kHour}) {
      Series series;
      ScopedPool pool(1);
      const Told ticket(pool, series.Task(period_ns));
      REQUIRE(series.AwaitRuns(period_ns == kHour ? 1 : 5));
      if (end == kDestroy) {
        CHECK(pool_destroy(pool.GiveUp()) == POOL_OK);
      } else if (end == kRelease) {
        CHECK(pool_release(pool.GiveUp()) == POOL_OK);
      } else {
        CHECK(pool_close(pool, end, kBoundNs) == POOL_OK);
        CheckSettled(pool);
      }
      const pool_result_t result = WaitForResult(ticket);
      CHECK(result.outcome == POOL_DONE);
      CHECK(result.code == 0);
      CHECK(result.attempts == series.count());
      CHECK(PollUntil([&] { return series.story.drops == 1; }));
      CHECK(series.story.Ended(POOL_DONE, 0));
    }
  }
}

TEST_CASE("a close that drains does not wait for a period, but for the run that is on", "[periods]") {
  Gate gate;
  Series series([&](pool_ctx_t*, uint64_t number) {
    if (number == 2) gate.Pass();
    return 0;
  });
  ScopedPool pool(1);
  const Told ticket(pool, series.Task(kMs));
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_close(pool, POOL_DRAIN, 10 * kMs) == POOL_E_TIMEOUT);
  gate.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CheckSettled(pool);
  CHECK(series.count() == 2);
  CHECK(series.story.Ended(POOL_DONE, 0));
}

TEST_CASE("a draining close gives a queued periodic task its first run", "[periods]") {
  Series series;
  BlockedPool pool(1);
  const Told ticket(pool, series.Task(kMs));
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  pool.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CheckSettled(pool);
  CHECK(series.count() == 1);
  CHECK(series.story.Ended(POOL_DONE, 0));
}

TEST_CASE("a periodic task does not run after its deadline, and ends as its last run did", "[periods]") {
  Series series;
  ScopedPool pool(1);
  pool_task_t task = series.Task(5 * kMs);
  task.deadline_ns = FromNow(300 * kMs);
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.code == 0);
  CHECK(result.attempts == series.count());
  CHECK(series.count() >= 1);
  for (const Run& run : series.runs()) CHECK(run.begin_ns <= task.deadline_ns);
  // At once, when the next run would be too late.
  CHECK(series.story.ended_ns + 6 * kMs > task.deadline_ns - 5 * kMs);
  CheckSettled(pool);
  CHECK(Stats(pool).ended_run == 1);
}

TEST_CASE("a periodic task that waits in a queue at its deadline ends as its last run did, or expires before the first",
          "[periods]") {
  for (const bool has_run : {true, false}) {
    CAPTURE(has_run);
    Gate gate;
    Series series;
    ScopedPool pool(1);
    pool_task_t task = series.Task(5 * kMs);
    task.deadline_ns = FromNow(300 * kMs);
    if (!has_run) Must(pool_submit(pool, PassGate, &gate), "submit a gate");
    const Told ticket(pool, task);
    if (has_run) {
      REQUIRE(series.AwaitRuns(1));
      Must(pool_submit(pool, PassGate, &gate), "submit a gate");
    }
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == (has_run ? POOL_DONE : POOL_EXPIRED));
    CHECK(result.attempts == series.count());
    gate.Open();
    CheckSettled(pool);
    CHECK(series.story.drops == 1);
  }
}

TEST_CASE("a cancelled group or token ends its periodic tasks, done if they have run", "[periods]") {
  ScopedPool pool(2);
  pool_group_t group = 0;
  pool_token_t token = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  REQUIRE(pool_token_create(0, &token) == POOL_OK);
  Series member, under, not_yet;
  pool_task_t task = member.Task(kMs);
  task.group = group;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  task = under.Task(kMs);
  task.token = token;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  task = not_yet.Task(kMs);
  task.token = token;
  task.delay_ns = kHour;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  REQUIRE(member.AwaitRuns(3));
  REQUIRE(under.AwaitRuns(3));
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  CHECK(pool_group_cancel(group) == POOL_OK);
  int32_t first_code = 1;
  CHECK(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
  CHECK(first_code == 0);
  CHECK(pool_token_cancel(token, -1300) == POOL_OK);
  CheckSettled(pool);
  CHECK(member.story.Ended(POOL_DONE, 0));
  CHECK(under.story.Ended(POOL_DONE, 0));
  CHECK(not_yet.story.Ended(POOL_CANCELLED, -1300));
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a cancel at any moment of a periodic task wins or asks, and it ends once", "[periods]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(2'000); ++round) {
    Series series;
    const Told ticket(pool, series.Task(50 * kUs));
    SpinFor(std::chrono::microseconds(round % 300));
    const pool_status_t status = pool_cancel(ticket);
    const uint64_t runs = series.count();
    const pool_result_t result = WaitForResult(ticket);
    REQUIRE((status == POOL_OK || status == POOL_E_ALREADY));
    if (status == POOL_OK) {
      REQUIRE(result.attempts == runs);  // no further one
      REQUIRE(result.outcome == (runs == 0 ? POOL_CANCELLED : POOL_DONE));
    } else {
      REQUIRE(result.outcome == POOL_DONE);
    }
    REQUIRE(series.story.drops == 1);
    REQUIRE(series.story.dones == 1);
    REQUIRE(series.overlaps() == 0);
  }
  CheckSettled(pool);
}

// ---- retries within a period

TEST_CASE("a run that is tried again does not end a periodic task, and successes forgive", "[periods]") {
  // Each second attempt succeeds: with one retry it goes on for ever.
  Series series([](pool_ctx_t*, uint64_t number) { return number % 2 == 1 ? POOL_RETRY : 0; });
  ScopedPool pool(1);
  pool_task_t task = series.Task(2 * kMs);
  task.retries_max = 1;
  task.backoff_first_ns = 100 * kUs;
  const Told ticket(pool, task);
  CHECK(series.AwaitRuns(20));
  (void)pool_cancel(ticket);
  const pool_result_t result = WaitForResult(ticket);
  CHECK((result.outcome == POOL_DONE || result.outcome == POOL_CANCELLED));
  CHECK(result.attempts == series.count());
  CheckSettled(pool);
  CHECK(Stats(pool).attempts == series.count());
}

TEST_CASE("a periodic task fails when its retries in a row are used up", "[periods]") {
  Series series([](pool_ctx_t*, uint64_t number) { return number <= 4 ? 0 : POOL_RETRY; });
  ScopedPool pool(1);
  pool_task_t task = series.Task(kMs);
  task.retries_max = 2;
  task.backoff_first_ns = 100 * kUs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == POOL_RETRY);
  CHECK(result.attempts == 7);
  CheckSettled(pool);
}

TEST_CASE("retries do not move the grid of a fixed rate", "[periods][serial]") {
  constexpr uint64_t kPeriodNs = uint64_t{20 * kMs};
  constexpr size_t kPlaces = 20;
  CHECK(OneIsInTime([] {
    // At each of its places it fails once.
    Series series([](pool_ctx_t*, uint64_t number) { return number % 2 == 1 ? POOL_RETRY : 0; });
    ScopedPool pool(1);
    const uint64_t submit_ns = pool_now_ns();
    pool_task_t task = series.Task(kPeriodNs);
    task.retries_max = 1;
    task.backoff_first_ns = 15 * kMs;
    task.backoff_jitter = POOL_JITTER_NONE;
    const Told ticket(pool, task);
    REQUIRE(series.AwaitRuns(2 * kPlaces));
    (void)pool_cancel(ticket);
    CheckSettled(pool);
    const std::vector<Run> runs = series.runs();
    for (size_t place = 0; place < kPlaces; ++place) {
      CHECK(runs[2 * place].begin_ns >= submit_ns + place * kPeriodNs);
      CHECK(runs[2 * place + 1].begin_ns >= runs[2 * place].end_ns + 15 * kMs);
    }
    // Else the last place would be at 665 ms, not at 380 ms.
    return runs[2 * kPlaces - 2].begin_ns < submit_ns + (kPlaces - 1) * kPeriodNs + 200 * kMs;
  }));
}

}  // namespace
}  // namespace workpool_test
