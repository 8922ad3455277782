// F3 and C8: tasks that end their thread, by pthread_exit or by being cancelled, wherever in the
// nesting of waits, joins and loops it happens. Every task on the way is settled as THREADEXIT, a
// replacement worker takes over, the destructors of the task's frames run.
#include <pthread.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "test_support.h"

// From <sanitizer/asan_interface.h>; null unless the program has an AddressSanitizer.
extern "C" [[gnu::weak]] void __asan_handle_no_return();

namespace workpool_test {
namespace {

// Counts unwound frames.
struct Frame {
  std::atomic<uint64_t>& unwound;
  ~Frame() { ++unwound; }
};

std::atomic<uint64_t> g_unwound{0};

int32_t ExitThread(void*, pool_ctx_t*) {
  const Frame frame{g_unwound};
  pthread_exit(nullptr);
}

int32_t CancelThread(void*, pool_ctx_t*) {
  const Frame frame{g_unwound};
  pthread_cancel(pthread_self());
  pthread_testcancel();
  return 0;
}

pool_result_t ResultOf(pool_ticket_t ticket) {
  const pool_result_t result = WaitForResult(ticket);
  Must(pool_ticket_release(ticket), "release");
  return result;
}

void CheckNextTaskRuns(pool_t pool) {
  std::atomic<uint64_t> runs{0};
  const pool_result_t next = ResultOf(Submit(pool, Task(CountRun, &runs)));
  CHECK(next.outcome == POOL_DONE);
  CHECK(runs == 1);
}

TEST_CASE("F3: a task that ends its thread has failed with THREADEXIT, and the next one runs",
          "[thread_exit]") {
  for (const pool_run_fn run : {ExitThread, CancelThread}) {
    for (const uint32_t workers : {1u, 2u}) {
      g_unwound = 0;
      ScopedPool pool(workers);
      Tally tally;
      pool_task_t task = TallyTask(tally);
      task.run = run;
      const pool_result_t result = ResultOf(Submit(pool, task));
      CHECK(result.outcome == POOL_FAILED);
      CHECK(result.code == POOL_E_THREADEXIT);
      CHECK(tally.dones == 1);
      CHECK(tally.drops == 1);
      CHECK(tally.drop_outcome == POOL_FAILED);
      CHECK(tally.done_code == POOL_E_THREADEXIT);
      CHECK(g_unwound == 1);
      CheckNextTaskRuns(pool);
      CHECK(Stats(pool).failed == 1);
      CHECK(PollUntil([&] { return Stats(pool).retired == 1; }));
    }
  }
}

TEST_CASE("F3: a plain task and a group member that end their thread are counted and settled",
          "[thread_exit]") {
  ScopedPool pool(1);
  Must(pool_submit(pool, ExitThread, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Must(pool_group_submit(group, ExitThread, nullptr), "group_submit");
  int32_t code = 0;
  REQUIRE(pool_group_wait(group, kBoundNs, &code) == POOL_OK);
  CHECK(code == POOL_E_THREADEXIT);
  CHECK(pool_group_release(group) == POOL_OK);
  CheckNextTaskRuns(pool);
  CHECK(Stats(pool).failed == 2);
}

TEST_CASE("F3: a worker may be cancelled from outside while its task blocks", "[thread_exit]") {
  ScopedPool pool(1);
  std::atomic<bool> running{false};
  pthread_t thread{};
  Body body([&](pool_ctx_t*) {
    thread = pthread_self();
    running = true;
    // AddressSanitizer does not see that a cancellation ends the frames of a stack; after this it looks at none of them.
    if (__asan_handle_no_return != nullptr) __asan_handle_no_return();
    // A cancellation point. (ThreadSanitizer cannot be unwound while it is inside a system call.)
    for (;;) kSanitized ? pthread_testcancel() : void(pause());
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  REQUIRE(PollUntil([&] { return running.load(); }));
  REQUIRE(pthread_cancel(thread) == 0);
  CHECK(ResultOf(ticket).code == POOL_E_THREADEXIT);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: pthread_exit inside a nested wait settles every task on the way, innermost first",
          "[thread_exit]") {
  enum Way { kTicket, kGroup, kJoin, kWays };
  // When a task was dropped, on a clock that the tasks share.
  struct Dropped {
    std::atomic<int>* clock;
    std::function<int32_t(pool_ctx_t*)> run;
    int at = 0;
    static int32_t Run(void* arg, pool_ctx_t* ctx) { return static_cast<Dropped*>(arg)->run(ctx); }
    static void Drop(void* arg, int32_t outcome) {
      auto* self = static_cast<Dropped*>(arg);
      if (outcome == POOL_FAILED) self->at = ++*self->clock;
    }
  };
  for (int way = 0; way < kWays; ++way) {
    g_unwound = 0;
    pool_options_t options = Options(1);
    options.workers_limit = 1;  // so that the inner task is run by the outer one's wait
    ScopedPool pool(options);
    std::atomic<int> clock{0};
    Dropped inner{&clock, [](pool_ctx_t* ctx) { return ExitThread(nullptr, ctx); }};
    Dropped outer{&clock, nullptr};
    pool_task_t inner_task = Task(Dropped::Run, &inner);
    inner_task.drop = Dropped::Drop;
    pool_ticket_t inner_ticket = 0;
    outer.run = [&](pool_ctx_t* ctx) {
      const Frame frame{g_unwound};
      pool_fork_t fork_room;
      switch (way) {
        case kTicket:
          inner_ticket = Submit(pool, inner_task);
          pool_wait(inner_ticket, 0, POOL_FOREVER, nullptr, 0);
          break;
        case kGroup:
          Must(pool_group_create(pool, nullptr, &inner_task.group), "group_create");
          inner_ticket = Submit(pool, inner_task);
          pool_group_wait(inner_task.group, POOL_FOREVER, nullptr);
          break;
        default:
          pool_ctx_fork(ctx, &fork_room, ExitThread, nullptr);
          pool_ctx_join(ctx, &fork_room, nullptr);
          break;
      }
      return 0;  // never: its thread has ended inside the wait
    };
    pool_task_t outer_task = Task(Dropped::Run, &outer);
    outer_task.drop = Dropped::Drop;
    const pool_result_t result = ResultOf(Submit(pool, outer_task));
    INFO("way " << way);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == POOL_E_THREADEXIT);
    CHECK(g_unwound == 2);
    if (way != kJoin) {
      CHECK(ResultOf(inner_ticket).code == POOL_E_THREADEXIT);
      CHECK(inner.at == 1);
      CHECK(outer.at == 2);
    }
    if (way == kGroup) CHECK(pool_group_release(inner_task.group) == POOL_OK);
    CheckNextTaskRuns(pool);
  }
}

TEST_CASE("F3: pthread_exit three joins deep unwinds all of them", "[thread_exit]") {
  struct Level {
    int left;
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      const Frame frame{g_unwound};
      const auto* level = static_cast<Level*>(arg);
      if (level->left == 0) pthread_exit(nullptr);
      Level next{level->left - 1};
      pool_fork_t fork_room;
      pool_ctx_fork(ctx, &fork_room, Run, &next);
      return pool_ctx_join(ctx, &fork_room, nullptr);
    }
  };
  g_unwound = 0;
  ScopedPool pool(1);
  Level first{3};
  CHECK(ResultOf(Submit(pool, Task(Level::Run, &first))).code == POOL_E_THREADEXIT);
  CHECK(g_unwound == 4);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a stolen fork that ends its thread is joined with THREADEXIT", "[thread_exit]") {
  ScopedPool pool(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> stolen{false};
    Body exits([&](pool_ctx_t*) {
      stolen = true;
      pthread_exit(nullptr);
      return 0;
    });
    Body body([&](pool_ctx_t* ctx) {
      pool_fork_t fork_room;
      pool_ctx_fork(ctx, &fork_room, Body::Run, &exits);
      if (!PollUntil([&] { return stolen.load(); })) return -1001;
      int32_t code = 0;
      if (pool_ctx_join(ctx, &fork_room, &code) != POOL_OK) return -1002;
      return code == POOL_E_THREADEXIT ? 0 : -1003;
    });
    REQUIRE(ResultOf(Submit(pool, Task(Body::Run, &body))).code == 0);
  }
}

struct Loop {
  std::atomic<uint64_t> bodies{0}, exits{0};
  uint64_t exit_at = 0;

  static int32_t Range(void* arg, uint64_t begin, uint64_t, uint32_t, pool_ctx_t*) {
    auto* loop = static_cast<Loop*>(arg);
    ++loop->bodies;
    if (begin == loop->exit_at) {
      ++loop->exits;
      pthread_exit(&loop->exits);
    }
    return 0;
  }
};

TEST_CASE("F3: a body that ends a helping worker's thread ends the loop with THREADEXIT",
          "[thread_exit]") {
  ScopedPool pool(2);
  for (int round = 0; round < 50; ++round) {
    // The caller's body waits until a worker's body has come and gone.
    struct Meeting {
      std::thread::id caller = std::this_thread::get_id();
      std::atomic<bool> worker_came{false};
    } meeting;
    const pool_range_fn range = [](void* arg, uint64_t, uint64_t, uint32_t,
                                   pool_ctx_t*) -> int32_t {
      auto* self = static_cast<Meeting*>(arg);
      if (std::this_thread::get_id() != self->caller) {
        self->worker_came = true;
        pthread_exit(nullptr);
      }
      return PollUntil([&] { return self->worker_came.load(); }) ? 0 : -1001;
    };
    int32_t code = 0;
    REQUIRE(pool_parallel_for(pool, 0, 4, 1, 2, range, &meeting, &code) == POOL_OK);
    REQUIRE(code == POOL_E_THREADEXIT);
  }
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a body that ends the thread of the task that runs the loop settles that task",
          "[thread_exit]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;
  ScopedPool pool(options);
  Loop loop;
  loop.exit_at = 50;
  Body body([&](pool_ctx_t*) {
    return pool_parallel_for(pool, 0, 100, 10, 0, Loop::Range, &loop, nullptr);
  });
  CHECK(ResultOf(Submit(pool, Task(Body::Run, &body))).code == POOL_E_THREADEXIT);
  CHECK(loop.exits == 1);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: on a caller's own thread the loop is settled and the unwinding goes on",
          "[thread_exit]") {
  ScopedPool pool(2);
  g_unwound = 0;
  struct Caller {
    pool_t pool;
    Loop loop;
    static void* Main(void* arg) {
      const Frame frame{g_unwound};
      auto* self = static_cast<Caller*>(arg);
      self->loop.exit_at = 0;  // one participant only: it is this thread's
      pool_parallel_for(self->pool, 0, 100, 10, 1, Loop::Range, &self->loop, nullptr);
      return nullptr;
    }
  } caller{pool, {}};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Caller::Main, &caller) == 0);
  void* value = nullptr;
  REQUIRE(pthread_join(thread, &value) == 0);
  CHECK(value == &caller.loop.exits);  // what was given to pthread_exit
  CHECK(caller.loop.exits == 1);
  CHECK(g_unwound == 1);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a helping outside waiter may end its thread inside the task", "[thread_exit]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  g_unwound = 0;
  Tally tally;
  pool_task_t task = TallyTask(tally);
  task.run = ExitThread;
  const pool_ticket_t ticket = Submit(pool, task);
  struct Helper {
    pool_ticket_t ticket;
    static void* Main(void* arg) {
      const Frame frame{g_unwound};
      pool_wait(static_cast<Helper*>(arg)->ticket, POOL_WAIT_HELP, POOL_FOREVER, nullptr, 0);
      return arg;  // never
    }
  } helper{ticket};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Helper::Main, &helper) == 0);
  void* value = &helper;
  REQUIRE(pthread_join(thread, &value) == 0);
  CHECK(value == nullptr);
  CHECK(g_unwound == 2);
  CHECK(ResultOf(ticket).code == POOL_E_THREADEXIT);
  CHECK(tally.drops == 1);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: tasks on the queue of a worker whose thread ends are run by others",
          "[thread_exit]") {
  ScopedPool pool(1);
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t* ctx) {
    for (int i = 0; i < 100; ++i) pool_ctx_submit(ctx, CountRun, &runs);
    pthread_exit(nullptr);
    return 0;
  });
  for (uint64_t round = 1; round <= 20; ++round) {
    Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(WaitIdle(pool));
    REQUIRE(runs == 100 * round);
  }
}

