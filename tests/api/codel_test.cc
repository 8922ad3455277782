// Shedding by time in the queue (CoDel): what it takes for a task to be shed, and what never is.
#include <catch2/catch.hpp>

#include "order_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kHourNs = 3'600'000 * kMs;

pool_options_t CodelOptions(int64_t target_ns, int64_t interval_ns, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = MarkOptions(1, strategy);
  options.codel_target_ns = target_ns;
  options.codel_interval_ns = interval_ns;
  return options;
}

// A queue of so many tasks that take a millisecond each, of which the first ones find the worker at a gate.
void RunStandingQueue(pool_t pool, Marks& marks) {
  for (size_t i = 0; i < marks.size(); ++i) {
    marks[i].then = [](pool_ctx_t*) {
      SpinFor(std::chrono::microseconds(1'000));
      return 0;
    };
  }
  Must(pool_pause(pool), "pause");
  for (size_t i = 0; i < marks.size(); ++i) {
    const pool_task_t task = marks[i].Task();
    void* arg = &marks[i];
    Must(i % 3 == 0   ? pool_submit(pool, Mark::Run, &marks[i])
         : i % 3 == 1 ? pool_submit_task(pool, &task, nullptr)
                      : pool_submit_many(pool, Mark::Run, &arg, 1, nullptr),
         "submit");
  }
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
}

TEST_CASE("a queue that stands is thinned out, with outcome SHED, and its last task is run", "[codel]") {
  for (const int32_t strategy :
       {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_PRIORITY}) {
    CAPTURE(strategy);
    constexpr size_t kTasks = 300;
    Marks marks(kTasks);
    ScopedPool pool(CodelOptions(5 * kMs, 20 * kMs, strategy));
    RunStandingQueue(pool, marks);
    const pool_stats_t stats = Stats(pool);
    // 300 ms with an interval of 20: ever more of them; but not until the first interval is over.
    CHECK(stats.shed >= 3);
    CHECK(stats.done >= 2);
    CHECK(stats.shed + stats.done == kTasks);
    CHECK(stats.ended_unrun == stats.shed);
    CHECK(stats.rejected == 0);
    CHECK(marks.CountEnded(POOL_SHED) == stats.shed);
    CHECK(marks.CountEnded(POOL_DONE) == stats.done);
    const int64_t last = strategy == POOL_STRATEGY_LIFO ? 0 : kTasks - 1;
    if (strategy != POOL_STRATEGY_STEALING) CHECK(marks[static_cast<size_t>(last)].Ended(POOL_DONE));
    for (size_t i = 1; i < kTasks; i += 3) {
      if (marks[i].outcome == POOL_SHED) CHECK(marks[i].code < 0);
      CHECK(marks[i].dones == 1);
    }
  }
}

TEST_CASE("tasks whose submitters had to wait for room are shed like others, however they are submitted", "[codel]") {
  for (const bool plain : {true, false}) {
    CAPTURE(plain);
    constexpr uint64_t kTasks = 600;
    pool_options_t options = CodelOptions(kMs / 2, 2 * kMs);
    options.drop = nullptr;
    options.queue_limit = 8;
    options.on_full = POOL_ON_FULL_BLOCK;
    ScopedPool pool(options);
    const pool_run_fn run = [](void*, pool_ctx_t*) {
      SpinFor(std::chrono::microseconds(300));
      return 0;
    };
    const pool_task_t task = Task(run, nullptr);
    for (uint64_t i = 0; i < kTasks; ++i) {
      Must(plain ? pool_submit(pool, run, nullptr) : pool_submit_task(pool, &task, nullptr), "submit");
    }
    CheckSettled(pool);
    CHECK(Stats(pool).shed > kTasks / 6);
  }
}

TEST_CASE("a task that is shed for its time in the queue has a result", "[codel]") {
  Marks marks(200);
  ScopedPool pool(CodelOptions(1 * kMs, 5 * kMs));
  Must(pool_pause(pool), "pause");
  std::vector<pool_ticket_t> tickets;
  for (size_t i = 0; i < marks.size(); ++i) {
    marks[i].then = [](pool_ctx_t*) {
      SpinFor(std::chrono::microseconds(500));
      return 0;
    };
    tickets.push_back(Submit(pool, marks[i].Task()));
  }
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
  uint64_t shed = 0;
  for (const pool_ticket_t ticket : tickets) {
    const pool_result_t result = WaitForResult(ticket);
    if (result.outcome == POOL_SHED) {
      ++shed;
      CHECK(result.attempts == 0);
      CHECK(result.code < 0);
      CHECK(result.wait_ns >= 5 * kMs);  // all of them waited when the interval began
      CHECK(result.run_ns == 0);
    } else {
      CHECK(result.outcome == POOL_DONE);
    }
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  CHECK(shed > 0);
  CHECK(shed == Stats(pool).shed);
}

TEST_CASE("H17: a burst that is worked off within codel_interval_ns costs nothing", "[codel]") {
  Marks marks(60);
  ScopedPool pool(CodelOptions(1 * kMs, kHourNs));
  RunStandingQueue(pool, marks);
  CHECK(Stats(pool).shed == 0);
  CHECK(marks.CountEnded(POOL_DONE) == 60);
}

TEST_CASE("H17: nothing is shed that has waited less than codel_target_ns", "[codel]") {
  Marks marks(100);
  ScopedPool pool(CodelOptions(kHourNs, 1));
  RunStandingQueue(pool, marks);
  CHECK(Stats(pool).shed == 0);
  CHECK(marks.CountEnded(POOL_DONE) == 100);
}

TEST_CASE("H17: the default of codel_interval_ns is 100 ms", "[codel][serial]") {
  bool was_short = false;
  for (int i = 0; i < 50 && !was_short; ++i) {  // a busy machine may take longer
    Marks marks(30);
    ScopedPool pool(CodelOptions(1 * kMs, 0));
    const Stopwatch watch;
    RunStandingQueue(pool, marks);
    was_short = watch.Seconds() < 0.1;
    if (was_short) CHECK(Stats(pool).shed == 0);
  }
  CHECK(was_short);
  Marks marks(300);
  ScopedPool pool(CodelOptions(1 * kMs, 0));
  RunStandingQueue(pool, marks);
  CHECK(Stats(pool).shed > 0);
}

TEST_CASE("H17: without codel_target_ns nothing is ever shed", "[codel]") {
  Marks marks(100);
  ScopedPool pool(CodelOptions(0, 1));
  RunStandingQueue(pool, marks);
  CHECK(Stats(pool).shed == 0);
}

TEST_CASE("a task behind which nothing waits is not shed, however long it has waited", "[codel]") {
  Marks marks(20);
  ScopedPool pool(CodelOptions(1, 1));
  for (size_t i = 0; i < marks.size(); ++i) {
    Must(pool_pause(pool), "pause");
    Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
    SpinFor(std::chrono::microseconds(200));
    Must(pool_resume(pool), "resume");
    REQUIRE(WaitIdle(pool));
  }
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == marks.size());
}

TEST_CASE("a task that has begun is not shed before its next attempt", "[codel]") {
  Marks marks(50);
  ScopedPool pool(CodelOptions(1 * kMs, 1 * kMs));
  Must(pool_pause(pool), "pause");
  for (size_t i = 0; i < marks.size(); ++i) {
    marks[i].then = [](pool_ctx_t* ctx) {
      SpinFor(std::chrono::microseconds(500));
      return pool_ctx_attempt(ctx) < 2 ? POOL_RETRY : 0;
    };
    pool_task_t task = marks[i].Task();
    task.retries_max = 1;
    task.backoff_first_ns = 1;
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
  for (size_t i = 0; i < marks.size(); ++i) {
    CHECK(marks[i].drops == 1);
    CHECK(marks[i].runs == (marks[i].outcome == POOL_SHED ? 0 : 2));
  }
}

TEST_CASE("a queue that is shed from still keeps to its limits", "[codel]") {
  Marks marks(3'000);
  pool_options_t options = CodelOptions(100'000, 200'000);
  options.queue_limit = 50;
  options.queue_limit_bytes = 1'000;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.workers_max = 2;
  ScopedPool pool(options);
  for (size_t i = 0; i < marks.size(); ++i) {
    marks[i].then = [](pool_ctx_t*) {
      SpinFor(std::chrono::microseconds(20));
      return 0;
    };
    pool_task_t task = marks[i].Task();
    task.cost_bytes = i % 50;
    Must(i % 2 == 0 ? pool_submit(pool, Mark::Run, &marks[i]) : pool_submit_task(pool, &task, nullptr), "submit");
  }
  CheckSettled(pool);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.shed + stats.done == marks.size());
  CHECK(stats.shed > 0);
  CHECK(marks.EachDroppedOnce());
  // Every place and every byte is free again.
  Must(pool_pause(pool), "pause");
  Marks more(52);
  for (size_t i = 0; i < 50; ++i) {
    pool_task_t task = more[i].Task();
    task.cost_bytes = 20;
    task.on_full = POOL_ON_FULL_REJECT;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  pool_task_t task = more[50].Task();
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
}

TEST_CASE("times that make no sense are refused", "[codel]") {
  for (const bool target : {false, true}) {
    const pool_options_t options = CodelOptions(target ? -1 : 1, target ? 1 : -1);
    pool_t pool = 0;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CHECK(LastErrorText().find(target ? "codel_target_ns" : "codel_interval_ns") != std::string::npos);
  }
}

}  // namespace
}  // namespace workpool_test
