// fork: the child's inherited handles answer at once, a new pool works there, nothing hangs, and
// the parent notices nothing.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

#include "child.h"

namespace workpool_test {
namespace {

[[maybe_unused]] const int g_in_children =
    pthread_atfork(nullptr, nullptr, [] { g_cannot_look_for_leaks = true; });

// A pool that works as a new one should, in whatever process.
void ExpectWorkingPool(uint32_t workers) {
  const size_t threads = ThreadCount();
  pool_options_t options = Options(workers);
  pool_t pool = 0;
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 1'000; ++i) EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
  for (const int64_t delay_ns : {0, 1'000'000}) {
    pool_task_t task = Task(CountRun, &runs);
    task.delay_ns = delay_ns;
    pool_ticket_t ticket = 0;
    EXPECT(pool_submit_task(pool, &task, &ticket) == POOL_OK);
    EXPECT(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
    EXPECT(pool_ticket_release(ticket) == POOL_OK);
  }
  pool_group_t group = 0;
  EXPECT(pool_group_create(pool, nullptr, &group) == POOL_OK);
  EXPECT(pool_group_submit(group, CountRun, &runs) == POOL_OK);
  EXPECT(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  EXPECT(pool_group_release(group) == POOL_OK);
  EXPECT(pool_destroy(pool) == POOL_OK);
  EXPECT(runs == 1'003);
  EXPECT(AwaitThreadCount(threads));
}

TEST_CASE("D1: the child of a process with an idle pool exits cleanly", "[fork]") {
  ScopedPool pool(2);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  const ChildEnd end = RunChild([] {});
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("D1: the children of a process with a busy pool exit cleanly", "[fork][live_child]") {
  ScopedPool pool(2);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> runs{0}, submitted{0};
  std::thread load([&] {
    while (!stop) {
      if (pool_submit(pool, CountRun, &runs) == POOL_OK) ++submitted;
      const pool_ticket_t ticket = Submit(pool, Task(CountRun, &runs));
      pool_cancel(ticket);
      pool_ticket_release(ticket);
    }
  });
  for (int i = 0; i < 60; ++i) {
    const ChildEnd end =
        RunChild([&] { EXPECT(pool_submit(pool, CountRun, &runs) == POOL_E_FORKED); });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  stop = true;
  load.join();
  REQUIRE(WaitIdle(pool));
  CHECK(runs >= submitted);
}

TEST_CASE("D2: in the child every call on an inherited handle is FORKED at once", "[fork]") {
  ScopedPool pool(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Must(pool_group_submit(group, DoNothing, nullptr), "group_submit");
  uint64_t hook = 0;
  const pool_hook_fn nothing = [](void*, pool_t, int32_t) {};
  Must(pool_hook_add(pool, nothing, nullptr, nullptr, &hook), "hook_add");

  const ChildEnd end = RunChild([&] {
    const pool_task_t task = Task(DoNothing, nullptr);
    void* args[1] = {nullptr};
    pool_stats_t stats;
    pool_group_t new_group = 0;
    uint64_t new_hook = 0;
    const pool_range_fn range = [](void*, uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
      return int32_t{0};
    };
    const std::vector<std::pair<const char*, std::function<int32_t()>>> calls = {
        {"pool_submit", [&] { return pool_submit(pool, DoNothing, nullptr); }},
        {"pool_submit_many", [&] { return pool_submit_many(pool, DoNothing, args, 1, nullptr); }},
        {"pool_submit_task", [&] { return pool_submit_task(pool, &task, nullptr); }},
        {"pool_submit_batch",
         [&] { return pool_submit_batch(pool, &task, sizeof(task), 1, nullptr, nullptr); }},
        {"pool_parallel_for",
         [&] { return pool_parallel_for(pool, 0, 9, 1, 0, range, nullptr, nullptr); }},
        {"pool_participants", [&] { return pool_participants(pool); }},
        {"pool_wait", [&] { return pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0); }},
        {"pool_wait_many", [&] { return pool_wait_many(&ticket, 1, 1, POOL_FOREVER, nullptr); }},
        {"pool_wait_idle", [&] { return pool_wait_idle(pool, POOL_FOREVER); }},
        {"pool_cancel", [&] { return pool_cancel(ticket); }},
        {"pool_group_create", [&] { return pool_group_create(pool, nullptr, &new_group); }},
        {"pool_group_submit", [&] { return pool_group_submit(group, DoNothing, nullptr); }},
        {"pool_group_wait", [&] { return pool_group_wait(group, POOL_FOREVER, nullptr); }},
        {"pool_group_cancel", [&] { return pool_group_cancel(group); }},
        {"pool_hook_add",
         [&] { return pool_hook_add(pool, nothing, nullptr, nullptr, &new_hook); }},
        {"pool_hook_remove", [&] { return pool_hook_remove(pool, hook); }},
        {"pool_close", [&] { return pool_close(pool, POOL_DRAIN, POOL_FOREVER); }},
        {"pool_pause", [&] { return pool_pause(pool); }},
        {"pool_resume", [&] { return pool_resume(pool); }},
        {"pool_tune", [&] { return pool_tune(pool, 1); }},
        {"pool_stats", [&] { return pool_stats(pool, &stats, sizeof(stats)); }},
    };
    for (int round = 0; round < 2; ++round) {
      for (const auto& [name, call] : calls) {
        const int32_t status = call();
        if (status != POOL_E_FORKED) std::fprintf(stderr, "%s: %d\n", name, status);
        EXPECT(status == POOL_E_FORKED);
        EXPECT(LastErrorText().substr(0, std::string(name).size()) == name);
      }
    }
    EXPECT(pool_worker_index(pool) == -1);
    EXPECT(std::string(pool_strerror(POOL_E_FORKED)).size() > 1);
    EXPECT(pool_abi_version() > 0);
    // These give the inherited handles up, once each.
    EXPECT(pool_ticket_release(ticket) == POOL_OK);
    EXPECT(pool_ticket_release(ticket) == POOL_E_BADHANDLE);
    EXPECT(pool_group_release(group) == POOL_OK);
    EXPECT(pool_group_release(group) == POOL_E_BADHANDLE);
    EXPECT(pool_destroy(pool) == POOL_OK);
    EXPECT(pool_destroy(pool) == POOL_E_BADHANDLE);
    EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_E_BADHANDLE);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));

  // In the parent all is as it was.
  gate.Open();
  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_hook_remove(pool, hook) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("D2: release drops an inherited handle too", "[fork]") {
  ScopedPool pool(1);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  pool_t shared = 0;
  Must(pool_shared(&shared), "pool_shared");
  const ChildEnd end = RunChild([&] {
    EXPECT(pool_release(pool) == POOL_OK);
    EXPECT(pool_release(pool) == POOL_E_BADHANDLE);
    EXPECT(pool_submit(shared, DoNothing, nullptr) == POOL_E_FORKED);
    EXPECT(pool_release(shared) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
  CHECK(pool_submit(shared, DoNothing, nullptr) == POOL_OK);
  CHECK(WaitIdle(shared));
  CHECK(pool_release(shared) == POOL_OK);
}

TEST_CASE("D2: handles of the child's own objects never equal inherited ones",
          "[fork][live_child]") {
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  const ChildEnd end = RunChild([&] {
    for (int i = 0; i < 100; ++i) {
      ScopedPool own(1);
      EXPECT(own != pool);
      const pool_ticket_t own_ticket = Submit(own, Task(DoNothing, nullptr));
      EXPECT(own_ticket != ticket);
      EXPECT(pool_wait(own_ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
      EXPECT(pool_ticket_release(own_ticket) == POOL_OK);
      EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_E_FORKED);
      EXPECT(pool_cancel(ticket) == POOL_E_FORKED);
    }
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("D4: the library opens no descriptor, and forks cost the parent no wake-up",
          "[fork][live_child][serial]") {
  const auto descriptors = Descriptors();
  ScopedPool pool(2);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rounds{0}, lost{0};
  // Each round wakes a sleeping worker and is woken by it: a wake-up that went to a child stops it.
  std::thread player([&] {
    while (!stop) {
      const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
      if (pool_wait(ticket, 0, kBoundNs, nullptr, 0) != POOL_OK) ++lost;
      pool_ticket_release(ticket);
      ++rounds;
    }
  });
  const uint64_t forks = kSanitized ? 50 : 1'000;
  uint64_t bad = 0;
  for (uint64_t i = 0; i < forks; ++i) {
    const Stopwatch watch;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(pool_submit(pool, DoNothing, nullptr) == POOL_E_FORKED ? 0 : 1);
    if (!AwaitChild(child, watch).ExitedWith(0)) ++bad;
  }
  const uint64_t seen = rounds;
  CHECK(PollUntil([&] { return rounds > seen; }));  // it goes on
  CHECK(Descriptors() == descriptors);
  stop = true;
  player.join();
  CHECK(bad == 0);
  CHECK(lost == 0);
}

TEST_CASE("D5: a new pool in the child works", "[fork][live_child]") {
  SECTION("after an idle pool") {
    ScopedPool pool(2);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    const ChildEnd end = RunChild([] { ExpectWorkingPool(2); });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("without a pool in the parent") {
    const ChildEnd end = RunChild([] { ExpectWorkingPool(2); });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("the shared pool of the child is its own") {
    pool_t shared = 0;
    Must(pool_shared(&shared), "pool_shared");
    Must(pool_submit(shared, DoNothing, nullptr), "submit");
    const ChildEnd end = RunChild([&] {
      pool_t own = 0;
      EXPECT(pool_shared(&own) == POOL_OK);
      EXPECT(own != shared);
      std::atomic<uint64_t> runs{0};
      EXPECT(pool_submit(own, CountRun, &runs) == POOL_OK);
      EXPECT(pool_wait_idle(own, kBoundNs) == POOL_OK);
      EXPECT(runs == 1);
      EXPECT(pool_release(own) == POOL_OK);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(pool_release(shared) == POOL_OK);
  }
}

TEST_CASE(
    "D5: a child forked while other threads are inside the library is not held up by their locks",
    "[fork][live_child]") {
  pool_options_t options = Options(2);
  options.keep_alive_ns = 10'000;  // workers come and go
  ScopedPool pool(options);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        ScopedPool own(1);
        pool_group_t group = 0;
        Must(pool_group_create(pool, nullptr, &group), "group_create");
        pool_group_submit(group, DoNothing, nullptr);
        pool_group_cancel(group);
        pool_group_release(group);
        const pool_ticket_t ticket = Submit(own, Task(DoNothing, nullptr));
        pool_ticket_release(ticket);
        uint64_t hook = 0;
        const pool_hook_fn nothing = [](void*, pool_t, int32_t) {};
        Must(pool_hook_add(pool, nothing, nullptr, nullptr, &hook), "hook_add");
        pool_hook_remove(pool, hook);
      }
    });
  }
  for (int i = 0; i < 40; ++i) {
    const ChildEnd end = RunChild([&] {
      ExpectWorkingPool(2);
      EXPECT(pool_destroy(pool) == POOL_OK);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

TEST_CASE("D5: time goes on in a child, whatever the timers of its parent were doing", "[fork][live_child]") {
  ScopedPool pool(2);
  std::vector<pool_ticket_t> tickets;
  for (int64_t i = 1; i <= 20; ++i) {
    pool_task_t task = Task(DoNothing, nullptr);
    task.period_ns = i * 20'000;
    tickets.push_back(Submit(pool, task));
  }
  for (int i = 0; i < 40; ++i) {
    const ChildEnd end = RunChild([&] {
      EXPECT(pool_cancel(tickets[0]) == POOL_E_FORKED);
      ExpectWorkingPool(2);
      EXPECT(pool_destroy(pool) == POOL_OK);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  for (const pool_ticket_t ticket : tickets) {
    (void)pool_cancel(ticket);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  CheckSettled(pool);
}

TEST_CASE("D2: in the child inherited tokens and completion queues are FORKED, and are given back; new ones work", "[fork]") {
  ScopedPool pool(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  pool_token_t token = 0;
  Must(pool_token_create(0, &token), "token");
  pool_cq_t cq = 0;
  Must(pool_cq_create(4, &cq), "cq");
  const int fd = pool_cq_fd(cq);
  REQUIRE(fd >= 0);
  pool_task_t task = Task(DoNothing, nullptr);
  task.token = token;
  task.cq = cq;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  pool_completion_t completion;
  uint32_t n = 0;
  const ChildEnd end = RunChild([&] {
    pool_token_t other = 0;
    for (int round = 0; round < 2; ++round) {
      EXPECT(pool_token_cancel(token, 0) == POOL_E_FORKED);
      EXPECT(pool_token_reason(token) == POOL_E_FORKED);
      EXPECT(pool_token_create(token, &other) == POOL_E_FORKED);
      EXPECT(pool_cq_fd(cq) == POOL_E_FORKED);
      EXPECT(pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n) == POOL_E_FORKED);
      EXPECT(pool_cq_detach(cq) == POOL_E_FORKED);
    }
    EXPECT(pool_token_release(token) == POOL_OK);
    EXPECT(pool_token_release(token) == POOL_E_BADHANDLE);
    EXPECT(pool_cq_release(cq) == POOL_OK);
    EXPECT(pool_cq_release(cq) == POOL_E_BADHANDLE);
    EXPECT(Descriptors().count(fd) == 1);  // a copy that the library leaves alone
    pool_t own = 0;
    pool_cq_t own_cq = 0;
    EXPECT(pool_create(nullptr, &own) == POOL_OK);
    EXPECT(pool_token_create(0, &other) == POOL_OK);
    EXPECT(pool_cq_create(1, &own_cq) == POOL_OK);
    pool_task_t inherited = Task(DoNothing, nullptr);
    inherited.token = token;
    EXPECT(pool_submit_task(own, &inherited, nullptr) == POOL_E_BADHANDLE);
    pool_task_t mine = Task(DoNothing, nullptr);
    mine.token = other;
    mine.cq = own_cq;
    EXPECT(pool_submit_task(own, &mine, nullptr) == POOL_OK);
    EXPECT(pool_cq_poll(own_cq, &completion, sizeof(completion), 1, kBoundNs, &n) == POOL_OK);
    EXPECT(pool_cq_release(own_cq) == POOL_OK);
    EXPECT(pool_token_release(other) == POOL_OK);
    EXPECT(pool_destroy(own) == POOL_OK);
    EXPECT(pool_destroy(pool) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));

  // In the parent all is as it was.
  CHECK(pool_token_reason(token) == 0);
  gate.Open();
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, kBoundNs, &n) == POOL_OK);
  CHECK(n == 1);
  CheckSettled(pool);
  CHECK(pool_cq_release(cq) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

void ForkChain(int depth) {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 100; ++i) EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
  if (depth > 0) {
    const ChildEnd end = RunChild([&] {
      EXPECT(pool_submit(pool, CountRun, &runs) == POOL_E_FORKED);
      EXPECT(pool_destroy(pool.GiveUp()) == POOL_OK);
      ForkChain(depth - 1);
    });
    EXPECT(end.ExitedWith(0));
  }
  EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
  EXPECT(runs == 100);
}

TEST_CASE("D5: forks chained 20 deep each have a working pool", "[fork][live_child]") {
  const ChildEnd end = RunChild([] { ForkChain(20); });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("D1: a task may fork, its child leaves by exit, the parent's task goes on", "[fork]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> bad{0}, runs{0};
  Body body([&](pool_ctx_t* ctx) {
    const Stopwatch watch;
    const pid_t child = fork();
    if (child == 0) {
      DefaultSignals();
      alarm(kAlarmSeconds);
      pool_fork_t fork_room;
      EXPECT(pool_ctx_fork(ctx, &fork_room, DoNothing, nullptr) == POOL_E_FORKED);
      EXPECT(pool_ctx_join(ctx, &fork_room, nullptr) == POOL_E_FORKED);
      EXPECT(pool_ctx_submit(ctx, DoNothing, nullptr) == POOL_E_FORKED);
      EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_E_FORKED);
      EXPECT(pool_worker_index(pool) == -1);
      EXPECT(pool_destroy(pool) == POOL_OK);
      std::exit(0);
    }
    if (!AwaitChild(child, watch).ExitedWith(0)) ++bad;
    ++runs;
    return 0;
  });
  for (int i = 0; i < 10; ++i) {
    Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(WaitIdle(pool));
  }
  CHECK(bad == 0);
  CHECK(runs == 10);
}

TEST_CASE("D2: the child of a task is refused by whatever way it submits first", "[fork]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  const auto ways = {0, 1, 2, 3, 4, 5};
  std::atomic<uint64_t> bad{0};
  Body body([&](pool_ctx_t*) {
    for (const int way : ways) {
      const Stopwatch watch;
      const pid_t child = fork();
      if (child == 0) {
        DefaultSignals();
        alarm(kAlarmSeconds);
        pool_task_t task = Task(DoNothing, nullptr);
        if (way == 5) task.group = group;
        pool_ticket_t ticket = 0;
        void* const args[] = {nullptr};
        switch (way) {
          case 0: EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_E_FORKED); break;
          case 1: EXPECT(pool_submit_task(pool, &task, &ticket) == POOL_E_FORKED); break;
          case 2: EXPECT(pool_submit_batch(pool, &task, sizeof(task), 1, nullptr, nullptr) == POOL_E_FORKED); break;
          case 3: EXPECT(pool_submit_many(pool, DoNothing, args, 1, nullptr) == POOL_E_FORKED); break;
          default: EXPECT(pool_submit_task(pool, &task, nullptr) == POOL_E_FORKED);
        }
        std::_Exit(0);
      }
      if (!AwaitChild(child, watch).ExitedWith(0)) ++bad;
    }
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("D5: a child forked by a task may make a pool of its own", "[fork][live_child]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> bad{0};
  Body body([&](pool_ctx_t*) {
    const Stopwatch watch;
    const pid_t child = fork();
    if (child == 0) {
      DefaultSignals();
      alarm(kAlarmSeconds);
      ExpectWorkingPool(2);
      std::exit(0);
    }
    if (!AwaitChild(child, watch).ExitedWith(0)) ++bad;
    return 0;
  });
  for (int i = 0; i < 5; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
}

}  // namespace
}  // namespace workpool_test
