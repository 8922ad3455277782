// Admission: what a submit does when there is no room, by pool and by task, for every function that submits; limits by
// bytes. (limits_test.cc: rejecting and blocking in more depth.)
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "order_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int32_t kStrategies[] = {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO,
                                   POOL_STRATEGY_PRIORITY};
// Three exact ones, and one that is kept in credits.
constexpr uint64_t kLimits[] = {1, 2, 7, 5'000};

constexpr By kWithTask[] = {By::kTask, By::kBatch};

pool_options_t Limited(uint64_t limit, int32_t on_full, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = MarkOptions(1, strategy);
  options.queue_limit = limit;
  options.on_full = on_full;
  return options;
}

// A pool whose one worker stands at a gate, with as many tasks behind it as its limit allows; and some more, to submit.
struct Full {
  static constexpr size_t kMore = 20;

  Marks marks;
  Barrier barrier;
  ScopedPool pool;
  const size_t limit;

  explicit Full(const pool_options_t& options)
      : marks(options.queue_limit + kMore), pool(options), limit(options.queue_limit) {
    barrier.Occupy(pool);
    for (size_t i = 0; i < limit; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "fill");
  }
  Mark& more(size_t i) { return marks[limit + i]; }
  void OpenAndSettle() {
    barrier.Open();
    CheckSettled(pool);
  }
};

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

TEST_CASE("under CALLER_RUNS what finds no room is run by its submitter, and is over on return", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    for (const uint64_t limit : kLimits) {
      CAPTURE(strategy, limit);
      Full full(Limited(limit, POOL_ON_FULL_CALLER_RUNS, strategy));
      for (size_t i = 0; i < 8; ++i) {
        Mark& mark = full.more(i);
        mark.then = [i](pool_ctx_t*) { return i < 4 ? 0 : -1'000 - static_cast<int32_t>(i); };
        CHECK(SubmitBy(kAll[i % 4], full.pool, mark) == POOL_OK);
        CHECK(mark.Ended(i < 4 ? POOL_DONE : POOL_FAILED));
        CHECK(mark.ran_on.load() == std::this_thread::get_id());
        const pool_stats_t stats = Stats(full.pool);
        CHECK(stats.submitted == 1 + limit + i + 1);  // with the one at the gate
        CHECK(stats.ended_run == i + 1);
        CHECK(stats.queued == limit);
        CHECK(stats.rejected == 0);
      }
      full.OpenAndSettle();
      CHECK(Stats(full.pool).failed == 4);
      CHECK(full.marks.CountEnded(POOL_DONE) == limit + 4);
    }
  }
}

TEST_CASE("a task that its submitter ran has a ticket, a result and callbacks like any other", "[admission]") {
  Full full(Limited(1, POOL_ON_FULL_CALLER_RUNS));
  Mark& mark = full.more(0);
  int32_t index = 99, idle = 1, destroy = 1;
  uint32_t attempt = 0;
  mark.then = [&](pool_ctx_t* ctx) -> int32_t {
    index = pool_worker_index(full.pool);
    attempt = pool_ctx_attempt(ctx);
    // It is a task of the pool while it runs.
    idle = pool_wait_idle(full.pool, kBoundNs);
    destroy = pool_destroy(full.pool);
    if (pool_ctx_set_value(ctx, 5) != POOL_OK) return -1001;
    throw std::runtime_error("on the caller");
  };
  pool_task_t task = mark.Task();
  pool_ticket_t ticket = 0;
  CHECK(pool_submit_task(full.pool, &task, &ticket) == POOL_OK);
  pool_result_t result;
  CHECK(pool_wait(ticket, 0, 0, &result, sizeof(result)) == POOL_OK);
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == POOL_E_EXCEPTION);
  CHECK(std::string(result.text) == "on the caller");
  CHECK(result.attempts == 1);
  CHECK(result.worker == -1);
  CHECK(result.value == 5);
  CHECK(index == -1);
  CHECK(attempt == 1);
  CHECK(idle == POOL_E_DEADLOCK);
  CHECK(destroy == POOL_E_DEADLOCK);
  CHECK(mark.dones == 1);
  CHECK(mark.Ended(POOL_FAILED));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  full.OpenAndSettle();
}

TEST_CASE("an array under CALLER_RUNS is accepted whole: what fits is queued, the rest is run in order", "[admission]") {
  for (const bool batch : {false, true}) {
    Marks marks(10);
    Barrier barrier;
    ScopedPool pool(Limited(3, POOL_ON_FULL_CALLER_RUNS));
    barrier.Occupy(pool);
    std::vector<void*> args;
    std::vector<pool_task_t> tasks;
    for (size_t i = 0; i < 10; ++i) {
      args.push_back(&marks[i]);
      tasks.push_back(marks[i].Task());
    }
    uint32_t accepted = 0;
    CHECK((batch ? pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 10, nullptr, &accepted)
                 : pool_submit_many(pool, Mark::Run, args.data(), 10, &accepted)) == POOL_OK);
    CHECK(accepted == 10);
    CHECK(marks.order() == Range(3, 10));
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 10);
  }
}