TEST_CASE("F3: a start hook that ends its thread loses no task", "[thread_exit]") {
  struct Once {
    std::atomic<bool> exits{false};
    static void Start(void* user, pool_t, int32_t) {
      if (static_cast<Once*>(user)->exits.exchange(false)) pthread_exit(nullptr);
    }
  } once;
  ScopedPool pool(1);
  CheckNextTaskRuns(pool);
  once.exits = true;
  uint64_t id = 0;
  Must(pool_hook_add(pool, Once::Start, nullptr, &once, &id), "hook_add");
  CheckNextTaskRuns(pool);
  CHECK_FALSE(once.exits);
}

TEST_CASE("F3: a done that ends its thread leaves the task settled, and drop is called", "[thread_exit]") {
  struct Exits {
    std::atomic<uint64_t> drops{0};
    static void Done(void*, const pool_result_t*) { pthread_exit(nullptr); }
    static void Drop(void* arg, int32_t) { ++static_cast<Exits*>(arg)->drops; }
  } exits;
  ScopedPool pool(1);
  pool_task_t task = Task(DoNothing, &exits);
  task.done = Exits::Done;
  task.drop = Exits::Drop;
  SECTION("on a worker") { CHECK(ResultOf(Submit(pool, task)).outcome == POOL_DONE); }
  SECTION("on a thread that cancels") {
    Must(pool_pause(pool), "pause");
    const pool_ticket_t ticket = Submit(pool, task);
    std::thread([&] { (void)pool_cancel(ticket); }).join();
    CHECK(ResultOf(ticket).outcome == POOL_CANCELLED);
    Must(pool_resume(pool), "resume");
  }
  CHECK(exits.drops == 1);
  CHECK(WaitIdle(pool));
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a drop that ends its thread leaves the task counted and settled", "[thread_exit]") {
  const pool_drop_fn drop = [](void*, int32_t) { pthread_exit(nullptr); };
  pool_options_t options = Options(1);
  options.drop = drop;
  ScopedPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(WaitIdle(pool));
  pool_task_t task = Task(DoNothing, nullptr);
  task.drop = drop;
  CHECK(ResultOf(Submit(pool, task)).outcome == POOL_DONE);
  CHECK(WaitIdle(pool));
  CHECK(Stats(pool).done == 2);
}

