// Create, destroy, release and the shared pool.
#include <array>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

TEST_CASE("a pool is made with default options when none are given", "[life]") {
  pool_t pool = 0;
  REQUIRE(pool_create(nullptr, &pool) == POOL_OK);
  REQUIRE(pool != 0);
  CHECK(pool < uint64_t{1} << 53);
  std::atomic<uint64_t> runs{0};
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_OK);
  CheckSettled(pool);
  CHECK(pool_destroy(pool) == POOL_OK);
  CHECK(runs == 1);
}

TEST_CASE("creating a pool starts no thread before the first task", "[life]") {
  const size_t threads = ThreadCount();
  ScopedPool pool(4);
  CHECK(ThreadCount() == threads);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(WaitIdle(pool));
  CHECK(ThreadCount() > threads);
}

TEST_CASE("destroying a pool runs everything it has accepted", "[life]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 10'000; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(runs == 10'000);
}

TEST_CASE("C1: destroying a pool from its own task is refused and changes nothing", "[life]") {
  ScopedPool pool(2);
  std::atomic<int32_t> seen{1};
  Body body([&](pool_ctx_t*) {
    seen = pool_destroy(pool);
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(seen == POOL_E_DEADLOCK);

  std::atomic<uint64_t> runs{0};
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_OK);
  CHECK(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(runs == 1);
}

TEST_CASE("C1: a task of another pool may destroy a pool", "[life]") {
  ScopedPool mine(1);
  ScopedPool other(1);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 100; ++i) Must(pool_submit(other, CountRun, &runs), "submit");
  const pool_t victim = other.GiveUp();
  std::atomic<int32_t> seen{1};
  Body body([&](pool_ctx_t*) {
    seen = pool_destroy(victim);
    return 0;
  });
  Must(pool_submit(mine, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(mine));
  CHECK(seen == POOL_OK);
  CHECK(runs == 100);
}

TEST_CASE("destroy sleeps while another thread is inside a call for long", "[life]") {
  const pool_t pool = ScopedPool(1).GiveUp();
  Gate gate;
  std::thread other([&] {
    const pool_range_fn body = [](void* arg, uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
      return PassGate(arg, nullptr);
    };
    Must(pool_parallel_for(pool, 0, 1, 0, 0, body, &gate, nullptr), "parallel_for");
  });
  REQUIRE(gate.AwaitArrivals(1));
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    gate.Open();
  });
  timespec began{}, ended{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
  CHECK(pool_destroy(pool) == POOL_OK);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
  other.join();
  opener.join();
  CHECK((ended.tv_sec - began.tv_sec) * 1'000'000'000 + ended.tv_nsec - began.tv_nsec < 250'000'000);
}

TEST_CASE("of concurrent destroys of one pool exactly one succeeds", "[life]") {
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    ScopedPool pool(2);
    std::atomic<uint64_t> runs{0};
    for (int i = 0; i < 8; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
    const pool_t handle = pool.GiveUp();
    std::array<std::atomic<int32_t>, 3> seen{};
    std::vector<std::thread> threads;
    for (auto& status : seen) threads.emplace_back([&] { status = pool_destroy(handle); });
    for (auto& thread : threads) thread.join();
    int winners = 0;
    for (auto& status : seen) {
      if (status == POOL_OK) ++winners;
      REQUIRE((status == POOL_OK || status == POOL_E_BADHANDLE));
    }
    REQUIRE(winners == 1);
    REQUIRE(runs == 8);
  }
}

TEST_CASE("C6: stats of a pool that is being destroyed are values or BADHANDLE", "[life]") {
  std::atomic<pool_t> current{0};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> good{0}, stale{0}, other{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        pool_stats_t stats;
        const pool_status_t status = pool_stats(current, &stats, sizeof(stats));
        if (status == POOL_OK && stats.submitted >= stats.started) {
          ++good;
        } else if (status == POOL_E_BADHANDLE) {
          ++stale;
        } else {
          ++other;
        }
      }
    });
  }
  for (uint64_t round = 0; round < Rounds(400); ++round) {
    ScopedPool pool(2);
    current = pool;
    for (int i = 0; i < 4; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  }
  REQUIRE(PollUntil([&] { return stale > 0; }));
  stop = true;
  for (auto& reader : readers) reader.join();
  CHECK(other == 0);
  CHECK(good > 0);
}