TEST_CASE("a task may submit any number of tasks to its own full pool under CALLER_RUNS", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    const uint64_t count = Rounds(100'000);
    std::atomic<uint64_t> runs{0}, elsewhere{0}, bad{0};
    pool_options_t options = Options(1);
    options.queue_limit = 1;
    options.on_full = POOL_ON_FULL_CALLER_RUNS;
    options.strategy = strategy;
    ScopedPool pool(options);
    Body child([&](pool_ctx_t*) {
      if (pool_worker_index(pool) != 0) ++elsewhere;
      ++runs;
      return 0;
    });
    Body parent([&](pool_ctx_t*) {
      const pool_task_t task = Task(Body::Run, &child);
      for (uint64_t i = 0; i < count; ++i) {
        const pool_status_t status =
            i % 2 == 0 ? pool_submit(pool, Body::Run, &child) : pool_submit_task(pool, &task, nullptr);
        if (status != POOL_OK) ++bad;
      }
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &parent), "submit");
    CheckSettled(pool);
    CHECK(runs == count);
    CHECK(elsewhere == 0);
    CHECK(bad == 0);
    CHECK(Stats(pool).done == count + 1);
    CHECK(Stats(pool).rejected == 0);
  }
}

// Each finds the queue full and runs the next one inside itself, as long as there is stack; then the limit gives way.
TEST_CASE("a chain of tasks under CALLER_RUNS does not overflow the stack", "[admission]") {
  const uint64_t count = Rounds(100'000);
  for (const bool outside : {false, true}) {
    CAPTURE(outside);
    std::atomic<uint64_t> runs{0}, bad{0}, deepest{0};
    Barrier barrier;
    pool_options_t options = Options(1);
    options.queue_limit = 1;
    options.on_full = POOL_ON_FULL_CALLER_RUNS;
    options.stack_bytes = 256 * 1024;
    ScopedPool pool(options);
    uint64_t depth = 0;
    Body chain([&](pool_ctx_t*) {
      if (++depth > deepest) deepest = depth;
      if (++runs < count && pool_submit(pool, Body::Run, &chain) != POOL_OK) ++bad;
      --depth;
      return 0;
    });
    Body first([&](pool_ctx_t* ctx) {
      if (pool_submit(pool, DoNothing, nullptr) != POOL_OK) ++bad;  // nobody else takes it: full from now on
      return Body::Run(&chain, ctx);
    });
    if (outside) {
      barrier.Occupy(pool);
      Must(pool_submit(pool, DoNothing, nullptr), "submit");
      Must(pool_submit(pool, Body::Run, &chain), "submit");
      barrier.Open();
    } else {
      Must(pool_submit(pool, Body::Run, &first), "submit");
    }
    CheckSettled(pool);
    CHECK(runs == count);
    CHECK(bad == 0);
    CHECK(deepest >= 2);  // it has been nested
  }
}

TEST_CASE("what its submitter runs may submit under CALLER_RUNS itself, and the limit stays", "[admission]") {
  Full full(Limited(7, POOL_ON_FULL_CALLER_RUNS));
  uint64_t most = 0;
  full.more(0).then = [&](pool_ctx_t*) {
    for (size_t i = 1; i < Full::kMore; ++i) {
      const pool_status_t status = SubmitBy(kAll[i % 4], full.pool, full.more(i));
      if (status != POOL_OK) return status;
      most = std::max(most, Stats(full.pool).queued);
    }
    return 0;
  };
  CHECK(SubmitBy(By::kTask, full.pool, full.more(0)) == POOL_OK);
  CHECK(most == 7);
  for (size_t i = 0; i < Full::kMore; ++i) CHECK(full.more(i).ran_on.load() == std::this_thread::get_id());
  full.OpenAndSettle();
  CHECK(full.marks.CountEnded(POOL_DONE) == 7 + Full::kMore);
}

TEST_CASE("a worker of another pool runs what finds no room, with another up in its place where it waits", "[admission]") {
  Full full(Limited(1, POOL_ON_FULL_CALLER_RUNS));
  ScopedPool other(1);
  int32_t index = 99, index_there = 99;
  full.more(0).then = [&](pool_ctx_t*) {
    index = pool_worker_index(full.pool);
    index_there = pool_worker_index(other);
    return 0;
  };
  Body body([&](pool_ctx_t*) { return SubmitBy(By::kSubmit, full.pool, full.more(0)); });
  const pool_ticket_t ticket = Submit(other, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(full.more(0).Ended(POOL_DONE));
  CHECK(index == -1);
  CHECK(index_there == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  full.OpenAndSettle();
  CheckSettled(other);
}

// It ends tasks whose time has passed, and serves every pool of the process.
TEST_CASE("the thread that turns the timers does not run what finds no room", "[admission]") {
  static std::atomic<int32_t> bad;
  static std::atomic<Mark*> next;
  static std::atomic<pool_t> its_pool;
  Full full(Limited(2, POOL_ON_FULL_CALLER_RUNS));
  bad = 1;
  next = &full.more(1);
  its_pool = full.pool;
  REQUIRE(pool_cancel(Submit(full.pool, full.more(2).Task())) == POOL_E_ALREADY);  // (that was run here)
  pool_task_t expiring = full.more(0).Task();
  expiring.queue_timeout_ns = 1 * kMs;
  expiring.on_full = POOL_ON_FULL_DROP_OLDEST;
  expiring.done = [](void*, const pool_result_t*) {
    const pool_t pool = its_pool;
    // Full again, and then one more.
    const pool_task_t filler = Task(DoNothing, nullptr);
    const pool_status_t first = pool_submit_task(pool, &filler, nullptr);
    const pool_status_t second = pool_submit(pool, Mark::Run, next.load());
    bad = first != POOL_OK || second != POOL_OK || next.load()->runs != 0 ? 2 : 0;
  };
  Must(pool_submit_task(full.pool, &expiring, nullptr), "submit");
  CHECK(PollUntil([&] { return bad != 1; }));
  CHECK(bad == 0);
  full.OpenAndSettle();
  CHECK(full.more(1).Ended(POOL_DONE));
}

TEST_CASE("under CALLER_RUNS a closed pool or a cancelled group or token refuses, and runs nothing", "[admission]") {
  Full full(Limited(1, POOL_ON_FULL_CALLER_RUNS));
  pool_group_t group = 0;
  pool_token_t token = 0;
  Must(pool_group_create(full.pool, nullptr, &group), "group_create");
  Must(pool_token_create(0, &token), "token_create");
  Must(pool_group_cancel(group), "group_cancel");
  Must(pool_token_cancel(token, 0), "token_cancel");
  pool_task_t task = full.more(0).Task();
  task.group = group;
  CHECK(pool_submit_task(full.pool, &task, nullptr) == POOL_E_CANCELLED);
  task = full.more(1).Task();
  task.token = token;
  CHECK(pool_submit_task(full.pool, &task, nullptr) == POOL_E_CANCELLED);
  CHECK(pool_close(full.pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  for (size_t i = 0; i < 4; ++i) CHECK(SubmitBy(kAll[i], full.pool, full.more(2 + i)) == POOL_E_CLOSED);
  for (size_t i = 0; i < 6; ++i) CHECK(full.more(i).Untouched());
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
  full.OpenAndSettle();
}

TEST_CASE("CALLER_RUNS keeps to the order of a key and to the limit of a class", "[admission]") {
  Marks marks(3);
  Gate gate;
  Barrier barrier;
  pool_options_t options = Limited(1, POOL_ON_FULL_CALLER_RUNS);
  options.workers_max = 2;
  ScopedPool pool(options);
  pool_class_options_t rules;
  Must(pool_class_options_init(&rules, sizeof(rules)), "init");
  rules.concurrency_max = 1;
  Must(pool_class_set(pool, 1, &rules), "class_set");
  std::atomic<uint64_t> inside{0}, most{0};
  for (size_t i = 0; i < 3; ++i) {
    marks[i].then = [&, i](pool_ctx_t*) {
      most = std::max(most.load(), ++inside);
      if (i == 0) gate.Pass();
      --inside;
      return 0;
    };
  }
  std::atomic<int32_t> status{1};
  const auto with_rule = [&](Mark& mark, bool key) {
    pool_task_t task = mark.Task();
    (key ? task.key : task.cost_bytes) = key ? 5 : 0;
    task.class_id = key ? 0 : 1;
    return task;
  };
  const bool key = GENERATE(true, false);
  pool_task_t task = with_rule(marks[0], key);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  barrier.Occupy(pool);
  Must(pool_submit(pool, DoNothing, nullptr), "fill");
  std::thread submitter([&] {
    const pool_task_t second = with_rule(marks[1], key);
    status = pool_submit_task(pool, &second, nullptr);
  });
  CHECK(HoldsThroughout([&] { return marks[1].runs == 0; }));
  gate.Open();
  submitter.join();
  CHECK(status == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks[1].Ended(POOL_DONE));
  CHECK(most == 1);
  CHECK(marks.order() == std::vector<int64_t>{0, 1});
}

TEST_CASE("DROP_OLDEST sheds what has waited longest, exactly in a pool with one queue", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    for (const uint64_t limit : kLimits) {
      CAPTURE(strategy, limit);
      Full full(Limited(limit, POOL_ON_FULL_DROP_OLDEST, strategy));
      for (size_t i = 0; i < Full::kMore; ++i) {
        CHECK(SubmitBy(kAll[i % 4], full.pool, full.more(i)) == POOL_OK);
        CHECK(full.marks[i].Ended(POOL_SHED));
        CHECK(Stats(full.pool).shed == i + 1);
        CHECK(Stats(full.pool).queued == limit);
      }
      CHECK(Stats(full.pool).rejected == 0);
      full.OpenAndSettle();
      CHECK(full.marks.CountEnded(POOL_SHED) == Full::kMore);
      CHECK(full.marks.CountEnded(POOL_DONE) == limit);
      std::vector<int64_t> order = full.marks.order();
      std::sort(order.begin(), order.end());
      CHECK(order == Range(Full::kMore, static_cast<int64_t>(limit + Full::kMore)));
    }
  }
}

TEST_CASE("the oldest of a priority pool is shed whatever its priority", "[admission]") {
  Marks marks(6);
  Barrier barrier;
  ScopedPool pool(Limited(4, POOL_ON_FULL_DROP_OLDEST, POOL_STRATEGY_PRIORITY));
  barrier.Occupy(pool);
  const int32_t priorities[] = {INT32_MAX, -5, 0, INT32_MIN, 1, 2};
  for (size_t i = 0; i < 6; ++i) {
    Must(SubmitBy(By::kTask, pool, marks[i], POOL_ON_FULL_DEFAULT, priorities[i]), "submit");
  }
  CHECK(marks[0].Ended(POOL_SHED));
  CHECK(marks[1].Ended(POOL_SHED));
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{5, 4, 2, 3});
}

TEST_CASE("a task that is shed ends as SHED with code FULL, for done, drop, its ticket and its group", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    Marks marks(3);
    Barrier barrier;
    ScopedPool pool(Limited(1, POOL_ON_FULL_DROP_OLDEST, strategy));
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    barrier.Occupy(pool);
    pool_task_t task = marks[0].Task();
    task.group = group;
    const pool_ticket_t ticket = Submit(pool, task);
    std::atomic<int32_t> waited{1};
    std::thread waiter([&] {
      pool_result_t result;
      Must(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)), "wait");
      waited = result.outcome;
    });
    Must(pool_submit(pool, Mark::Run, &marks[1]), "submit");
    waiter.join();
    CHECK(waited == POOL_SHED);
    pool_result_t result;
    CHECK(pool_wait(ticket, POOL_WAIT_HELP, 0, &result, sizeof(result)) == POOL_OK);
    CHECK(result.outcome == POOL_SHED);
    CHECK(result.code == POOL_E_FULL);
    CHECK(result.attempts == 0);
    CHECK(result.worker == -1);
    CHECK(result.wait_ns > 0);
    CHECK(result.run_ns == 0);
    CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
    CHECK(marks[0].dones == 1);
    CHECK(marks[0].code == POOL_E_FULL);
    CHECK(marks[0].Ended(POOL_SHED));
    CHECK(pool_group_wait(group, 0, nullptr) == POOL_OK);
    CHECK(pool_group_release(group) == POOL_OK);
    barrier.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("done and drop of a task that is shed may submit to the same pool", "[admission]") {
  static std::atomic<uint64_t> runs;
  static std::atomic<int32_t> bad;
  static pool_t its_pool;
  runs = 0;
  bad = 0;
  Barrier barrier;
  ScopedPool pool(Limited(1, POOL_ON_FULL_DROP_OLDEST, POOL_STRATEGY_FIFO));
  its_pool = pool;
  barrier.Occupy(pool);
  pool_task_t task = Task(CountRun, &runs);
  task.done = [](void*, const pool_result_t*) {
    // The place of the one that is shed is free, or taken again: it is refused, or queued.
    pool_task_t again = Task(CountRun, &runs);
    again.on_full = POOL_ON_FULL_REJECT;
    const pool_status_t status = pool_submit_task(its_pool, &again, nullptr);
    if (status != POOL_OK && status != POOL_E_FULL) ++bad;
  };
  for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  barrier.Open();
  CheckSettled(pool);
  CHECK(bad == 0);
  CHECK(runs >= 1);
}

TEST_CASE("an array under DROP_OLDEST sheds its own first tasks when it is longer than the queue", "[admission]") {
  for (const bool batch : {false, true}) {
    Marks marks(20);
    Barrier barrier;
    ScopedPool pool(Limited(7, POOL_ON_FULL_DROP_OLDEST, POOL_STRATEGY_FIFO));
    barrier.Occupy(pool);
    std::vector<void*> args;
    std::vector<pool_task_t> tasks;
    for (size_t i = 0; i < 20; ++i) {
      args.push_back(&marks[i]);
      tasks.push_back(marks[i].Task());
    }
    uint32_t accepted = 0;
    CHECK((batch ? pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 20, nullptr, &accepted)
                 : pool_submit_many(pool, Mark::Run, args.data(), 20, &accepted)) == POOL_OK);
    CHECK(accepted == 20);
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.order() == Range(13, 20));
    CHECK(marks.CountEnded(POOL_SHED) == 13);
  }
}

