// Rates: token buckets of a pool and of a class, and how many tasks of a class run at once.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <thread>

#include "order_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kHourNs = 3'600'000 * kMs;

pool_options_t RateOptions(uint64_t count, int64_t period_ns, uint32_t burst, int32_t on_rate) {
  pool_options_t options = MarkOptions(1);
  options.rate_count = count;
  options.rate_period_ns = period_ns;
  options.rate_burst = burst;
  options.on_rate = on_rate;
  return options;
}

pool_class_options_t ClassOptions() {
  pool_class_options_t rules;
  Must(pool_class_options_init(&rules, sizeof(rules)), "pool_class_options_init");
  return rules;
}

pool_class_options_t ClassRate(uint64_t count, int64_t period_ns, uint32_t burst, int32_t on_rate) {
  pool_class_options_t rules = ClassOptions();
  rules.rate_count = count;
  rules.rate_period_ns = period_ns;
  rules.rate_burst = burst;
  rules.on_rate = on_rate;
  return rules;
}

pool_class_options_t ClassWidth(uint32_t concurrency_max) {
  pool_class_options_t rules = ClassOptions();
  rules.concurrency_max = concurrency_max;
  return rules;
}

pool_task_t OfClass(pool_task_t task, uint32_t class_id) {
  task.class_id = class_id;
  return task;
}

TEST_CASE("H17: a pool with a rate that rejects takes a burst, and then refuses every function", "[rates]") {
  for (const uint32_t burst : {0u, 1u, 3u, 100u}) {
    CAPTURE(burst);
    const uint32_t tokens = std::max(burst, 1u);
    Marks marks(tokens + 8);
    ScopedPool pool(RateOptions(1, kHourNs, burst, POOL_ON_RATE_REJECT));
    for (size_t i = 0; i < tokens; ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
    for (size_t i = 0; i < 8; ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[tokens + i]) == POOL_E_RATE);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == tokens);
    CHECK(Stats(pool).submitted == tokens);
    CHECK(Stats(pool).rejected == 8);
    for (size_t i = 0; i < 8; ++i) CHECK(marks[tokens + i].Untouched());
  }
}

TEST_CASE("an array is taken as far as there are tokens", "[rates]") {
  for (const bool batch : {false, true}) {
    Marks marks(10);
    ScopedPool pool(RateOptions(1, kHourNs, 4, POOL_ON_RATE_REJECT));
    std::vector<void*> args;
    std::vector<pool_task_t> tasks;
    for (size_t i = 0; i < 10; ++i) {
      args.push_back(&marks[i]);
      tasks.push_back(marks[i].Task());
    }
    uint32_t accepted = 99;
    CHECK((batch ? pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 10, nullptr, &accepted)
                 : pool_submit_many(pool, Mark::Run, args.data(), 10, &accepted)) == POOL_E_RATE);
    CHECK(accepted == 4);
    CheckSettled(pool);
    CHECK(marks.order() == Range(0, 4));
    CHECK(Stats(pool).rejected == 1);
  }
}

TEST_CASE("H17: on_rate of a task goes before that of its class, and that before its pool's", "[rates]") {
  struct Row {
    int32_t of_pool, of_class, of_task;
    pool_status_t status;
  };
  constexpr int32_t kDefault = POOL_ON_RATE_DEFAULT, kReject = POOL_ON_RATE_REJECT, kBlock = POOL_ON_RATE_BLOCK,
                    kDelay = POOL_ON_RATE_DELAY;
  constexpr Row kRows[] = {
      {kDefault, kDefault, kDefault, POOL_OK},     {kReject, kDefault, kDefault, POOL_E_RATE},
      {kBlock, kDefault, kDefault, POOL_E_TIMEOUT}, {kReject, kDelay, kDefault, POOL_OK},
      {kDelay, kReject, kDefault, POOL_E_RATE},    {kReject, kBlock, kDefault, POOL_E_TIMEOUT},
      {kReject, kReject, kDelay, POOL_OK},         {kDelay, kDelay, kReject, POOL_E_RATE},
      {kDelay, kReject, kBlock, POOL_E_TIMEOUT},
  };
  for (const bool class_rate : {false, true}) {
    for (const Row& row : kRows) {
      CAPTURE(class_rate, row.of_pool, row.of_class, row.of_task);
      Marks marks(2);
      pool_options_t options = RateOptions(class_rate ? 0 : 1, kHourNs, 1, row.of_pool);
      options.submit_timeout_ns = 5 * kMs;
      ScopedPool pool(options);
      const pool_class_options_t rules = ClassRate(class_rate ? 1 : 0, kHourNs, 1, row.of_class);
      Must(pool_class_set(pool, 9, &rules), "class_set");
      pool_task_t task = OfClass(marks[0].Task(), 9);
      Must(pool_submit_task(pool, &task, nullptr), "the token of the burst");
      REQUIRE(WaitIdle(pool));
      task = OfClass(marks[1].Task(), 9);
      task.on_rate = row.of_task;
      CHECK(pool_submit_task(pool, &task, nullptr) == row.status);
      CHECK(Stats(pool).rejected == (row.status == POOL_OK ? 0 : 1));
      CHECK(Stats(pool).queued == (row.status == POOL_OK ? 1 : 0));
      CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
      CheckSettled(pool);
      CHECK(marks.CountEnded(POOL_CANCELLED) == (row.status == POOL_OK ? 1 : 0));
    }
  }
}

