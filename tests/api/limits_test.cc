// The queue limit and what a submit does when it is reached: reject, block, block with a timeout,
// by pool and by task.
#include <array>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

pool_options_t Limited(uint64_t queue_limit, int32_t on_full = POOL_ON_FULL_DEFAULT) {
  pool_options_t options = Options(1);
  options.queue_limit = queue_limit;
  options.on_full = on_full;
  return options;
}

TEST_CASE("a limit up to 4096 is exact", "[limits]") {
  for (const uint64_t limit : {1u, 2u, 7u, 63u, 64u, 65u, 1000u, 4096u}) {
    std::atomic<uint64_t> runs{0};
    ScopedPool pool(Limited(limit));
    REQUIRE(pool_pause(pool) == POOL_OK);
    for (uint64_t i = 0; i < limit; ++i) REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_OK);
    REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_E_FULL);
    CHECK(LastErrorText().find("options.queue_limit = " + std::to_string(limit)) != std::string::npos);
    const pool_task_t task = Task(CountRun, &runs);
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
    CHECK(Stats(pool).queued == limit);
    CHECK(Stats(pool).rejected == 2);
    REQUIRE(pool_resume(pool) == POOL_OK);
    REQUIRE(WaitIdle(pool));
    CHECK(runs == limit);
    REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_OK);  // there is room again
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE("a small limit is exact against many submitters at once", "[limits]") {
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    std::atomic<uint64_t> runs{0}, accepted{0}, full{0}, other{0};
    ScopedPool pool(Limited(100));
    REQUIRE(pool_pause(pool) == POOL_OK);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 60; ++i) {
          const pool_status_t status = pool_submit(pool, CountRun, &runs);
          ++(status == POOL_OK ? accepted : status == POOL_E_FULL ? full : other);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(accepted == 100);
    REQUIRE(full == 140);
    REQUIRE(other == 0);
    REQUIRE(pool_resume(pool) == POOL_OK);
    REQUIRE(WaitIdle(pool));
    REQUIRE(runs == 100);
  }
}