TEST_CASE("tasks that wait for their time are not shed, and neither is what a worker has for itself", "[admission]") {
  Marks marks(4);
  Barrier barrier;
  ScopedPool pool(Limited(2, POOL_ON_FULL_DROP_OLDEST));
  barrier.Occupy(pool);
  pool_task_t task = marks[0].Task();
  task.delay_ns = 3'600'000 * kMs;
  const pool_ticket_t first = Submit(pool, task);
  task.arg = &marks[1];
  const pool_ticket_t second = Submit(pool, task);
  CHECK(pool_submit(pool, Mark::Run, &marks[2]) == POOL_E_FULL);
  CHECK(pool_cancel(first) == POOL_OK);
  CHECK(pool_submit(pool, Mark::Run, &marks[2]) == POOL_OK);
  CHECK(pool_submit(pool, Mark::Run, &marks[3]) == POOL_OK);
  CHECK(marks[2].Ended(POOL_SHED));
  CHECK(pool_cancel(second) == POOL_OK);
  CHECK(pool_ticket_release(first) == POOL_OK);
  CHECK(pool_ticket_release(second) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks[3].Ended(POOL_DONE));
  CHECK(Stats(pool).rejected == 1);
  CHECK(marks.EachDroppedOnce());

  Marks children(3);
  int32_t statuses[3] = {1, 1, 1};
  Body parent([&](pool_ctx_t*) {
    for (size_t i = 0; i < 3; ++i) statuses[i] = pool_submit(pool, Mark::Run, &children[i]);
    return 0;
  });
  const pool_task_t body = Task(Body::Run, &parent);
  Must(pool_submit_task(pool, &body, nullptr), "submit");
  CheckSettled(pool);
  CHECK(statuses[0] == POOL_OK);
  CHECK(statuses[1] == POOL_OK);
  CHECK(statuses[2] == POOL_E_FULL);
}

