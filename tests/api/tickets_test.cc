// Tickets: results, waiting for one and for many, timeouts, who runs what is waited for.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

pool_result_t WaitFor(pool_ticket_t ticket, uint32_t flags = 0) {
  pool_result_t result;
  Must(pool_wait(ticket, flags, kBoundNs, &result, sizeof(result)), "pool_wait");
  return result;
}

TEST_CASE("a result has every field filled in", "[tickets]") {
  ScopedPool pool(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<int32_t> worker{-2};
  Body body([&](pool_ctx_t* ctx) {
    worker = pool_worker_index(pool);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    pool_ctx_set_value(ctx, UINT64_MAX - 5);
    return -1001;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(ticket < uint64_t{1} << 53);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  gate.Open();
  const pool_result_t result = WaitFor(ticket);
  CHECK(result.struct_size == sizeof(result));
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == -1001);
  CHECK(result.attempts == 1);
  CHECK(result.worker == worker);
  CHECK(result.worker >= 0);
  CHECK(result.reserved == 0);
  CHECK(result.ticket == ticket);
  CHECK(result.value == UINT64_MAX - 5);
  CHECK(result.wait_ns >= 10'000'000);
  CHECK(result.wait_ns < uint64_t{kBoundNs});
  CHECK(result.run_ns >= 10'000'000);
  CHECK(result.run_ns < uint64_t{kBoundNs});
  CHECK(std::string(result.text).empty());
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("done gets the same result as wait", "[tickets]") {
  struct Seen {
    pool_result_t result{};
  } seen;
  ScopedPool pool(1);
  pool_task_t task = Task(
      [](void*, pool_ctx_t* ctx) {
        pool_ctx_set_value(ctx, 99);
        return int32_t{-2000};
      },
      &seen);
  task.done = [](void* arg, const pool_result_t* result) {
    static_cast<Seen*>(arg)->result = *result;
  };
  const pool_ticket_t ticket = Submit(pool, task);
  const pool_result_t result = WaitFor(ticket);
  CHECK(seen.result.struct_size == sizeof(pool_result_t));
  CHECK(seen.result.outcome == result.outcome);
  CHECK(seen.result.code == result.code);
  CHECK(seen.result.attempts == result.attempts);
  CHECK(seen.result.worker == result.worker);
  CHECK(seen.result.ticket == ticket);
  CHECK(seen.result.value == 99);
  CHECK(seen.result.wait_ns == result.wait_ns);
  CHECK(seen.result.run_ns == result.run_ns);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("without a ticket done sees ticket 0", "[tickets]") {
  std::atomic<uint64_t> seen{77};
  ScopedPool pool(1);
  pool_task_t task = Task(DoNothing, &seen);
  task.done = [](void* arg, const pool_result_t* result) {
    *static_cast<std::atomic<uint64_t>*>(arg) = result->ticket;
  };
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(seen == 0);
}

TEST_CASE("a task's return value becomes outcome and code", "[tickets]") {
  struct Row {
    int32_t returned, outcome, code;
  };
  const Row rows[] = {{0, POOL_DONE, 0},
                      {-1000, POOL_FAILED, -1000},
                      {INT32_MIN, POOL_FAILED, INT32_MIN},
                      {-1, POOL_FAILED, -1},
                      {-999, POOL_FAILED, -999},
                      {1, POOL_FAILED, POOL_E_INVALID},
                      {2, POOL_FAILED, POOL_E_INVALID},
                      {INT32_MAX, POOL_FAILED, POOL_E_INVALID}};
  ScopedPool pool(1);
  for (const Row& row : rows) {
    Tally tally;
    tally.code = row.returned;
    const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
    const pool_result_t result = WaitFor(ticket);
    CHECK(result.outcome == row.outcome);
    CHECK(result.code == row.code);
    // What no task may return would be lost otherwise.
    const std::string said = row.returned > 0 ? "returned " + std::to_string(row.returned) + ";" : "";
    CHECK(std::string(result.text).find(said) != std::string::npos);
    CHECK((result.text[0] != 0) == (row.returned > 0));
    CHECK(tally.drop_outcome == row.outcome);
    CHECK(tally.done_code == row.code);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
}

TEST_CASE("a ticket stays valid until it is released, and then is stale", "[tickets]") {
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_OK);
  CHECK(WaitFor(ticket).outcome == POOL_DONE);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_E_BADHANDLE);
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_BADHANDLE);
  CHECK(pool_cancel(ticket) == POOL_E_BADHANDLE);
}

TEST_CASE("a task goes on when its ticket is released", "[tickets]") {
  ScopedPool pool(1);
  Gate gate;
  Tally running, queued;
  Body body([&](pool_ctx_t*) {
    gate.Pass();
    ++running.runs;
    return 0;
  });
  const pool_ticket_t first = Submit(pool, Task(Body::Run, &body));
  REQUIRE(gate.AwaitArrivals(1));
  const pool_ticket_t second = Submit(pool, TallyTask(queued));
  CHECK(pool_ticket_release(first) == POOL_OK);
  CHECK(pool_ticket_release(second) == POOL_OK);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(running.runs == 1);
  CHECK(queued.runs == 1);
  CHECK(queued.drops == 1);
}

TEST_CASE("J2: a stale ticket stays stale while a million others come and go", "[tickets]") {
  ScopedPool pool(1);
  const pool_ticket_t stale = Submit(pool, Task(DoNothing, nullptr));
  REQUIRE(pool_wait(stale, 0, kBoundNs, nullptr, 0) == POOL_OK);
  REQUIRE(pool_ticket_release(stale) == POOL_OK);
  for (uint64_t round = 0; round < Rounds(200'000); ++round) {
    const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
    if (ticket == stale) FAIL("the handle was given out again");
    if (pool_wait(stale, 0, 0, nullptr, 0) != POOL_E_BADHANDLE) FAIL("stale ticket accepted");
    Must(pool_ticket_release(ticket), "release");
  }
}

TEST_CASE("two threads that wait for and release one ticket never crash", "[tickets]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(3'000); ++round) {
    const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
    std::atomic<int32_t> waited{1};
    std::thread other([&] { waited = pool_wait(ticket, 0, kBoundNs, nullptr, 0); });
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
    other.join();
    REQUIRE((waited == POOL_OK || waited == POOL_E_BADHANDLE));
  }
}

TEST_CASE("H5: timeout 0 polls, -1 waits, other negatives are refused, huge ones saturate",
          "[tickets][timeouts]") {
  constexpr int64_t kNegative[] = {-2, -1'000'000'000, INT64_MIN, INT64_MIN + 1};
  constexpr int64_t kHuge[] = {INT64_MAX, INT64_MAX - 1, int64_t{1} << 62};
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Gate gate;
  const pool_ticket_t ticket = Submit(pool, Task(PassGate, &gate));
  Must(pool_group_submit(group, DoNothing, nullptr), "group_submit");
  REQUIRE(gate.AwaitArrivals(1));

  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait_many(&ticket, 1, 1, 0, nullptr) == POOL_E_TIMEOUT);
  CHECK(pool_wait_idle(pool, 0) == POOL_E_TIMEOUT);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  CHECK(pool_wait(ticket, 0, 1, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait_idle(pool, 1) == POOL_E_TIMEOUT);
  for (const int64_t timeout : kNegative) {
    CHECK(pool_wait(ticket, 0, timeout, nullptr, 0) == POOL_E_INVALID);
    CHECK(pool_wait_many(&ticket, 1, 0, timeout, nullptr) == POOL_E_INVALID);
    CHECK(pool_wait_idle(pool, timeout) == POOL_E_INVALID);
    CHECK(pool_group_wait(group, timeout, nullptr) == POOL_E_INVALID);
    CHECK(pool_close(pool, POOL_DRAIN, timeout) == POOL_E_INVALID);
  }

  std::vector<std::thread> waiters;
  std::atomic<uint64_t> ended{0}, good{0};
  const auto wait = [&](auto call) {
    waiters.emplace_back([&, call] {
      if (call() == POOL_OK) ++good;
      ++ended;
    });
  };
  for (const int64_t timeout : {kHuge[0], kHuge[1], kHuge[2], POOL_FOREVER}) {
    wait([&, timeout] { return pool_wait(ticket, 0, timeout, nullptr, 0); });
    wait([&, timeout] { return pool_wait_many(&ticket, 1, 1, timeout, nullptr); });
    wait([&, timeout] { return pool_wait_many(&ticket, 1, 0, timeout, nullptr); });
    wait([&, timeout] { return pool_wait_idle(pool, timeout); });
    wait([&, timeout] { return pool_group_wait(group, timeout, nullptr); });
  }
  CHECK(HoldsThroughout([&] { return ended == 0; }));
  gate.Open();
  for (auto& waiter : waiters) waiter.join();
  CHECK(good == 20);

  for (const int64_t timeout : kHuge) CHECK(pool_close(pool, POOL_DRAIN, timeout) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("H5: submit_timeout_ns and keep_alive_ns take the same range", "[tickets][timeouts]") {
  for (const int64_t bad : {int64_t{-2}, INT64_MIN}) {
    pool_t pool = 0;
    pool_options_t options = Options(1);
    options.submit_timeout_ns = bad;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    options = Options(1);
    options.keep_alive_ns = bad;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CHECK(pool == 0);
  }
  for (const int64_t huge : {INT64_MAX, int64_t{1} << 62, POOL_FOREVER}) {
    pool_options_t options = Options(1);
    options.submit_timeout_ns = huge;
    options.keep_alive_ns = huge;
    options.on_full = POOL_ON_FULL_BLOCK;
    options.queue_limit = 1;
    ScopedPool pool(options);
    REQUIRE(pool_pause(pool) == POOL_OK);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    std::atomic<int32_t> by_pool{1}, by_task{1};
    pool_task_t task = Task(DoNothing, nullptr);
    task.submit_timeout_ns = huge;
    std::thread first([&] { by_pool = pool_submit(pool, DoNothing, nullptr); });
    std::thread second([&] { by_task = pool_submit_task(pool, &task, nullptr); });
    CHECK(HoldsThroughout([&] { return by_pool == 1 && by_task == 1; },
                          std::chrono::milliseconds(20)));
    REQUIRE(pool_resume(pool) == POOL_OK);
    first.join();
    second.join();
    CHECK(by_pool == POOL_OK);
    CHECK(by_task == POOL_OK);
    task.submit_timeout_ns = -2;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
    REQUIRE(WaitIdle(pool));
    CHECK(Stats(pool).workers_live == 1);  // a huge keep-alive has not wrapped to a short one
  }
}

TEST_CASE("a timed wait takes its time, neither less nor for ever", "[tickets][timeouts][serial]") {
  ScopedPool pool(1);
  Gate gate;
  const pool_ticket_t ticket = Submit(pool, Task(PassGate, &gate));
  REQUIRE(gate.AwaitArrivals(1));
  const Stopwatch watch;
  CHECK(pool_wait(ticket, 0, 50'000'000, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.050);
  CHECK(watch.Seconds() < 2.0);
  gate.Open();
  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

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
  const pool_result_t result = WaitFor(ticket, POOL_WAIT_HELP);
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
  CHECK(WaitFor(ticket, POOL_WAIT_HELP).outcome == POOL_DONE);
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
    const pool_result_t result = WaitFor(ticket);
    stranger_runs_inside = strangers.load();
    pool_ticket_release(ticket);
    return result.outcome == POOL_DONE ? 0 : -1000;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &outer));
  CHECK(WaitFor(ticket).code == 0);
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
  CHECK(WaitFor(outer_ticket).code == 0);
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
  CHECK(WaitFor(ticket).code == 0);
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
  CHECK(WaitFor(ticket).code == 0);
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
  CHECK(WaitFor(ticket).code == 0);
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
      if (WaitFor(ticket).value == 5) ++good;
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
      const pool_result_t result = WaitFor(ticket);
      pool_ticket_release(ticket);
      return result.code;
    }
  };
  pool_options_t options = Options(1);
  options.workers_limit = POOL_WORKERS_MAX;
  ScopedPool pool(options);
  Level first{pool, Rounds(10'000)};
  const pool_ticket_t ticket = Submit(pool, Task(Level::Run, &first));
  CHECK(WaitFor(ticket).code == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
