// Admission: what a submit does when there is no room, by pool and by task, for every function that submits.
// (limits_test.cc: rejecting and blocking in more depth; byte_limits_test.cc: limits by bytes; caller_runs_test.cc and
// shedding_test.cc: the policies of those names.)
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "admission_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST_CASE("H17: a pool that rejects refuses every function at its limit, and counts it", "[admission]") {
  for (const uint64_t limit : kLimits) {
    for (const int32_t on_full : {POOL_ON_FULL_DEFAULT, POOL_ON_FULL_REJECT}) {
      CAPTURE(limit, on_full);
      Full full(Limited(limit, on_full));
      uint64_t refused = 0;
      for (const By by : kAll) {
        CHECK(SubmitBy(by, full.pool, full.more(refused)) == POOL_E_FULL);
        CHECK(LastErrorText().find("options.queue_limit = " + std::to_string(limit)) != std::string::npos);
        CHECK(Stats(full.pool).rejected == ++refused);
      }
      CHECK(Stats(full.pool).queued == limit);
      full.OpenAndSettle();
      CHECK(full.marks.CountEnded(POOL_DONE) == limit);
      for (size_t i = 0; i < Full::kMore; ++i) CHECK(full.more(i).Untouched());
    }
  }
}

TEST_CASE("H17: a task's own on_full goes before its pool's", "[admission]") {
  constexpr int32_t kOnFull[] = {POOL_ON_FULL_REJECT, POOL_ON_FULL_BLOCK, POOL_ON_FULL_CALLER_RUNS,
                                 POOL_ON_FULL_DROP_OLDEST, POOL_ON_FULL_DROP_LOWEST};
  for (const int32_t of_pool : kOnFull) {
    for (const int32_t of_task : kOnFull) {
      for (const By by : kWithTask) {
        CAPTURE(of_pool, of_task);
        pool_options_t options = Limited(2, of_pool);
        options.submit_timeout_ns = 5 * kMs;
        Full full(options);
        const pool_status_t status = SubmitBy(by, full.pool, full.more(0), of_task, 1);
        const pool_stats_t stats = Stats(full.pool);
        CHECK(status == (of_task == POOL_ON_FULL_REJECT  ? POOL_E_FULL
                         : of_task == POOL_ON_FULL_BLOCK ? POOL_E_TIMEOUT
                                                         : POOL_OK));
        CHECK(stats.rejected == (of_task <= POOL_ON_FULL_BLOCK ? 1 : 0));
        CHECK(full.more(0).runs == (of_task == POOL_ON_FULL_CALLER_RUNS ? 1 : 0));
        CHECK(stats.shed == (of_task >= POOL_ON_FULL_DROP_OLDEST ? 1 : 0));
        full.OpenAndSettle();
      }
    }
  }
}

TEST_CASE("H17: a pool that blocks lets every function wait until there is room", "[admission]") {
  for (const uint64_t limit : kLimits) {
    for (const By by : kAll) {
      CAPTURE(limit);
      Full full(Limited(limit, POOL_ON_FULL_BLOCK));
      std::atomic<int32_t> status{1};
      std::thread submitter([&] { status = SubmitBy(by, full.pool, full.more(0)); });
      CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
      full.barrier.Open();
      submitter.join();
      CHECK(status == POOL_OK);
      CheckSettled(full.pool);
      CHECK(full.marks.CountEnded(POOL_DONE) == limit + 1);
      CHECK(Stats(full.pool).rejected == 0);
    }
  }
}