TEST_CASE("a task of a fifo pool may shed the oldest itself", "[admission]") {
  for (const int32_t strategy : {POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_PRIORITY}) {
    Marks marks(10);
    std::atomic<int32_t> bad{0};
    ScopedPool pool(Limited(3, POOL_ON_FULL_DROP_OLDEST, strategy));
    Body parent([&](pool_ctx_t*) {
      for (size_t i = 0; i < 10; ++i) {
        if (SubmitBy(kAll[i % 4], pool, marks[i]) != POOL_OK) ++bad;
      }
      return 0;
    });
    const pool_task_t body = Task(Body::Run, &parent);
    Must(pool_submit_task(pool, &body, nullptr), "submit");
    CheckSettled(pool);
    CHECK(bad == 0);
    CHECK(marks.CountEnded(POOL_SHED) == 7);
    std::vector<int64_t> order = marks.order();
    std::sort(order.begin(), order.end());
    CHECK(order == Range(7, 10));
  }
}

TEST_CASE("DROP_LOWEST sheds a task of the lowest priority, if that is below the new one's", "[admission]") {
  for (const int32_t strategy : {POOL_STRATEGY_STEALING, POOL_STRATEGY_PRIORITY}) {
    for (const uint64_t limit : {uint64_t{4}, uint64_t{5'000}}) {
      CAPTURE(strategy, limit);
      Marks marks(limit + 20);
      Barrier barrier;
      pool_options_t options = Limited(limit, POOL_ON_FULL_DROP_LOWEST, strategy);
      ScopedPool pool(options);
      barrier.Occupy(pool);
      // The first and the last have -1, the one before the last 1, the others 0.
      for (size_t i = 0; i < limit; ++i) {
        const int32_t priority = i == 0 || i == limit - 1 ? -1 : i == limit - 2 ? 1 : 0;
        Must(SubmitBy(By::kTask, pool, marks[i], POOL_ON_FULL_DEFAULT, priority), "submit");
      }
      const auto submit = [&](size_t i, int32_t priority) {
        return SubmitBy(kWithTask[i % 2], pool, marks[limit + i], POOL_ON_FULL_DEFAULT, priority);
      };
      CHECK(submit(0, -1) == POOL_E_FULL);  // none is lower
      CHECK(Stats(pool).shed == 0);
      CHECK(submit(1, 0) == POOL_OK);
      CHECK(SubmitBy(By::kSubmit, pool, marks[limit + 2]) == POOL_OK);
      CHECK(marks[0].Ended(POOL_SHED));
      CHECK(marks[limit - 1].Ended(POOL_SHED));
      CHECK(marks[0].code == POOL_E_FULL);
      CHECK(submit(3, 0) == POOL_E_FULL);
      CHECK(submit(4, -1) == POOL_E_FULL);
      CHECK(SubmitBy(By::kMany, pool, marks[limit + 5]) == POOL_E_FULL);
      CHECK(Stats(pool).shed == 2);
      CHECK(submit(6, 1) == POOL_OK);
      CHECK(Stats(pool).shed == 3);
      CHECK(Stats(pool).queued == limit);
      CHECK(Stats(pool).rejected == 4);
      barrier.Open();
      CheckSettled(pool);
      CHECK(marks.CountEnded(POOL_DONE) == limit);
      CHECK(marks.CountEnded(POOL_SHED) == 3);
      CHECK(marks[limit - 2].Ended(POOL_DONE));
      CHECK(marks[limit + 6].Ended(POOL_DONE));
    }
  }
}

TEST_CASE("with many lanes the lowest that has a task loses one", "[admission]") {
  Marks marks(8);
  Barrier barrier;
  pool_options_t options = Limited(4, POOL_ON_FULL_DROP_LOWEST);
  options.lanes = POOL_LANES_MAX;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  const int32_t priorities[] = {3, -7, 8, -2, -6, -1, 4, 3};
  // 3 -7 8 -2 are full; -6 sheds -7, -1 sheds -6, 4 sheds -2, and then 3 sheds -1.
  for (size_t i = 0; i < 8; ++i) {
    Must(SubmitBy(By::kTask, pool, marks[i], POOL_ON_FULL_DEFAULT, priorities[i]), "submit");
  }
  CHECK(Stats(pool).shed == 4);
  for (const size_t i : {1u, 3u, 4u, 5u}) CHECK(marks[i].Ended(POOL_SHED));
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{2, 6, 0, 7});
}

TEST_CASE("without priorities DROP_LOWEST refuses", "[admission]") {
  for (const int32_t strategy : {POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_STEALING}) {
    Full full(Limited(2, POOL_ON_FULL_DROP_LOWEST, strategy));
    for (size_t i = 0; i < 4; ++i) CHECK(SubmitBy(kAll[i], full.pool, full.more(i)) == POOL_E_FULL);
    CHECK(Stats(full.pool).rejected == 4);
    CHECK(Stats(full.pool).shed == 0);
    full.OpenAndSettle();
    CHECK(full.marks.CountEnded(POOL_DONE) == 2);
  }
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

TEST_CASE("what a loop leaves in the queue is no task, and makes no room when it is shed", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    Marks marks(4);
    Barrier barrier;
    pool_options_t options = Limited(2, POOL_ON_FULL_DROP_OLDEST, strategy);
    options.workers_max = 2;
    ScopedPool pool(options);
    barrier.Occupy(pool, 2);
    struct Loop {
      pool_t pool;
      Marks* marks;
      std::atomic<uint64_t> parts{0};
      std::atomic<int32_t> bad{0};
    } loop{pool, &marks, {}, {}};
    const pool_range_fn body = [](void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) -> int32_t {
      auto& its = *static_cast<Loop*>(arg);
      its.parts += end - begin;
      if (begin == 0) {
        for (size_t i = 0; i < 4; ++i) {
          if (SubmitBy(By::kTask, its.pool, (*its.marks)[i]) != POOL_OK) ++its.bad;
        }
      }
      return 0;
    };
    int32_t code = 1;
    CHECK(pool_parallel_for(pool, 0, 100, 1, 0, body, &loop, &code) == POOL_OK);
    CHECK(code == 0);
    CHECK(loop.parts == 100);
    CHECK(loop.bad == 0);
    CHECK(Stats(pool).shed == 2);
    CHECK(marks[0].Ended(POOL_SHED));
    CHECK(marks[1].Ended(POOL_SHED));
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 2);
  }
}

