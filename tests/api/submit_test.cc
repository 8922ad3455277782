// The ways to submit, the order of callbacks, fairness to outsiders.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

TEST_CASE("every way to submit runs the task once with its argument", "[submit]") {
  ScopedPool pool(2);
  std::array<std::atomic<uint64_t>, 8> runs{};
  Must(pool_submit(pool, CountRun, &runs[0]), "submit");

  void* args[3] = {&runs[1], &runs[2], &runs[3]};
  uint32_t accepted = 0;
  CHECK(pool_submit_many(pool, CountRun, args, 3, &accepted) == POOL_OK);
  CHECK(accepted == 3);

  const pool_task_t task = Task(CountRun, &runs[4]);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);

  const std::array<pool_task_t, 2> tasks{Task(CountRun, &runs[5]), Task(CountRun, &runs[6])};
  pool_ticket_t tickets[2] = {};
  CHECK(pool_submit_batch(pool, tasks.data(), sizeof(tasks[0]), 2, tickets, &accepted) == POOL_OK);
  CHECK(accepted == 2);
  CHECK(pool_wait_many(tickets, 2, 1, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_ticket_release(tickets[0]) == POOL_OK);
  CHECK(pool_ticket_release(tickets[1]) == POOL_OK);

  Body parent([&](pool_ctx_t* ctx) { return pool_ctx_submit(ctx, CountRun, &runs[7]); });
  Must(pool_submit(pool, Body::Run, &parent), "submit");
  REQUIRE(WaitIdle(pool));
  for (auto& count : runs) CHECK(count == 1);
}

TEST_CASE("submit_many and submit_batch of nothing are accepted", "[submit]") {
  ScopedPool pool(1);
  uint32_t accepted = 7;
  CHECK(pool_submit_many(pool, DoNothing, nullptr, 0, &accepted) == POOL_OK);
  CHECK(accepted == 0);
  accepted = 7;
  CHECK(pool_submit_batch(pool, nullptr, sizeof(pool_task_t), 0, nullptr, &accepted) == POOL_OK);
  CHECK(accepted == 0);
  CHECK(Stats(pool).submitted == 0);
}

TEST_CASE("submit_many passes every element of a long array", "[submit]") {
  ScopedPool pool(2);
  constexpr uint32_t kCount = 10'000;
  std::vector<std::atomic<uint64_t>> runs(kCount);
  std::vector<void*> args;
  for (auto& count : runs) args.push_back(&count);
  CHECK(pool_submit_many(pool, CountRun, args.data(), kCount, nullptr) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  for (auto& count : runs) REQUIRE(count == 1);
}

TEST_CASE("submit_batch steps by its stride", "[submit]") {
  struct Wide {
    pool_task_t task;
    char unrelated[24];
  };
  ScopedPool pool(2);
  std::array<std::atomic<uint64_t>, 100> runs{};
  std::vector<Wide> tasks(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    tasks[i].task = Task(CountRun, &runs[i]);
    std::fill(std::begin(tasks[i].unrelated), std::end(tasks[i].unrelated), char(0x5a));
  }
  uint32_t accepted = 0;
  CHECK(pool_submit_batch(pool, &tasks[0].task, sizeof(Wide), 100, nullptr, &accepted) == POOL_OK);
  CHECK(accepted == 100);
  REQUIRE(WaitIdle(pool));
  for (auto& count : runs) REQUIRE(count == 1);
}

TEST_CASE("a batch with a bad element accepts the prefix before it", "[submit]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  std::vector<pool_task_t> tasks(10, Task(CountRun, &runs));
  tasks[6].run = nullptr;
  std::vector<pool_ticket_t> tickets(10);
  uint32_t accepted = 99;
  CHECK(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 10, tickets.data(), &accepted) ==
        POOL_E_INVALID);
  CHECK(accepted == 6);
  for (uint32_t i = 0; i < accepted; ++i) {
    CHECK(pool_wait(tickets[i], 0, kBoundNs, nullptr, 0) == POOL_OK);
    CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
  }
  REQUIRE(WaitIdle(pool));
  CHECK(runs == accepted);
}

