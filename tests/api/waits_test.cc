// Waiting for tickets: who runs what is waited for, deadlocks, one of several and all.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

TEST_CASE("an outside waiter runs the task itself only with POOL_WAIT_HELP", "[tickets]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  std::thread::id ran_on;
  Body body([&](pool_ctx_t*) {
    ran_on = std::this_thread::get_id();
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait(ticket, 0, 5'000'000, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(ran_on == std::thread::id());
  const pool_result_t result = WaitForResult(ticket, POOL_WAIT_HELP);
  CHECK(ran_on == std::this_thread::get_id());
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.worker == -1);
  CHECK(result.attempts == 1);
  CHECK(pool_wait(ticket, 2, 0, nullptr, 0) == POOL_E_INVALID);
  CHECK(pool_wait(ticket, UINT32_MAX, 0, nullptr, 0) == POOL_E_INVALID);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).done == 1);  // its place in the queue held nothing any more
}

TEST_CASE("a helped task may fork, join, submit children and wait like any other", "[tickets]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  std::atomic<uint64_t> runs{0}, bad{0};
  Body body([&](pool_ctx_t* ctx) {
    pool_fork_t fork;
    if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
    if (pool_ctx_submit(ctx, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_worker_index(pool) != -1) ++bad;
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket, POOL_WAIT_HELP).outcome == POOL_DONE);
  CHECK(bad == 0);
  CHECK(runs == 1);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 2);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a wait inside a task runs what it waits for on the same thread", "[tickets]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;  // nobody else could
  ScopedPool pool(options);
  std::thread::id outer_thread, inner_thread;
  std::atomic<uint64_t> stranger_runs_inside{99};
  std::atomic<uint64_t> strangers{0};
  Body inner([&](pool_ctx_t*) {
    inner_thread = std::this_thread::get_id();
    return 0;
  });
  Body outer([&](pool_ctx_t*) {
    outer_thread = std::this_thread::get_id();
    for (int i = 0; i < 10; ++i) Must(pool_submit(pool, CountRun, &strangers), "submit");
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &inner));
    for (int i = 0; i < 10; ++i) Must(pool_submit(pool, CountRun, &strangers), "submit");
    const pool_result_t result = WaitForResult(ticket);
    stranger_runs_inside = strangers.load();
    pool_ticket_release(ticket);
    return result.outcome == POOL_DONE ? 0 : -1000;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &outer));
  CHECK(WaitForResult(ticket).code == 0);
  CHECK(inner_thread == outer_thread);
  CHECK(stranger_runs_inside == 0);
  REQUIRE(WaitIdle(pool));
  CHECK(strangers == 20);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("waiting for oneself or an ancestor is a DEADLOCK, for a sibling it is not",
          "[tickets]") {
  ScopedPool pool(2);
  Gate gate;
  pool_ticket_t outer_ticket = 0;
  std::atomic<int32_t> self{1}, ancestor{1}, many_all{1}, many_any{1}, in_group{1};
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Body inner([&](pool_ctx_t*) {
    ancestor = pool_wait(outer_ticket, 0, POOL_FOREVER, nullptr, 0);
    in_group = pool_group_wait(group, POOL_FOREVER, nullptr);
    return 0;
  });
  Body outer([&](pool_ctx_t*) {
    gate.Pass();
    self = pool_wait(outer_ticket, 0, POOL_FOREVER, nullptr, 0);
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &inner));
    const pool_ticket_t both[2] = {ticket, outer_ticket};
    many_all = pool_wait_many(both, 2, 1, POOL_FOREVER, nullptr);
    many_any = pool_wait_many(&outer_ticket, 1, 0, POOL_FOREVER, nullptr);
    const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
    pool_ticket_release(ticket);
    return status;
  });
  // The gate makes the ticket known before the task uses it, and holds one of two workers; the
  // other is held too, so that the inner task is run by the outer one's wait.
  pool_task_t task = Task(Body::Run, &outer);
  task.group = group;
  Gate second;
  Must(pool_submit(pool, PassGate, &second), "submit");
  REQUIRE(second.AwaitArrivals(1));
  outer_ticket = Submit(pool, task);
  REQUIRE(gate.AwaitArrivals(1));
  gate.Open();
  CHECK(WaitForResult(outer_ticket).code == 0);
  second.Open();
  CHECK(self == POOL_E_DEADLOCK);
  CHECK(ancestor == POOL_E_DEADLOCK);
  CHECK(in_group == POOL_E_DEADLOCK);
  CHECK(many_all == POOL_E_DEADLOCK);
  CHECK(many_any == POOL_E_DEADLOCK);
  CHECK(pool_ticket_release(outer_ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("wait_idle in a task of the pool is a DEADLOCK", "[tickets]") {
  ScopedPool pool(1);
  std::atomic<int32_t> forever{1}, poll{1};
  Body body([&](pool_ctx_t*) {
    forever = pool_wait_idle(pool, POOL_FOREVER);
    poll = pool_wait_idle(pool, 0);
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(forever == POOL_E_DEADLOCK);
  CHECK(poll == POOL_E_DEADLOCK);
}

TEST_CASE("wait_many returns the one that ended, or all", "[tickets]") {
  ScopedPool pool(3);
  std::array<Gate, 3> gates;
  std::array<pool_ticket_t, 3> tickets;
  for (size_t i = 0; i < 3; ++i) tickets[i] = Submit(pool, Task(PassGate, &gates[i]));
  for (auto& gate : gates) REQUIRE(gate.AwaitArrivals(1));
  uint32_t index = 99;
  CHECK(pool_wait_many(tickets.data(), 3, 0, 0, &index) == POOL_E_TIMEOUT);
  CHECK(pool_wait_many(tickets.data(), 3, 1, 1'000'000, &index) == POOL_E_TIMEOUT);

  gates[1].Open();
  CHECK(pool_wait_many(tickets.data(), 3, 0, kBoundNs, &index) == POOL_OK);
  CHECK(index == 1);
  CHECK(pool_wait_many(tickets.data(), 3, 0, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_wait_many(tickets.data(), 3, 1, 0, &index) == POOL_E_TIMEOUT);
  gates[2].Open();
  CHECK(pool_wait_many(&tickets[2], 1, 0, kBoundNs, &index) == POOL_OK);
  CHECK(index == 0);
  CHECK(pool_wait_many(tickets.data(), 3, 1, 0, &index) == POOL_E_TIMEOUT);
  gates[0].Open();
  CHECK(pool_wait_many(tickets.data(), 3, 1, kBoundNs, &index) == POOL_OK);
  CHECK(pool_wait_many(tickets.data(), 3, 1, 0, nullptr) == POOL_OK);

  std::array<pool_ticket_t, 3> with_bad = tickets;
  with_bad[2] = 1234567;
  index = 99;
  CHECK(pool_wait_many(with_bad.data(), 3, 1, 0, &index) == POOL_E_BADHANDLE);
  CHECK(index == 2);
  CHECK(pool_wait_many(tickets.data(), 0, 1, 0, nullptr) == POOL_E_INVALID);
  CHECK(pool_wait_many(nullptr, 3, 1, 0, nullptr) == POOL_E_INVALID);
  CHECK(pool_wait_many(tickets.data(), 3, 2, 0, nullptr) == POOL_E_INVALID);
  CHECK(pool_wait_many(tickets.data(), 3, -1, 0, nullptr) == POOL_E_INVALID);
  for (pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("wait_many for any, in a task, runs nothing while one of them runs", "[tickets]") {
  ScopedPool pool(2);
  Gate first, second;
  Body body([&](pool_ctx_t*) -> int32_t {
    const pool_ticket_t running = Submit(pool, Task(PassGate, &first));
    if (!first.AwaitArrivals(1)) return -1000;
    pool_ticket_t tickets[] = {Submit(pool, Task(PassGate, &second)), running};
    std::thread opener([&] { first.Open(); });
    uint32_t index = 9;
    const pool_status_t status = pool_wait_many(tickets, 2, 0, kBoundNs, &index);
    second.Open();
    opener.join();
    for (pool_ticket_t ticket : tickets) {
      pool_wait(ticket, 0, kBoundNs, nullptr, 0);
      pool_ticket_release(ticket);
    }
    return status != POOL_OK ? status : index == 1 ? 0 : -1001;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket).code == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("wait_many for any, in a task, runs what has not started where no worker can stand in", "[tickets]") {
  // Both workers wait: one for the task that waits here for either of the other's task and one in the queue.
  pool_options_t options = Options(2);
  options.workers_limit = 2;
  ScopedPool pool(options);
  std::atomic<pool_ticket_t> self{0};
  std::atomic<uint64_t> runs{0}, waits{0};
  Body waits_for_us([&](pool_ctx_t*) {
    ++waits;
    return pool_wait(self, 0, kBoundNs, nullptr, 0);
  });
  Body body([&](pool_ctx_t*) -> int32_t {
    if (!PollUntil([&] { return self != 0; })) return -1000;
    const pool_ticket_t other = Submit(pool, Task(Body::Run, &waits_for_us));
    if (!PollUntil([&] { return waits == 1; })) return -1001;
    const pool_ticket_t tickets[] = {other, Submit(pool, Task(CountRun, &runs))};
    uint32_t index = 9;
    const pool_status_t status = pool_wait_many(tickets, 2, 0, kBoundNs, &index);
    for (const pool_ticket_t ticket : tickets) pool_ticket_release(ticket);
    return status != POOL_OK ? status : index == 1 ? 0 : -1002;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  self = ticket;
  const Stopwatch watch;
  CHECK(WaitForResult(ticket).code == 0);
  CHECK(watch.Seconds() < 10);
  REQUIRE(WaitIdle(pool));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("wait_many waits for tickets of several pools", "[tickets]") {
  ScopedPool first(1), second(1);
  Gate gate;
  const pool_ticket_t tickets[2] = {Submit(first, Task(PassGate, &gate)),
                                    Submit(second, Task(DoNothing, nullptr))};
  uint32_t index = 99;
  CHECK(pool_wait_many(tickets, 2, 0, kBoundNs, &index) == POOL_OK);
  CHECK(index == 1);
  CHECK(pool_wait_many(tickets, 2, 1, 0, nullptr) == POOL_E_TIMEOUT);
  gate.Open();
  CHECK(pool_wait_many(tickets, 2, 1, kBoundNs, nullptr) == POOL_OK);
  for (pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("wait_many in a task of one worker finishes, for one and for all", "[tickets]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t*) {
    std::array<pool_ticket_t, 20> tickets;
    for (auto& ticket : tickets) ticket = Submit(pool, Task(CountRun, &runs));
    uint32_t index = 99;
    pool_status_t status = pool_wait_many(tickets.data(), 20, 0, kBoundNs, &index);
    if (status == POOL_OK && index >= 20) status = -1001;
    if (status == POOL_OK) status = pool_wait_many(tickets.data(), 20, 1, kBoundNs, nullptr);
    for (auto& ticket : tickets) pool_ticket_release(ticket);
    return status;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket).code == 0);
  CHECK(runs == 20);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("many threads may wait for one ticket", "[tickets]") {
  ScopedPool pool(1);
  Gate gate;
  Body body([&](pool_ctx_t* ctx) {
    gate.Pass();
    return pool_ctx_set_value(ctx, 5);
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  std::atomic<uint64_t> good{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.emplace_back([&] {
      if (WaitForResult(ticket).value == 5) ++good;
    });
  }
  REQUIRE(gate.AwaitArrivals(1));
  gate.Open();
  for (auto& waiter : waiters) waiter.join();
  CHECK(good == 8);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a wait writes at most the size it is given and says how much", "[tickets]") {
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  unsigned char buffer[sizeof(pool_result_t) + 64];
  for (const uint32_t size :
       {4u, 8u, 12u, 40u, uint32_t(sizeof(pool_result_t)), uint32_t(sizeof(pool_result_t) + 64)}) {
    std::memset(buffer, 0xa5, sizeof(buffer));
    REQUIRE(pool_wait(ticket, 0, kBoundNs, reinterpret_cast<pool_result_t*>(buffer), size) ==
            POOL_OK);
    uint32_t written = 0;
    std::memcpy(&written, buffer, sizeof(written));
    CHECK(written == std::min<uint32_t>(size, sizeof(pool_result_t)));
    for (size_t i = size; i < sizeof(buffer); ++i) REQUIRE(buffer[i] == 0xa5);
  }
  for (const uint32_t size : {0u, 1u, 3u}) {
    CHECK(pool_wait(ticket, 0, 0, reinterpret_cast<pool_result_t*>(buffer), size) ==
          POOL_E_INVALID);
  }
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a chain of tasks that each wait for the next finishes with one worker", "[tickets]") {
  // Each level is inlined while there is stack, and waits for a stand-in where there is not.
  struct Level {
    pool_t pool;
    uint64_t left;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* level = static_cast<Level*>(arg);
      if (level->left == 0) return 0;
      Level next{level->pool, level->left - 1};
      const pool_ticket_t ticket = Submit(level->pool, Task(Run, &next));
      const pool_result_t result = WaitForResult(ticket);
      pool_ticket_release(ticket);
      return result.code;
    }
  };
  pool_options_t options = Options(1);
  options.workers_limit = POOL_WORKERS_MAX;
  ScopedPool pool(options);
  Level first{pool, Rounds(10'000)};
  const pool_ticket_t ticket = Submit(pool, Task(Level::Run, &first));
  CHECK(WaitForResult(ticket).code == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
