// The end of the process: with busy pools, from tasks, and calls from the code that runs last.
#include <pthread.h>
#include <semaphore.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>
#include <vector>

#include "child.h"

namespace workpool_test {
namespace {

// What tasks of a dying process touch outlives every destructor.
volatile std::atomic<bool> g_spin{true};  // nobody writes it, which a compiler could find out
sem_t g_never;

int32_t SpinForever(void*, pool_ctx_t*) {
  while (g_spin.load(std::memory_order_relaxed)) {
  }
  return 0;
}

int32_t SleepForever(void*, pool_ctx_t*) {
  while (sem_wait(&g_never) != 0 && errno == EINTR) {
  }
  return 0;
}

pool_t BusyPool(uint32_t workers, pool_run_fn run, int queued) {
  pool_options_t options = Options(workers);
  pool_t pool = 0;
  EXPECT(sem_init(&g_never, 0, 0) == 0);
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  for (int i = 0; i < queued; ++i) EXPECT(pool_submit(pool, run, nullptr) == POOL_OK);
  EXPECT(PollUntil([&] { return Stats(pool).workers_busy > 0; }));
  return pool;
}

constexpr double kExitBoundSeconds = kSanitized ? 10.0 : 1.0;

TEST_CASE("D10: exit with a busy pool ends within a second", "[exit][serial]") {
  SECTION("spinning tasks") {
    const ChildEnd end = RunChild([] { BusyPool(2, SpinForever, 2); });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("sleeping tasks and a long queue") {
    const ChildEnd end = RunChild([] { BusyPool(2, SleepForever, 10'000); });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("a paused pool with a queue") {
    const ChildEnd end = RunChild([] {
      ScopedPool pool(2);
      EXPECT(pool_pause(pool) == POOL_OK);
      for (int i = 0; i < 1'000; ++i) EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      pool.GiveUp();
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("threads that wait in every way there is") {
    const ChildEnd end = RunChild([] {
      pool_options_t options = Options(1);
      options.queue_limit = 1;
      options.on_full = POOL_ON_FULL_BLOCK;
      static pool_t pool;
      EXPECT(pool_create(&options, &pool) == POOL_OK);
      EXPECT(sem_init(&g_never, 0, 0) == 0);
      static pool_ticket_t ticket;
      ticket = Submit(pool, Task(SleepForever, nullptr));
      EXPECT(PollUntil([&] { return Stats(pool).workers_busy == 1; }));
      EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      static std::atomic<int> waiting{0};
      const auto detach = [](auto call) {
        std::thread([call] {
          ++waiting;
          call();
        }).detach();
      };
      detach([] { pool_submit(pool, DoNothing, nullptr); });
      detach([] { pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0); });
      detach([] { pool_wait_many(&ticket, 1, 1, POOL_FOREVER, nullptr); });
      detach([] { pool_wait_idle(pool, POOL_FOREVER); });
      detach([] { pool_close(pool, POOL_DRAIN, POOL_FOREVER); });
      EXPECT(PollUntil([&] { return waiting == 5; }));
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("the shared pool, never released") {
    const ChildEnd end = RunChild([] {
      pool_t pool = 0;
      EXPECT(pool_shared(&pool) == POOL_OK);
      EXPECT(pool_submit(pool, SpinForever, nullptr) == POOL_OK);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
    CHECK(end.seconds < kExitBoundSeconds);
  }
}

TEST_CASE("D10: a task may call exit, and its code is the process's", "[exit][serial]") {
  SECTION("exit in a task") {
    const ChildEnd end = RunChild([] {
      BusyPool(2, SpinForever, 1);
      pool_options_t options = Options(1);
      pool_t pool = 0;
      EXPECT(pool_create(&options, &pool) == POOL_OK);
      const pool_run_fn exits = [](void*, pool_ctx_t*) -> int32_t { std::exit(7); };
      EXPECT(pool_submit(pool, exits, nullptr) == POOL_OK);
      for (;;) pause();
    });
    INFO(end);
    CHECK(end.ExitedWith(7));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("exit in a nested wait, while others wait for the task") {
    const ChildEnd end = RunChild([] {
      static pool_t pool;
      pool_options_t options = Options(1);
      EXPECT(pool_create(&options, &pool) == POOL_OK);
      const pool_run_fn outer = [](void*, pool_ctx_t* ctx) -> int32_t {
        pool_fork_t fork_room;
        const pool_run_fn exits = [](void*, pool_ctx_t*) -> int32_t { std::exit(8); };
        pool_ctx_fork(ctx, &fork_room, exits, nullptr);
        return pool_ctx_join(ctx, &fork_room, nullptr);
      };
      const pool_ticket_t ticket = Submit(pool, Task(outer, nullptr));
      pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0);
      for (;;) pause();
    });
    INFO(end);
    CHECK(end.ExitedWith(8));
    CHECK(end.seconds < kExitBoundSeconds);
  }
  SECTION("exit in a drop function and in a hook") {
    const ChildEnd in_drop = RunChild([] {
      ScopedPool pool(1);
      pool_task_t task = Task(DoNothing, nullptr);
      task.drop = [](void*, int32_t) { std::exit(9); };
      EXPECT(pool_submit_task(pool.GiveUp(), &task, nullptr) == POOL_OK);
      for (;;) pause();
    });
    CHECK(in_drop.ExitedWith(9));
    const ChildEnd in_hook = RunChild([] {
      ScopedPool scoped(1);
      const pool_t pool = scoped.GiveUp();
      uint64_t id = 0;
      const pool_hook_fn exits = [](void*, pool_t, int32_t) { std::exit(10); };
      EXPECT(pool_hook_add(pool, exits, nullptr, nullptr, &id) == POOL_OK);
      EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      for (;;) pause();
    });
    CHECK(in_hook.ExitedWith(10));
  }
  SECTION("quick_exit and _exit in a task") {
    const ChildEnd quick = RunChild([] {
      const pool_run_fn exits = [](void*, pool_ctx_t*) -> int32_t { std::quick_exit(11); };
      BusyPool(2, exits, 2);
      for (;;) pause();
    });
    CHECK(quick.ExitedWith(11));
    const ChildEnd quicker = RunChild([] {
      const pool_run_fn exits = [](void*, pool_ctx_t*) -> int32_t { _exit(12); };
      BusyPool(2, exits, 2);
      for (;;) pause();
    });
    CHECK(quicker.ExitedWith(12));
  }
}

TEST_CASE("D10: a static object that owns a pool drains it at exit", "[exit]") {
  const ChildEnd end = RunChild([] {
    static std::atomic<uint64_t> runs{0};
    struct Checker {
      ~Checker() { EXPECT(runs == 10'000); }
    };
    static Checker checker;  // destroyed after the pool
    static ScopedPool pool(2);
    for (int i = 0; i < 10'000; ++i) EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("D10: a thread_local pool is destroyed with its thread, also that of a task", "[exit]") {
  const size_t threads = ThreadCount();
  std::atomic<uint64_t> runs{0};
  const auto use = [&] {
    thread_local ScopedPool pool(1);
    for (int i = 0; i < 100; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  };
  std::thread(use).join();
  CHECK(runs == 100);
  {
    Body body([&](pool_ctx_t*) {
      use();
      return 0;
    });
    ScopedPool pool(1);
    Must(pool_submit(pool, Body::Run, &body), "submit");
  }
  CHECK(runs == 200);
  CHECK(AwaitThreadCount(threads));
}

// ---- calls from the code that runs last
// --------------------------------------------------------------

// Handles that live as long as the process's memory.
struct LateHandles {
  pool_t live = 0, gone = 0;
  pool_ticket_t ticket = 0;
  pool_group_t group = 0;
};
LateHandles g_late;
std::atomic<uint64_t> g_late_runs{0};
std::atomic<int> g_late_calls{0};

void MakeLateHandles() {
  pool_options_t options = Options(1);
  EXPECT(pool_create(&options, &g_late.live) == POOL_OK);
  EXPECT(pool_create(&options, &g_late.gone) == POOL_OK);
  EXPECT(pool_destroy(g_late.gone) == POOL_OK);
  EXPECT(pool_group_create(g_late.live, nullptr, &g_late.group) == POOL_OK);
  g_late.ticket = Submit(g_late.live, Task(CountRun, &g_late_runs));
}

// Every call answers with what it would answer at any other time.
void CallEverything() {
  ++g_late_calls;
  pool_stats_t stats;
  EXPECT(pool_submit(g_late.gone, CountRun, &g_late_runs) == POOL_E_BADHANDLE);
  EXPECT(pool_stats(g_late.gone, &stats, sizeof(stats)) == POOL_E_BADHANDLE);
  EXPECT(pool_destroy(g_late.gone) == POOL_E_BADHANDLE);
  EXPECT(pool_wait(0, 0, 0, nullptr, 0) == POOL_E_BADHANDLE);
  EXPECT(!LastErrorText().empty());
  EXPECT(pool_strerror(POOL_E_FULL) != nullptr);
  EXPECT(pool_now_ns() > 0);
  EXPECT(pool_stats(g_late.live, &stats, sizeof(stats)) == POOL_OK);
  EXPECT(pool_worker_index(g_late.live) == -1);
  EXPECT(pool_wait(g_late.ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  EXPECT(pool_cancel(g_late.ticket) == POOL_E_ALREADY);
  EXPECT(pool_submit(g_late.live, CountRun, &g_late_runs) == POOL_OK);
  EXPECT(pool_group_submit(g_late.group, CountRun, &g_late_runs) == POOL_OK);
  EXPECT(pool_group_wait(g_late.group, kBoundNs, nullptr) == POOL_OK);
  EXPECT(pool_wait_idle(g_late.live, kBoundNs) == POOL_OK);
  pool_t fresh = 0;
  EXPECT(pool_create(nullptr, &fresh) == POOL_OK);
  EXPECT(pool_submit(fresh, CountRun, &g_late_runs) == POOL_OK);
  EXPECT(pool_destroy(fresh) == POOL_OK);
}

struct CallsWhenDestroyed {
  void Touch() {}  // a thread-local object exists from its first use
  ~CallsWhenDestroyed() { CallEverything(); }
};

TEST_CASE("D11: calls from atexit handlers, static and thread-local destructors return codes",
          "[exit]") {
  SECTION("an atexit handler registered before the first use of the library, so run last") {
    const ChildEnd end = RunChild([] {
      std::atexit([] { CallEverything(); });
      MakeLateHandles();
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("an atexit handler registered after it") {
    const ChildEnd end = RunChild([] {
      MakeLateHandles();
      std::atexit([] { CallEverything(); });
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("a static object made before the first use, and one made after it") {
    const ChildEnd end = RunChild([] {
      static CallsWhenDestroyed before;
      MakeLateHandles();
      static CallsWhenDestroyed after;
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("a thread-local object of the main thread and of another") {
    const ChildEnd end = RunChild([] {
      thread_local CallsWhenDestroyed before;
      before.Touch();
      MakeLateHandles();
      thread_local CallsWhenDestroyed after;
      after.Touch();
      std::thread([] {
        thread_local CallsWhenDestroyed other;
        other.Touch();
      }).join();
      EXPECT(g_late_calls == 1);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
  SECTION("a destructor of a pthread key, which runs after the thread-local ones") {
    const ChildEnd end = RunChild([] {
      MakeLateHandles();
      pthread_key_t key;
      EXPECT(pthread_key_create(&key, [](void*) { CallEverything(); }) == 0);
      std::thread([&] {
        EXPECT(pool_submit(g_late.live, CountRun, &g_late_runs) == POOL_OK);
        pthread_setspecific(key, &g_late);
      }).join();
      EXPECT(g_late_calls == 1);
    });
    INFO(end);
    CHECK(end.ExitedWith(0));
  }
}

// Made before any other object of the program, so destroyed after all of them, the library's
// included if it had any.
struct VeryLast {
  bool armed = false;
  VeryLast() {}
  ~VeryLast() {
    if (armed) CallEverything();
  }
};
__attribute__((init_priority(101))) VeryLast g_very_last;

TEST_CASE("D13: handle tables outlive the destructors of all static objects", "[exit]") {
  const ChildEnd end = RunChild([] {
    MakeLateHandles();
    g_very_last.armed = true;
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

}  // namespace
}  // namespace workpool_test
