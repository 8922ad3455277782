// DROP_OLDEST and DROP_LOWEST: a task that waits is shed to make room for the new one.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "admission_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;

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

}  // namespace
}  // namespace workpool_test
