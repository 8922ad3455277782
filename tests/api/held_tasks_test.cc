// Tasks that are held, because their time or their turn has not come: what they take up, who may wait for them, and how
// they end.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

TEST_CASE("a held task that is cancelled or expires gives its place to who blocks for room", "[limits]") {
  // Below and above the number up to which limits are counted in one place.
  for (const uint64_t limit : {uint64_t{100}, uint64_t{5'000}}) {
    CAPTURE(limit);
    pool_options_t options = Options(1);
    options.queue_limit = limit;
    options.on_full = POOL_ON_FULL_BLOCK;
    ScopedPool pool(options);
    pool_task_t task = Task(DoNothing, nullptr);
    task.delay_ns = kHour;
    std::vector<pool_ticket_t> tickets;
    for (uint64_t i = 0; i < limit; ++i) tickets.push_back(Submit(pool, task));
    std::atomic<bool> returned{false};
    std::thread submitter([&] {
      CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      returned = true;
    });
    REQUIRE(HoldsThroughout([&] { return !returned; }));
    for (const pool_ticket_t ticket : tickets) {
      CHECK(pool_cancel(ticket) == POOL_OK);
      CHECK(pool_ticket_release(ticket) == POOL_OK);
    }
    CHECK(PollUntil([&] { return returned.load(); }));
    submitter.join();
    CheckSettled(pool);
  }
}

TEST_CASE("a task waits for one whose time has not come, though no other worker may run it", "[waits]") {
  enum { kPaused, kOneWorker };
  for (const int how : {kPaused, kOneWorker}) {
    CAPTURE(how);
    pool_options_t options = Options(1);
    options.workers_limit = how == kOneWorker ? 1 : 0;
    ScopedPool pool(options);
    for (const char* what : {"delay", "retry", "key"}) {
      CAPTURE(what);
      Story inner([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : 0; });
      pool_task_t task = inner.Task();
      task.retries_max = 1;
      task.backoff_first_ns = task.backoff_max_ns = 20 * kMs;
      task.backoff_jitter = POOL_JITTER_NONE;
      if (what[0] == 'd') task.delay_ns = 20 * kMs;
      if (what[0] == 'k') task.key = 9;
      Body outer([&](pool_ctx_t*) -> int32_t {
        if (how == kPaused) Must(pool_pause(pool), "pause");
        const Told ticket(pool, task);
        return pool_wait(ticket, 0, kBoundNs, nullptr, 0);
      });
      const Told ticket(pool, Task(Body::Run, &outer));
      const pool_result_t result = WaitForResult(ticket);
      CHECK(result.code == POOL_OK);
      CHECK(inner.runs == 2);
      if (how == kPaused) Must(pool_resume(pool), "resume");
    }
    CheckSettled(pool);
  }
}

TEST_CASE("callbacks of a task that never ran may wait for one behind it in the line of its key", "[keys]") {
  Gate gate;
  ScopedPool pool(2);
  Must(pool_submit(pool, PassGate, &gate), "submit");
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));
  pool_ticket_t behind = 0;
  std::atomic<int32_t> waited{1};
  Story first, second;
  first.in_done = [&](const pool_result_t&) {
    gate.Open();
    waited = pool_wait(behind, 0, kBoundNs, nullptr, 0);
  };
  pool_task_t task = first.Task();
  task.key = 7;
  const Told cancelled(pool, task);
  task = second.Task();
  task.key = 7;
  behind = Submit(pool, task);
  CHECK(pool_cancel(cancelled) == POOL_OK);
  CHECK(waited == POOL_OK);
  CHECK(pool_ticket_release(behind) == POOL_OK);
  CheckSettled(pool);
  CHECK(first.runs == 0);
  CHECK(second.runs == 1);
}