// ---- by bytes

pool_task_t WithCost(pool_task_t task, uint64_t cost_bytes) {
  task.cost_bytes = cost_bytes;
  return task;
}

pool_status_t SubmitCost(pool_t pool, Mark& mark, uint64_t cost_bytes, int32_t on_full = POOL_ON_FULL_DEFAULT) {
  pool_task_t task = WithCost(mark.Task(), cost_bytes);
  task.on_full = on_full;
  return pool_submit_task(pool, &task, nullptr);
}

pool_options_t LimitedBytes(uint64_t bytes, int32_t on_full, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = MarkOptions(1, strategy);
  options.queue_limit_bytes = bytes;
  options.on_full = on_full;
  return options;
}

TEST_CASE("H17: options.queue_limit_bytes bounds the sum of task.cost_bytes of what waits", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    Marks marks(12);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_REJECT, strategy));
    barrier.Occupy(pool);
    CHECK(SubmitCost(pool, marks[0], 60) == POOL_OK);
    CHECK(SubmitCost(pool, marks[1], 41) == POOL_E_FULL);
    CHECK(LastErrorText().find("options.queue_limit_bytes = 100") != std::string::npos);
    CHECK(SubmitCost(pool, marks[1], 40) == POOL_OK);
    CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX - 99) == POOL_E_FULL);
    // What costs nothing is not concerned.
    CHECK(SubmitCost(pool, marks[3], 0) == POOL_OK);
    CHECK(pool_submit(pool, Mark::Run, &marks[4]) == POOL_OK);
    std::vector<pool_task_t> tasks = {WithCost(marks[5].Task(), 0), WithCost(marks[6].Task(), 1)};
    uint32_t accepted = 0;
    CHECK(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 2, nullptr, &accepted) == POOL_E_FULL);
    CHECK(accepted == 1);
    CHECK(Stats(pool).rejected == 5);
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 5);
    CHECK(marks[2].Untouched());
    CHECK(marks[6].Untouched());
    // All of it is free again, exactly.
    Barrier again;
    again.Occupy(pool);
    CHECK(SubmitCost(pool, marks[7], 100) == POOL_OK);
    CHECK(SubmitCost(pool, marks[8], 1) == POOL_E_FULL);
    again.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("H17: without options.queue_limit_bytes costs do not matter", "[admission]") {
  Marks marks(10);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(0, POOL_ON_FULL_REJECT));
  barrier.Occupy(pool);
  for (size_t i = 0; i < 10; ++i) CHECK(SubmitCost(pool, marks[i], uint64_t{1} << (i + 40)) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 10);
}