TEST_CASE("the limit holds while tasks come and go", "[limits]") {
  constexpr uint64_t kLimit = 16, kWorkers = 2;
  pool_options_t options = Limited(kLimit, POOL_ON_FULL_BLOCK);
  options.workers_max = kWorkers;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0}, accepted{0}, refused{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < Rounds(20'000); ++i) {
        ++(pool_submit(pool, CountRun, &runs) == POOL_OK ? accepted : refused);
      }
    });
  }
  uint64_t most = 0;
  std::thread watcher([&] {
    while (!stop) {
      // Read in this order, the difference is never more than what was queued at the first read and
      // what the workers had started, but not yet counted.
      const uint64_t in = accepted;
      const uint64_t out = runs;
      if (in > out) most = std::max(most, in - out);
    }
  });
  for (auto& thread : threads) thread.join();
  REQUIRE(WaitIdle(pool));
  stop = true;
  watcher.join();
  CHECK(refused == 0);
  CHECK(runs == 3 * Rounds(20'000));
  CHECK(most <= kLimit + kWorkers);
}

TEST_CASE("the default limit is 2^20, and UNLIMITED goes beyond", "[limits]") {
  constexpr uint64_t kDefault = uint64_t{1} << 20;
  constexpr uint64_t kSlack = 64 * 1;  // one batch per worker
  std::vector<void*> args(4096, nullptr);
  for (const uint64_t limit : {uint64_t{0}, POOL_UNLIMITED}) {
    pool_options_t options = Limited(limit);
    ScopedPool pool(options);
    REQUIRE(pool_pause(pool) == POOL_OK);
    uint64_t total = 0;
    pool_status_t status = POOL_OK;
    while (status == POOL_OK && total < kDefault + 100'000) {
      uint32_t accepted = 0;
      status = pool_submit_many(pool, DoNothing, args.data(), 4096, &accepted);
      total += accepted;
    }
    if (limit == POOL_UNLIMITED) {
      CHECK(status == POOL_OK);
    } else {
      CHECK(status == POOL_E_FULL);
      CHECK(total >= kDefault);
      CHECK(total <= kDefault + kSlack);
    }
    CHECK(Stats(pool).queued == total);
    REQUIRE(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
    CHECK(Stats(pool).cancelled == total);
  }
}

TEST_CASE("a batch accepted in part returns FULL with the accepted prefix", "[limits]") {
  std::array<Tally, 25> tallies;
  SECTION("submit_many") {
    ScopedPool pool(Limited(10));
    REQUIRE(pool_pause(pool) == POOL_OK);
    std::vector<void*> args;
    for (auto& tally : tallies) args.push_back(&tally);
    uint32_t accepted = 99;
    CHECK(pool_submit_many(pool, Tally::Run, args.data(), 25, &accepted) == POOL_E_FULL);
    CHECK(accepted == 10);
    CHECK(pool_submit_many(pool, Tally::Run, args.data(), 25, &accepted) == POOL_E_FULL);
    CHECK(accepted == 0);
    REQUIRE(pool_resume(pool) == POOL_OK);
    REQUIRE(WaitIdle(pool));
    for (size_t i = 0; i < 25; ++i) CHECK(tallies[i].runs == (i < 10 ? 1 : 0));
  }
  SECTION("submit_batch") {
    ScopedPool pool(Limited(10));
    REQUIRE(pool_pause(pool) == POOL_OK);
    std::vector<pool_task_t> tasks;
    for (auto& tally : tallies) tasks.push_back(TallyTask(tally));
    std::vector<pool_ticket_t> tickets(25);
    uint32_t accepted = 99;
    CHECK(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 25, tickets.data(),
                            &accepted) == POOL_E_FULL);
    CHECK(accepted == 10);
    REQUIRE(pool_resume(pool) == POOL_OK);
    CHECK(pool_wait_many(tickets.data(), accepted, 1, kBoundNs, nullptr) == POOL_OK);
    for (size_t i = 0; i < 25; ++i) CHECK(tallies[i].drops == (i < 10 ? 1 : 0));
    for (size_t i = 0; i < 10; ++i) CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
  }
}

TEST_CASE("a blocked submit goes on when there is room", "[limits]") {
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(Limited(4, POOL_ON_FULL_BLOCK));
  REQUIRE(pool_pause(pool) == POOL_OK);
  for (int i = 0; i < 4; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  std::atomic<int32_t> status{1};
  std::thread blocked([&] { status = pool_submit(pool, CountRun, &runs); });
  CHECK(HoldsThroughout([&] { return status == 1; }));
  REQUIRE(pool_resume(pool) == POOL_OK);
  CHECK(PollUntil([&] { return status == POOL_OK; }));
  blocked.join();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 5);
}

TEST_CASE("many blocked submitters all go on, none is forgotten", "[limits]") {
  for (uint64_t round = 0; round < Rounds(50); ++round) {
    std::atomic<uint64_t> runs{0}, refused{0};
    ScopedPool pool(Limited(1, POOL_ON_FULL_BLOCK));
    REQUIRE(pool_pause(pool) == POOL_OK);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          if (pool_submit(pool, CountRun, &runs) != POOL_OK) ++refused;
        }
      });
    }
    REQUIRE(pool_resume(pool) == POOL_OK);
    for (auto& thread : threads) thread.join();
    REQUIRE(WaitIdle(pool));
    REQUIRE(refused == 0);
    REQUIRE(runs == 160);
  }
}

TEST_CASE("a blocking submit of a task that a waiting thread runs is admitted over the limit", "[limits]") {
  ScopedPool pool(Limited(2, POOL_ON_FULL_BLOCK));
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t*) {
    for (int i = 0; i < 5; ++i) {
      const pool_status_t status = pool_submit(pool, CountRun, &runs);
      if (status != POOL_OK) return status;
    }
    return 0;
  });
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, POOL_WAIT_HELP, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 5);
}

TEST_CASE("cancelling a queued task makes room", "[limits]") {
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(Limited(1));
  REQUIRE(pool_pause(pool) == POOL_OK);
  for (int i = 0; i < 100; ++i) {
    const pool_ticket_t ticket = Submit(pool, Task(CountRun, &runs));
    REQUIRE(pool_submit(pool, CountRun, &runs) == POOL_E_FULL);
    REQUIRE(pool_cancel(ticket) == POOL_OK);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
  CHECK(runs == 0);
  CHECK(Stats(pool).cancelled == 100);
}

TEST_CASE("cancelling a queued task lets a blocked submit in", "[limits]") {
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(Limited(1, POOL_ON_FULL_BLOCK));
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_ticket_t ticket = Submit(pool, Task(CountRun, &runs));
  std::atomic<int32_t> status{1};
  std::thread blocked([&] { status = pool_submit(pool, CountRun, &runs); });
  CHECK(HoldsThroughout([&] { return status == 1; }));
  REQUIRE(pool_cancel(ticket) == POOL_OK);
  CHECK(PollUntil([&] { return status == POOL_OK; }));
  blocked.join();
  REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 1);
}

