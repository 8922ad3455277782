// Tickets: results, life, timeouts.
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

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
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.struct_size == sizeof(result));
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == -1001);
  CHECK(result.attempts == 1);
  CHECK(result.worker == worker);
  CHECK(result.worker >= 0);
  CHECK(result.flags == 0);
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
  const pool_result_t result = WaitForResult(ticket);
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
                      {POOL_RETRY, POOL_FAILED, POOL_RETRY},
                      {2, POOL_FAILED, POOL_E_INVALID},
                      {INT32_MAX, POOL_FAILED, POOL_E_INVALID}};
  ScopedPool pool(1);
  for (const Row& row : rows) {
    Tally tally;
    tally.code = row.returned;
    const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == row.outcome);
    CHECK(result.code == row.code);
    // What no task may return would be lost otherwise.
    const bool foreign = row.returned > POOL_RETRY;
    const std::string said = foreign ? "returned " + std::to_string(row.returned) + ";" : "";
    CHECK(std::string(result.text).find(said) != std::string::npos);
    CHECK((result.text[0] != 0) == foreign);
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
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
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

}  // namespace
}  // namespace workpool_test