TEST_CASE("C9: no thread of a pool is left when destroy returns", "[life]") {
  const size_t threads = ThreadCount();
  for (uint64_t round = 0; round < Rounds(1'000); ++round) {
    pool_options_t options = Options(2);
    options.prestart = round % 3;
    ScopedPool pool(options);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
    // The kernel lists a joined thread a moment longer, never for long.
    if (ThreadCount() > threads) REQUIRE(AwaitThreadCount(threads));
  }
}

TEST_CASE("release ends the handle at once and does not wait for running tasks", "[life]") {
  const size_t threads = ThreadCount();
  Gate gate;
  ScopedPool pool(1);
  Tally queued;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  const pool_ticket_t ticket = Submit(pool, TallyTask(queued));

  const pool_t handle = pool.GiveUp();
  REQUIRE(pool_release(handle) == POOL_OK);  // it would hang here if it waited for the gate
  CHECK(pool_submit(handle, DoNothing, nullptr) == POOL_E_BADHANDLE);
  CHECK(pool_release(handle) == POOL_E_BADHANDLE);
  CHECK(queued.runs == 0);
  CHECK(queued.drops == 1);
  CHECK(queued.drop_outcome == POOL_CANCELLED);
  CHECK(queued.done_code == POOL_E_CLOSED);

  gate.Open();
  CHECK(AwaitThreadCount(threads));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.code == POOL_E_CLOSED);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("release in a task of the pool lets that task finish", "[life]") {
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    const size_t threads = ThreadCount();
    ScopedPool pool(2);
    const pool_t handle = pool.GiveUp();
    std::atomic<int32_t> released{1}, after{1};
    std::atomic<bool> finished{false};
    Body body([&](pool_ctx_t*) {
      released = pool_release(handle);
      after = pool_submit(handle, DoNothing, nullptr);
      finished = true;
      return 0;
    });
    const pool_ticket_t ticket = Submit(handle, Task(Body::Run, &body));
    pool_result_t result;
    REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
    CHECK(result.outcome == POOL_DONE);
    CHECK(finished);
    CHECK(released == POOL_OK);
    CHECK(after == POOL_E_BADHANDLE);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
    REQUIRE(AwaitThreadCount(threads));
  }
}

TEST_CASE("release of an idle pool ends its threads", "[life]") {
  const size_t threads = ThreadCount();
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    pool_options_t options = Options(3);
    options.prestart = 3;
    ScopedPool pool(options);
    REQUIRE(pool_release(pool.GiveUp()) == POOL_OK);
  }
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("the shared pool is one, counted by its users", "[life]") {
  pool_t first = 0, second = 0;
  REQUIRE(pool_shared(&first) == POOL_OK);
  REQUIRE(pool_shared(&second) == POOL_OK);
  CHECK(first == second);

  REQUIRE(pool_release(first) == POOL_OK);
  std::atomic<uint64_t> runs{0};
  REQUIRE(pool_submit(second, CountRun, &runs) == POOL_OK);
  REQUIRE(WaitIdle(second));
  CHECK(runs == 1);

  REQUIRE(pool_release(second) == POOL_OK);
  pool_stats_t stats;
  CHECK(pool_stats(second, &stats, sizeof(stats)) == POOL_E_BADHANDLE);
  CHECK(pool_release(second) == POOL_E_BADHANDLE);

  pool_t third = 0;
  REQUIRE(pool_shared(&third) == POOL_OK);
  CHECK(pool_submit(third, CountRun, &runs) == POOL_OK);
  CHECK(WaitIdle(third));
  CHECK(pool_release(third) == POOL_OK);
}

TEST_CASE("the shared pool cannot be closed, destroyed, paused or tuned", "[life]") {
  pool_t pool = 0;
  REQUIRE(pool_shared(&pool) == POOL_OK);
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_INVALID);
  CHECK(pool_destroy(pool) == POOL_E_INVALID);
  CHECK(pool_pause(pool) == POOL_E_INVALID);
  CHECK(pool_resume(pool) == POOL_E_INVALID);
  CHECK(pool_tune(pool, 2) == POOL_E_INVALID);
  std::atomic<uint64_t> runs{0};
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_OK);
  CHECK(WaitIdle(pool));
  CHECK(runs == 1);
  CHECK(pool_release(pool) == POOL_OK);
}

TEST_CASE("the shared pool is counted right by many threads at once", "[life]") {
  std::atomic<uint64_t> runs{0};
  std::vector<std::thread> threads;
  std::atomic<bool> good{true};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < Rounds(400); ++round) {
        pool_t pool = 0;
        Body body([&](pool_ctx_t*) {
          ++runs;
          return 0;
        });
        if (pool_shared(&pool) != POOL_OK) good = false;
        // The caller holds a count, so the pool is open and the task runs to its end.
        const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
        if (pool_wait(ticket, 0, kBoundNs, nullptr, 0) != POOL_OK) good = false;
        if (pool_ticket_release(ticket) != POOL_OK) good = false;
        if (pool_release(pool) != POOL_OK) good = false;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good);
  CHECK(runs == 4 * Rounds(400));
}

TEST_CASE("J2: a stale pool handle stays stale while thousands of pools come and go", "[life]") {
  ScopedPool first(1);
  const pool_t stale = first.GiveUp();
  REQUIRE(pool_destroy(stale) == POOL_OK);
  for (uint64_t round = 0; round < Rounds(5'000); ++round) {
    ScopedPool pool(1);
    REQUIRE(pool != stale);
    REQUIRE(pool_submit(stale, DoNothing, nullptr) == POOL_E_BADHANDLE);
  }
}

}  // namespace
}  // namespace workpool_test