TEST_CASE("F3: a task whose run, done and drop each end a thread is settled, and so is one that waits for it",
          "[thread_exit]") {
  struct Exits {
    std::atomic<uint64_t> dones{0}, drops{0};
    static int32_t Run(void*, pool_ctx_t*) { pthread_exit(nullptr); }
    static void Done(void* arg, const pool_result_t*) {
      ++static_cast<Exits*>(arg)->dones;
      pthread_exit(nullptr);
    }
    static void Drop(void* arg, int32_t) {
      ++static_cast<Exits*>(arg)->drops;
      pthread_exit(nullptr);
    }
  } exits;
  pool_options_t options = Options(1);
  options.drop = Exits::Drop;
  ScopedPool pool(options);
  pool_task_t task = Task(Exits::Run, &exits);
  task.done = Exits::Done;
  task.drop = Exits::Drop;
  CHECK(ResultOf(Submit(pool, task)).code == POOL_E_THREADEXIT);
  CHECK(exits.dones == 1);
  CHECK(exits.drops == 1);
  struct Parent : Exits {
    pool_t pool;
    pool_ticket_t child = 0;
    static int32_t Wait(void* arg, pool_ctx_t*) {
      auto* parent = static_cast<Parent*>(static_cast<Exits*>(arg));
      pool_task_t task = Task(Exits::Run, static_cast<Exits*>(arg));
      task.done = Exits::Done;
      task.drop = Exits::Drop;
      parent->child = Submit(parent->pool, task);
      return pool_wait(parent->child, 0, POOL_FOREVER, nullptr, 0);
    }
  } parent;
  parent.pool = pool;
  task.run = Parent::Wait;
  task.arg = static_cast<Exits*>(&parent);
  CHECK(ResultOf(Submit(pool, task)).code == POOL_E_THREADEXIT);
  CHECK(ResultOf(parent.child).code == POOL_E_THREADEXIT);
  CHECK(parent.dones == 2);
  CHECK(parent.drops == 2);
  Must(pool_submit(pool, Exits::Run, &exits), "submit");
  CHECK(WaitIdle(pool));
  CHECK(exits.drops == 2);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a done of a task whose thread has ended is part of it: what would wait for the pool is refused",
          "[thread_exit]") {
  struct Waits {
    pool_t pool;
    std::atomic<int32_t> in_done{0}, in_drop{0}, in_plain_drop{0};
  } waits;
  pool_options_t options = Options(1);
  options.drop = [](void* arg, int32_t) {
    if (arg != nullptr) static_cast<Waits*>(arg)->in_plain_drop = pool_wait_idle(static_cast<Waits*>(arg)->pool, -1);
  };
  ScopedPool pool(options);
  waits.pool = pool;
  pool_task_t task = Task(ExitThread, &waits);
  task.done = [](void* arg, const pool_result_t*) {
    auto* w = static_cast<Waits*>(arg);
    w->in_done = pool_wait_idle(w->pool, POOL_FOREVER);
    pthread_exit(nullptr);
  };
  task.drop = [](void* arg, int32_t) {
    auto* w = static_cast<Waits*>(arg);
    w->in_drop = pool_wait_idle(w->pool, POOL_FOREVER);
  };
  CHECK(ResultOf(Submit(pool, task)).code == POOL_E_THREADEXIT);
  Must(pool_submit(pool, ExitThread, &waits), "submit");
  CHECK(WaitIdle(pool));
  CHECK(waits.in_done == POOL_E_DEADLOCK);
  CHECK(waits.in_drop == POOL_E_DEADLOCK);
  CHECK(waits.in_plain_drop == POOL_E_DEADLOCK);
}

