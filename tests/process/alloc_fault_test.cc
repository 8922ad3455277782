// F4: memory runs out at the n-th allocation, for each n, once and for ever, during each call of
// the API. The call answers NOMEM (or does without), what was accepted runs and is dropped once,
// nothing leaks.
//
// malloc and its kin and mmap of this program stand before the C library's, so the library under
// test calls them. Not built under sanitizers, which put their own there, and because exact counts
// of blocks are needed.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "child.h"

extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t align, size_t bytes);
void __libc_free(void* memory);
}

namespace {

std::atomic<bool> g_armed{false}, g_once{false};
std::atomic<int64_t> g_fail_at{0}, g_calls{0};  // numbered from 1 while armed
std::atomic<int64_t> g_blocks{0}, g_mapped{0};  // alive in the whole process: blocks, bytes mapped

bool Refused() {
  if (!g_armed.load()) return false;
  const int64_t call = g_calls.fetch_add(1) + 1;
  if (g_once ? call != g_fail_at : call < g_fail_at) return false;
  errno = ENOMEM;
  return true;
}

void* Counted(void* memory) {
  if (memory != nullptr) g_blocks.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

}  // namespace

// Exported, so that the library under test finds them first.
#pragma GCC visibility push(default)
extern "C" {

void* malloc(size_t bytes) { return Refused() ? nullptr : Counted(__libc_malloc(bytes)); }
void* calloc(size_t count, size_t bytes) {
  return Refused() ? nullptr : Counted(__libc_calloc(count, bytes));
}
void* realloc(void* memory, size_t bytes) {
  if (Refused()) return nullptr;
  void* moved = __libc_realloc(memory, bytes);
  if (memory == nullptr) Counted(moved);
  return moved;
}
void* memalign(size_t align, size_t bytes) {
  return Refused() ? nullptr : Counted(__libc_memalign(align, bytes));
}
void* aligned_alloc(size_t align, size_t bytes) { return memalign(align, bytes); }
int posix_memalign(void** out, size_t align, size_t bytes) {
  void* memory = memalign(align, bytes);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}
void free(void* memory) {
  if (memory != nullptr) g_blocks.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(memory);
}
void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (Refused()) return MAP_FAILED;
  void* memory =
      reinterpret_cast<void*>(syscall(SYS_mmap, address, bytes, protection, flags, fd, offset));
  if (memory != MAP_FAILED) g_mapped.fetch_add(static_cast<int64_t>(bytes));
  return memory;
}
int munmap(void* address, size_t bytes) {
  g_mapped.fetch_sub(static_cast<int64_t>(bytes));
  return static_cast<int>(syscall(SYS_munmap, address, bytes));
}

}  // extern "C"
#pragma GCC visibility pop

namespace workpool_test {
namespace {

// The span in which allocations fail: from number fail_at on, or that one only.
class Shortage {
 public:
  Shortage(int64_t fail_at, bool once) {
    g_fail_at = fail_at;
    g_once = once;
    g_calls = 0;
    g_armed = true;
  }
  ~Shortage() { g_armed = false; }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
};

// One scenario is run for each n and both modes; it makes its calls inside a Shortage. It allocates
// nothing of its own there: Catch's assertions do, so it notes what is wrong and the test tells
// later.
struct Faults {
  int64_t fail_at = 0;
  bool once = false;
  char wrong[512] = {};  // the first thing that was; no string, for notes are taken in the shortage

  [[nodiscard]] Shortage Begin() const { return Shortage(fail_at, once); }
  [[nodiscard]] bool Good() const { return wrong[0] == 0; }