TEST_CASE("the order is run, done, drop, then the result is visible", "[submit]") {
  struct Order {
    std::vector<int> steps;  // each step happens before the next; the wait comes after all
  };
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(5'000); ++round) {
    Order order;
    pool_task_t task = Task(
        [](void* arg, pool_ctx_t*) {
          static_cast<Order*>(arg)->steps.push_back(1);
          return int32_t{0};
        },
        &order);
    task.done = [](void* arg, const pool_result_t*) {
      static_cast<Order*>(arg)->steps.push_back(2);
    };
    task.drop = [](void* arg, int32_t) { static_cast<Order*>(arg)->steps.push_back(3); };
    const pool_ticket_t ticket = Submit(pool, task);
    REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
    REQUIRE(order.steps == std::vector<int>{1, 2, 3});
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
}

TEST_CASE("what happened before a submit is visible to the task", "[submit]") {
  ScopedPool pool(2);
  struct Plain {
    uint64_t in = 0, out = 0;  // no atomics: the library orders them
  };
  for (uint64_t round = 1; round <= Rounds(5'000); ++round) {
    Plain plain;
    plain.in = round;
    const pool_ticket_t ticket = Submit(pool, Task(
                                                  [](void* arg, pool_ctx_t*) {
                                                    auto* data = static_cast<Plain*>(arg);
                                                    data->out = data->in * 2;
                                                    return int32_t{0};
                                                  },
                                                  &plain));
    REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
    REQUIRE(plain.out == 2 * round);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
}

// What all tasks without a drop of their own report to.
std::atomic<uint64_t> g_dropped{0};
void CountDrop(void*, int32_t) { ++g_dropped; }

TEST_CASE("the pool's drop ends plain tasks, and is not used for submit_task", "[submit]") {
  g_dropped = 0;
  pool_options_t options = Options(2);
  options.drop = CountDrop;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0};
  Must(pool_submit(pool, CountRun, &runs), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(g_dropped == 1);

  void* args[2] = {&runs, &runs};
  Must(pool_submit_many(pool, CountRun, args, 2, nullptr), "submit_many");
  REQUIRE(WaitIdle(pool));
  CHECK(g_dropped == 3);

  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Must(pool_group_submit(group, CountRun, &runs), "group_submit");
  REQUIRE(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(g_dropped == 4);
  CHECK(pool_group_release(group) == POOL_OK);

  const pool_task_t task = Task(CountRun, &runs);
  Must(pool_submit_task(pool, &task, nullptr), "submit_task");
  REQUIRE(WaitIdle(pool));
  CHECK(g_dropped == 4);

  pool_task_t parent =
      Task([](void* arg, pool_ctx_t* ctx) { return pool_ctx_submit(ctx, CountRun, arg); }, &runs);
  Must(pool_submit_task(pool, &parent, nullptr), "submit_task");
  REQUIRE(WaitIdle(pool));
  CHECK(g_dropped == 5);
  CHECK(runs == 6);
}

TEST_CASE("H12: drop is called exactly once on every path", "[submit]") {
  // Paths: done, failed, cancelled by ticket, by group and by close, helped by an outside waiter,
  // run inside an in-task wait.
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    Tally done, failed, cancelled, in_group, closed, helped, inner;
    failed.code = -1234;
    Gate gate;
    ScopedPool pool(1);
    const pool_ticket_t first = Submit(pool, TallyTask(done));
    REQUIRE(pool_wait(first, 0, kBoundNs, nullptr, 0) == POOL_OK);
    const pool_ticket_t second = Submit(pool, TallyTask(failed));
    REQUIRE(pool_wait(second, 0, kBoundNs, nullptr, 0) == POOL_OK);
    Body outer([&](pool_ctx_t*) {
      const pool_ticket_t ticket = Submit(pool, TallyTask(inner));
      const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
      pool_ticket_release(ticket);
      return status;
    });
    const pool_ticket_t third = Submit(pool, Task(Body::Run, &outer));
    REQUIRE(pool_wait(third, 0, kBoundNs, nullptr, 0) == POOL_OK);

    Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    const pool_ticket_t fourth = Submit(pool, TallyTask(cancelled));
    REQUIRE(pool_cancel(fourth) == POOL_OK);
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    pool_task_t member = TallyTask(in_group);
    member.group = group;
    Must(pool_submit_task(pool, &member, nullptr), "submit");
    REQUIRE(pool_group_cancel(group) == POOL_OK);
    const pool_ticket_t fifth = Submit(pool, TallyTask(helped));
    REQUIRE(pool_wait(fifth, POOL_WAIT_HELP, kBoundNs, nullptr, 0) == POOL_OK);
    const pool_task_t last = TallyTask(closed);
    Must(pool_submit_task(pool, &last, nullptr), "submit");
    REQUIRE(pool_close(pool, POOL_CANCEL_QUEUED, 0) == POOL_E_TIMEOUT);
    gate.Open();
    for (pool_ticket_t ticket : {first, second, third, fourth, fifth}) {
      REQUIRE(pool_ticket_release(ticket) == POOL_OK);
    }
    REQUIRE(pool_group_release(group) == POOL_OK);
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
    for (Tally* tally : {&done, &failed, &cancelled, &in_group, &closed, &helped, &inner}) {
      REQUIRE(tally->dones == 1);
      REQUIRE(tally->drops == 1);
      REQUIRE(tally->done_before_drop);
      REQUIRE(tally->drop_outcome == tally->done_outcome);
    }
    REQUIRE(done.drop_outcome == POOL_DONE);
    REQUIRE(failed.drop_outcome == POOL_FAILED);
    REQUIRE(cancelled.drop_outcome == POOL_CANCELLED);
    REQUIRE(in_group.drop_outcome == POOL_CANCELLED);
    REQUIRE(closed.drop_outcome == POOL_CANCELLED);
    REQUIRE(helped.drop_outcome == POOL_DONE);
    REQUIRE(inner.drop_outcome == POOL_DONE);
    REQUIRE(cancelled.runs + in_group.runs + closed.runs == 0);
  }
}

TEST_CASE("a refused submit calls nothing back", "[submit]") {
  Tally tally;
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  ScopedPool pool(options);
  const pool_task_t task = TallyTask(tally);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  pool_task_t bad = task;
  bad.on_full = 77;
  CHECK(pool_submit_task(pool, &bad, nullptr) == POOL_E_INVALID);
  bad = task;
  bad.group = 12345;
  CHECK(pool_submit_task(pool, &bad, nullptr) == POOL_E_BADHANDLE);
  CHECK(pool_submit_task(0, &task, nullptr) == POOL_E_BADHANDLE);
  REQUIRE(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CLOSED);
  CHECK(tally.runs + tally.dones + tally.drops == 0);
}

// A task that submits itself again for ever, by one of the ways to do that.
struct Selfish {
  enum Way { kSubmit, kCtxSubmit, kGroupSubmit, kWays };
  Way way = kSubmit;
  pool_t pool = 0;
  pool_group_t group = 0;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> runs{0};
  std::atomic<int32_t> refused{0};

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<Selfish*>(arg);
    ++self->runs;
    if (self->stop) return 0;
    const pool_status_t status = self->way == kSubmit ? pool_submit(self->pool, Run, arg)
                                 : self->way == kCtxSubmit
                                     ? pool_ctx_submit(ctx, Run, arg)
                                     : pool_group_submit(self->group, Run, arg);
    if (status != POOL_OK) self->refused = status;
    return 0;
  }
};

struct Outsider {
  const std::atomic<uint64_t>* selfish_runs;
  std::atomic<uint64_t> runs_at_start{0};
  std::atomic<bool> started{false};

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* self = static_cast<Outsider*>(arg);
    self->runs_at_start = self->selfish_runs->load();
    self->started = true;
    return 0;
  }
};

TEST_CASE(
    "one worker and a task that resubmits itself for ever: an outside task starts within 64 "
    "tasks",
    "[submit][fairness]") {
  for (int way = 0; way < Selfish::kWays; ++way) {
    Selfish selfish;
    ScopedPool pool(1);
    selfish.way = static_cast<Selfish::Way>(way);
    selfish.pool = pool;
    Must(pool_group_create(pool, nullptr, &selfish.group), "group_create");
    Must(pool_submit(pool, Selfish::Run, &selfish), "submit");
    uint64_t worst = 0;
    for (uint64_t round = 0; round < Rounds(1'000); ++round) {
      const uint64_t seen = selfish.runs;
      REQUIRE(PollUntil([&] { return selfish.runs > seen; }));  // it is alive
      Outsider outsider{&selfish.runs};
      Must(pool_submit(pool, Outsider::Run, &outsider), "submit");
      const uint64_t runs_at_submit = selfish.runs;
      REQUIRE(PollUntil([&] { return outsider.started.load(); }));
      if (outsider.runs_at_start > runs_at_submit) {
        worst = std::max(worst, outsider.runs_at_start - runs_at_submit);
      }
    }
    selfish.stop = true;
    REQUIRE(WaitIdle(pool));
    CHECK(selfish.refused == 0);
    CHECK(worst <= 64);
    CHECK(pool_group_release(selfish.group) == POOL_OK);
  }
}

TEST_CASE("a burst in front of a selfish task is not reversed into starvation",
          "[submit][fairness]") {
  Selfish selfish;
  ScopedPool pool(1);
  selfish.pool = pool;
  Must(pool_submit(pool, Selfish::Run, &selfish), "submit");
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 1'000; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(PollUntil([&] { return runs == 1'000; }));
  selfish.stop = true;
}

