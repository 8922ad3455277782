// Tasks that run for long, and queues that grow long: pool_running, options.stuck, options.watermark.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "test_support.h"

using namespace workpool_test;

namespace {

constexpr int64_t kStuckNs = 20'000'000;

struct StuckTasks {
  std::mutex mu;
  std::vector<pool_running_t> told;

  static void Tell(void* user, pool_t, const pool_running_t* task) {
    auto* self = static_cast<StuckTasks*>(user);
    const std::lock_guard<std::mutex> lock(self->mu);
    self->told.push_back(*task);
  }
  size_t count() {
    const std::lock_guard<std::mutex> lock(mu);
    return told.size();
  }
};

pool_options_t Watched(uint32_t workers, StuckTasks& stuck) {
  pool_options_t options = Options(workers);
  options.stuck_after_ns = kStuckNs;
  options.stuck = StuckTasks::Tell;
  options.stuck_user = &stuck;
  return options;
}

std::vector<pool_running_t> Running(pool_t pool, int64_t longer_than_ns = 0, uint32_t cap = 64) {
  std::vector<pool_running_t> list(cap);
  uint32_t n = 0;
  Must(pool_running(pool, longer_than_ns, list.data(), sizeof(list[0]), cap, &n), "pool_running");
  list.resize(n);
  return list;
}

struct Marks {
  std::atomic<int> above{0}, below{0}, wrong{0};
  std::atomic<int32_t> last{-1};
  std::atomic<uint64_t> waiting_above{0};

  static void Tell(void* user, pool_t, int32_t above, uint64_t waiting) {
    auto* self = static_cast<Marks*>(user);
    if (self->last.exchange(above) == above) ++self->wrong;
    (above != 0 ? self->above : self->below).fetch_add(1);
    if (above != 0) self->waiting_above = waiting;
  }
};

pool_options_t Marked(Marks& marks, uint64_t high, uint64_t low) {
  pool_options_t options = Options(1);
  options.queue_high = high;
  options.queue_low = low;
  options.watermark = Marks::Tell;
  options.watermark_user = &marks;
  return options;
}

}  // namespace

TEST_CASE("a task that runs for long is listed with its name, thread, times and ticket", "[watch]") {
  StuckTasks stuck;
  Gate gate;
  ScopedPool pool(Watched(2, stuck));
  pool_task_t task = Task(PassGate, &gate);
  task.name = "slow one";
  const pool_ticket_t ticket = Submit(pool, task);
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(PollUntil([&] { return Running(pool, kStuckNs).size() == 1; }));
  const pool_running_t running = Running(pool, kStuckNs).at(0);
  CHECK(running.struct_size == sizeof(running));
  CHECK(std::string(running.name) == "slow one");
  CHECK(running.ticket == ticket);
  CHECK(running.attempt == 1);
  CHECK(running.worker >= 0);
  CHECK(ThreadIds().count(running.thread) == 1);
  CHECK(running.state == 'S');  // it waits at the gate
  CHECK(running.wall_ns >= static_cast<uint64_t>(kStuckNs));
  CHECK(running.cpu_ns < running.wall_ns);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(PollUntil([&] { return Running(pool).empty(); }));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a plain task that runs for long is found, too, and what it computes is its CPU time", "[watch]") {
  StuckTasks stuck;
  std::atomic<bool> over{false};
  Body body([&](pool_ctx_t*) {
    while (!over) {
    }
    return 0;
  });
  ScopedPool pool(Watched(1, stuck));
  Must(pool_submit(pool, Body::Run, &body), "pool_submit");
  CHECK(PollUntil([&] {
    const auto list = Running(pool, 2 * kStuckNs);
    return list.size() == 1 && list[0].cpu_ns > static_cast<uint64_t>(kStuckNs) && list[0].name[0] == 0;
  }));
  over = true;
}