TEST_CASE("F3: a fork whose thief is ended by a start hook is joined with THREADEXIT", "[thread_exit]") {
  struct Exits {
    std::atomic<int32_t> not_on{-1};
    std::atomic<bool> exited{false};
    static void Start(void* user, pool_t, int32_t worker) {
      auto* exits = static_cast<Exits*>(user);
      if (worker == exits->not_on || exits->exited.exchange(true)) return;
      pthread_exit(nullptr);
    }
  } exits;
  pool_options_t options = Options(2);
  options.prestart = 2;
  ScopedPool pool(options);
  Gate gate;
  std::atomic<uint64_t> runs{0};
  Body parent([&](pool_ctx_t* ctx) {
    exits.not_on = pool_worker_index(pool);
    gate.Pass();
    pool_fork_t fork;
    pool_ctx_fork(ctx, &fork, CountRun, &runs);
    if (!PollUntil([&] { return exits.exited.load(); })) return -1001;
    int32_t code = 0;
    if (pool_ctx_join(ctx, &fork, &code) != POOL_OK) return -1002;
    return code == POOL_E_THREADEXIT ? 0 : -1003;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &parent));
  REQUIRE(gate.AwaitArrivals(1));
  uint64_t id = 0;
  Must(pool_hook_add(pool, Exits::Start, nullptr, &exits, &id), "hook_add");
  gate.Open();
  CHECK(ResultOf(ticket).code == 0);
  CHECK(runs == 0);
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).cancelled == 1);
}