TEST_CASE("a burst starts at once, the rest at the rate and never before their time", "[rates]") {
  constexpr size_t kBurst = 20, kTasks = 40;
  constexpr int64_t kIntervalNs = 5 * kMs;  // 200 a second
  Marks marks(kTasks);
  std::vector<uint64_t> starts(kTasks);
  for (size_t i = 0; i < kTasks; ++i) {
    marks[i].then = [&starts, i](pool_ctx_t*) {
      starts[i] = pool_now_ns();
      return 0;
    };
  }
  ScopedPool pool(RateOptions(200, 0, kBurst, POOL_ON_RATE_DEFAULT));  // a period of 0 is a second
  const uint64_t begin_ns = pool_now_ns();
  for (size_t i = 0; i < kTasks; ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
  CheckSettled(pool);
  for (size_t i = 0; i < kTasks; ++i) {
    const auto after_ns = static_cast<int64_t>(starts[i] - begin_ns);
    if (i < kBurst) {
      CHECK(after_ns < 2'000 * kMs);
    } else {
      CHECK(after_ns >= static_cast<int64_t>(i + 1 - kBurst) * kIntervalNs);
    }
  }
  CHECK(starts[kTasks - 1] - begin_ns < 5'000 * kMs);
  CHECK(marks.CountEnded(POOL_DONE) == kTasks);
}

// So that a burst is not slower than without a rate, nor out of order.
TEST_CASE("what gets its token at once does not wait for a timer", "[rates]") {
  Marks marks(200);
  Barrier barrier;
  pool_options_t options = RateOptions(1, kHourNs, 1'000, POOL_ON_RATE_DELAY);
  options.strategy = POOL_STRATEGY_FIFO;
  options.on_full = POOL_ON_FULL_CALLER_RUNS;
  options.queue_limit = 150;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  for (size_t i = 0; i < 150; ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
  for (size_t i = 150; i < 200; ++i) {
    CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
    CHECK(marks[i].ran_on.load() == std::this_thread::get_id());
  }
  barrier.Open();
  CheckSettled(pool);
  std::vector<int64_t> expected = Range(150, 200);
  for (const int64_t number : Range(0, 150)) expected.push_back(number);
  CHECK(marks.order() == expected);
}

// Of delayed tasks: whether it is within one percent. Also a thread of the timers that is held up for a fiftieth of a
// second, at the beginning or the end, makes it miss.
bool RateIsMet(bool by_class) {
  constexpr uint64_t kRate = 2'000;
  constexpr size_t kTasks = 2 * kRate + 1;  // two seconds
  static std::atomic<uint64_t> starts, first_ns, last_ns;
  starts = first_ns = last_ns = 0;
  const pool_run_fn run = [](void*, pool_ctx_t*) -> int32_t {
    const uint64_t now_ns = pool_now_ns();
    if (starts.fetch_add(1) == 0) first_ns = now_ns;
    last_ns = now_ns;
    return 0;
  };
  pool_options_t options = RateOptions(by_class ? 0 : kRate, 1'000 * kMs, 1, POOL_ON_RATE_DELAY);
  options.drop = nullptr;
  ScopedPool pool(options);
  const pool_class_options_t rules = ClassRate(by_class ? kRate : 0, 1'000 * kMs, 1, POOL_ON_RATE_DELAY);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  const pool_task_t task = OfClass(Task(run, nullptr), 1);
  for (size_t i = 0; i < kTasks; ++i) {
    Must(by_class || i % 2 == 0 ? pool_submit_task(pool, &task, nullptr) : pool_submit(pool, run, nullptr), "submit");
  }
  CheckSettled(pool);
  CHECK(starts == kTasks);
  const double seconds = static_cast<double>(last_ns - first_ns) * 1e-9;
  return seconds > 1.98 && seconds < 2.02;
}

bool RateIsMetOnce(bool by_class) {
  for (int i = 0; i < 5; ++i) {
    if (RateIsMet(by_class)) return true;
  }
  return false;
}

TEST_CASE("the measured rate of delayed tasks is within one percent of the pool's", "[rates][serial]") {
  CHECK(RateIsMetOnce(false));
}

TEST_CASE("the measured rate of delayed tasks is within one percent of their class's", "[rates][serial]") {
  CHECK(RateIsMetOnce(true));
}

// Ten seconds at a rate, in one try, with four threads that submit: it is met within one percent.
void CheckRateOfTenSeconds(uint64_t rate, uint64_t burst, int32_t on_rate, bool by_class) {
  CAPTURE(rate, burst, on_rate, by_class);
  constexpr uint64_t kSeconds = 10, kThreads = 4;
  const uint64_t tasks = kSeconds * rate + burst;
  static std::atomic<uint64_t> starts, first_ns, last_ns;
  starts = first_ns = last_ns = 0;
  const pool_run_fn run = [](void*, pool_ctx_t*) -> int32_t {
    const uint64_t now_ns = pool_now_ns();
    if (starts.fetch_add(1) == 0) first_ns = now_ns;
    last_ns = now_ns;
    return 0;
  };
  pool_options_t options = RateOptions(by_class ? 0 : rate, 1'000 * kMs, static_cast<uint32_t>(burst), on_rate);
  options.drop = nullptr;
  ScopedPool pool(options);
  const pool_class_options_t rules =
      ClassRate(by_class ? rate : 0, 1'000 * kMs, static_cast<uint32_t>(burst), on_rate);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const pool_task_t task = OfClass(Task(run, nullptr), 1);
      for (uint64_t i; (i = next.fetch_add(1)) < tasks;) {
        Must(by_class || i % 2 == 0 ? pool_submit_task(pool, &task, nullptr) : pool_submit(pool, run, nullptr), "submit");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CheckSettled(pool);
  CHECK(starts == tasks);
  const double measured = static_cast<double>(tasks - burst) / (static_cast<double>(last_ns - first_ns) * 1e-9);
  std::printf("%llu a second with a burst of %llu by %s of a %s: measured %.3f\n", static_cast<unsigned long long>(rate),
              static_cast<unsigned long long>(burst), on_rate == POOL_ON_RATE_DELAY ? "delay" : "block",
              by_class ? "class" : "pool", measured);
  CHECK(measured > 0.99 * static_cast<double>(rate));
  CHECK(measured < 1.01 * static_cast<double>(rate));
}

TEST_CASE("the measured rate of ten seconds of delayed tasks is within one percent, in one try", "[rates][.][long]") {
  for (const uint64_t rate : {50u, 1'000u, 20'000u}) {
    for (const bool by_class : {false, true}) CheckRateOfTenSeconds(rate, 1, POOL_ON_RATE_DELAY, by_class);
  }
}

// A burst of 10 ms keeps the tokens of a time in which none of the threads gets to run.
TEST_CASE("the measured rate of ten seconds of submits that block is within one percent, in one try", "[rates][.][long]") {
  struct Row {
    uint64_t rate, burst;
  };
  for (const Row& row : {Row{50, 1}, Row{1'000, 1}, Row{1'000, 10}, Row{20'000, 200}}) {
    for (const bool by_class : {false, true}) CheckRateOfTenSeconds(row.rate, row.burst, POOL_ON_RATE_BLOCK, by_class);
  }
}

TEST_CASE("a pool with a rate that blocks lets every function wait for its token", "[rates]") {
  Marks marks(21);
  ScopedPool pool(RateOptions(100, 1'000 * kMs, 1, POOL_ON_RATE_BLOCK));
  const Stopwatch watch;
  for (size_t i = 0; i < marks.size(); ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
  CHECK(watch.Seconds() >= 0.199);
  CHECK(watch.Seconds() < 10);
  CheckSettled(pool);
  CHECK(marks.order() == Range(0, 21));
  CHECK(Stats(pool).rejected == 0);
}

TEST_CASE("several submitters that block for tokens all get theirs", "[rates]") {
  constexpr size_t kThreads = 4, kEach = 10;
  Marks marks(kThreads * kEach);
  ScopedPool pool(RateOptions(400, 1'000 * kMs, 1, POOL_ON_RATE_BLOCK));
  std::atomic<uint64_t> refused{0};
  std::vector<std::thread> threads;
  const Stopwatch watch;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; ++i) {
        if (SubmitBy(kAll[i % 4], pool, marks[t * kEach + i]) != POOL_OK) ++refused;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(watch.Seconds() >= 0.097);
  CHECK(refused == 0);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == marks.size());
}

TEST_CASE("a submit that blocks for a token gives up after the pool's timeout, or the task's", "[rates]") {
  Marks marks(8);
  pool_options_t options = RateOptions(1, kHourNs, 1, POOL_ON_RATE_BLOCK);
  options.submit_timeout_ns = 20 * kMs;
  ScopedPool pool(options);
  CHECK(SubmitBy(By::kSubmit, pool, marks[0]) == POOL_OK);
  for (size_t i = 1; i < 5; ++i) {
    const Stopwatch watch;
    CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_E_TIMEOUT);
    CHECK(watch.Seconds() >= 0.020);
    CHECK(watch.Seconds() < 5);
  }
  pool_task_t task = marks[5].Task();
  task.submit_timeout_ns = 60 * kMs;
  const Stopwatch watch;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.060);
  CHECK(Stats(pool).rejected == 5);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 1);
  for (size_t i = 1; i < 8; ++i) CHECK(marks[i].Untouched());
}

TEST_CASE("closing a pool refuses those who block for a token", "[rates][close]") {
  for (const int32_t mode : {POOL_DRAIN, POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    Marks marks(4);
    ScopedPool pool(RateOptions(1, kHourNs, 1, POOL_ON_RATE_BLOCK));
    CHECK(SubmitBy(By::kTask, pool, marks[0]) == POOL_OK);
    CheckSettled(pool);
    std::atomic<int32_t> statuses[3] = {1, 1, 1};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] { statuses[i] = SubmitBy(kAll[i], pool, marks[1 + i]); });
    }
    CHECK(HoldsThroughout([&] { return statuses[0] == 1 && statuses[1] == 1 && statuses[2] == 1; },
                          std::chrono::milliseconds(20)));
    CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
    for (auto& thread : threads) thread.join();
    for (const auto& status : statuses) CHECK(status == POOL_E_CLOSED);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 1);
  }
}

TEST_CASE("a task that blocks for a token of its own pool is delayed instead, and its children are not refused", "[rates]") {
  for (const int32_t on_rate : {POOL_ON_RATE_BLOCK, POOL_ON_RATE_REJECT}) {
    CAPTURE(on_rate);
    Marks marks(7);
    std::atomic<int32_t> bad{0};
    ScopedPool pool(RateOptions(1'000, 1'000 * kMs, 1, on_rate));
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    marks[0].then = [&](pool_ctx_t* ctx) {
      if (on_rate == POOL_ON_RATE_BLOCK) {
        for (size_t i = 1; i < 5; ++i) {
          if (SubmitBy(kAll[i % 4], pool, marks[i]) != POOL_OK) ++bad;
        }
      }
      if (pool_ctx_submit(ctx, Mark::Run, &marks[5]) != POOL_OK) ++bad;
      if (pool_group_submit(group, Mark::Run, &marks[6]) != POOL_OK) ++bad;
      return 0;
    };
    CHECK(pool_submit(pool, Mark::Run, &marks[0]) == POOL_OK);
    CheckSettled(pool);
    CHECK(bad == 0);
    CHECK(marks.CountEnded(POOL_DONE) == (on_rate == POOL_ON_RATE_BLOCK ? 7 : 3));
    CHECK(pool_group_release(group) == POOL_OK);
  }
}

TEST_CASE("tasks that wait for a token hold no worker, and can be cancelled", "[rates]") {
  Marks marks(52);
  ScopedPool pool(MarkOptions(1));
  const pool_class_options_t rules = ClassRate(1, kHourNs, 1, POOL_ON_RATE_DELAY);
  Must(pool_class_set(pool, 255, &rules), "class_set");
  std::vector<pool_ticket_t> tickets;
  for (size_t i = 0; i < 51; ++i) tickets.push_back(Submit(pool, OfClass(marks[i].Task(), 255)));
  CHECK(WaitForResult(tickets[0]).outcome == POOL_DONE);
  CHECK(pool_submit(pool, Mark::Run, &marks[51]) == POOL_OK);
  REQUIRE(PollUntil([&] { return marks[51].drops == 1; }));
  REQUIRE(PollUntil([&] { return Stats(pool).workers_busy == 0; }));
  CHECK(Stats(pool).queued == 50);
  CHECK(pool_wait_idle(pool, 1 * kMs) == POOL_E_TIMEOUT);
  for (size_t i = 1; i < 26; ++i) CHECK(pool_cancel(tickets[i]) == POOL_OK);
  CHECK(Stats(pool).queued == 25);
  CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_CANCELLED) == 50);
  CHECK(marks.CountEnded(POOL_DONE) == 2);
  for (const pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a draining pool runs what waits for tokens, in its time", "[rates][close]") {
  Marks marks(30);
  ScopedPool pool(RateOptions(200, 1'000 * kMs, 1, POOL_ON_RATE_DELAY));
  const Stopwatch watch;
  for (size_t i = 0; i < marks.size(); ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(watch.Seconds() >= 0.144);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 30);
}

TEST_CASE("a class's rate concerns its own tasks only, and may be changed", "[rates]") {
  Marks marks(20);
  ScopedPool pool(MarkOptions(2));
  pool_class_options_t rules = ClassRate(1, kHourNs, 2, POOL_ON_RATE_REJECT);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  const pool_class_options_t free = ClassOptions();
  Must(pool_class_set(pool, 2, &free), "class_set");
  const auto submit = [&](size_t i, uint32_t class_id) {
    const pool_task_t task = OfClass(marks[i].Task(), class_id);
    return pool_submit_task(pool, &task, nullptr);
  };
  CHECK(submit(0, 1) == POOL_OK);
  CHECK(submit(1, 1) == POOL_OK);
  CHECK(submit(2, 1) == POOL_E_RATE);
  for (size_t i = 3; i < 8; ++i) CHECK(submit(i, 2) == POOL_OK);
  CHECK(pool_submit(pool, Mark::Run, &marks[8]) == POOL_OK);
  rules.rate_count = 0;  // no limit any more
  Must(pool_class_set(pool, 1, &rules), "class_set");
  for (size_t i = 9; i < 14; ++i) CHECK(submit(i, 1) == POOL_OK);
  rules = ClassRate(1, kHourNs, 1, POOL_ON_RATE_REJECT);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  CHECK(submit(14, 1) == POOL_OK);  // full, as any new limit
  CHECK(submit(15, 1) == POOL_E_RATE);
  rules.rate_period_ns = 1 * kMs;
  Must(pool_class_set(pool, 1, &rules), "class_set");
  CHECK(PollUntil([&] { return submit(15, 1) == POOL_OK; }));
  CHECK(submit(16, 3) == POOL_E_NOTFOUND);
  CHECK(submit(16, POOL_CLASS_MAX + 1) == POOL_E_INVALID);
  CHECK(submit(16, UINT32_MAX) == POOL_E_INVALID);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 15);
}

TEST_CASE("a task has to have a token of its class and of its pool; a refused one gives back what it had", "[rates]") {
  Marks marks(40);
  pool_options_t options = RateOptions(20, 1'000 * kMs, 1, POOL_ON_RATE_REJECT);
  ScopedPool pool(options);
  const pool_class_options_t rules = ClassRate(1, kHourNs, 3, POOL_ON_RATE_DEFAULT);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  uint64_t accepted = 0, refused = 0;
  const Stopwatch watch;
  // The pool has one token in 50 ms, the class three in all.
  while (accepted < 3 && watch.Seconds() < 10) {
    const pool_task_t task = OfClass(marks[accepted].Task(), 1);
    ++(pool_submit_task(pool, &task, nullptr) == POOL_OK ? accepted : refused);
    std::this_thread::yield();
  }
  CHECK(accepted == 3);
  CHECK(refused > 3);
  CHECK(watch.Seconds() >= 0.099);
  const pool_task_t task = OfClass(marks[3].Task(), 1);
  const Stopwatch after;
  while (after.Seconds() < 0.12) CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_RATE);
  CHECK(pool_submit(pool, Mark::Run, &marks[4]) == POOL_OK);  // that had kept none of the pool's
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 4);
}

TEST_CASE("a submit that is refused for want of room gives its token back", "[rates]") {
  Marks marks(5);
  Barrier barrier;
  pool_options_t options = RateOptions(1, kHourNs, 3, POOL_ON_RATE_REJECT);
  options.queue_limit = 1;
  ScopedPool pool(options);
  barrier.Occupy(pool);  // with one of the three
  CHECK(SubmitBy(By::kTask, pool, marks[0]) == POOL_OK);
  for (const By by : kAll) CHECK(SubmitBy(by, pool, marks[1]) == POOL_E_FULL);
  barrier.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(SubmitBy(By::kSubmit, pool, marks[1]) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(SubmitBy(By::kSubmit, pool, marks[2]) == POOL_E_RATE);
  CheckSettled(pool);
  CHECK(Stats(pool).rejected == 5);
}

TEST_CASE("any rate, period and burst is taken, from one an hour to more than a clock can tell apart", "[rates]") {
  struct Row {
    uint64_t count;
    int64_t period_ns;
    uint32_t burst;
  };
  constexpr Row kRows[] = {{1, kHourNs, 5},
                           {1, INT64_MAX, 5},
                           {1'000'000'000, 1'000 * kMs, 1},
                           {UINT64_MAX, 1, UINT32_MAX},
                           {UINT64_MAX, INT64_MAX, 5},
                           {1'000'000'000, 1'000 * kMs, 1u << 31}};
  for (const Row& row : kRows) {
    CAPTURE(row.count, row.period_ns, row.burst);
    Marks marks(5);
    ScopedPool pool(RateOptions(row.count, row.period_ns, row.burst, POOL_ON_RATE_DELAY));
    for (size_t i = 0; i < 5; ++i) CHECK(SubmitBy(kAll[i % 4], pool, marks[i]) == POOL_OK);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 5);
  }
}

TEST_CASE("rates that make no sense are refused", "[rates]") {
  struct Row {
    int64_t period_ns;
    int32_t on_rate;
    const char* field;
  };
  constexpr Row kRows[] = {{-1, 0, "rate_period_ns"}, {INT64_MIN, 0, "rate_period_ns"}, {0, -1, "on_rate"},
                           {0, 4, "on_rate"}};
  ScopedPool pool(1);
  for (const Row& row : kRows) {
    const pool_options_t options = RateOptions(1, row.period_ns, 1, row.on_rate);
    pool_t none = 0;
    CHECK(pool_create(&options, &none) == POOL_E_INVALID);
    CHECK(LastErrorText().find(row.field) != std::string::npos);
    const pool_class_options_t rules = ClassRate(1, row.period_ns, 1, row.on_rate);
    CHECK(pool_class_set(pool, 1, &rules) == POOL_E_INVALID);
    CHECK(LastErrorText().find(row.field) != std::string::npos);
  }
  pool_task_t task = Task(DoNothing, nullptr);
  task.on_rate = 4;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
  const pool_class_options_t rules = ClassOptions();
  CHECK(pool_class_set(pool, 0, &rules) == POOL_E_INVALID);
  CHECK(pool_class_set(pool, POOL_CLASS_MAX + 1, &rules) == POOL_E_INVALID);
  CHECK(pool_class_set(pool, 1, nullptr) == POOL_E_INVALID);
}

// ---- how many at once

// How many are inside, and how many have ever been.
class Width {
 public:
  void Enter() {
    const int64_t now = inside_.fetch_add(1) + 1;
    int64_t most = most_;
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
  }
  void Leave() { inside_.fetch_sub(1); }
  [[nodiscard]] int64_t inside() const { return inside_; }
  [[nodiscard]] int64_t most() const { return most_; }
  void Forget() { most_ = inside_.load(); }

 private:
  std::atomic<int64_t> inside_{0}, most_{0};
};

TEST_CASE("H17: at most concurrency_max tasks of a class run at once, and as many do", "[rates]") {
  for (const uint32_t width : {1u, 2u, 3u}) {
    CAPTURE(width);
    Gate gate;
    Width inside;
    std::atomic<uint64_t> others{0};
    ScopedPool pool(4);
    const pool_class_options_t rules = ClassWidth(width);
    Must(pool_class_set(pool, 1, &rules), "class_set");
    Body body([&](pool_ctx_t*) {
      inside.Enter();
      gate.Pass();
      inside.Leave();
      return 0;
    });
    const pool_task_t task = OfClass(Task(Body::Run, &body), 1);
    for (int i = 0; i < 20; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(gate.AwaitArrivals(width));
    // The others of the class hold no worker.
    for (int i = 0; i < 20; ++i) Must(pool_submit(pool, CountRun, &others), "submit");
    REQUIRE(PollUntil([&] { return others == 20; }));
    CHECK(HoldsThroughout([&] { return inside.inside() == width; }, std::chrono::milliseconds(20)));
    CHECK(Stats(pool).queued == 20 - width);
    gate.Open();
    CheckSettled(pool);
    CHECK(inside.most() == width);
    CHECK(gate.arrivals() == 20);
  }
}

TEST_CASE("tasks of a class that wait for each other start in the order of their submits", "[rates]") {
  Marks marks(100);
  ScopedPool pool(MarkOptions(3));
  const pool_class_options_t rules = ClassWidth(1);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  for (size_t i = 0; i < 100; ++i) {
    const pool_task_t task = OfClass(marks[i].Task(), 1);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  CheckSettled(pool);
  CHECK(marks.order() == Range(0, 100));
}

TEST_CASE("a class may be made wider and narrower while its tasks wait", "[rates]") {
  std::atomic<int64_t> may_leave{0};
  Width inside;
  ScopedPool pool(6);
  const auto set = [&](uint32_t width) {
    const pool_class_options_t rules = ClassWidth(width);
    Must(pool_class_set(pool, 1, &rules), "class_set");
  };
  set(1);
  Body body([&](pool_ctx_t*) {
    inside.Enter();
    const bool left = PollUntil([&] {
      int64_t may = may_leave;
      return may > 0 && may_leave.compare_exchange_strong(may, may - 1);
    });
    inside.Leave();
    return left ? 0 : -1001;
  });
  const pool_task_t task = OfClass(Task(Body::Run, &body), 1);
  for (int i = 0; i < 40; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  const auto stays_at = [&](int64_t width) {
    return PollUntil([&] { return inside.inside() == width; }) &&
           HoldsThroughout([&] { return inside.inside() == width; }, std::chrono::milliseconds(20));
  };
  CHECK(stays_at(1));
  set(3);
  CHECK(stays_at(3));
  may_leave = 5;
  CHECK(PollUntil([&] { return may_leave == 0; }));
  CHECK(stays_at(3));
  CHECK(inside.most() == 3);
  set(2);  // those inside stay
  CHECK(stays_at(3));
  inside.Forget();
  may_leave = 1;
  CHECK(PollUntil([&] { return may_leave == 0; }));
  CHECK(stays_at(2));
  may_leave = 4;
  CHECK(PollUntil([&] { return may_leave == 0; }));
  CHECK(stays_at(2));
  CHECK(inside.most() <= 3);
  set(0);  // any number: as many as there are workers
  CHECK(PollUntil([&] { return inside.inside() == 6; }));
  may_leave = 1'000;
  CheckSettled(pool);
  CHECK(Stats(pool).done == 40);
}

TEST_CASE("a task that waits for a retry is still one of those of its class", "[rates]") {
  Marks marks(2);
  ScopedPool pool(MarkOptions(2));
  const pool_class_options_t rules = ClassWidth(1);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  marks[0].then = [&](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) < 3 ? POOL_RETRY : 0; };
  pool_task_t task = OfClass(marks[0].Task(), 1);
  task.retries_max = 5;
  task.backoff_first_ns = 30 * kMs;
  task.backoff_jitter = POOL_JITTER_NONE;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  task = OfClass(marks[1].Task(), 1);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{0, 0, 0, 1});
  CHECK(marks.EachDroppedOnce());
}

TEST_CASE("a delayed task has no place in its class before its time", "[rates]") {
  Marks marks(2);
  ScopedPool pool(MarkOptions(1));
  const pool_class_options_t rules = ClassWidth(1);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  pool_task_t task = OfClass(marks[0].Task(), 1);
  task.delay_ns = kHourNs;
  const pool_ticket_t late = Submit(pool, task);
  const pool_ticket_t now = Submit(pool, OfClass(marks[1].Task(), 1));
  CHECK(WaitForResult(now).outcome == POOL_DONE);
  CHECK(pool_cancel(late) == POOL_OK);
  CHECK(pool_ticket_release(late) == POOL_OK);
  CHECK(pool_ticket_release(now) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("tasks of a class that are cancelled or expire in its line leave no gap and no place taken", "[rates]") {
  Marks marks(8);
  Gate gate;
  ScopedPool pool(MarkOptions(2));
  const pool_class_options_t rules = ClassWidth(1);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  marks[0].then = [&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  };
  std::vector<pool_ticket_t> tickets;
  for (size_t i = 0; i < 8; ++i) {
    pool_task_t task = OfClass(marks[i].Task(), 1);
    if (i == 3 || i == 7) task.queue_timeout_ns = 5 * kMs;
    tickets.push_back(Submit(pool, task));
    if (i == 0) REQUIRE(gate.AwaitArrivals(1));
  }
  for (const size_t i : {1u, 2u, 5u}) CHECK(pool_cancel(tickets[i]) == POOL_OK);
  for (const size_t i : {3u, 7u}) CHECK(WaitForResult(tickets[i]).outcome == POOL_EXPIRED);
  gate.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{0, 4, 6});
  CHECK(marks.EachDroppedOnce());
  for (const pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("whatever becomes of the tasks of a class, never more than its limit run, and none is forgotten", "[rates]") {
  const size_t count = Rounds(6'000);
  constexpr uint32_t kWidth = 2;
  Width inside;
  std::vector<Tally> tallies(count);
  std::atomic<uint64_t> attempts{0};
  pool_options_t options = Options(4);
  ScopedPool pool(options);
  const pool_class_options_t rules = ClassWidth(kWidth);
  Must(pool_class_set(pool, 1, &rules), "class_set");
  struct Arg {
    Width* inside;
    Tally* tally;
    std::atomic<uint64_t>* attempts;
    size_t number;
  };
  std::vector<Arg> args;
  for (size_t i = 0; i < count; ++i) args.push_back({&inside, &tallies[i], &attempts, i});
  const pool_run_fn run = [](void* memory, pool_ctx_t* ctx) -> int32_t {
    const auto* arg = static_cast<const Arg*>(memory);
    arg->inside->Enter();
    if (arg->number % 7 == 0) std::this_thread::yield();
    arg->attempts->fetch_add(1);
    arg->inside->Leave();
    if (arg->number % 5 == 0 && pool_ctx_attempt(ctx) < 3) return POOL_RETRY;
    if (arg->number % 11 == 0) throw 1;
    return 0;
  };
  std::vector<pool_ticket_t> tickets(count);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < count; i += 2) {
        pool_task_t task = OfClass(Task(run, &args[i]), 1);
        task.done = [](void* arg, const pool_result_t* r) { Tally::Done(static_cast<Arg*>(arg)->tally, r); };
        task.drop = [](void* arg, int32_t outcome) { Tally::Drop(static_cast<Arg*>(arg)->tally, outcome); };
        task.retries_max = 3;
        task.backoff_first_ns = 1'000;
        task.priority = static_cast<int32_t>(i % 3) - 1;
        if (i % 13 == 0) task.queue_timeout_ns = 100'000;
        if (i % 17 == 0) task.delay_ns = 50'000;
        if (i % 3 == 0) task.key = i % 6 + 1;
        tickets[i] = Submit(pool, task);
        if (i >= 40 && i % 4 == t) (void)pool_cancel(tickets[i - 40]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CheckSettled(pool);
  CHECK(inside.most() <= kWidth);
  CHECK(inside.inside() == 0);
  CHECK(std::all_of(tallies.begin(), tallies.end(), [](const Tally& t) { return t.dones == 1 && t.drops == 1; }));
  CHECK(Stats(pool).attempts == attempts);
  for (const pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
  // No place is taken for good.
  Gate gate;
  const pool_task_t task = OfClass(Task(PassGate, &gate), 1);
  for (uint32_t i = 0; i < kWidth; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(gate.AwaitArrivals(kWidth));
  gate.Open();
  CheckSettled(pool);
}

TEST_CASE("closing a pool settles the tasks in the line of a class", "[rates][close]") {
  for (const int32_t mode : {POOL_DRAIN, POOL_CANCEL_QUEUED}) {
    CAPTURE(mode);
    Marks marks(50);
    Gate gate;
    ScopedPool pool(MarkOptions(2));
    const pool_class_options_t rules = ClassWidth(1);
    Must(pool_class_set(pool, 1, &rules), "class_set");
    marks[0].then = [&](pool_ctx_t*) {
      gate.Pass();
      return 0;
    };
    for (size_t i = 0; i < 50; ++i) {
      const pool_task_t task = OfClass(marks[i].Task(), 1);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    REQUIRE(gate.AwaitArrivals(1));
    CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
    gate.Open();
    CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == (mode == POOL_DRAIN ? 50 : 1));
    CHECK(marks.EachDroppedOnce());
  }
}

TEST_CASE("a class and its limits belong to one pool", "[rates]") {
  ScopedPool with(1), without(1);
  const pool_class_options_t rules = ClassWidth(1);
  Must(pool_class_set(with, 5, &rules), "class_set");
  const pool_task_t task = OfClass(Task(DoNothing, nullptr), 5);
  CHECK(pool_submit_task(with, &task, nullptr) == POOL_OK);
  CHECK(pool_submit_task(without, &task, nullptr) == POOL_E_NOTFOUND);
  CheckSettled(with);
  CheckSettled(without);
}

}  // namespace
}  // namespace workpool_test