TEST_CASE("a task that costs more than the whole limit is let in when no other cost waits", "[admission]") {
  for (const uint64_t cost : {uint64_t{101}, UINT64_MAX}) {
    Marks marks(5);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_REJECT));
    barrier.Occupy(pool);
    CHECK(SubmitCost(pool, marks[0], 1) == POOL_OK);
    CHECK(SubmitCost(pool, marks[1], cost) == POOL_E_FULL);
    barrier.Open();
    CheckSettled(pool);
    Barrier again;
    again.Occupy(pool);
    CHECK(SubmitCost(pool, marks[1], cost) == POOL_OK);
    CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], 0) == POOL_OK);
    again.Open();
    CheckSettled(pool);
    CHECK(SubmitCost(pool, marks[3], 100) == POOL_OK);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 4);
  }
}

TEST_CASE("bytes come back when a task starts, is cancelled, expires or is refused by the other limit", "[admission]") {
  Marks marks(10);
  Gate gate;
  pool_options_t options = LimitedBytes(100, POOL_ON_FULL_REJECT);
  options.queue_limit = 2;
  ScopedPool pool(options);
  marks[0].then = [&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  };
  CHECK(SubmitCost(pool, marks[0], 100) == POOL_OK);
  REQUIRE(gate.AwaitArrivals(1));  // it runs, and costs nothing any more
  const pool_ticket_t cancelled = Submit(pool, WithCost(marks[1].Task(), 100));
  CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
  CHECK(pool_cancel(cancelled) == POOL_OK);
  pool_task_t expiring = WithCost(marks[3].Task(), 100);
  expiring.queue_timeout_ns = 1 * kMs;
  const pool_ticket_t expired = Submit(pool, expiring);
  CHECK(WaitForResult(expired).outcome == POOL_EXPIRED);
  pool_task_t delayed = WithCost(marks[4].Task(), 60);
  delayed.delay_ns = 3'600'000 * kMs;
  const pool_ticket_t held = Submit(pool, delayed);
  CHECK(SubmitCost(pool, marks[5], 41) == POOL_E_FULL);  // it counts while it is held
  CHECK(SubmitCost(pool, marks[5], 20) == POOL_OK);
  for (int i = 0; i < 10; ++i) CHECK(SubmitCost(pool, marks[6], 20) == POOL_E_FULL);  // two wait
  CHECK(pool_cancel(held) == POOL_OK);
  CHECK(SubmitCost(pool, marks[6], 81) == POOL_E_FULL);
  CHECK(SubmitCost(pool, marks[6], 80) == POOL_OK);
  gate.Open();
  CheckSettled(pool);
  for (const pool_ticket_t ticket : {cancelled, expired, held}) CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(marks.CountEnded(POOL_DONE) == 3);
  CHECK(marks.CountEnded(POOL_CANCELLED) == 2);
}