TEST_CASE("H17: a blocked submit of any kind ends after options.submit_timeout_ns, or the task's own", "[admission]") {
  pool_options_t options = Limited(2, POOL_ON_FULL_BLOCK);
  options.submit_timeout_ns = 20 * kMs;
  Full full(options);
  size_t next = 0;
  for (const By by : kAll) {
    const Stopwatch watch;
    CHECK(SubmitBy(by, full.pool, full.more(next++)) == POOL_E_TIMEOUT);
    CHECK(watch.Seconds() >= 0.020);
    CHECK(watch.Seconds() < 5);
  }
  pool_task_t task = full.more(next++).Task();
  task.submit_timeout_ns = 60 * kMs;
  const Stopwatch watch;
  CHECK(pool_submit_task(full.pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.060);
  CHECK(Stats(full.pool).rejected == next);
  full.OpenAndSettle();
  CHECK(full.marks.CountEnded(POOL_DONE) == 2);
}

TEST_CASE("H12: under every policy, with tasks coming from all sides, each accepted task is dropped once", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    for (int32_t on_full = POOL_ON_FULL_REJECT; on_full <= POOL_ON_FULL_DROP_LOWEST; ++on_full) {
      for (const uint64_t limit : {uint64_t{1}, uint64_t{7}, uint64_t{5'000}}) {
        CAPTURE(strategy, on_full, limit);
        constexpr size_t kThreads = 3;
        const size_t each = Rounds(3'000);
        Marks marks(kThreads * each);
        std::atomic<uint64_t> accepted{0}, refused{0}, other{0};
        pool_options_t options = Limited(limit, on_full, strategy);
        options.workers_max = 2;
        ScopedPool pool(options);
        const bool lanes = strategy == POOL_STRATEGY_STEALING || strategy == POOL_STRATEGY_PRIORITY;
        const auto submit = [&](size_t i) {
          const auto priority = lanes ? static_cast<int32_t>(i % 3) - 1 : 0;
          const pool_status_t status = SubmitBy(kAll[i % 4], pool, marks[i], POOL_ON_FULL_DEFAULT, priority);
          ++(status == POOL_OK ? accepted : status == POOL_E_FULL ? refused : other);
          return status;
        };
        std::vector<std::thread> threads;
        for (size_t t = 0; t < kThreads; ++t) {
          threads.emplace_back([&, t] {
            for (size_t i = t * each; i < (t + 1) * each; i += 2) {
              // Every other one comes from a task.
              marks[i].then = [&submit, i](pool_ctx_t*) {
                (void)submit(i + 1);
                return 0;
              };
              (void)submit(i);
            }
          });
        }
        for (auto& thread : threads) thread.join();
        CheckSettled(pool);
        const pool_stats_t stats = Stats(pool);
        CHECK(other == 0);
        CHECK(stats.submitted == accepted);
        CHECK(stats.rejected == refused);
        CHECK(stats.done + stats.shed == accepted);
        CHECK(marks.CountEnded(POOL_DONE) == stats.done);
        CHECK(marks.CountEnded(POOL_SHED) == stats.shed);
        if (on_full == POOL_ON_FULL_BLOCK || on_full == POOL_ON_FULL_CALLER_RUNS) CHECK(refused == 0);
        if (on_full != POOL_ON_FULL_DROP_OLDEST && on_full != POOL_ON_FULL_DROP_LOWEST) CHECK(stats.shed == 0);
      }
    }
  }
}

// The same with all that a task may wait for before it is queued.
TEST_CASE("H12: under every policy each task is dropped once, whatever it waits for", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    for (int32_t on_full = POOL_ON_FULL_REJECT; on_full <= POOL_ON_FULL_DROP_LOWEST; ++on_full) {
      for (const uint64_t limit : {uint64_t{3}, uint64_t{5'000}}) {
        CAPTURE(strategy, on_full, limit);
        constexpr size_t kThreads = 3;
        const size_t each = Rounds(2'000);
        Marks marks(kThreads * each);
        std::atomic<uint64_t> accepted{0}, refused{0}, other{0};
        pool_options_t options = Limited(limit, on_full, strategy);
        options.workers_max = 2;
        options.queue_limit_bytes = 20 * limit;
        options.lane_limit = limit;
        ScopedPool pool(options);
        pool_class_options_t rules;
        Must(pool_class_options_init(&rules, sizeof(rules)), "init");
        rules.concurrency_max = 1;
        Must(pool_class_set(pool, 1, &rules), "class_set");
        const bool lanes = strategy == POOL_STRATEGY_STEALING || strategy == POOL_STRATEGY_PRIORITY;
        const auto submit = [&](size_t i) {
          pool_task_t task = marks[i].Task();
          task.cost_bytes = i % 25;
          if (lanes) task.priority = static_cast<int32_t>(i % 3) - 1;
          if (i % 5 == 0) task.key = i % 10 + 1;
          if (i % 7 == 0) task.class_id = 1;
          if (i % 9 == 0) task.queue_timeout_ns = 20'000;
          if (i % 11 == 0) task.delay_ns = 20'000;
          const pool_status_t status = pool_submit_task(pool, &task, nullptr);
          ++(status == POOL_OK ? accepted : status == POOL_E_FULL ? refused : other);
        };
        std::vector<std::thread> threads;
        for (size_t t = 0; t < kThreads; ++t) {
          threads.emplace_back([&, t] {
            for (size_t i = t * each; i < (t + 1) * each; i += 2) {
              marks[i].then = [&submit, i](pool_ctx_t*) {
                submit(i + 1);
                return 0;
              };
              submit(i);
            }
          });
        }
        for (auto& thread : threads) thread.join();
        CheckSettled(pool);
        const pool_stats_t stats = Stats(pool);
        CHECK(other == 0);
        CHECK(stats.submitted == accepted);
        CHECK(stats.rejected == refused);
        CHECK(marks.CountEnded(POOL_DONE) == stats.done);
        CHECK(marks.CountEnded(POOL_SHED) == stats.shed);
        CHECK(marks.CountEnded(POOL_EXPIRED) == stats.expired);
        CHECK(stats.done + stats.shed + stats.expired == accepted);
        // Nothing of a limit is used up. Above an exact limit the entries of tasks that expired in the queue may take up
        // places until workers have come by: once, not for ever.
        const auto fill = [&] {
          Barrier barrier;
          barrier.Occupy(pool, 2);
          uint64_t missing = 0;
          Mark whole(marks.journal(), -1), more(marks.journal(), -2);
          pool_task_t task = whole.Task();
          task.on_full = POOL_ON_FULL_REJECT;
          task.cost_bytes = 20 * limit;
          CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
          for (uint64_t i = 1; i < limit; ++i) {
            pool_task_t filler = Task(DoNothing, nullptr);
            filler.on_full = POOL_ON_FULL_REJECT;
            if (pool_submit_task(pool, &filler, nullptr) != POOL_OK) ++missing;
          }
          task = more.Task();
          task.on_full = POOL_ON_FULL_REJECT;
          CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
          barrier.Open();
          CheckSettled(pool);
          return missing;
        };
        const uint64_t missing = fill();
        if (limit <= 4'096) CHECK(missing == 0);
        if (missing != 0) CHECK(fill() == 0);
      }
    }
  }
}

TEST_CASE("a task that blocks for room in its own pool is admitted over any limit", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    Marks marks(24);
    std::atomic<int32_t> bad{0};
    pool_options_t options = Limited(1, POOL_ON_FULL_BLOCK, strategy);
    options.queue_limit_bytes = 10;
    options.lane_limit = 1;
    ScopedPool pool(options);
    const bool priorities = strategy == POOL_STRATEGY_STEALING || strategy == POOL_STRATEGY_PRIORITY;
    Body parent([&](pool_ctx_t*) {
      for (size_t i = 0; i < 16; ++i) {
        const int32_t priority = priorities ? static_cast<int32_t>(i / 4 % 3) - 1 : 0;
        if (SubmitBy(kAll[i % 4], pool, marks[i], POOL_ON_FULL_DEFAULT, priority) != POOL_OK) ++bad;
      }
      for (size_t i = 16; i < 24; ++i) {
        if (SubmitCost(pool, marks[i], 9) != POOL_OK) ++bad;
      }
      return 0;
    });
    const pool_task_t body = Task(Body::Run, &parent);
    Must(pool_submit_task(pool, &body, nullptr), "submit");
    CheckSettled(pool);
    CHECK(bad == 0);
    CHECK(marks.CountEnded(POOL_DONE) == 24);
    // Its bytes are given back to the last.
    Barrier barrier;
    barrier.Occupy(pool);
    Mark one(marks.journal(), 100), two(marks.journal(), 101);
    CHECK(SubmitCost(pool, one, 10) == POOL_OK);
    CHECK(SubmitCost(pool, two, 1, POOL_ON_FULL_REJECT) == POOL_E_FULL);
    barrier.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("stats.rejected counts what was refused for FULL, TIMEOUT and RATE, and nothing else", "[admission]") {
  Marks marks(12);
  Barrier barrier;
  ScopedPool pool(Limited(1, POOL_ON_FULL_REJECT));
  pool_cq_t cq = 0;
  Must(pool_cq_create(1, &cq), "cq_create");
  pool_class_options_t rules;
  Must(pool_class_options_init(&rules, sizeof(rules)), "init");
  rules.rate_count = 1;
  rules.rate_period_ns = 3'600'000 * kMs;
  rules.on_rate = POOL_ON_RATE_REJECT;
  Must(pool_class_set(pool, 1, &rules), "class_set");
  pool_task_t classed = marks[0].Task();
  classed.class_id = 1;
  Must(pool_submit_task(pool, &classed, nullptr), "submit");
  CheckSettled(pool);
  CHECK(pool_submit_task(pool, &classed, nullptr) == POOL_E_RATE);
  CHECK(Stats(pool).rejected == 1);
  barrier.Occupy(pool);
  pool_task_t completing = marks[1].Task();
  completing.cq = cq;
  Must(pool_submit_task(pool, &completing, nullptr), "submit");
  CHECK(pool_submit_task(pool, &completing, nullptr) == POOL_E_FULL);  // the completion queue, and the pool
  CHECK(Stats(pool).rejected == 2);
  CHECK(pool_submit(pool, Mark::Run, &marks[2]) == POOL_E_FULL);
  CHECK(Stats(pool).rejected == 3);
  pool_task_t task = marks[3].Task();
  task.on_full = POOL_ON_FULL_BLOCK;
  task.submit_timeout_ns = 1;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(Stats(pool).rejected == 4);
  task.priority = 7;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
  task = marks[4].Task();
  task.deadline_ns = 1;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_EXPIRED);
  task = marks[4].Task();
  task.class_id = 2;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_NOTFOUND);
  barrier.Open();
  CheckSettled(pool);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(pool_submit(pool, Mark::Run, &marks[5]) == POOL_E_CLOSED);
  CHECK(Stats(pool).rejected == 4);
  CHECK(pool_cq_release(cq) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
