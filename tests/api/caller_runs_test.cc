// CALLER_RUNS: what finds no room is run by who submits it.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "admission_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;

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

}  // namespace
}  // namespace workpool_test
