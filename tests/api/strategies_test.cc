// Strategies: in which order a pool with one queue takes its tasks.
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "order_support.h"

namespace workpool_test {
namespace {

constexpr int32_t kOrdered[] = {POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_PRIORITY};

pool_task_t WithPriority(pool_task_t task, int32_t priority) {
  task.priority = priority;
  return task;
}

// The order in which a pool takes what was submitted as 0, 1, 2, ... with no priority.
std::vector<int64_t> Expected(int32_t strategy, int64_t count) {
  return strategy == POOL_STRATEGY_LIFO ? Reversed(Range(0, count)) : Range(0, count);
}

// By every function that submits.
void SubmitInTurn(pool_t pool, Marks& marks, pool_group_t group) {
  for (size_t i = 0; i < marks.size();) {
    const size_t left = marks.size() - i;
    const size_t turn = i % 11;
    if (turn == 3 && left >= 70) {
      std::vector<void*> args;
      for (size_t k = 0; k < 70; ++k) args.push_back(&marks[i + k]);
      Must(pool_submit_many(pool, Mark::Run, args.data(), 70, nullptr), "submit_many");
      i += 70;
    } else if (turn == 5 && left >= 5) {
      std::vector<pool_task_t> tasks;
      for (size_t k = 0; k < 5; ++k) tasks.push_back(marks[i + k].Task());
      Must(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 5, nullptr, nullptr), "submit_batch");
      i += 5;
    } else if (turn % 3 == 0) {
      const pool_task_t task = marks[i++].Task();
      Must(pool_submit_task(pool, &task, nullptr), "submit_task");
    } else if (turn % 3 == 1) {
      Must(pool_group_submit(group, Mark::Run, &marks[i++]), "group_submit");
    } else {
      Must(pool_submit(pool, Mark::Run, &marks[i++]), "submit");
    }
  }
}

TEST_CASE("H17: with one worker the order of options.strategy is exact, by whatever function tasks come", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    for (const uint64_t queue_limit : {uint64_t{2'000}, uint64_t{0}, POOL_UNLIMITED}) {
      CAPTURE(strategy, queue_limit);
      Marks marks(1'000);
      Barrier barrier;
      pool_options_t options = MarkOptions(1, strategy);
      options.queue_limit = queue_limit;
      ScopedPool pool(options);
      pool_group_t group = 0;
      Must(pool_group_create(pool, nullptr, &group), "group_create");
      barrier.Occupy(pool);
      SubmitInTurn(pool, marks, group);
      barrier.Open();
      CheckSettled(pool);
      CHECK(pool_group_release(group) == POOL_OK);
      CHECK(marks.order() == Expected(strategy, 1'000));
      CHECK(marks.CountEnded(POOL_DONE) == marks.size());
    }
  }
}

// A fifo pool runs what its tasks submit after all that waits, a lifo pool before it, the others by priority.
TEST_CASE("tasks submitted by tasks have their place in the order", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    CAPTURE(strategy);
    Marks marks(40);
    Barrier barrier;
    ScopedPool pool(MarkOptions(1, strategy));
    // Tasks 0 ... 9 submit three children each: 10 + 3 i and the next two.
    for (size_t i = 0; i < 10; ++i) {
      marks[i].then = [&marks, &pool, i](pool_ctx_t* ctx) {
        Mark* children = &marks[10 + 3 * i];
        const pool_task_t task = marks[11 + 3 * i].Task();
        if (pool_submit(pool, Mark::Run, children) != POOL_OK) return -1001;
        if (pool_submit_task(pool, &task, nullptr) != POOL_OK) return -1002;
        return pool_ctx_submit(ctx, Mark::Run, &marks[12 + 3 * i]);
      };
    }
    barrier.Occupy(pool);
    for (size_t i = 0; i < 10; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
    barrier.Open();
    CheckSettled(pool);
    std::vector<int64_t> expected;
    if (strategy == POOL_STRATEGY_LIFO) {
      for (int64_t i = 9; i >= 0; --i) {
        for (const int64_t number : {i, 12 + 3 * i, 11 + 3 * i, 10 + 3 * i}) expected.push_back(number);
      }
    } else {
      expected = Range(0, 40);
    }
    CHECK(marks.order() == expected);
    CHECK(marks.CountEnded(POOL_DONE) == marks.size());
  }
}

TEST_CASE("a priority pool runs a child that is more urgent next, and one that is less so in its place", "[strategies]") {
  Marks marks(6);
  Barrier barrier;
  ScopedPool pool(MarkOptions(1, POOL_STRATEGY_PRIORITY));
  marks[0].then = [&](pool_ctx_t*) {
    const pool_task_t urgent = WithPriority(marks[3].Task(), 10);
    const pool_task_t equal = WithPriority(marks[4].Task(), 5);
    const pool_task_t late = WithPriority(marks[5].Task(), 4);
    if (pool_submit_task(pool, &late, nullptr) != POOL_OK) return -1001;
    if (pool_submit_task(pool, &equal, nullptr) != POOL_OK) return -1002;
    return pool_submit_task(pool, &urgent, nullptr);
  };
  barrier.Occupy(pool);
  const int32_t priorities[] = {6, 5, 3};
  for (size_t i = 0; i < 3; ++i) {
    const pool_task_t task = WithPriority(marks[i].Task(), priorities[i]);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{0, 3, 1, 4, 5, 2});
}

TEST_CASE("with strict priority any int32 will do, equals are FIFO, and plain tasks have 0", "[strategies]") {
  std::mt19937 numbers(7);
  constexpr int32_t kValues[] = {INT32_MIN, INT32_MIN + 1, -1'000'000, -1, 0, 1, 7, INT32_MAX - 1, INT32_MAX};
  constexpr size_t kTasks = 2'000;
  Marks marks(kTasks);
  Barrier barrier;
  ScopedPool pool(MarkOptions(1, POOL_STRATEGY_PRIORITY));
  barrier.Occupy(pool);
  std::vector<int32_t> priorities;
  for (size_t i = 0; i < kTasks; ++i) {
    priorities.push_back(kValues[numbers() % std::size(kValues)]);
    if (priorities[i] == 0 && i % 2 == 0) {
      Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
    } else {
      const pool_task_t task = WithPriority(marks[i].Task(), priorities[i]);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
  }
  barrier.Open();
  CheckSettled(pool);
  std::vector<int64_t> expected = Range(0, kTasks);
  std::stable_sort(expected.begin(), expected.end(), [&](int64_t a, int64_t b) {
    return priorities[static_cast<size_t>(a)] > priorities[static_cast<size_t>(b)];
  });
  CHECK(marks.order() == expected);
  CHECK(marks.CountEnded(POOL_DONE) == kTasks);
}

TEST_CASE("a million tasks with random priorities come out sorted, FIFO among equals", "[strategies]") {
  const auto count = static_cast<uint32_t>(Rounds(1'000'000));
  static std::vector<uint32_t> order;
  order.clear();
  order.reserve(count);
  std::vector<int32_t> priorities(count);
  std::mt19937 numbers(3);
  Barrier barrier;
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_PRIORITY;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  // One worker: nobody else writes.
  pool_task_t task = Task(
      [](void* arg, pool_ctx_t*) -> int32_t {
        order.push_back(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(arg)));
        return 0;
      },
      nullptr);
  for (uint32_t i = 0; i < count; ++i) {
    // Half of them are all different, half have many equals.
    priorities[i] = static_cast<int32_t>(i % 2 == 0 ? numbers() : numbers() % 100);
    task.priority = priorities[i];
    task.arg = reinterpret_cast<void*>(uintptr_t{i});
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CHECK(Stats(pool).queued == count);
  barrier.Open();
  REQUIRE(pool_wait_idle(pool, 3 * kBoundNs) == POOL_OK);
  CheckSettled(pool);
  REQUIRE(order.size() == count);
  CHECK(std::is_sorted(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return priorities[a] != priorities[b] ? priorities[a] > priorities[b] : a < b;
  }));
}

// Two workers, of which one stands at a gate: it has taken one task, and keeps no other from the rest.
TEST_CASE("a worker takes one task at a time: those behind it start in order although it stands still", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    CAPTURE(strategy);
    constexpr int64_t kTasks = 300;
    Marks marks(kTasks);
    Gate gate;
    Barrier barrier;
    ScopedPool pool(MarkOptions(2, strategy));
    barrier.Occupy(pool, 2);
    const std::vector<int64_t> expected = Expected(strategy, kTasks);
    marks[static_cast<size_t>(expected[0])].then = [&](pool_ctx_t*) {
      gate.Pass();
      return 0;
    };
    std::vector<void*> args;
    for (size_t i = 0; i < kTasks; ++i) args.push_back(&marks[i]);
    Must(pool_submit_many(pool, Mark::Run, args.data(), kTasks, nullptr), "submit_many");
    barrier.Open();
    CHECK(gate.AwaitArrivals(1));
    CHECK(PollUntil([&] { return marks.journal().size() == kTasks; }, 5'000'000'000));
    std::vector<int64_t> order = marks.order();
    gate.Open();
    CheckSettled(pool);
    // The one at the gate wrote itself down before or after its successor.
    REQUIRE(order.size() == kTasks);
    order.erase(std::find(order.begin(), order.end(), expected[0]));
    CHECK(order == std::vector<int64_t>(expected.begin() + 1, expected.end()));
    CHECK(marks.CountEnded(POOL_DONE) == kTasks);
  }
}

// The most of those taken before it that had not started yet when a task did; expected is the order of takes.
int64_t MostMissing(const std::vector<int64_t>& starts, const std::vector<int64_t>& expected) {
  std::vector<int64_t> places(expected.size());
  for (size_t i = 0; i < expected.size(); ++i) places[static_cast<size_t>(expected[i])] = static_cast<int64_t>(i);
  int64_t begun = 0, most = 0, last = -1;
  for (const int64_t number : starts) {
    last = std::max(last, places[static_cast<size_t>(number)]);
    most = std::max(most, last + 1 - ++begun);
  }
  return most;
}

// priorities: those of the tasks, or none.
void CheckStartsTrail(int32_t strategy, uint32_t workers, const std::vector<int32_t>& priorities, size_t count) {
  CAPTURE(strategy, workers);
  Marks marks(count);
  ScopedPool pool(MarkOptions(workers, strategy));
  Must(pool_pause(pool), "pause");
  for (size_t i = 0; i < count; ++i) {
    const pool_task_t task = WithPriority(marks[i].Task(), priorities.empty() ? 0 : priorities[i]);
    const bool plain = task.priority == 0 && i % 2 == 0;
    Must(plain ? pool_submit(pool, Mark::Run, &marks[i]) : pool_submit_task(pool, &task, nullptr), "submit");
  }
  std::vector<int64_t> expected = Expected(strategy, static_cast<int64_t>(count));
  if (!priorities.empty()) {
    std::stable_sort(expected.begin(), expected.end(), [&](int64_t a, int64_t b) {
      return priorities[static_cast<size_t>(a)] > priorities[static_cast<size_t>(b)];
    });
  }
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
  const std::vector<int64_t> order = marks.order();
  REQUIRE(order.size() == count);
  CHECK(MostMissing(order, expected) <= workers - 1);
  CHECK(marks.CountEnded(POOL_DONE) == count);
}

// Whenever a task starts, at most workers - 1 of those that were taken before it have not.
TEST_CASE("with four workers a start trails its take by at most three others", "[strategies]") {
  for (const int32_t strategy : kOrdered) CheckStartsTrail(strategy, 4, {}, Rounds(20'000));
}

TEST_CASE("with several workers and mixed priorities a start trails its take by at most workers - 1 others",
          "[strategies]") {
  std::mt19937 numbers(11);
  for (const uint32_t workers : {2u, 4u, 16u}) {
    for (const bool few : {true, false}) {  // levels with many equals, or next to none
      CAPTURE(few);
      std::vector<int32_t> priorities;
      for (uint64_t i = 0; i < Rounds(20'000); ++i) {
        priorities.push_back(static_cast<int32_t>(few ? numbers() % 5 - 2 : numbers()));
      }
      CheckStartsTrail(POOL_STRATEGY_PRIORITY, workers, priorities, priorities.size());
    }
  }
}

TEST_CASE("each of several submitters sees its own tasks start in order in a fifo pool", "[strategies]") {
  constexpr size_t kThreads = 4;
  const size_t each = Rounds(20'000);
  Marks marks(kThreads * each);
  ScopedPool pool(MarkOptions(1, POOL_STRATEGY_FIFO));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < each; ++i) Must(pool_submit(pool, Mark::Run, &marks[t * each + i]), "submit");
    });
  }
  for (auto& thread : threads) thread.join();
  CheckSettled(pool);
  std::vector<int64_t> next(kThreads, 0);
  bool in_order = true;
  for (const int64_t number : marks.order()) {
    const size_t thread = static_cast<size_t>(number) / each;
    in_order = in_order && number == static_cast<int64_t>(thread * each) + next[thread]++;
  }
  CHECK(in_order);
  CHECK(marks.CountEnded(POOL_DONE) == marks.size());
}

TEST_CASE("a pause keeps the order", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    for (int round = 0; round < 10; ++round) {
      CAPTURE(strategy);
      constexpr int64_t kTasks = 2'000;
      Marks marks(kTasks);
      ScopedPool pool(MarkOptions(1, strategy));
      Must(pool_pause(pool), "pause");
      for (size_t i = 0; i < kTasks; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
      for (const size_t pause_after : {1u, 100u, 500u, 1'000u, 1'900u}) {
        Must(pool_resume(pool), "resume");
        REQUIRE(PollUntil([&] { return marks.journal().size() >= pause_after; }));
        Must(pool_pause(pool), "pause");
      }
      Must(pool_resume(pool), "resume");
      CheckSettled(pool);
      CHECK(marks.order() == Expected(strategy, kTasks));
    }
  }
}

TEST_CASE("a paused worker puts what it has taken back to its place", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    CAPTURE(strategy);
    Marks marks(10);
    ScopedPool pool(MarkOptions(1, strategy));
    // Each task but the first two of the order finds the pool paused, and a newer task queued, behind it.
    Must(pool_pause(pool), "pause");
    const std::vector<int64_t> expected = Expected(strategy, 10);
    for (const int64_t number : expected) {
      marks[static_cast<size_t>(number)].then = [&](pool_ctx_t*) { return pool_pause(pool); };
    }
    for (size_t i = 0; i < 10; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
    for (size_t begun = 1; begun <= 10; ++begun) {
      Must(pool_resume(pool), "resume");
      REQUIRE(PollUntil([&] { return marks.journal().size() == begun; }));
      REQUIRE(PollUntil([&] { return Stats(pool).workers_busy == 0; }));
    }
    Must(pool_resume(pool), "resume");
    CheckSettled(pool);
    CHECK(marks.order() == expected);
    CHECK(marks.CountEnded(POOL_DONE) == 10);
  }
}

TEST_CASE("cancelled tasks leave the order of the others as it is", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    CAPTURE(strategy);
    constexpr size_t kTasks = 6'000;  // more than the tombstones that a queue keeps
    Marks marks(kTasks);
    Barrier barrier;
    ScopedPool pool(MarkOptions(1, strategy));
    barrier.Occupy(pool);
    std::vector<pool_ticket_t> tickets;
    for (size_t i = 0; i < kTasks; ++i) tickets.push_back(Submit(pool, marks[i].Task()));
    std::vector<int64_t> expected;
    for (const int64_t number : Expected(strategy, kTasks)) {
      if (number % 4 == 0) expected.push_back(number);
    }
    for (size_t i = 0; i < kTasks; ++i) {
      if (i % 4 != 0) CHECK(pool_cancel(tickets[i]) == POOL_OK);
      CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
    }
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.order() == expected);
    CHECK(marks.CountEnded(POOL_CANCELLED) == kTasks / 4 * 3);
    CHECK(marks.EachDroppedOnce());
  }
}

TEST_CASE("forks, loops and waits inside tasks work in a pool of any order", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    for (const uint32_t workers : {1u, 3u}) {
      CAPTURE(strategy, workers);
      std::atomic<uint64_t> runs{0};
      std::atomic<int32_t> bad{0};
      pool_options_t options = Options(workers);
      options.strategy = strategy;
      ScopedPool pool(options);
      Body body([&](pool_ctx_t* ctx) {
        pool_fork_t fork;
        if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
        if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
        pool_ticket_t ticket = 0;
        const pool_task_t task = Task(CountRun, &runs);
        if (pool_submit_task(pool, &task, &ticket) != POOL_OK) ++bad;
        if (pool_wait(ticket, 0, kBoundNs, nullptr, 0) != POOL_OK) ++bad;
        if (pool_ticket_release(ticket) != POOL_OK) ++bad;
        const pool_range_fn part = [](void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) -> int32_t {
          static_cast<std::atomic<uint64_t>*>(arg)->fetch_add(end - begin);
          return 0;
        };
        if (pool_parallel_for(pool, 0, 100, 1, 0, part, &runs, nullptr) != POOL_OK) ++bad;
        return 0;
      });
      for (int i = 0; i < 50; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
      CheckSettled(pool);
      CHECK(bad == 0);
      CHECK(runs == 50 * 102);
    }
  }
}

TEST_CASE("a task that waits wakes a sleeping worker in a pool of any order", "[strategies]") {
  for (const int32_t strategy : kOrdered) {
    Gate gate;
    pool_options_t options = Options(3);
    options.strategy = strategy;
    options.prestart = 3;
    options.keep_alive_ns = POOL_FOREVER;
    ScopedPool pool(options);
    for (uint64_t i = 1; i <= 3; ++i) {
      REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 4 - i; }));
      Must(pool_submit(pool, PassGate, &gate), "submit");
      REQUIRE(gate.AwaitArrivals(i));
    }
    gate.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("a fifo or lifo pool has no priorities, and no strategy but stealing has lanes", "[strategies]") {
  Tally tally;
  for (const int32_t strategy : {POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO}) {
    pool_options_t options = Options(1);
    options.strategy = strategy;
    ScopedPool pool(options);
    for (const int32_t priority : {1, -1, INT32_MIN, INT32_MAX}) {
      const pool_task_t task = WithPriority(TallyTask(tally), priority);
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
      CHECK(LastErrorText().find("task.priority = " + std::to_string(priority)) != std::string::npos);
      CHECK(LastErrorText().find("lanes") == std::string::npos);  // which would be refused, too
    }
    CheckSettled(pool);
    CHECK(Stats(pool).submitted == 0);
  }
  CHECK(tally.drops == 0);
  for (const int32_t strategy : kOrdered) {
    pool_options_t options = Options(1);
    options.strategy = strategy;
    options.lanes = 3;
    pool_t pool = 0;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CHECK(LastErrorText().find("options.lanes") != std::string::npos);
    options.lanes = 1;
    Must(pool_create(&options, &pool), "create");
    Must(pool_destroy(pool), "destroy");
  }
  for (const int32_t strategy : {-1, 4, INT32_MAX, INT32_MIN}) {
    pool_options_t options = Options(1);
    options.strategy = strategy;
    pool_t pool = 0;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CHECK(LastErrorText().find("options.strategy = " + std::to_string(strategy)) != std::string::npos);
  }
}

TEST_CASE("closing a pool of any order drains it or cancels what waits", "[strategies][close]") {
  for (const int32_t strategy : kOrdered) {
    for (const int32_t mode : {POOL_DRAIN, POOL_CANCEL_QUEUED}) {
      CAPTURE(strategy, mode);
      Marks marks(500);
      Barrier barrier;
      ScopedPool pool(MarkOptions(1, strategy));
      barrier.Occupy(pool);
      for (size_t i = 0; i < marks.size(); ++i) {
        const pool_task_t task = marks[i].Task();
        Must(i % 2 == 0 ? pool_submit(pool, Mark::Run, &marks[i]) : pool_submit_task(pool, &task, nullptr), "submit");
      }
      CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
      barrier.Open();
      CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
      CheckSettled(pool);
      CHECK(marks.CountEnded(mode == POOL_DRAIN ? POOL_DONE : POOL_CANCELLED) == marks.size());
      if (mode == POOL_DRAIN) CHECK(marks.order() == Expected(strategy, 500));
    }
  }
}

}  // namespace
}  // namespace workpool_test