TEST_CASE("G1: tasks cancelled in the line of a key do not pile up", "[keys][exact]") {
  Gate gate;
  pool_options_t options = Options(1);
  options.queue_limit = 1'000;
  ScopedPool pool(options);
  pool_task_t task = Task(PassGate, &gate);
  task.key = 7;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  task.run = DoNothing;
  const auto submit_and_cancel = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const pool_ticket_t ticket = Submit(pool, task);
      Must(pool_cancel(ticket), "cancel");
      Must(pool_ticket_release(ticket), "release");
    }
  };
  submit_and_cancel(10'000);
  const uint64_t before = ResidentBytes();
  submit_and_cancel(200'000);
  // Each record has some hundred bytes.
  CHECK(ResidentBytes() < before + 8 * 1024 * 1024);
  gate.Open();
  CheckSettled(pool);
}

TEST_CASE("CoDel does not count a delay, or the time behind others, as time in the queue", "[codel]") {
  for (const bool keyed : {false, true}) {
    CAPTURE(keyed);
    pool_options_t options = Options(2);
    options.codel_target_ns = 200 * kMs;
    options.codel_interval_ns = kMs;
    ScopedPool pool(options);
    Story slow([&](pool_ctx_t*) {
      SleepNs(400 * kMs);
      return 0;
    });
    pool_task_t task = slow.Task();
    task.key = 7;
    if (keyed) Must(pool_submit_task(pool, &task, nullptr), "submit");
    std::atomic<uint64_t> runs{0};
    task = Task(CountRun, &runs);
    if (keyed) {
      task.key = 7;
    } else {
      task.delay_ns = 400 * kMs;
    }
    for (int i = 0; i < 50; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    CheckSettled(pool);
    CHECK(runs == 50);
    CHECK(Stats(pool).shed == 0);
  }
}

TEST_CASE("CALLER_RUNS returns when a task that is tried again has ended, and after one run of a periodic one",
          "[admission]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  BlockedPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "fill the queue");
  Story story([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) < 3 ? POOL_RETRY : 0; });
  pool_task_t task = story.Task();
  task.on_full = POOL_ON_FULL_CALLER_RUNS;
  task.retries_max = 5;
  task.backoff_first_ns = task.backoff_max_ns = 5 * kMs;
  std::thread opener([&] {
    CHECK(PollUntil([&] { return story.runs >= 1; }));
    pool.Open();
  });
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(story.Ended(POOL_DONE, 0));
  CHECK(story.runs == 3);
  opener.join();
  // Behind its key, too, it does not wait for the end of a task that has none.
  Gate gate;
  ScopedPool other(options);
  task = Task(PassGate, &gate);
  task.key = 7;
  Must(pool_submit_task(other, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(other, DoNothing, nullptr), "fill the queue");
  task = Task(DoNothing, nullptr);
  task.key = 7;
  task.period_ns = kMs;
  task.on_full = POOL_ON_FULL_CALLER_RUNS;
  pool_ticket_t ticket = 0;
  CHECK(pool_submit_task(other, &task, &ticket) == POOL_OK);
  gate.Open();
  (void)pool_cancel(ticket);
  Must(pool_ticket_release(ticket), "release");
  CheckSettled(other);
}

TEST_CASE("a draining close ends periodic tasks that wait for their key, whatever runs and comes meanwhile", "[close]") {
  Gate gate;
  Story first([&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  });
  Story second, waiting;
  ScopedPool pool(2);
  pool_task_t task = first.Task();
  task.key = 7;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  // Timers of several kinds lie in the wheel: of one that waits for its key, and is armed anew when it runs, and of those
  // that wait for their time.
  std::vector<std::unique_ptr<Story>> stories;
  for (int i = 0; i < 20; ++i) {
    stories.push_back(std::make_unique<Story>());
    task = stories.back()->Task();
    task.period_ns = (i % 5 + 1) * kHour;
    if (i % 2 == 0) {
      task.key = 7;
      task.queue_timeout_ns = (10 - i % 3) * kHour;
      task.run_timeout_ns = 20 * kHour;
    } else {
      task.delay_ns = (i % 5 + 1) * kHour;
    }
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  // The first to end lets the key go on, while the others are being ended.
  for (const auto& story : stories) {
    story->in_done = [&](const pool_result_t&) {
      gate.Open();
      (void)PollUntil([&] { return first.drops == 1; });
    };
  }
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  for (const auto& story : stories) CHECK(story->drops == 1);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.submitted == stats.done + stats.cancelled);
}

TEST_CASE("a drop that ends its thread does not keep a close from ending the other tasks that wait for their time",
          "[close]") {
  std::atomic<int> drops{0};
  ScopedPool pool(1);
  pool_task_t task = Task(DoNothing, &drops);
  task.delay_ns = kHour;
  task.drop = [](void* arg, int32_t) {
    static_cast<std::atomic<int>*>(arg)->fetch_add(1);
    pthread_exit(nullptr);
  };
  for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  std::thread([&] { (void)pool_close(pool, POOL_CANCEL_QUEUED, POOL_FOREVER); }).join();
  CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  CHECK(drops == 5);
}

TEST_CASE("a pool that a task gives up ends those behind it in the line of its key, each once", "[close][keys]") {
  std::vector<pool_ticket_t> tickets;
  std::vector<std::unique_ptr<Story>> stories;
  {
    pool_t pool = 0;
    const pool_options_t options = Options(1);
    Must(pool_create(&options, &pool), "create");
    Must(pool_pause(pool), "pause");
    for (int i = 0; i < 4; ++i) {
      stories.push_back(std::make_unique<Story>([&, i](pool_ctx_t*) { return i == 0 ? pool_release(pool) : 0; }));
      pool_task_t task = stories.back()->Task();
      task.key = 7;
      tickets.push_back(Submit(pool, task));
    }
    // Run here, by its waiter, so that no worker of the pool lives.
    CHECK(pool_wait(tickets[0], POOL_WAIT_HELP, kBoundNs, nullptr, 0) == POOL_OK);
  }
  for (size_t i = 0; i < tickets.size(); ++i) {
    const pool_result_t result = WaitForResult(tickets[i]);
    CHECK(result.outcome == (i == 0 ? POOL_DONE : POOL_CANCELLED));
    CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
  }
  for (const auto& story : stories) CHECK(PollUntil([&] { return story->drops == 1; }));
}

}  // namespace
}  // namespace workpool_test