TEST_CASE("a blocked submit gives up after the pool's or the task's timeout", "[limits]") {
  constexpr int64_t kTimeoutNs = 30'000'000;
  std::atomic<uint64_t> runs{0};
  pool_options_t options = Limited(1, POOL_ON_FULL_BLOCK);
  options.submit_timeout_ns = kTimeoutNs;
  ScopedPool pool(options);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Must(pool_submit(pool, CountRun, &runs), "submit");
  const Stopwatch by_pool;
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_E_TIMEOUT);
  CHECK(by_pool.Seconds() >= 0.030);

  pool_task_t task = Task(CountRun, &runs);
  const Stopwatch by_pool_too;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(by_pool_too.Seconds() >= 0.030);
  task.submit_timeout_ns = 2 * kTimeoutNs;
  const Stopwatch by_task;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(by_task.Seconds() >= 0.060);
  CHECK(Stats(pool).rejected == 3);

  // An array is taken as far as there was room in time.
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  REQUIRE(pool_pause(pool) == POOL_OK);
  void* args[3] = {&runs, &runs, &runs};
  uint32_t accepted = 99;
  CHECK(pool_submit_many(pool, CountRun, args, 3, &accepted) == POOL_E_TIMEOUT);
  CHECK(accepted == 1);
}

TEST_CASE("a task may block in a rejecting pool and reject in a blocking one", "[limits]") {
  std::atomic<uint64_t> runs{0};
  ScopedPool rejecting(Limited(1, POOL_ON_FULL_REJECT));
  REQUIRE(pool_pause(rejecting) == POOL_OK);
  Must(pool_submit(rejecting, CountRun, &runs), "submit");
  pool_task_t task = Task(CountRun, &runs);
  CHECK(pool_submit_task(rejecting, &task, nullptr) == POOL_E_FULL);
  task.on_full = POOL_ON_FULL_BLOCK;
  task.submit_timeout_ns = 5'000'000;
  CHECK(pool_submit_task(rejecting, &task, nullptr) == POOL_E_TIMEOUT);
  task.submit_timeout_ns = POOL_FOREVER;
  std::atomic<int32_t> status{1};
  std::thread blocked([&] { status = pool_submit_task(rejecting, &task, nullptr); });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  REQUIRE(pool_resume(rejecting) == POOL_OK);
  blocked.join();
  CHECK(status == POOL_OK);
  REQUIRE(WaitIdle(rejecting));
  CHECK(runs == 2);

  ScopedPool blocking(Limited(1, POOL_ON_FULL_BLOCK));
  REQUIRE(pool_pause(blocking) == POOL_OK);
  Must(pool_submit(blocking, CountRun, &runs), "submit");
  task = Task(CountRun, &runs);
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(pool_submit_task(blocking, &task, nullptr) == POOL_E_FULL);
}

TEST_CASE("children by ctx, fork and group are exempt from the limit, and counted", "[limits]") {
  ScopedPool pool(Limited(2));
  Gate gate;
  std::atomic<uint64_t> runs{0}, bad{0};
  std::atomic<uint64_t> queued{0};
  std::atomic<int32_t> plain{1};
  Body body([&](pool_ctx_t* ctx) {
    gate.Pass();
    for (int i = 0; i < 10; ++i) {
      if (pool_ctx_submit(ctx, CountRun, &runs) != POOL_OK) ++bad;
    }
    pool_group_t group = 0;
    if (pool_group_create(pool, nullptr, &group) != POOL_OK) ++bad;
    for (int i = 0; i < 10; ++i) {
      if (pool_group_submit(group, CountRun, &runs) != POOL_OK) ++bad;
    }
    queued = Stats(pool).queued;
    plain = pool_submit(pool, CountRun, &runs);
    pool_fork_t fork;
    if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
    if (pool_group_wait(group, kBoundNs, nullptr) != POOL_OK) ++bad;
    pool_group_release(group);
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, CountRun, &runs), "submit");
  Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_E_FULL);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(queued == 22);
  CHECK(plain == POOL_E_FULL);
  CHECK(runs == 2 + 10 + 10 + 1);
}

TEST_CASE("a blocking submit on an own worker is admitted instead of deadlocking", "[limits]") {
  ScopedPool pool(Limited(1, POOL_ON_FULL_BLOCK));
  Gate gate;
  std::atomic<uint64_t> runs{0}, bad{0};
  Body body([&](pool_ctx_t*) {
    gate.Pass();
    for (int i = 0; i < 10; ++i) {
      if (pool_submit(pool, CountRun, &runs) != POOL_OK) ++bad;
    }
    const pool_task_t task = Task(CountRun, &runs);
    if (pool_submit_task(pool, &task, nullptr) != POOL_OK) ++bad;
    void* args[3] = {&runs, &runs, &runs};
    if (pool_submit_many(pool, CountRun, args, 3, nullptr) != POOL_OK) ++bad;
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, CountRun, &runs), "submit");  // full
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(runs == 15);
}

