// Runs with wall_clock.c before the C library: the wall clock jumps by an hour at each look. Every time limit of the
// library keeps its length on the monotonic clock.
#include <ctime>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "test_support.h"

using namespace workpool_test;

namespace {

// Far above what a slow machine adds, far below an hour.
constexpr int64_t kLimitNs = 100'000'000;
constexpr int64_t kSlackNs = 10'000'000'000;

// The monotonic clock, past what may stand before the C library.
int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class Timed {
 public:
  ~Timed() {
    const int64_t took_ns = MonotonicNs() - start_ns_;
    CHECK(took_ns >= kLimitNs);
    CHECK(took_ns < kLimitNs + kSlackNs);
  }

 private:
  const int64_t start_ns_ = MonotonicNs();
};

}  // namespace

TEST_CASE("the wall clock of this process jumps", "[wall_clock]") {
  timespec first{}, second{};
  clock_gettime(CLOCK_REALTIME, &first);
  clock_gettime(CLOCK_REALTIME, &second);
  CHECK(std::abs(static_cast<long long>(second.tv_sec - first.tv_sec)) > 3600);
}

TEST_CASE("H4: waits end by their timeout while the wall clock jumps", "[wall_clock]") {
  Gate gate;
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Task(PassGate, &gate));
  {
    Timed timed;
    CHECK(pool_wait(ticket, 0, kLimitNs, nullptr, 0) == POOL_E_TIMEOUT);
  }
  {
    Timed timed;
    CHECK(pool_wait_many(&ticket, 1, 0, kLimitNs, nullptr) == POOL_E_TIMEOUT);
  }
  {
    Timed timed;
    CHECK(pool_wait_idle(pool, kLimitNs) == POOL_E_TIMEOUT);
  }
  gate.Open();
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("H4: a submit that waits for room gives up by its timeout while the wall clock jumps", "[wall_clock]") {
  Gate gate;
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.submit_timeout_ns = kLimitNs;
  ScopedPool pool(options);
  Must(pool_submit(pool, PassGate, &gate), "pool_submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<uint64_t> runs{0};
  Must(pool_submit(pool, CountRun, &runs), "pool_submit");
  {
    Timed timed;
    CHECK(pool_submit(pool, CountRun, &runs) == POOL_E_TIMEOUT);
  }
  gate.Open();
}

TEST_CASE("H4: a delay and a queue timeout have their length while the wall clock jumps", "[wall_clock]") {
  Gate gate;
  ScopedPool pool(1);
  {
    Timed timed;
    pool_task_t task = Task(DoNothing, nullptr);
    task.delay_ns = kLimitNs;
    const pool_ticket_t ticket = Submit(pool, task);
    CHECK(WaitForResult(ticket).outcome == POOL_DONE);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  Must(pool_submit(pool, PassGate, &gate), "pool_submit");
  REQUIRE(gate.AwaitArrivals(1));
  {
    Timed timed;
    pool_task_t task = Task(DoNothing, nullptr);
    task.queue_timeout_ns = kLimitNs;
    const pool_ticket_t ticket = Submit(pool, task);
    CHECK(WaitForResult(ticket).outcome == POOL_EXPIRED);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  gate.Open();
}

TEST_CASE("H4: a worker expires by its keep-alive while the wall clock jumps", "[wall_clock]") {
  pool_options_t options = Options(1);
  options.keep_alive_ns = kLimitNs;
  ScopedPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "pool_submit");
  Timed timed;
  CHECK(PollUntil([&] { return Stats(pool).retired == 1; }));
}