  void Note(const char* what, int64_t value = 0) {
    if (!Good()) return;
    char text[256] = {};
    pool_last_error(nullptr, text, sizeof(text), nullptr);
    std::snprintf(wrong, sizeof(wrong), "%s (%lld) with allocation %lld failing%s: %s", what,
                  static_cast<long long>(value), static_cast<long long>(fail_at),
                  once ? "" : " and all later", text);
  }
  void Expect(bool good, const char* what) {
    if (!good) Note(what);
  }
  // OK or a status that tells of the shortage.
  void ExpectBearable(pool_status_t status, const char* what) {
    if (status != POOL_OK && status != POOL_E_NOMEM && status != POOL_E_THREAD) Note(what, status);
  }
};

using Scenario = std::function<void(Faults&)>;

// All n in both modes; true if it was short of memory at all.
bool RunAllFaults(Faults& faults, const Scenario& scenario) {
  bool any = false;
  for (const bool once : {true, false}) {
    faults.once = once;
    for (faults.fail_at = 1; faults.Good(); ++faults.fail_at) {
      scenario(faults);
      // Beyond its last allocation nothing fails any more. The bound is for what allocates per
      // task.
      if (g_calls < faults.fail_at || faults.fail_at > 150) break;
      any = true;
    }
  }
  return any;
}

void CheckScenario(const char* name, const Scenario& scenario, bool allocates = true) {
  const size_t threads = ThreadCount();
  Faults faults;
  bool any = RunAllFaults(faults, scenario);
  INFO(name << ": " << faults.wrong);
  CHECK(faults.Good());
  CHECK(AwaitThreadCount(threads));
  if (allocates) CHECK(any);  // else the scenario tests nothing
  // What the library keeps for later (pages of handles, lines of threads) is there by now. A leak
  // grows in every pass.
  bool grew = true;
  int64_t growth = 0;
  for (int pass = 0; pass < 4 && grew && faults.Good(); ++pass) {
    const int64_t blocks = g_blocks, mapped = g_mapped;
    RunAllFaults(faults, scenario);
    if (!AwaitThreadCount(threads)) faults.Note("threads are left");
    growth = g_blocks - blocks;
    grew = growth > 0 || g_mapped > mapped;
  }
  INFO(name << ": " << faults.wrong);
  CHECK(faults.Good());
  INFO("blocks that were left by the last pass: " << growth);
  if (faults.Good()) CHECK_FALSE(grew);
}

// A pool with one live worker, or none.
struct Warm {
  ScopedPool pool;
  explicit Warm(bool worker, uint32_t workers_max = 2) : pool(workers_max) {
    if (!worker) return;
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  }
};

// After the shortage: all that was accepted, and nothing else, ran and was dropped.
void ExpectSettled(Faults& faults, pool_t pool, const Tally& tally, uint64_t accepted) {
  faults.Expect(pool_wait_idle(pool, kBoundNs) == POOL_OK, "tasks are stuck");
  if (tally.drops != accepted) faults.Note("dropped", static_cast<int64_t>(tally.drops));
  if (tally.dones != accepted) faults.Note("done called", static_cast<int64_t>(tally.dones));
  if (tally.runs != accepted) faults.Note("run", static_cast<int64_t>(tally.runs));
  const pool_stats_t stats = Stats(pool);
  faults.Expect(stats.queued == 0, "queued is not 0");
  faults.Expect(stats.submitted == stats.ended_run + stats.ended_unrun, "outcomes are missing");
}

TEST_CASE("F4: the very first call of a process bears every failed allocation", "[alloc_fault]") {
  // What is made once per process can only fail in a new process.
  const std::vector<std::pair<const char*, std::function<pool_status_t(pool_t*)>>> firsts = {
      {"pool_create", [](pool_t* out) { return pool_create(nullptr, out); }},
      {"pool_shared", [](pool_t* out) { return pool_shared(out); }},
      {"pool_create with everything",
       [](pool_t* out) {
         pool_options_t options = Options(2);
         options.prestart = 2;
         options.name = "everything";
         options.log_level = POOL_LOG_DEBUG;
         options.log_fn = [](void*, int32_t, const char*) {};
         return pool_create(&options, out);
       }},
  };
  constexpr int kNothingFailed = 42;
  for (const auto& [name, first] : firsts) {
    for (const bool once : {true, false}) {
      for (int64_t fail_at = 1; fail_at < 200; ++fail_at) {
        const ChildEnd end = RunChild([&, call = &first] {
          pool_t pool = 0;
          pool_status_t status;
          {
            const Shortage shortage(fail_at, once);
            status = (*call)(&pool);
          }
          const bool failed = g_calls >= fail_at;
          EXPECT(status == POOL_OK || status == POOL_E_NOMEM || status == POOL_E_THREAD);
          if (status != POOL_OK) {
            EXPECT(pool == 0);
            EXPECT((*call)(&pool) == POOL_OK);  // and then it works
          }
          std::atomic<uint64_t> runs{0};
          EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
          EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
          EXPECT(runs == 1);
          EXPECT(pool_release(pool) == POOL_OK);
          if (!failed) std::exit(kNothingFailed);
        });
        INFO(name << ", allocation " << fail_at << ": " << end);
        REQUIRE((end.ExitedWith(0) || end.ExitedWith(kNothingFailed)));
        if (end.ExitedWith(kNothingFailed)) {
          CHECK(fail_at > 1);
          break;
        }
      }
    }
  }
}

TEST_CASE("F4: pool_create", "[alloc_fault]") {
  CheckScenario("pool_create", [](Faults& faults) {
    pool_options_t options = Options(2);
    options.prestart = 1;
    options.name = "short of memory";
    options.log_level = POOL_LOG_DEBUG;
    options.log_fn = [](void*, int32_t, const char*) {};
    pool_t pool = 0;
    pool_status_t status;
    {
      const Shortage shortage = faults.Begin();
      status = pool_create(&options, &pool);
    }
    faults.ExpectBearable(status, "pool_create");
    faults.Expect((status == POOL_OK) == (pool != 0),
                  "a handle came without success, or none with it");
    if (status == POOL_OK) faults.Expect(pool_destroy(pool) == POOL_OK, "pool_destroy");
  });
}

TEST_CASE("F4: every way to submit", "[alloc_fault]") {
  Tally tally;
  const auto submit = [&](bool worker, int count, auto call) {
    return [&tally, worker, count, call](Faults& faults) {
      const Warm warm(worker);
      tally.runs = tally.dones = tally.drops = 0;
      uint64_t accepted = 0;
      {
        const Shortage shortage = faults.Begin();
        for (int i = 0; i < count; ++i) {
          const pool_status_t status = call(warm.pool, accepted);
          faults.ExpectBearable(status, "submit");
        }
      }
      ExpectSettled(faults, warm.pool, tally, accepted);
    };
  };
  const pool_task_t task = TallyTask(tally);
  const auto one_task = [&](pool_t pool, uint64_t& accepted) {
    const pool_status_t status = pool_submit_task(pool, &task, nullptr);
    if (status == POOL_OK) ++accepted;
    return status;
  };
  CheckScenario("pool_submit_task, no worker", submit(false, 1, one_task));
  CheckScenario("pool_submit_task, many", submit(true, 200, one_task));

  const auto named = [&](pool_t pool, uint64_t& accepted) {
    pool_task_t with_name = task;
    with_name.name = "a task with a name of some length";
    pool_ticket_t ticket = 0;
    const pool_status_t status = pool_submit_task(pool, &with_name, &ticket);
    if (status == POOL_OK) ++accepted;
    if (ticket != 0) pool_ticket_release(ticket);
    return status;
  };
  CheckScenario("pool_submit_task with ticket and name", submit(true, 1, named));

  const auto batch = [&](pool_t pool, uint64_t& accepted) {
    std::array<pool_task_t, 50> tasks;
    std::array<pool_ticket_t, 50> tickets;
    tasks.fill(task);
    uint32_t part = 0;
    const pool_status_t status =
        pool_submit_batch(pool, tasks.data(), sizeof(tasks[0]), 50, tickets.data(), &part);
    accepted += part;
    for (uint32_t i = 0; i < part; ++i) pool_ticket_release(tickets[i]);
    return status == POOL_OK && part != 50 ? POOL_E_INTERNAL : status;
  };
  CheckScenario("pool_submit_batch", submit(true, 1, batch));
}

std::atomic<uint64_t> g_plain_drops{0};

TEST_CASE("F4: plain tasks, alone and in arrays, from outside and as children", "[alloc_fault]") {
  static std::atomic<uint64_t> runs;
  const auto plain = [](bool worker, auto calls) {
    return [worker, calls](Faults& faults) {
      pool_options_t options = Options(2);
      options.drop = [](void*, int32_t) { ++g_plain_drops; };
      ScopedPool pool(options);
      if (worker) {
        Must(pool_submit(pool, DoNothing, nullptr), "submit");
        Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
      }
      runs = 0;
      g_plain_drops = 0;
      uint64_t accepted = 0;
      {
        const Shortage shortage = faults.Begin();
        calls(faults, pool, accepted);
      }
      faults.Expect(pool_wait_idle(pool, kBoundNs) == POOL_OK, "tasks are stuck");
      if (runs != accepted) faults.Note("run", static_cast<int64_t>(runs));
      if (g_plain_drops != accepted) faults.Note("dropped", static_cast<int64_t>(g_plain_drops));
    };
  };
  const auto some = [](Faults& faults, pool_t pool, uint64_t& accepted) {
    for (int i = 0; i < 3'000; ++i) {
      const pool_status_t status = pool_submit(pool, CountRun, &runs);
      faults.ExpectBearable(status, "pool_submit");
      if (status == POOL_OK) ++accepted;
    }
  };
  CheckScenario("pool_submit, no worker", plain(false, some));
  CheckScenario("pool_submit", plain(true, some), false);

  CheckScenario("pool_submit_many, paused, so that the queue has to grow",
                plain(true, [](Faults& faults, pool_t pool, uint64_t& accepted) {
                  static std::array<void*, 5'000> args;
                  args.fill(&runs);
                  faults.Expect(pool_pause(pool) == POOL_OK, "pool_pause");
                  uint32_t part = 0;
                  const pool_status_t status =
                      pool_submit_many(pool, CountRun, args.data(), args.size(), &part);
                  faults.ExpectBearable(status, "pool_submit_many");
                  faults.Expect((status == POOL_OK) == (part == args.size()), "accepted");
                  accepted += part;
                  faults.Expect(pool_resume(pool) == POOL_OK, "pool_resume");
                }));

  struct Parent {
    std::atomic<uint64_t> accepted{0}, bad{0};
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      auto* parent = static_cast<Parent*>(arg);
      ++runs;
      for (int i = 0; i < 5'000; ++i) {
        const pool_status_t status = pool_ctx_submit(ctx, CountRun, &runs);
        if (status == POOL_OK) ++parent->accepted;
        if (status != POOL_OK && status != POOL_E_NOMEM) ++parent->bad;
      }
      return 0;
    }
  };
  CheckScenario("pool_ctx_submit beyond what the worker's queue holds",
                plain(true, [](Faults& faults, pool_t pool, uint64_t& accepted) {
                  Parent parent;
                  const pool_status_t status = pool_submit(pool, Parent::Run, &parent);
                  faults.ExpectBearable(status, "pool_submit");
                  if (status != POOL_OK) return;
                  // Without memory the tasks end all the same.
                  faults.Expect(pool_wait_idle(pool, kBoundNs) == POOL_OK, "tasks are stuck");
                  faults.Expect(parent.bad == 0, "pool_ctx_submit");
                  accepted += 1 + parent.accepted;
                }));
}

TEST_CASE("F4: forks and loops do without memory or say so", "[alloc_fault]") {
  CheckScenario(
      "pool_ctx_fork and join never need any",
      [](Faults& faults) {
        const Warm warm(true);
        std::atomic<uint64_t> runs{0}, bad{0};
        static std::array<pool_fork_t, 3'000> forks;
        Body body([&](pool_ctx_t* ctx) {
          for (auto& fork : forks) {
            if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
          }
          for (auto it = forks.rbegin(); it != forks.rend(); ++it) {
            if (pool_ctx_join(ctx, &*it, nullptr) != POOL_OK) ++bad;
          }
          return 0;
        });
        {
          const Shortage shortage = faults.Begin();
          faults.ExpectBearable(pool_submit(warm.pool, Body::Run, &body), "pool_submit");
          faults.Expect(pool_wait_idle(warm.pool, kBoundNs) == POOL_OK, "tasks are stuck");
        }
        faults.Expect(bad == 0, "fork or join failed");
        if (runs != forks.size()) faults.Note("run", static_cast<int64_t>(runs));
      },
      false);
  CheckScenario("pool_parallel_for", [](Faults& faults) {
    const Warm warm(false);
    std::atomic<uint64_t> covered{0};
    const pool_range_fn range = [](void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
      *static_cast<std::atomic<uint64_t>*>(arg) += end - begin;
      return int32_t{0};
    };
    pool_status_t status;
    {
      const Shortage shortage = faults.Begin();
      status = pool_parallel_for(warm.pool, 0, 1'000, 7, 0, range, &covered, nullptr);
    }
    faults.Expect(status == POOL_OK || status == POOL_E_NOMEM, "pool_parallel_for");
    faults.Expect(covered == (status == POOL_OK ? 1'000u : 0u), "covered");
  });
}

TEST_CASE("F4: groups, hooks, tune and the rest", "[alloc_fault]") {
  CheckScenario("pool_group_create and submit", [](Faults& faults) {
    const Warm warm(true);
    std::atomic<uint64_t> runs{0};
    uint64_t accepted = 0;
    pool_group_t group = 0;
    pool_status_t created, waited = POOL_OK;
    {
      const Shortage shortage = faults.Begin();
      created = pool_group_create(warm.pool, nullptr, &group);
      if (created == POOL_OK) {
        for (int i = 0; i < 20; ++i) {
          const pool_status_t status = pool_group_submit(group, CountRun, &runs);
          faults.ExpectBearable(status, "pool_group_submit");
          if (status == POOL_OK) ++accepted;
        }
        waited = pool_group_wait(group, kBoundNs, nullptr);
      }
    }
    faults.ExpectBearable(created, "pool_group_create");
    faults.Expect(waited == POOL_OK, "pool_group_wait");
    faults.Expect(runs == accepted, "runs");
    if (created == POOL_OK) faults.Expect(pool_group_release(group) == POOL_OK, "release");
  });
  CheckScenario("pool_hook_add and remove", [](Faults& faults) {
    const Warm warm(true);
    std::atomic<int64_t> balance{0};
    const pool_hook_fn start = [](void* user, pool_t, int32_t) {
      ++*static_cast<std::atomic<int64_t>*>(user);
    };
    const pool_hook_fn stop = [](void* user, pool_t, int32_t) {
      --*static_cast<std::atomic<int64_t>*>(user);
    };
    uint64_t id = 0;
    pool_status_t status, removed = POOL_OK;
    {
      const Shortage shortage = faults.Begin();
      status = pool_hook_add(warm.pool, start, stop, &balance, &id);
      pool_submit(warm.pool, DoNothing, nullptr);
      if (status == POOL_OK) removed = pool_hook_remove(warm.pool, id);
    }
    faults.ExpectBearable(status, "pool_hook_add");
    faults.Expect(removed == POOL_OK, "pool_hook_remove");
    faults.Expect(pool_wait_idle(warm.pool, kBoundNs) == POOL_OK, "tasks are stuck");
    faults.Expect(balance == 0, "starts and stops differ");
  });
  CheckScenario("pool_tune", [](Faults& faults) {
    const Warm warm(true, 4);
    pool_status_t status;
    {
      const Shortage shortage = faults.Begin();
      status = pool_tune(warm.pool, 3);
    }
    faults.ExpectBearable(status, "pool_tune");
    faults.Expect(pool_tune(warm.pool, 3) == POOL_OK, "pool_tune with memory");
    faults.Expect(PollUntil([&] { return Stats(warm.pool).workers_live == 3; }), "live");
  });
}

TEST_CASE("F4: waits, cancels, closes and releases need no memory", "[alloc_fault]") {
  CheckScenario(
      "with tasks queued and running",
      [](Faults& faults) {
        const Warm warm(true, 1);
        Gate gate;
        Tally tally;
        Must(pool_submit(warm.pool, PassGate, &gate), "submit");
        if (!gate.AwaitArrivals(1)) faults.Note("the gate task does not run");
        std::array<pool_ticket_t, 20> tickets;
        for (auto& ticket : tickets) ticket = Submit(warm.pool, TallyTask(tally));
        pool_stats_t stats;
        pool_result_t result;
        {
          const Shortage shortage = faults.Begin();
          faults.Expect(pool_wait(tickets[0], 0, 0, &result, sizeof(result)) == POOL_E_TIMEOUT,
                        "pool_wait");
          faults.Expect(
              pool_wait(tickets[0], POOL_WAIT_HELP, kBoundNs, &result, sizeof(result)) == POOL_OK,
              "pool_wait with help");
          faults.Expect(pool_cancel(tickets[1]) == POOL_OK, "pool_cancel");
          faults.Expect(pool_stats(warm.pool, &stats, sizeof(stats)) == POOL_OK, "pool_stats");
          faults.Expect(pool_pause(warm.pool) == POOL_OK, "pool_pause");
          faults.Expect(pool_resume(warm.pool) == POOL_OK, "pool_resume");
          faults.Expect(pool_wait_idle(warm.pool, 0) == POOL_E_TIMEOUT, "pool_wait_idle");
          faults.Expect(pool_close(warm.pool, POOL_CANCEL_QUEUED, 0) == POOL_E_TIMEOUT,
                        "pool_close");
          gate.Open();
          // It has to look at many at once; without memory each can still be waited for.
          const pool_status_t many = pool_wait_many(tickets.data(), 20, 1, kBoundNs, nullptr);
          faults.Expect(many == POOL_OK || many == POOL_E_NOMEM, "pool_wait_many");
          for (auto ticket : tickets) {
            faults.Expect(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK, "pool_wait");
          }
          for (auto ticket : tickets) {
            faults.Expect(pool_ticket_release(ticket) == POOL_OK, "pool_ticket_release");
          }
          faults.Expect(pool_close(warm.pool, POOL_DRAIN, kBoundNs) == POOL_OK, "pool_close");
        }
        faults.Expect(tally.drops == 20, "drops");
        faults.Expect(tally.runs == 1, "runs");
      },
      false);
  for (const bool release : {false, true}) {
    CheckScenario(
        release ? "pool_release" : "pool_destroy",
        [release](Faults& faults) {
          Warm warm(true);
          Tally tally;
          pool_task_t task = TallyTask(tally);
          for (int i = 0; i < 50; ++i) Must(pool_submit_task(warm.pool, &task, nullptr), "submit");
          pool_status_t status;
          {
            const Shortage shortage = faults.Begin();
            status = release ? pool_release(warm.pool.GiveUp()) : pool_destroy(warm.pool.GiveUp());
          }
          faults.Expect(status == POOL_OK, "destroy or release");
          faults.Expect(PollUntil([&] { return tally.drops == 50; }), "drops");
        },
        false);
  }
}

TEST_CASE("F4: a thread that has no memory for its first call is refused and can go on later",
          "[alloc_fault]") {
  CheckScenario(
      "first call on a thread",
      [](Faults& faults) {
        const Warm warm(true);
        std::atomic<uint64_t> runs{0};
        // Raw threads are started before the shortage and wait for it.
        std::atomic<int> step{0};
        std::atomic<int32_t> status{1}, later{1};
        std::thread thread([&] {
          while (step == 0) std::this_thread::yield();
          status = pool_submit(warm.pool, CountRun, &runs);
          step = 2;
          while (step == 2) std::this_thread::yield();
          later = pool_submit(warm.pool, CountRun, &runs);
        });
        {
          const Shortage shortage = faults.Begin();
          step = 1;
          while (step != 2) std::this_thread::yield();
        }
        step = 3;
        thread.join();
        faults.ExpectBearable(status, "pool_submit");
        faults.Expect(later == POOL_OK, "pool_submit with memory");
        faults.Expect(pool_wait_idle(warm.pool, kBoundNs) == POOL_OK, "tasks are stuck");
        faults.Expect(runs == (status == POOL_OK ? 2u : 1u), "runs");
      },
      false);
}

TEST_CASE("F4: a task that runs out of memory itself is a failed task", "[alloc_fault]") {
  ScopedPool pool(1);
  Body body([](pool_ctx_t*) -> int32_t { throw std::bad_alloc(); });
  for (int i = 0; i < 100; ++i) {
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
    pool_result_t result;
    pool_status_t status;
    {
      const Shortage shortage(1, false);  // no memory for the exception object either
      status = pool_wait(ticket, 0, kBoundNs, &result, sizeof(result));
    }
    REQUIRE(status == POOL_OK);
    REQUIRE(result.code == POOL_E_EXCEPTION);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
}

}  // namespace
}  // namespace workpool_test
