// Runs with wall_clock.c before the C library: the wall clock steps at each look, forward or back, by at least 7 seconds.
// Every time limit of the library keeps its length on the monotonic clock. None ends early, ever; none is late by as much as
// half of the smallest step, ever, which a slow machine may add; and one of several tries is in time within 10 ms.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>

#include "test_support.h"

using namespace workpool_test;

namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kLimitNs = 50 * kMs;
constexpr int64_t kSlackNs = 10 * kMs;
constexpr int64_t kHalfStepNs = 3'500 * kMs;

// The monotonic clock, past what may stand before the C library.
int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// take, which the library ends after kLimitNs.
template <typename Take>
void CheckLength(Take take) {
  int64_t best_ns = INT64_MAX;
  for (int i = 0; i < 10 && best_ns >= kLimitNs + kSlackNs; ++i) {
    const int64_t start_ns = MonotonicNs();
    take();
    const int64_t took_ns = MonotonicNs() - start_ns;
    CHECK(took_ns >= kLimitNs);
    CHECK(took_ns < kLimitNs + kHalfStepNs);
    best_ns = std::min(best_ns, took_ns);
  }
  CHECK(best_ns < kLimitNs + kSlackNs);
}

// A pool of one worker, which stands at a gate.
class HeldPool {
 public:
  explicit HeldPool(const pool_options_t& options = Options(1)) : pool_(options), held_(Submit(pool_, Task(PassGate, &gate_))) {
    if (gate_.AwaitArrivals(1)) return;
    std::fprintf(stderr, "the worker did not come to the gate\n");
    std::abort();
  }
  ~HeldPool() {
    gate_.Open();
    Must(pool_ticket_release(held_), "pool_ticket_release");
  }
  HeldPool(const HeldPool&) = delete;
  HeldPool& operator=(const HeldPool&) = delete;

  operator pool_t() const { return pool_; }
  [[nodiscard]] pool_ticket_t held() const { return held_; }

 private:
  Gate gate_;
  ScopedPool pool_;
  pool_ticket_t held_;
};

// Submits the task and waits for its end.
pool_result_t ResultOf(pool_t pool, const pool_task_t& task) {
  const pool_ticket_t ticket = Submit(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  Must(pool_ticket_release(ticket), "pool_ticket_release");
  return result;
}

int32_t RunUntilAsked(void*, pool_ctx_t* ctx) {
  const Stopwatch watch;
  while (pool_ctx_should_stop(ctx) == 0 && watch.Seconds() < 10) {
  }
  return 0;
}

int32_t SucceedOnSecondRun(void*, pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : 0; }

// Of a periodic task: a failure ends it.
int32_t FailOnSecondRun(void* arg, pool_ctx_t*) { return ++*static_cast<std::atomic<uint64_t>*>(arg) == 2 ? -1001 : 0; }

}  // namespace

TEST_CASE("the wall clock of this process steps forward and back", "[wall_clock][serial]") {
  int64_t forward = 0, back = 0, still = 0;
  timespec before{}, now{};
  clock_gettime(CLOCK_REALTIME, &before);
  for (int i = 0; i < 100; ++i, before = now) {
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t step = int64_t{now.tv_sec} - before.tv_sec;
    ++(step > 5 ? forward : step < -5 ? back : still);
  }
  CHECK(forward >= 25);
  CHECK(back >= 25);
  CHECK(still <= 40);
}

TEST_CASE("H4: waits end by their timeout while the wall clock steps", "[wall_clock][serial]") {
  HeldPool pool;
  const pool_ticket_t ticket = pool.held();
  CheckLength([&] { CHECK(pool_wait(ticket, 0, kLimitNs, nullptr, 0) == POOL_E_TIMEOUT); });
  CheckLength([&] { CHECK(pool_wait_many(&ticket, 1, 0, kLimitNs, nullptr) == POOL_E_TIMEOUT); });
  CheckLength([&] { CHECK(pool_wait_many(&ticket, 1, 1, kLimitNs, nullptr) == POOL_E_TIMEOUT); });
  CheckLength([&] { CHECK(pool_wait_idle(pool, kLimitNs) == POOL_E_TIMEOUT); });
  CheckLength([&] { CHECK(pool_close(pool, POOL_DRAIN, kLimitNs) == POOL_E_TIMEOUT); });
}

TEST_CASE("H4: a wait for a group ends by its timeout while the wall clock steps", "[wall_clock][serial]") {
  HeldPool pool;
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "pool_group_create");
  Must(pool_group_submit(group, DoNothing, nullptr), "pool_group_submit");
  CheckLength([&] { CHECK(pool_group_wait(group, kLimitNs, nullptr) == POOL_E_TIMEOUT); });
  Must(pool_group_release(group), "pool_group_release");
}