TEST_CASE("closing a pool refuses those who block in submit", "[limits][close]") {
  for (const int32_t mode : {POOL_DRAIN, POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    ScopedPool pool(Limited(1, POOL_ON_FULL_BLOCK));
    Gate gate;
    std::atomic<uint64_t> runs{0};
    Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    Must(pool_submit(pool, CountRun, &runs), "submit");  // full
    std::array<std::atomic<int32_t>, 3> statuses{};
    std::vector<std::thread> threads;
    for (auto& status : statuses) {
      status = 1;
      threads.emplace_back([&] { status = pool_submit(pool, CountRun, &runs); });
    }
    CHECK(HoldsThroughout([&] { return statuses[0] == 1 && statuses[1] == 1 && statuses[2] == 1; },
                          std::chrono::milliseconds(20)));
    CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
    for (auto& thread : threads) thread.join();  // without the gate being opened
    for (auto& status : statuses) CHECK(status == POOL_E_CLOSED);
    gate.Open();
    CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
    CHECK(runs == (mode == POOL_DRAIN ? 1 : 0));
  }
}

// A sanitizer keeps freed memory, so there only the end of the test counts.
struct Growth {
  size_t before = ResidentBytes();
  void Check() const {
    if (!kSanitized) CHECK(ResidentBytes() < before + 16 * 1024 * 1024);
  }
};

TEST_CASE("a pool that is idle again has given back the memory of a burst", "[limits]") {
  pool_options_t options = Options(2);
  options.queue_limit = POOL_UNLIMITED;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0};
  Growth growth;
  Must(pool_pause(pool), "pause");
  const uint64_t burst = Rounds(4'000'000);  // 64 MB
  std::vector<void*> args(1000, &runs);
  for (uint64_t sent = 0; sent < burst; sent += args.size()) {
    uint32_t accepted = 0;
    Must(pool_submit_many(pool, CountRun, args.data(), static_cast<uint32_t>(args.size()), &accepted), "submit");
  }
  if (!kSanitized) CHECK(ResidentBytes() > growth.before + 48 * 1024 * 1024);
  Must(pool_resume(pool), "resume");
  REQUIRE(WaitIdle(pool));
  CHECK(runs >= burst);
  REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == Stats(pool).workers_live; }));
  growth.Check();
}

// What is left in a queue of tasks that were cancelled, or run by who waits for them, is taken out before it is much.
TEST_CASE("tasks that are submitted and cancelled for ever take no more memory", "[limits]") {
  for (const uint64_t limit : {uint64_t{10}, uint64_t{5'000}, uint64_t{0}}) {
    pool_options_t options = Options(1);
    options.queue_limit = limit;
    ScopedPool pool(options);
    Must(pool_pause(pool), "pause");
    Tally kept;
    Must(pool_submit(pool, Tally::Run, &kept), "submit");
    Growth growth;
    for (uint64_t i = 0; i < Rounds(100'000); ++i) {
      const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
      REQUIRE(pool_cancel(ticket) == POOL_OK);
      REQUIRE(pool_ticket_release(ticket) == POOL_OK);
    }
    CHECK(Stats(pool).queued == 1);
    growth.Check();
    Must(pool_resume(pool), "resume");
    REQUIRE(WaitIdle(pool));
    CHECK(kept.runs == 1);
    CHECK(Stats(pool).cancelled == Rounds(100'000));
  }
}

TEST_CASE("a task that runs what it waits for, for ever, takes no more memory", "[limits]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  std::atomic<uint64_t> runs{0};
  Growth growth;
  Body body([&](pool_ctx_t*) {
    for (uint64_t i = 0; i < Rounds(100'000); ++i) {
      if (pool_group_submit(group, CountRun, &runs) != POOL_OK) return -1001;
      if (pool_group_wait(group, POOL_FOREVER, nullptr) != POOL_OK) return -1002;
    }
    growth.Check();
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, POOL_FOREVER, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == 0);
  CHECK(runs == Rounds(100'000));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("loops whose helpers come too late, for ever, take no more memory", "[limits]") {
  ScopedPool pool(2);
  Gate gate;
  for (int i = 0; i < 2; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));
  Growth growth;
  const pool_range_fn nothing = [](void*, uint64_t, uint64_t, uint32_t, pool_ctx_t*) -> int32_t { return 0; };
  for (uint64_t i = 0; i < Rounds(100'000); ++i) {
    REQUIRE(pool_parallel_for(pool, 0, 8, 1, 0, nothing, nullptr, nullptr) == POOL_OK);
  }
  growth.Check();
  gate.Open();
}

}  // namespace
}  // namespace workpool_test