TEST_CASE("a submit blocks for bytes, too, at most its timeout", "[admission]") {
  Marks marks(4);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_BLOCK));
  barrier.Occupy(pool);
  CHECK(SubmitCost(pool, marks[0], 90) == POOL_OK);
  pool_task_t task = WithCost(marks[1].Task(), 11);
  task.submit_timeout_ns = 20 * kMs;
  const Stopwatch watch;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.020);
  CHECK(Stats(pool).rejected == 1);
  std::atomic<int32_t> status{1}, huge{1};
  std::thread submitter([&] { status = SubmitCost(pool, marks[2], 11); });
  std::thread other([&] { huge = SubmitCost(pool, marks[3], 1'000); });
  CHECK(HoldsThroughout([&] { return status == 1 && huge == 1; }));
  barrier.Open();
  submitter.join();
  other.join();
  CHECK(status == POOL_OK);
  CHECK(huge == POOL_OK);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 3);
}

TEST_CASE("a cancel that frees bytes lets a blocked submit in", "[admission]") {
  Marks marks(2);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_BLOCK));
  barrier.Occupy(pool);
  const pool_ticket_t ticket = Submit(pool, WithCost(marks[0].Task(), 100));
  std::atomic<int32_t> status{1};
  std::thread submitter([&] { status = SubmitCost(pool, marks[1], 50); });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cancel(ticket) == POOL_OK);
  submitter.join();
  CHECK(status == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
}