TEST_CASE("H4: a poll of completions ends by its timeout while the wall clock steps", "[wall_clock][serial]") {
  pool_cq_t completions = 0;
  Must(pool_cq_create(1, &completions), "pool_cq_create");
  CheckLength([&] {
    pool_completion_t completion;
    uint32_t count = 7;
    CHECK(pool_cq_poll(completions, &completion, sizeof(completion), 1, kLimitNs, &count) == POOL_E_TIMEOUT);
    CHECK(count == 0);
  });
  Must(pool_cq_release(completions), "pool_cq_release");
}

TEST_CASE("H4: a submit that waits for room gives up by its timeout while the wall clock steps", "[wall_clock][serial]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.submit_timeout_ns = kLimitNs;
  HeldPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "pool_submit");
  CheckLength([&] { CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_TIMEOUT); });
}

TEST_CASE("H4: a delay has its length while the wall clock steps", "[wall_clock][serial]") {
  ScopedPool pool(1);
  pool_task_t task = Task(DoNothing, nullptr);
  task.delay_ns = kLimitNs;
  CheckLength([&] { CHECK(ResultOf(pool, task).outcome == POOL_DONE); });
}

TEST_CASE("H4: tasks expire by their queue timeout and their deadline while the wall clock steps", "[wall_clock][serial]") {
  HeldPool pool;
  CheckLength([&] {
    pool_task_t task = Task(DoNothing, nullptr);
    task.queue_timeout_ns = kLimitNs;
    CHECK(ResultOf(pool, task).outcome == POOL_EXPIRED);
  });
  CheckLength([&] {
    pool_task_t task = Task(DoNothing, nullptr);
    task.deadline_ns = pool_now_ns() + uint64_t{kLimitNs};
    CHECK(ResultOf(pool, task).outcome == POOL_EXPIRED);
  });
}

TEST_CASE("H4: a task is asked to stop after its run timeout while the wall clock steps", "[wall_clock][serial]") {
  ScopedPool pool(1);
  pool_task_t task = Task(RunUntilAsked, nullptr);
  task.run_timeout_ns = kLimitNs;
  CheckLength([&] { CHECK(ResultOf(pool, task).flags == POOL_RESULT_OVERRAN); });
}

TEST_CASE("H4: a back-off has its length while the wall clock steps", "[wall_clock][serial]") {
  ScopedPool pool(1);
  pool_task_t task = Task(SucceedOnSecondRun, nullptr);
  task.retries_max = 1;
  task.backoff_first_ns = kLimitNs;
  task.backoff_jitter = POOL_JITTER_NONE;
  CheckLength([&] { CHECK(ResultOf(pool, task).attempts == 2); });
}

TEST_CASE("H4: a period has its length while the wall clock steps", "[wall_clock][serial]") {
  ScopedPool pool(1);
  for (const int32_t mode : {POOL_PERIOD_FIXED_RATE, POOL_PERIOD_FIXED_DELAY}) {
    CAPTURE(mode);
    CheckLength([&] {
      std::atomic<uint64_t> runs{0};
      pool_task_t task = Task(FailOnSecondRun, &runs);
      task.period_ns = kLimitNs;
      task.period_mode = mode;
      CHECK(ResultOf(pool, task).code == -1001);
      CHECK(runs == 2);
    });
  }
}

TEST_CASE("H4: a rate limit gives its tokens in time while the wall clock steps", "[wall_clock][serial]") {
  for (const bool by_class : {false, true}) {
    for (const int32_t on_rate : {POOL_ON_RATE_DELAY, POOL_ON_RATE_BLOCK}) {
      CAPTURE(by_class, on_rate);
      CheckLength([&] {
        pool_options_t options = Options(1);
        pool_class_options_t rules;
        Must(pool_class_options_init(&rules, sizeof(rules)), "pool_class_options_init");
        (by_class ? rules.rate_count : options.rate_count) = 1;
        options.rate_period_ns = rules.rate_period_ns = kLimitNs;
        options.on_rate = rules.on_rate = on_rate;
        ScopedPool pool(options);
        Must(pool_class_set(pool, 1, &rules), "pool_class_set");
        pool_task_t task = Task(DoNothing, nullptr);
        task.class_id = 1;
        for (int i = 0; i < 2; ++i) Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
        CHECK(WaitIdle(pool));
      });
    }
  }
}

TEST_CASE("H4: a worker expires by its keep-alive while the wall clock steps", "[wall_clock][serial]") {
  pool_options_t options = Options(1);
  options.keep_alive_ns = kLimitNs;
  ScopedPool pool(options);
  CheckLength([&] {
    const uint64_t retired = Stats(pool).retired;
    Must(pool_submit(pool, DoNothing, nullptr), "pool_submit");
    CHECK(PollUntil([&] { return Stats(pool).retired == retired + 1; }));
  });
}
