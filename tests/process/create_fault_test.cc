// The operating system refuses threads: E1, E2, C11. pthread_create of this program stands before
// the C library's, so the library under test calls it. Not built under sanitizers, which put their
// own there.
#include <dlfcn.h>
#include <pthread.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

#include "child.h"

namespace {

// Calls number from ... to - 1 since Arm fail with EAGAIN.
std::atomic<int64_t> g_calls{0}, g_from{0}, g_to{0};

}  // namespace

// Exported, so that the library under test finds it first.
extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* attr,
                                                                     void* (*body)(void*),
                                                                     void* arg) {
  using Create = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static auto* const real = reinterpret_cast<Create*>(dlsym(RTLD_NEXT, "pthread_create"));
  const int64_t call = g_calls.fetch_add(1);
  if (call >= g_from && call < g_to) return EAGAIN;
  return real(thread, attr, body, arg);
}

namespace workpool_test {
namespace {

constexpr int64_t kAlways = INT64_MAX;

// While it lives, the thread starts from number first on fail, count of them.
class Refusal {
 public:
  Refusal(int64_t first, int64_t count) {
    g_from = 0;
    g_to = 0;
    g_calls = 0;
    g_to = count == kAlways ? kAlways : first + count;
    g_from = first;
  }
  ~Refusal() {
    g_to = 0;
    g_from = 0;
  }
  Refusal(const Refusal&) = delete;
  Refusal& operator=(const Refusal&) = delete;
};

TEST_CASE("E1: a pool reaches its full size though the first three starts fail for the moment",
          "[create_fault][serial]") {
  SECTION("at create") {
    pool_options_t options = Options(4);
    options.prestart = 4;
    const Refusal refusal(0, 3);
    const Stopwatch watch;
    ScopedPool pool(options);
    CHECK(watch.Seconds() < 0.5);  // 100 ms of patience, and what the machine adds
    CHECK(Stats(pool).workers_live == 4);
    CHECK(Stats(pool).start_failures == 3);
  }
  SECTION("growing under load") {
    ScopedPool pool(4);
    Gate gate;
    Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    const Refusal refusal(0, 3);
    for (int i = 0; i < 3; ++i) {
      const Stopwatch watch;
      Must(pool_submit(pool, PassGate, &gate), "submit");
      CHECK(watch.Seconds() < 0.1);  // no patience on the submit path
    }
    // Nobody is forgotten: the busy worker cannot help, so a submit has to try again.
    const bool all = PollUntil([&] {
      pool_submit(pool, DoNothing, nullptr);
      return gate.arrivals() == 4;
    });
    CHECK(all);
    CHECK(Stats(pool).start_failures == 3);
    gate.Open();
    REQUIRE(WaitIdle(pool));
  }
  SECTION("by tune") {
    ScopedPool pool(4);
    const Refusal refusal(0, 3);
    CHECK(pool_tune(pool, 4) == POOL_OK);
    CHECK(PollUntil([&] { return Stats(pool).workers_live == 4; }));
  }
}

TEST_CASE("E2: with no thread to be had a submit says so and accepts nothing", "[create_fault]") {
  const size_t threads = ThreadCount();
  Tally tally;
  {
    ScopedPool pool(4);
    const pool_task_t task = TallyTask(tally);
    void* args[2] = {&tally, &tally};
    uint32_t accepted = 9;
    {
      const Refusal refusal(0, kAlways);
      const Stopwatch watch;
      CHECK(pool_submit(pool, Tally::Run, &tally) == POOL_E_THREAD);
      CHECK(LastErrorText().substr(0, 12) == "pool_submit:");
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_THREAD);
      CHECK(pool_submit_many(pool, Tally::Run, args, 2, &accepted) == POOL_E_THREAD);
      CHECK(accepted == 0);
      pool_group_t group = 0;
      CHECK(pool_group_create(pool, nullptr, &group) == POOL_OK);
      CHECK(pool_group_submit(group, Tally::Run, &tally) == POOL_E_THREAD);
      CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
      CHECK(pool_group_release(group) == POOL_OK);
      CHECK(watch.Seconds() < 1.0);
      const pool_stats_t stats = Stats(pool);
      CHECK(stats.submitted == 0);
      CHECK(stats.rejected >= 4);
      CHECK(stats.workers_live == 0);
      CHECK(stats.start_failures > 0);
    }
    CHECK(tally.runs + tally.dones + tally.drops == 0);
    // When threads are to be had again, it works as if nothing had been.
    CHECK(PollUntil([&] { return pool_submit_task(pool, &task, nullptr) == POOL_OK; }));
    REQUIRE(WaitIdle(pool));
    CHECK(tally.drops == 1);
  }
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("E2: prestart makes pool_create report it within a second, and nothing leaks",
          "[create_fault][serial]") {
  const size_t threads = ThreadCount();
  for (const int64_t first : {0, 1, 3}) {
    pool_options_t options = Options(4);
    options.prestart = 4;
    const Refusal refusal(first, kAlways);
    const Stopwatch watch;
    pool_t pool = 4711;
    CHECK(pool_create(&options, &pool) == POOL_E_THREAD);
    CHECK(watch.Seconds() < 1.0);
    CHECK(LastErrorText().substr(0, 12) == "pool_create:");
    CHECK(AwaitThreadCount(threads));
  }
}

TEST_CASE("E2: tune reports that fewer workers could be started, and keeps its target",
          "[create_fault]") {
  ScopedPool pool(4);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  {
    const Refusal refusal(0, kAlways);
    CHECK(pool_tune(pool, 4) == POOL_E_THREAD);
    CHECK(Stats(pool).workers_wanted == 4);
    CHECK(Stats(pool).workers_live == 1);
  }
  // The target stays: work brings the rest once threads are to be had.
  CHECK(PollUntil([&] {
    pool_submit(pool, DoNothing, nullptr);
    return Stats(pool).workers_live == 4;
  }));
}

TEST_CASE("C11: whichever start fails, counters match the threads, all runs, destroy is quick",
          "[create_fault][serial]") {
  const auto before = ThreadIds();
  for (const int64_t count : {int64_t{1}, int64_t{3}, kAlways}) {
    for (int64_t first = 0; first < 8; ++first) {
      INFO("starts from " << first << " on fail, " << count << " of them");
      std::atomic<uint64_t> runs{0};
      uint64_t accepted = 0;
      pool_options_t options = Options(4);
      ScopedPool pool(options);
      {
        const Refusal refusal(first, count);
        for (int i = 0; i < 500; ++i) {
          if (pool_submit(pool, CountRun, &runs) == POOL_OK) ++accepted;
        }
        // Waits inside tasks want stand-ins, which may be refused too.
        Body body([&](pool_ctx_t*) {
          const pool_task_t task = Task(CountRun, &runs);
          pool_ticket_t ticket = 0;
          if (pool_submit_task(pool, &task, &ticket) != POOL_OK) return -1000;
          const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
          pool_ticket_release(ticket);
          return status;
        });
        uint64_t waiters = 0;
        for (int i = 0; i < 20; ++i) {
          if (pool_submit(pool, Body::Run, &body) == POOL_OK) ++waiters;
        }
        REQUIRE(WaitIdle(pool));
        CHECK(runs == accepted + waiters);
        CHECK(Stats(pool).failed == 0);
        CHECK(PollUntil([&] { return Stats(pool).workers_live == ThreadsSince(before).size(); }));
      }
      const Stopwatch watch;
      REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
      CHECK(watch.Seconds() < 1.0);
      REQUIRE(AwaitThreadCount(before.size()));
    }
  }
}

TEST_CASE("E2: with no thread for the times of tasks a submit that needs them says so and accepts nothing",
          "[create_fault]") {
  const size_t threads = ThreadCount();
  Tally tally;
  {
    ScopedPool pool(2);
    // A worker lives already.
    REQUIRE(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
    REQUIRE(WaitIdle(pool));
    pool_task_t tasks[5];
    for (pool_task_t& task : tasks) task = TallyTask(tally);
    tasks[0].delay_ns = 1'000'000;
    tasks[1].deadline_ns = pool_now_ns() + kBoundNs;
    tasks[2].run_timeout_ns = kBoundNs;
    tasks[3].period_ns = kBoundNs;
    tasks[4].retries_max = 1;
    {
      const Refusal refusal(0, kAlways);
      for (const pool_task_t& task : tasks) {
        pool_ticket_t ticket = 7;
        CHECK(pool_submit_task(pool, &task, &ticket) == POOL_E_THREAD);
        CHECK(ticket == 0);
      }
      CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      REQUIRE(WaitIdle(pool));
      CHECK(Stats(pool).submitted == 2);
    }
    CHECK(tally.runs + tally.dones + tally.drops == 0);
    CHECK(pool_submit_task(pool, &tasks[0], nullptr) == POOL_OK);
    CheckSettled(pool);
    CHECK(tally.runs == 1);
    CHECK(tally.drops == 1);
  }
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("E1: a task that is due while no worker can be started runs when threads are to be had again",
          "[create_fault]") {
  for (const bool watched : {false, true}) {
    Tally tally;
    ScopedPool pool(1);
    pool_task_t task = TallyTask(tally);
    task.delay_ns = 20'000'000;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    {
      const Refusal refusal(0, kAlways);
      // Nobody has called meanwhile, or somebody waits.
      if (watched) CHECK(pool_wait_idle(pool, 100'000'000) == POOL_E_TIMEOUT);
      CHECK(PollUntil([&] { return Stats(pool).start_failures >= 3; }));
      CHECK(tally.runs == 0);
    }
    CHECK(PollUntil([&] { return tally.drops == 1; }));
    CheckSettled(pool);
    CHECK(tally.runs == 1);
  }
}

TEST_CASE("E1: a task that becomes due while all workers wait for it runs though the start for it failed",
          "[create_fault]") {
  ScopedPool pool(1);
  std::atomic<pool_status_t> status{1};
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t*) {
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "group_create");
    pool_task_t task = Task(CountRun, &runs);
    task.group = group;
    task.delay_ns = 60'000'000;
    Must(pool_submit_task(pool, &task, nullptr), "submit_task");
    status = pool_group_wait(group, kBoundNs, nullptr);
    Must(pool_group_release(group), "group_release");
    return 0;
  });
  // The thread of the timers is there.
  pool_task_t task = Task(DoNothing, nullptr);
  task.delay_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit_task");
  REQUIRE(WaitIdle(pool));
  const Refusal refusal(0, 1);
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(status == POOL_OK);
  CHECK(runs == 1);
  CHECK(Stats(pool).start_failures == 1);
}

TEST_CASE("C11: a replacement that cannot be started is made up for by the next submit",
          "[create_fault]") {
  const size_t threads = ThreadCount();
  {
    ScopedPool pool(1);
    std::atomic<uint64_t> runs{0};
    Body body([&](pool_ctx_t* ctx) {
      pool_ctx_submit(ctx, CountRun, &runs);
      pthread_exit(nullptr);
      return 0;
    });
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    {
      // The worker's thread ends, and what it leaves has nobody.
      const Refusal refusal(0, 1);
      Must(pool_submit(pool, Body::Run, &body), "submit");
      CHECK(PollUntil([&] {
        const pool_status_t status = pool_submit(pool, CountRun, &runs);
        return status == POOL_OK;
      }));
      REQUIRE(WaitIdle(pool));
    }
    CHECK(runs >= 2);
    CHECK(Stats(pool).failed == 1);
  }
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("E1: workers that a policy keeps are there though starts fail for the moment", "[create_fault]") {
  pool_options_t options = Options(8);
  options.policy = "fixed,n=6";
  const Refusal refusal(1, 3);  // the first is the service thread
  ScopedPool pool(options);
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 6; }));
}

