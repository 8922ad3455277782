// pool_ctx_fork and pool_ctx_join, and what a waiting worker may run: H13.
#include <array>
#include <catch2/catch.hpp>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

struct Fib {
  uint64_t n;
  uint64_t result;

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* fib = static_cast<Fib*>(arg);
    if (fib->n < 2) {
      fib->result = fib->n;
      return 0;
    }
    Fib left{fib->n - 1, 0}, right{fib->n - 2, 0};
    pool_fork_t fork;
    if (pool_ctx_fork(ctx, &fork, Run, &left) != POOL_OK) return -1000;
    if (Run(&right, ctx) != 0) return -1001;
    int32_t code = 1;
    if (pool_ctx_join(ctx, &fork, &code) != POOL_OK || code != 0) return -1002;
    fib->result = left.result + right.result;
    return 0;
  }
};

int32_t RunOn(pool_t pool, pool_run_fn run, void* arg) {
  const pool_ticket_t ticket = Submit(pool, Task(run, arg));
  pool_result_t result;
  Must(pool_wait(ticket, 0, 3 * kBoundNs, &result, sizeof(result)), "pool_wait");
  Must(pool_ticket_release(ticket), "release");
  return result.code;
}

TEST_CASE("forks compute the same as calls, with any number of workers", "[fork_join]") {
  for (const uint32_t workers : {1u, 2u, 4u}) {
    ScopedPool pool(workers);
    Fib fib{kSanitized ? 16u : 24u, 0};
    CHECK(RunOn(pool, Fib::Run, &fib) == 0);
    CHECK(fib.result == (kSanitized ? 987 : 46'368));
  }
}

TEST_CASE("a join gives the fork's code", "[fork_join]") {
  ScopedPool pool(2);
  Body body([&](pool_ctx_t* ctx) {
    for (const int32_t returned : {0, -1000, -77'777, 5}) {
      Body forked([&](pool_ctx_t*) { return returned; });
      pool_fork_t fork;
      if (pool_ctx_fork(ctx, &fork, Body::Run, &forked) != POOL_OK) return -1001;
      int32_t code = 99;
      if (pool_ctx_join(ctx, &fork, &code) != POOL_OK) return -1002;
      if (code != (returned > 0 ? POOL_E_INVALID : returned)) return -1003;
    }
    return 0;
  });
  CHECK(RunOn(pool, Body::Run, &body) == 0);
}

TEST_CASE("F1: an exception in a fork is that fork's code, the task goes on", "[fork_join]") {
  ScopedPool pool(2);
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("in a fork"); });
  Body body([&](pool_ctx_t* ctx) {
    for (uint64_t i = 0; i < Rounds(500); ++i) {
      pool_fork_t fork;
      if (pool_ctx_fork(ctx, &fork, Body::Run, &throws) != POOL_OK) return -1001;
      int32_t code = 99;
      if (pool_ctx_join(ctx, &fork, &code) != POOL_OK) return -1002;
      if (code != POOL_E_EXCEPTION) return -1003;
    }
    return 0;
  });
  CHECK(RunOn(pool, Body::Run, &body) == 0);
}

TEST_CASE("more forks than any queue has room for all run once", "[fork_join]") {
  ScopedPool pool(2);
  const uint64_t count = Rounds(100'000);
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t* ctx) {
    std::vector<pool_fork_t> forks(count);
    for (auto& fork : forks) {
      if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) return -1001;
    }
    for (auto it = forks.rbegin(); it != forks.rend(); ++it) {
      if (pool_ctx_join(ctx, &*it, nullptr) != POOL_OK) return -1002;
    }
    return 0;
  });
  CHECK(RunOn(pool, Body::Run, &body) == 0);
  CHECK(runs == count);
}

TEST_CASE("misuse of forks and contexts is refused", "[fork_join]") {
  ScopedPool pool(2);
  std::array<std::atomic<int32_t>, 8> seen{};
  Body body([&](pool_ctx_t* ctx) {
    pool_fork_t fork, never{};
    seen[0] = pool_ctx_fork(nullptr, &fork, DoNothing, nullptr);
    seen[1] = pool_ctx_fork(ctx, nullptr, DoNothing, nullptr);
    seen[2] = pool_ctx_fork(ctx, &fork, nullptr, nullptr);
    seen[3] = pool_ctx_join(ctx, nullptr, nullptr);
    seen[4] = pool_ctx_join(ctx, &never, nullptr);
    seen[5] = pool_ctx_submit(nullptr, DoNothing, nullptr);
    seen[6] = pool_ctx_submit(ctx, nullptr, nullptr);
    seen[7] = pool_ctx_set_value(nullptr, 1);
    return 0;
  });
  CHECK(RunOn(pool, Body::Run, &body) == 0);
  for (auto& status : seen) CHECK(status == POOL_E_INVALID);
  CHECK(pool_ctx_should_stop(nullptr) == 0);
}