TEST_CASE("stuck is called once for a run that lasts too long, and not for others", "[watch]") {
  StuckTasks stuck;
  Gate gate;
  {
    ScopedPool pool(Watched(2, stuck));
    pool_task_t task = Task(PassGate, &gate);
    task.name = "stuck";
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
    REQUIRE(PollUntil([&] { return stuck.count() >= 1; }));
    for (int i = 0; i < 1'000; ++i) Must(pool_submit(pool, DoNothing, nullptr), "pool_submit");
    CHECK(HoldsThroughout([&] { return stuck.count() == 1; }));
    gate.Open();
  }
  REQUIRE(stuck.told.size() == 1);
  CHECK(std::string(stuck.told[0].name) == "stuck");
  CHECK(stuck.told[0].wall_ns >= static_cast<uint64_t>(kStuckNs));
}

TEST_CASE("stuck is called once for a run that forks, and waits, and runs others inside", "[watch]") {
  StuckTasks stuck;
  ScopedPool pool(Watched(2, stuck));
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t* ctx) {
    const uint64_t end_ns = pool_now_ns() + 20 * static_cast<uint64_t>(kStuckNs);
    while (pool_now_ns() < end_ns) {
      pool_fork_t fork;
      Must(pool_ctx_fork(ctx, &fork, CountRun, &runs), "fork");
      Must(pool_ctx_join(ctx, &fork, nullptr), "join");
      const pool_ticket_t inner = Submit(pool, Task(CountRun, &runs));
      Must(pool_wait(inner, 0, kBoundNs, nullptr, 0), "wait");
      Must(pool_ticket_release(inner), "release");
    }
    return 0;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.name = "outer";
  const pool_ticket_t ticket = Submit(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  for (const pool_running_t& told : stuck.told) {
    CAPTURE(told.name, told.wall_ns, told.cpu_ns, static_cast<char>(told.state), told.worker, told.ticket);
    CHECK(std::string(told.name) == "outer");
  }
  REQUIRE(stuck.count() == 1);
}

TEST_CASE("timers go on beside a watch that has more to look at than its time allows", "[watch]") {
  StuckTasks stuck;
  pool_options_t options = Watched(64, stuck);
  options.stuck_after_ns = 1'000'000;
  Gate gate;
  ScopedPool pool(options);
  for (int i = 0; i < 60; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(60));
  std::atomic<uint64_t> runs{0};
  pool_task_t task = Task(CountRun, &runs);
  task.delay_ns = 5'000'000;
  for (uint64_t i = 1; i <= 20; ++i) {
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    CHECK(PollUntil([&] { return runs == i; }, 2'000'000'000));
  }
  gate.Open();
}

TEST_CASE("a watched pool that is idle sleeps, and wakes to watch again", "[watch][serial]") {
  StuckTasks stuck;
  pool_options_t options = Watched(4, stuck);
  options.prestart = 4;
  options.stuck_after_ns = 4'000'000;
  ScopedPool pool(options);
  for (int round = 0; round < 3; ++round) {
    // Once it has seen that nobody works. Two seconds of looks would be two thousand switches.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const uint64_t before = ContextSwitches();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    CHECK(ContextSwitches() - before < 20);
    Gate gate;
    Must(pool_submit(pool, PassGate, &gate), "submit");
    CHECK(PollUntil([&] { return stuck.count() == static_cast<size_t>(round + 1); }));
    gate.Open();
    Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  }
}

TEST_CASE("the longest come first, and no more than there is room for", "[watch]") {
  StuckTasks stuck;
  Gate gate;
  ScopedPool pool(Watched(3, stuck));
  const char* const names[] = {"first", "second", "third"};
  for (int i = 0; i < 3; ++i) {
    pool_task_t task = Task(PassGate, &gate);
    task.name = names[i];
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
    REQUIRE(gate.AwaitArrivals(static_cast<uint64_t>(i) + 1));
  }
  const auto all = Running(pool);
  REQUIRE(all.size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(std::string(all[static_cast<size_t>(i)].name) == names[i]);
  const auto two = Running(pool, 0, 2);
  REQUIRE(two.size() == 2);
  CHECK(std::string(two[0].name) == "first");
  CHECK(std::string(two[1].name) == "second");
  CHECK(Running(pool, 0, 0).empty());
  gate.Open();
}

TEST_CASE("pool_running wants a watched pool and right arguments", "[watch]") {
  ScopedPool pool(1);
  pool_running_t out;
  uint32_t n = 7;
  CHECK(pool_running(pool, 0, &out, sizeof(out), 1, &n) == POOL_E_INVALID);
  CHECK(n == 0);
  CHECK(LastErrorText().find("stuck_after_ns") != std::string::npos);
  StuckTasks stuck;
  ScopedPool watched(Watched(1, stuck));
  CHECK(pool_running(watched, 0, &out, sizeof(out), 1, nullptr) == POOL_E_INVALID);
  CHECK(pool_running(watched, 0, nullptr, sizeof(out), 1, &n) == POOL_E_INVALID);
  CHECK(pool_running(watched, -1, &out, sizeof(out), 1, &n) == POOL_E_INVALID);
  CHECK(pool_running(watched, 0, &out, 3, 1, &n) == POOL_E_INVALID);
  pool_options_t options = Options(1);
  options.stuck_after_ns = 999'999;
  pool_t none = 0;
  CHECK(pool_create(&options, &none) == POOL_E_INVALID);
}

TEST_CASE("watermarks tell once when the queue is long, and once when it is short again", "[watch]") {
  Marks marks;
  Gate gate;
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(Marked(marks, 100, 10));
  Must(pool_submit(pool, PassGate, &gate), "pool_submit");
  REQUIRE(gate.AwaitArrivals(1));
  for (int i = 0; i < 99; ++i) Must(pool_submit(pool, CountRun, &runs), "pool_submit");
  CHECK(HoldsThroughout([&] { return marks.above == 0; }));
  pool_task_t task = Task(CountRun, &runs);
  task.name = "one with rules counts, too";
  Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
  REQUIRE(PollUntil([&] { return marks.above == 1; }));
  CHECK(marks.waiting_above == 100);
  for (int i = 0; i < 100; ++i) Must(pool_submit(pool, CountRun, &runs), "pool_submit");
  CHECK(HoldsThroughout([&] { return marks.above == 1 && marks.below == 0; }));
  gate.Open();
  CHECK(PollUntil([&] { return marks.below == 1; }));
  REQUIRE(WaitIdle(pool));
  CHECK(marks.above == 1);
  CHECK(marks.below == 1);
  CHECK(marks.wrong == 0);
}

TEST_CASE("watermarks are told in turn, above and below, however fast the queue changes", "[watch]") {
  Marks marks;
  std::atomic<uint64_t> runs{0};
  {
    ScopedPool pool(Marked(marks, 4, 1));
    for (uint64_t i = 0; i < Rounds(20'000); ++i) Must(pool_submit(pool, CountRun, &runs), "pool_submit");
    REQUIRE(WaitIdle(pool));
    CHECK(PollUntil([&] { return marks.last != 1; }));
  }
  CHECK(marks.wrong == 0);
  CHECK(marks.above - marks.below == 0);
}

TEST_CASE("a task that fills the queue of its own pool is told of while it runs", "[watch]") {
  for (const bool with_rules : {false, true}) {
    CAPTURE(with_rules);
    Marks marks;
    std::atomic<uint64_t> runs{0};
    std::atomic<bool> told{false};
    ScopedPool pool(Marked(marks, 5, 1));
    // One worker: nothing else starts or ends meanwhile.
    Body body([&](pool_ctx_t*) {
      for (int i = 0; i < 5; ++i) {
        pool_task_t task = Task(CountRun, &runs);
        if (with_rules) task.name = "child";
        Must(with_rules ? pool_submit_task(pool, &task, nullptr) : pool_submit(pool, CountRun, &runs), "submit");
      }
      told = PollUntil([&] { return marks.above == 1; }, 2'000'000'000);
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &body), "pool_submit");
    REQUIRE(WaitIdle(pool));
    CHECK(told);
    CHECK(runs == 5);
  }
}

TEST_CASE("watermarks that make no sense are refused", "[watch]") {
  Marks marks;
  pool_t pool = 0;
  pool_options_t options = Marked(marks, 10, 10);
  CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
  CHECK(LastErrorText().find("queue_low") != std::string::npos);
  options = Marked(marks, 10, 1);
  options.watermark = nullptr;
  CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
  CHECK(LastErrorText().find("watermark") != std::string::npos);
}