TEST_CASE("more selfish tasks than a worker's own queue holds do not starve the tasks of any thread",
          "[submit][fairness]") {
  constexpr uint64_t kSelfish = 1'000;
  struct Crowd {
    std::atomic<uint64_t> runs{0};
    std::atomic<bool> stop{false};
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      auto* crowd = static_cast<Crowd*>(arg);
      ++crowd->runs;
      return crowd->stop ? 0 : pool_ctx_submit(ctx, Run, arg);
    }
  } crowd;
  ScopedPool pool(1);
  for (uint64_t i = 0; i < kSelfish; ++i) Must(pool_submit(pool, Crowd::Run, &crowd), "submit");
  REQUIRE(PollUntil([&] { return crowd.runs > 10 * kSelfish; }));
  // Threads differ in the queue that they use.
  for (int i = 0; i < 4; ++i) {
    std::thread([&] {
      Outsider outsider{&crowd.runs};
      Must(pool_submit(pool, Outsider::Run, &outsider), "submit");
      if (!PollUntil([&] { return outsider.started.load(); })) std::abort();
    }).join();
  }
  crowd.stop = true;
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("many producers and workers run every task exactly once", "[submit]") {
  constexpr uint64_t kProducers = 4;
  const uint64_t each = Rounds(50'000);
  ScopedPool pool(4);
  std::vector<std::atomic<uint64_t>> runs(kProducers * each);
  std::vector<std::thread> producers;
  std::atomic<uint64_t> refused{0};
  for (uint64_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (uint64_t i = p * each; i < (p + 1) * each; ++i) {
        if (pool_submit(pool, CountRun, &runs[i]) != POOL_OK) ++refused;
      }
    });
  }
  for (auto& producer : producers) producer.join();
  REQUIRE(WaitIdle(pool));
  CHECK(refused == 0);
  for (auto& count : runs) REQUIRE(count == 1);
}

