// F8: user code never runs with a lock of the library held, so every callback may call the library
// back. In builds with assertions the library itself checks at each call-out that the thread holds
// no lock.
#include <catch2/catch.hpp>
#include <memory>
#include <thread>

#include "test_support.h"

namespace workpool_test {
namespace {

// Calls nearly everything there is, and counts what did not answer as it should.
struct Caller {
  pool_t pool = 0;
  pool_t other = 0;  // a pool of which the calling thread is not a worker
  std::atomic<uint64_t> calls{0}, bad{0}, runs{0};

  void Expect(bool good) {
    if (!good) ++bad;
  }

  void CallBack() {
    ++calls;
    pool_stats_t stats;
    Expect(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
    Expect(pool_participants(pool) > 0);
    (void)pool_worker_index(pool);
    Expect(pool_submit(other, CountRun, &runs) == POOL_OK);
    const pool_task_t task = Task(CountRun, &runs);
    pool_ticket_t ticket = 0;
    Expect(pool_submit_task(other, &task, &ticket) == POOL_OK);
    Expect(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
    Expect(pool_cancel(ticket) == POOL_E_ALREADY);
    Expect(pool_ticket_release(ticket) == POOL_OK);
    pool_group_t group = 0;
    Expect(pool_group_create(other, nullptr, &group) == POOL_OK);
    Expect(pool_group_submit(group, CountRun, &runs) == POOL_OK);
    Expect(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
    Expect(pool_group_release(group) == POOL_OK);
    uint64_t hook = 0;
    Expect(pool_hook_add(
               other, [](void*, pool_t, int32_t) {}, nullptr, nullptr, &hook) == POOL_OK);
    Expect(pool_hook_remove(other, hook) == POOL_OK);
    Expect(pool_last_error(nullptr, nullptr, 0, nullptr) == POOL_OK);
    // Its own pool may be paused, resumed, tuned and submitted to, unless it is closing.
    const auto open_or_closed = [&](pool_status_t status) {
      Expect(status == POOL_OK || status == POOL_E_CLOSED);
    };
    open_or_closed(pool_resume(pool));
    open_or_closed(pool_submit(pool, CountRun, &runs));
    uint64_t own_hook = 0;
    open_or_closed(pool_hook_add(
        pool, [](void*, pool_t, int32_t) {}, nullptr, nullptr, &own_hook));
  }
};

void DropCallsBack(void* arg, int32_t) { static_cast<Caller*>(arg)->CallBack(); }
void DoneCallsBack(void* arg, const pool_result_t*) { static_cast<Caller*>(arg)->CallBack(); }
void HookCallsBack(void* user, pool_t, int32_t) { static_cast<Caller*>(user)->CallBack(); }
int32_t RunCallsBack(void* arg, pool_ctx_t*) {
  static_cast<Caller*>(arg)->CallBack();
  return 0;
}

TEST_CASE("F8: run, done and drop may call the library", "[callbacks]") {
  ScopedPool other(1);
  Caller caller;
  pool_options_t options = Options(2);
  ScopedPool pool(options);
  caller.pool = pool;
  caller.other = other;
  pool_task_t task = Task(RunCallsBack, &caller);
  task.done = DoneCallsBack;
  task.drop = DropCallsBack;
  SECTION("on a worker") {
    for (uint64_t i = 0; i < Rounds(100); ++i) {
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    REQUIRE(WaitIdle(pool));
    CHECK(caller.calls == 3 * Rounds(100));
  }
  SECTION("on the thread that cancels, helps or cancels a group") {
    Gate gate;
    for (int i = 0; i < 2; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(2));
    const pool_ticket_t cancelled = Submit(pool, task);
    CHECK(pool_cancel(cancelled) == POOL_OK);
    CHECK(caller.calls == 2);
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    pool_task_t member = task;
    member.group = group;
    Must(pool_submit_task(pool, &member, nullptr), "submit");
    CHECK(pool_group_cancel(group) == POOL_OK);
    CHECK(caller.calls == 4);
    const pool_ticket_t helped = Submit(pool, task);
    CHECK(pool_wait(helped, POOL_WAIT_HELP, kBoundNs, nullptr, 0) == POOL_OK);
    CHECK(caller.calls == 7);
    gate.Open();
    CHECK(pool_ticket_release(cancelled) == POOL_OK);
    CHECK(pool_ticket_release(helped) == POOL_OK);
    CHECK(pool_group_release(group) == POOL_OK);
  }
  SECTION("on the thread that closes") {
    Gate gate;
    for (int i = 0; i < 2; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(2));
    for (int i = 0; i < 10; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    CHECK(pool_close(pool, POOL_CANCEL_QUEUED, 0) == POOL_E_TIMEOUT);
    CHECK(caller.calls == 20);
    gate.Open();
    CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  }
  CHECK(caller.bad == 0);
}

// What a callback that belongs to a task gets when it waits for that task, or for the pool.
struct SelfWaiter {
  pool_t pool = 0;
  std::atomic<pool_ticket_t> ticket{0};
  std::atomic<int> deadlocks{0}, others{0};

  void Wait() {
    while (ticket == 0) std::this_thread::yield();
    for (const pool_status_t status :
         {pool_wait(ticket, 0, kBoundNs, nullptr, 0), pool_wait_idle(pool, kBoundNs),
          pool_close(pool, POOL_DRAIN, kBoundNs), pool_destroy(pool)}) {
      ++(status == POOL_E_DEADLOCK ? deadlocks : others);
    }
  }
  static void Done(void* arg, const pool_result_t*) { static_cast<SelfWaiter*>(arg)->Wait(); }
  static void Drop(void* arg, int32_t) { static_cast<SelfWaiter*>(arg)->Wait(); }
};

TEST_CASE("C2: done and drop that wait for their own task or pool get DEADLOCK", "[callbacks]") {
  ScopedPool pool(1);
  SelfWaiter waiter;
  waiter.pool = pool;
  pool_task_t task = Task(DoNothing, &waiter);
  task.done = SelfWaiter::Done;
  task.drop = SelfWaiter::Drop;
  SECTION("on a worker") {
    waiter.ticket = Submit(pool, task);
    CHECK(pool_wait(waiter.ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  }
  SECTION("on the thread that cancels") {
    Must(pool_pause(pool), "pause");
    waiter.ticket = Submit(pool, task);
    CHECK(pool_cancel(waiter.ticket) == POOL_OK);
    Must(pool_resume(pool), "resume");
  }
  CHECK(waiter.deadlocks == 8);
  CHECK(waiter.others == 0);
  CHECK(pool_ticket_release(waiter.ticket) == POOL_OK);
}

TEST_CASE("F8: a hook may call the library", "[callbacks]") {
  ScopedPool other(1);
  Caller caller;
  ScopedPool pool(2);
  caller.pool = pool;
  caller.other = other;
  uint64_t id = 0;
  Must(pool_hook_add(pool, HookCallsBack, HookCallsBack, &caller, &id), "hook_add");
  Gate gate;
  for (int i = 0; i < 2; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));
  gate.Open();
  REQUIRE(PollUntil([&] { return caller.calls >= 2; }));
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CHECK(caller.calls == 4);
  CHECK(caller.bad == 0);
}

TEST_CASE("F8: log_fn may call the library", "[callbacks]") {
  ScopedPool other(1);
  Caller caller;
  caller.other = other;
  pool_options_t options = Options(2);
  options.log_user = &caller;
  options.log_level = POOL_LOG_DEBUG;
  options.log_fn = [](void* user, int32_t, const char*) {
    auto* self = static_cast<Caller*>(user);
    // A line may be written before pool_create has returned, and by what this callback itself does.
    thread_local bool inside = false;
    if (self->pool == 0 || inside) return;
    inside = true;
    pool_stats_t stats;
    const pool_status_t status = pool_stats(self->pool, &stats, sizeof(stats));
    if (status == POOL_OK) self->CallBack();
    inside = false;
  };
  {
    ScopedPool pool(options);
    caller.pool = pool;
    Body throws([](pool_ctx_t*) -> int32_t { throw 1; });
    for (int i = 0; i < 10; ++i) Must(pool_submit(pool, Body::Run, &throws), "submit");
    REQUIRE(WaitIdle(pool));
    Must(pool_tune(pool, 2), "tune");
    REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 2; }));
  }
  CHECK(caller.calls > 0);
  CHECK(caller.bad == 0);
}

TEST_CASE("F8: drop may submit the next task of a chain", "[callbacks]") {
  struct Chain {
    pool_t pool;
    std::atomic<uint64_t> left;
    std::atomic<uint64_t> bad{0};
    static void Drop(void* arg, int32_t) {
      auto* chain = static_cast<Chain*>(arg);
      if (chain->left == 0) return;
      --chain->left;
      pool_task_t task = Task(DoNothing, arg);
      task.drop = Drop;
      if (pool_submit_task(chain->pool, &task, nullptr) != POOL_OK) ++chain->bad;
    }
  };
  ScopedPool pool(2);
  Chain chain{pool, {Rounds(20'000)}};
  pool_task_t task = Task(DoNothing, &chain);
  task.drop = Chain::Drop;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(PollUntil([&] { return chain.left == 0; }));
  REQUIRE(WaitIdle(pool));
  CHECK(chain.bad == 0);
}

TEST_CASE("F8: drop may release the pool's last ticket and group", "[callbacks]") {
  struct Owner {
    pool_ticket_t ticket = 0;
    pool_group_t group = 0;
    Gate gate;
    std::atomic<uint64_t> released{0};
  };
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(500); ++round) {
    Owner owner;
    Must(pool_group_create(pool, nullptr, &owner.group), "group_create");
    pool_task_t task = Task(
        [](void* arg, pool_ctx_t*) {
          static_cast<Owner*>(arg)->gate.Pass();
          return int32_t{0};
        },
        &owner);
    task.group = owner.group;
    task.drop = [](void* arg, int32_t) {
      auto* self = static_cast<Owner*>(arg);
      if (pool_ticket_release(self->ticket) == POOL_OK) ++self->released;
      if (pool_group_release(self->group) == POOL_OK) ++self->released;
    };
    owner.ticket = Submit(pool, task);
    owner.gate.Open();
    REQUIRE(PollUntil([&] { return owner.released == 2; }));
    REQUIRE(WaitIdle(pool));
  }
}

TEST_CASE("F8: a task may create, use and destroy a pool of its own", "[callbacks]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0}, bad{0};
  Body body([&](pool_ctx_t*) {
    pool_t inner = 0;
    if (pool_create(nullptr, &inner) != POOL_OK) ++bad;
    for (int i = 0; i < 10; ++i) {
      if (pool_submit(inner, CountRun, &runs) != POOL_OK) ++bad;
    }
    if (pool_destroy(inner) != POOL_OK) ++bad;
    return 0;
  });
  for (uint64_t i = 0; i < Rounds(100); ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(runs == 10 * Rounds(100));
}

}  // namespace
}  // namespace workpool_test