TEST_CASE("F3: a drop that ends the closing thread leaves the other tasks to the next close", "[thread_exit]") {
  static std::atomic<uint64_t> drops;
  drops = 0;
  pool_options_t options = Options(1);
  options.drop = [](void*, int32_t) {
    if (++drops == 1) pthread_exit(nullptr);
  };
  ScopedPool pool(options);
  Gate gate;
  pool_task_t held = Task(PassGate, &gate);
  Must(pool_submit_task(pool, &held, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  for (int i = 0; i < 10; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
  std::thread([&] { (void)pool_close(pool, POOL_CANCEL_QUEUED, 0); }).join();
  CHECK(drops == 1);
  gate.Open();
  CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  CHECK(drops == 10);
  CHECK(Stats(pool).queued == 0);
}

TEST_CASE("F3: a log function that ends its thread leaves the task settled", "[thread_exit]") {
  pool_options_t options = Options(1);
  options.log_level = POOL_LOG_DEBUG;
  options.log_fn = [](void*, int32_t, const char* text) {
    if (std::string(text).find("failed with code") != std::string::npos) pthread_exit(nullptr);
  };
  ScopedPool pool(options);
  const pool_run_fn fails = [](void*, pool_ctx_t*) -> int32_t { return -1000; };
  CHECK(ResultOf(Submit(pool, Task(fails, nullptr))).outcome == POOL_FAILED);
  CHECK(WaitIdle(pool));
}

TEST_CASE("F3: a thousand tasks that each end their thread lose nothing and leak no thread",
          "[thread_exit]") {
  const size_t threads = ThreadCount();
  const uint64_t count = Rounds(1'000);
  Tally tally;
  {
    ScopedPool pool(2);
    pool_task_t task = TallyTask(tally);
    task.run = ExitThread;
    for (uint64_t i = 0; i < count; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    CHECK(Stats(pool).failed == count);
    CHECK(Stats(pool).workers_live <= 2);
    CheckNextTaskRuns(pool);
  }
  CHECK(tally.dones == count);
  CHECK(tally.drops == count);
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("C8: destroy finishes within a second after tasks have ended their threads",
          "[thread_exit][serial]") {
  const size_t threads = ThreadCount();
  for (const int tasks : {1, 2, 50}) {
    ScopedPool pool(2);
    for (int i = 0; i < tasks; ++i) Must(pool_submit(pool, ExitThread, nullptr), "submit");
    const Stopwatch watch;
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
    CHECK(watch.Seconds() < (kSanitized ? 10.0 : 1.0));
    CHECK(AwaitThreadCount(threads));
  }
}

TEST_CASE("F3: a stop hook that ends its thread leaves the pool whole", "[thread_exit]") {
  pool_options_t options = Options(1);
  options.keep_alive_ns = 1'000'000;
  ScopedPool pool(options);
  const pool_hook_fn exit_thread = [](void*, pool_t, int32_t) { pthread_exit(nullptr); };
  uint64_t id = 0;
  Must(pool_hook_add(pool, nullptr, exit_thread, nullptr, &id), "hook_add");
  for (uint64_t round = 1; round <= 3; ++round) {
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    // It expired. (A submit that is slow may have started another one, which has nothing to do.)
    REQUIRE(PollUntil([&] { return Stats(pool).retired >= round && Stats(pool).workers_live == 0; }));
  }
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a hook can be removed whose stop ends the thread", "[thread_exit]") {
  pool_options_t options = Options(2);
  options.prestart = 2;
  ScopedPool pool(options);
  const pool_hook_fn exit_thread = [](void*, pool_t, int32_t) { pthread_exit(nullptr); };
  uint64_t id = 0;
  Must(pool_hook_add(pool, nullptr, exit_thread, nullptr, &id), "hook_add");
  CheckNextTaskRuns(pool);  // on a worker that has run start
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CheckNextTaskRuns(pool);
}

TEST_CASE("F3: a log function that ends its thread at its last line leaves the pool whole", "[thread_exit]") {
  pool_options_t options = Options(1);
  options.keep_alive_ns = 1'000'000;
  options.log_level = POOL_LOG_DEBUG;
  options.log_fn = [](void*, int32_t, const char* line) {
    if (std::strstr(line, "ended") != nullptr) pthread_exit(nullptr);
  };
  ScopedPool pool(options);
  for (uint64_t round = 1; round <= 3; ++round) {
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(PollUntil([&] { return Stats(pool).retired >= round && Stats(pool).workers_live == 0; }));
  }
}

TEST_CASE("F3: a worker that is cancelled, and meets no cancellation point in its task, ends in good order",
          "[thread_exit]") {
  // The pool's own calls are none either: joining the thread that ended before, sleeping.
  for (int round = 0; round < 20; ++round) {
    pool_options_t options = Options(16);
    options.keep_alive_ns = 1'000'000;
    ScopedPool pool(options);
    Gate gate;
    Body body([&](pool_ctx_t*) {
      gate.Pass();
      return pthread_cancel(pthread_self());
    });
    for (int i = 0; i < 16; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(gate.AwaitArrivals(16));
    gate.Open();
    REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  }
}

TEST_CASE("F3: a drop that ends the releasing thread leaves the other tasks to the workers", "[thread_exit]") {
  static std::atomic<uint64_t> drops, exits;
  for (const bool sleeps : {true, false}) {  // the worker, or it has expired
    drops = 0;
    exits = sleeps ? 1 : 4;
    const size_t threads = ThreadCount();
    pool_options_t options = Options(1);
    if (!sleeps) options.keep_alive_ns = 1'000'000;
    options.drop = [](void*, int32_t) {
      if (drops++ < exits) pthread_exit(nullptr);
    };
    pool_t pool = 0;
    Must(pool_create(&options, &pool), "create");
    Must(pool_pause(pool), "pause");
    for (int i = 0; i < 5; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(PollUntil([&] { return sleeps ? Stats(pool).workers_parked == 1 : Stats(pool).workers_live == 0; }));
    std::thread([&] { pool_release(pool); }).join();
    CHECK(PollUntil([] { return drops == 5; }));
    CHECK(AwaitThreadCount(threads));
  }
}

TEST_CASE(
    "C8: stop is not run on a thread that a task has ended, and the hook can be removed all the "
    "same",
    "[thread_exit]") {
  // Code that ran while its thread is unwound could unwind it again, which ends the process.
  struct Counts {
    std::atomic<uint64_t> starts{0}, stops{0};
  } counts;
  ScopedPool pool(1);
  uint64_t id = 0;
  const pool_hook_fn start = [](void* user, pool_t, int32_t) {
    ++static_cast<Counts*>(user)->starts;
  };
  const pool_hook_fn stop = [](void* user, pool_t, int32_t) {
    ++static_cast<Counts*>(user)->stops;
  };
  Must(pool_hook_add(pool, start, stop, &counts, &id), "hook_add");
  for (int i = 0; i < 10; ++i) {
    Must(pool_submit(pool, ExitThread, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
  }
  CHECK(counts.stops == 0);
  CheckNextTaskRuns(pool);  // on the replacement, which has run start
  CHECK(counts.starts == 11);
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CHECK(counts.stops == 1);
}

}  // namespace
}  // namespace workpool_test