TEST_CASE("DROP_OLDEST sheds as many as it takes to make room for the bytes", "[admission]") {
  for (const int32_t strategy : {POOL_STRATEGY_FIFO, POOL_STRATEGY_STEALING}) {
    Marks marks(8);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_DROP_OLDEST, strategy));
    barrier.Occupy(pool);
    for (size_t i = 0; i < 5; ++i) CHECK(SubmitCost(pool, marks[i], 20) == POOL_OK);
    CHECK(SubmitCost(pool, marks[5], 50) == POOL_OK);  // three have to go
    CHECK(Stats(pool).shed == 3);
    CHECK(SubmitCost(pool, marks[6], 5'000) == POOL_OK);  // all have to go
    CHECK(Stats(pool).shed == 6);
    for (size_t i = 0; i < 6; ++i) CHECK(marks[i].Ended(POOL_SHED));
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks[6].Ended(POOL_DONE));
    CHECK(Stats(pool).rejected == 0);
  }
}

TEST_CASE("DROP_LOWEST makes room for bytes among lower priorities only", "[admission]") {
  Marks marks(6);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_DROP_LOWEST, POOL_STRATEGY_PRIORITY));
  barrier.Occupy(pool);
  const int32_t priorities[] = {1, 2, 3, 4};
  for (size_t i = 0; i < 4; ++i) {
    pool_task_t task = WithCost(marks[i].Task(), 25);
    task.priority = priorities[i];
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  pool_task_t task = WithCost(marks[4].Task(), 50);
  task.priority = 3;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(marks[0].Ended(POOL_SHED));
  CHECK(marks[1].Ended(POOL_SHED));
  task = WithCost(marks[5].Task(), 1);
  task.priority = 3;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{3, 2, 4});
}

TEST_CASE("CALLER_RUNS runs what finds no room by bytes", "[admission]") {
  Marks marks(3);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_CALLER_RUNS));
  barrier.Occupy(pool);
  CHECK(SubmitCost(pool, marks[0], 100) == POOL_OK);
  CHECK(SubmitCost(pool, marks[1], 70) == POOL_OK);
  CHECK(marks[1].Ended(POOL_DONE));
  CHECK(marks[1].ran_on.load() == std::this_thread::get_id());
  barrier.Open();
  CheckSettled(pool);
  CHECK(SubmitCost(pool, marks[2], 100) == POOL_OK);
  CheckSettled(pool);
  CHECK(marks[2].ran_on.load() != std::this_thread::get_id());  // nothing of it is left
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