TEST_CASE("E2: a policy for which no thread can be started is refused, and never called", "[create_fault]") {
  std::atomic<uint64_t> calls{0};
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.user = &calls;
  policy.decide = [](void* user, const pool_load_t*, double) -> uint32_t {
    ++*static_cast<std::atomic<uint64_t>*>(user);
    return 5;
  };
  ScopedPool pool(4);
  Gate gate;
  {
    Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    const Refusal refusal(0, kAlways);
    CHECK(pool_set_policy(pool, &policy) == POOL_E_THREAD);
  }
  for (int i = 0; i < 9; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  CHECK(gate.AwaitArrivals(4));
  CHECK(calls == 0);
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("E2: a policy is refused for want of a thread, too, when the one that there was has lapsed", "[create_fault]") {
  ScopedPool pool(8);
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.name = "fixed,n=2";
  const size_t threads = ThreadCount();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 2; }));
  policy.name = "fixed,n=6";
  REQUIRE(PollUntil([&] { return ThreadCount() == threads + 2; }));  // only the workers are left
  {
    const Refusal refusal(0, kAlways);
    CHECK(pool_set_policy(pool, &policy) == POOL_E_THREAD);
  }
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 6; }));
}

TEST_CASE("E2: a policy that ends its thread while no other can be started is asked again later",
          "[create_fault]") {
  struct Mine {
    std::atomic<uint64_t> calls{0}, last{UINT64_MAX};
    std::atomic<Refusal*> refusal{nullptr};
    alignas(Refusal) unsigned char memory[sizeof(Refusal)];
  } mine;
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.user = &mine;
  policy.tick_ns = 1'000'000;
  policy.decide = [](void* user, const pool_load_t*, double) -> uint32_t {
    auto& own = *static_cast<Mine*>(user);
    if (++own.calls != own.last) return 3;
    own.refusal = new (own.memory) Refusal(0, kAlways);
    pthread_exit(nullptr);
  };
  ScopedPool pool(8);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  for (int i = 0; i < 6; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  const uint64_t last = mine.calls + 2;
  mine.last = last;
  REQUIRE(PollUntil([&] { return mine.refusal != nullptr; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its thread has ended, and tried in vain to start another one
  CHECK(mine.calls == last);
  mine.refusal.load()->~Refusal();
  CHECK(PollUntil([&] {
    Must(pool_submit(pool, PassGate, &gate), "submit");
    return mine.calls > last;
  }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

}  // namespace
}  // namespace workpool_test
