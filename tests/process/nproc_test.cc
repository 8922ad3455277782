// E3: the operating system allows fewer threads than the pool wants. The limit does not bind the
// superuser, so the child gives that up first; whoever runs the tests, the limit is set just above
// what the user has.
#include <dirent.h>
#include <grp.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "child.h"

namespace workpool_test {
namespace {

// Users whom nobody has, another one for each test: threads of tests that run beside it do not count.
constexpr uid_t kUnusedUsers = 1'000'000'000;

// Threads in the system of this user, as RLIMIT_NPROC counts them.
rlim_t ThreadsOfUser() {
  rlim_t total = 0;
  DIR* proc = opendir("/proc");
  EXPECT(proc != nullptr);
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;  // no process, or "self"
    std::ifstream status(std::string("/proc/") + entry->d_name + "/status");
    std::string line;
    bool mine = false;
    while (std::getline(status, line)) {
      if (line.compare(0, 5, "Uid:\t") == 0) mine = std::stoul(line.substr(5)) == getuid();
      if (mine && line.compare(0, 9, "Threads:\t") == 0) total += std::stoul(line.substr(9));
    }
  }
  closedir(proc);
  return total;
}

void AllowOnlyMoreThreads(rlim_t more) {
  if (geteuid() == 0) {
    EXPECT(setgroups(0, nullptr) == 0);
    const auto user = kUnusedUsers + static_cast<uid_t>(getpid());
    EXPECT(setgid(user) == 0);
    EXPECT(setuid(user) == 0);
  }
  const rlim_t wanted = ThreadsOfUser() + more;
  const rlimit limit{wanted, wanted};
  EXPECT(setrlimit(RLIMIT_NPROC, &limit) == 0);
  g_cannot_look_for_leaks = true;
}

struct Warnings {
  std::atomic<uint64_t> count{0};
  static void Log(void* user, int32_t level, const char*) {
    if (level == POOL_LOG_WARN) ++static_cast<Warnings*>(user)->count;
  }
};

TEST_CASE("E3: a pool that may not have all its threads works with fewer and says so", "[nproc][serial]") {
  const ChildEnd end = RunChild([] {
    AllowOnlyMoreThreads(2);
    Warnings warnings;
    pool_options_t options = Options(8);
    options.log_fn = Warnings::Log;
    options.log_user = &warnings;
    options.log_level = POOL_LOG_WARN;
    ScopedPool pool(options);
    Gate gate;
    std::atomic<uint64_t> runs{0};
    for (int i = 0; i < 8; ++i) EXPECT(pool_submit(pool, PassGate, &gate) == POOL_OK);
    EXPECT(gate.AwaitArrivals(2));
    EXPECT(HoldsThroughout([&] { return gate.arrivals() == 2; }));
    const pool_stats_t stats = Stats(pool);
    EXPECT(stats.workers_live == 2);
    EXPECT(stats.workers_wanted > stats.workers_live);
    EXPECT(stats.start_failures > 0);
    for (int i = 0; i < 1'000; ++i) EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
    gate.Open();
    EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
    EXPECT(gate.arrivals() == 8);
    EXPECT(runs == 1'000);
    EXPECT(pool_destroy(pool.GiveUp()) == POOL_OK);
    EXPECT(warnings.count > 0);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("E3: waits inside tasks finish though no stand-in may be had", "[nproc][serial]") {
  const ChildEnd end = RunChild([] {
    AllowOnlyMoreThreads(1);
    ScopedPool pool(4);
    std::atomic<uint64_t> runs{0}, bad{0};
    Body body([&](pool_ctx_t* ctx) {
      std::vector<pool_ticket_t> tickets(10);
      for (auto& ticket : tickets) ticket = Submit(pool, Task(CountRun, &runs));
      pool_fork_t fork_room;
      pool_ctx_fork(ctx, &fork_room, CountRun, &runs);
      if (pool_ctx_join(ctx, &fork_room, nullptr) != POOL_OK) ++bad;
      if (pool_wait_many(tickets.data(), 10, 1, kBoundNs, nullptr) != POOL_OK) ++bad;
      for (auto ticket : tickets) pool_ticket_release(ticket);
      return 0;
    });
    for (int i = 0; i < 100; ++i) EXPECT(pool_submit(pool, Body::Run, &body) == POOL_OK);
    EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
    EXPECT(bad == 0);
    EXPECT(runs == 1'100);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("E2: where no thread at all may be had, create works, submit is refused, prestart too",
          "[nproc][serial]") {
  const ChildEnd end = RunChild([] {
    AllowOnlyMoreThreads(0);
    ScopedPool pool(4);
    EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_E_THREAD);
    EXPECT(Stats(pool).submitted == 0);
    pool_options_t options = Options(4);
    options.prestart = 1;
    pool_t refused = 0;
    EXPECT(pool_create(&options, &refused) == POOL_E_THREAD);
    // What needs no worker still works.
    std::atomic<uint64_t> covered{0};
    const pool_range_fn range = [](void* arg, uint64_t begin, uint64_t past, uint32_t,
                                   pool_ctx_t*) {
      *static_cast<std::atomic<uint64_t>*>(arg) += past - begin;
      return int32_t{0};
    };
    EXPECT(pool_parallel_for(pool, 0, 100, 0, 0, range, &covered, nullptr) == POOL_OK);
    EXPECT(covered == 100);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

}  // namespace
}  // namespace workpool_test