TEST_CASE("tasks of several submitters are taken in turn, not one submitter's after another's", "[submit]") {
  // More threads than a pool of one worker has queues on most machines, so that no queue is that of nobody.
  constexpr size_t kSubmitters = 8, kEach = 1'000;
  struct Numbered {
    std::vector<size_t>* order;  // of one worker
    size_t submitter;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* self = static_cast<Numbered*>(arg);
      self->order->push_back(self->submitter);
      return 0;
    }
  };
  std::vector<size_t> order;
  std::vector<Numbered> submitters;
  for (size_t s = 0; s < kSubmitters; ++s) submitters.push_back({&order, s});
  Gate gate;
  ScopedPool pool(1);
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<size_t> turn{0};
  std::vector<std::thread> threads;
  for (size_t s = 0; s < kSubmitters; ++s) {
    // One task each in turn, so that those who share a queue share it evenly.
    threads.emplace_back([&, s] {
      for (size_t i = 0; i < kEach; ++i) {
        while (turn % kSubmitters != s) std::this_thread::yield();
        Must(pool_submit(pool, Numbered::Run, &submitters[s]), "submit");
        ++turn;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  gate.Open();
  REQUIRE(WaitIdle(pool));
  REQUIRE(order.size() == kSubmitters * kEach);
  for (size_t s = 0; s < kSubmitters; ++s) {
    // Of the first half of all tasks a good part of its fair share.
    CHECK(std::count(order.begin(), order.begin() + kSubmitters * kEach / 2, s) >= static_cast<ptrdiff_t>(kEach / 4));
  }
}

TEST_CASE("a task may submit to another pool and wait there", "[submit]") {
  ScopedPool first(1), second(1);
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t*) {
    const pool_ticket_t ticket = Submit(second, Task(CountRun, &runs));
    const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
    pool_ticket_release(ticket);
    return status == POOL_OK ? 0 : -1000;
  });
  const pool_ticket_t ticket = Submit(first, Task(Body::Run, &body));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == 0);
  CHECK(runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