TEST_CASE("a fork that waits for another task's gate does not stop its parent's siblings",
          "[fork_join]") {
  // A stolen fork blocks; the joiner parks; a stand-in runs what is queued, among it what opens the
  // gate.
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    Gate gate;
    Body opens([&](pool_ctx_t*) {
      gate.Open();
      return 0;
    });
    Body body([&](pool_ctx_t* ctx) {
      pool_fork_t fork;
      pool_ctx_fork(ctx, &fork, PassGate, &gate);
      if (!PollUntil([&] { return gate.arrivals() == 1; })) return -1001;  // stolen
      if (pool_ctx_submit(ctx, Body::Run, &opens) != POOL_OK) return -1002;
      return pool_ctx_join(ctx, &fork, nullptr);
    });
    REQUIRE(RunOn(pool, Body::Run, &body) == 0);
  }
}

// H13: tasks that hold a lock while they wait. If a wait ran another such task on top of the
// waiter, it would take the lock that its own thread holds, and never return.
struct LockUser {
  enum Way { kJoin, kTicket, kGroup, kLoop, kWays };

  pool_t pool;
  std::mutex mu;
  uint64_t guarded = 0;

  struct Part {
    LockUser* user;
    Way way;
  };

  static int32_t Range(void* arg, uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
    return CountRun(arg, nullptr);
  }

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    const auto* part = static_cast<Part*>(arg);
    LockUser* user = part->user;
    const std::lock_guard<std::mutex> lock(user->mu);
    std::atomic<uint64_t> parts{0};
    pool_status_t status = POOL_OK;
    switch (part->way) {
      case kJoin: {
        pool_fork_t forks[2];
        for (auto& fork : forks) status |= pool_ctx_fork(ctx, &fork, CountRun, &parts);
        status |= pool_ctx_join(ctx, &forks[1], nullptr);
        status |= pool_ctx_join(ctx, &forks[0], nullptr);
        break;
      }
      case kTicket: {
        const pool_task_t task = Task(CountRun, &parts);
        pool_ticket_t tickets[2] = {};
        for (auto& ticket : tickets) status |= pool_submit_task(user->pool, &task, &ticket);
        for (auto ticket : tickets) status |= pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0);
        for (auto ticket : tickets) status |= pool_ticket_release(ticket);
        break;
      }
      case kGroup: {
        pool_group_t group = 0;
        status |= pool_group_create(user->pool, nullptr, &group);
        for (int i = 0; i < 2; ++i) status |= pool_group_submit(group, CountRun, &parts);
        status |= pool_group_wait(group, POOL_FOREVER, nullptr);
        status |= pool_group_release(group);
        break;
      }
      case kLoop:
        status |= pool_parallel_for(user->pool, 0, 2, 1, 0, Range, &parts, nullptr);
        break;
      case kWays:
        break;
    }
    ++user->guarded;
    return status == POOL_OK && parts == 2 ? 0 : -1000;
  }
};

TEST_CASE("H13: tasks that wait while they hold a lock finish 100000 times",
          "[fork_join][serial]") {
  const uint64_t each = Rounds(25'000);
  for (int way = 0; way < LockUser::kWays; ++way) {
    ScopedPool pool(2);
    LockUser user{pool, {}, 0};
    LockUser::Part part{&user, static_cast<LockUser::Way>(way)};
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    for (uint64_t i = 0; i < each; ++i) {
      // A few at a time, so that there are always others that want the lock.
      Must(pool_group_submit(group, LockUser::Run, &part), "submit");
      if (i % 64 == 63) REQUIRE(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
    }
    int32_t first_code = 1;
    REQUIRE(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
    CHECK(first_code == 0);
    CHECK(user.guarded == each);
    CHECK(pool_group_release(group) == POOL_OK);
  }
}

}  // namespace
}  // namespace workpool_test
