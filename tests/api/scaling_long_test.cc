// What scaling costs and how soon it acts: figures that need a quiet machine, and long runs.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "growth_support.h"

namespace workpool_test {
namespace {

// The thread with this name, 0: there is none.
int ThreadNamed(const std::string& name) {
  for (const int id : ThreadIds()) {
    if (ThreadStatus(id, "Name") == name) return id;
  }
  return 0;
}

uint64_t CpuNs(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/schedstat");
  uint64_t cpu_ns = 0;
  file >> cpu_ns;
  return cpu_ns;
}

// Of all threads that have come since: how often each has left its CPU, by itself or not.
std::map<int, std::string> SwitchesSince(const std::set<int>& before) {
  std::map<int, std::string> all;
  for (const int id : ThreadsSince(before)) {
    all[id] = ThreadStatus(id, "voluntary_ctxt_switches") + "/" +
              ThreadStatus(id, "nonvoluntary_ctxt_switches");
  }
  return all;
}

size_t UsageFiles() {
  size_t count = 0;
  for (const int fd : Descriptors()) {
    char path[256];
    const ssize_t size =
        readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof(path));
    if (size > 0 &&
        std::string(path, static_cast<size_t>(size)).find("schedstat") != std::string::npos)
      ++count;
  }
  return count;
}

// This thread, and so all that it starts, may use two CPUs at most.
void UseTwoCpus() {
  cpu_set_t all, two;
  CPU_ZERO(&two);
  if (sched_getaffinity(0, sizeof(all), &all) != 0) std::abort();
  for (int cpu = 0, taken = 0; cpu < CPU_SETSIZE && taken < 2; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_SET(cpu, &two);
    ++taken;
  }
  if (sched_setaffinity(0, sizeof(two), &two) != 0) std::abort();
}

TEST_CASE("an idle pool that has grown and shrunk again does nothing at all", "[scaling][long]") {
  const auto before = ThreadIds();
  pool_options_t options = Options();
  options.workers_min = 2;
  ScopedPool pool(options);
  GrowTo(pool, 64);
  REQUIRE(AwaitLive(pool, 2));
  // The last look, and the last worker's last steps, may still be to come.
  REQUIRE(PollUntil([&] {
    const auto first = SwitchesSince(before);
    return HoldsThroughout([&] { return SwitchesSince(before) == first; },
                           std::chrono::milliseconds(300));
  }));
  const auto first = SwitchesSince(before);
  CHECK(first.size() >= 2);  // two workers, and the service thread unless it has ended
  CHECK(HoldsThroughout(
      [&] {
        SleepNs(100 * kMs);
        return SwitchesSince(before) == first;
      },
      std::chrono::seconds(5)));
}

TEST_CASE("tasks that block are all at work within a fraction of a second", "[scaling][long]") {
  UseTwoCpus();
  struct Figure {
    const char* policy;
    uint32_t workers;
    double seconds;
  };
  for (const Figure figure : {Figure{"auto", 64, 0.05}, {"auto", 200, 0.6}, {"io", 200, 0.06}}) {
    double best = 1e9;
    for (int i = 0; i < 8; ++i) {
      pool_options_t options = Options();
      options.policy = figure.policy;
      ScopedPool pool(options);
      Gate gate;
      const Stopwatch watch;
      SubmitToGate(pool, gate, 200);
      REQUIRE(PollUntil([&] { return gate.arrivals() >= figure.workers; }));
      best = std::min(best, watch.Seconds());
      gate.Open();
      REQUIRE(WaitIdle(pool));
    }
    CAPTURE(figure.policy, figure.workers, best);
    CHECK(best <= figure.seconds);
  }
}

TEST_CASE("to watch a thousand workers takes a hundredth of a CPU, and few open files",
          "[scaling][long]") {
  constexpr uint32_t kWorkers = 1'000;
  ScopedPool pool(kWorkers);
  REQUIRE(pool_tune(pool, kWorkers) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, kWorkers + 10);
  REQUIRE(gate.AwaitArrivals(kWorkers));
  REQUIRE(pool_tune(pool, 0) == POOL_OK);  // the scaler's again: ten tasks wait, and it looks
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  const uint64_t files_max = std::min<uint64_t>(64, files.rlim_cur / 16);
  const int service = ThreadNamed("pool-service");
  REQUIRE(service != 0);
  // Not what it takes to begin with.
  SleepNs(500 * kMs);
  const uint64_t cpu_ns = CpuNs(service);
  const Stopwatch watch;
  size_t most = 0;
  for (int i = 0; i < 50; ++i) {
    SleepNs(100 * kMs);
    most = std::max(most, UsageFiles());
  }
  const double share = static_cast<double>(CpuNs(service) - cpu_ns) * 1e-9 / watch.Seconds();
  CAPTURE(share, most);
  CHECK(ThreadNamed("pool-service") == service);
  CHECK(share > 0);
  CHECK(share <= 0.01);
  CHECK(most > 0);
  CHECK(most <= files_max);
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

// So many pages may come with a buffer of the allocator's that had not been needed before.
constexpr size_t kSteadyBytes = 2 << 20;

TEST_CASE("B12: a pool that grows and shrinks a hundred thousand times keeps its size in memory",
          "[scaling][long]") {
  ScopedPool pool(Options());
  size_t first = 0;
  const uint64_t cycles = Rounds(100'000);
  for (uint64_t cycle = 1; cycle <= cycles; ++cycle) {
    REQUIRE(pool_tune(pool, 3) == POOL_OK);
    REQUIRE(pool_tune(pool, 1) == POOL_OK);
    while (Stats(pool).workers_live != 1) std::this_thread::yield();
    if (cycle == cycles / 100) first = ResidentBytes();
  }
  CHECK(Stats(pool).retired >= 2 * cycles);
  const size_t last = ResidentBytes();
  CAPTURE(first, last);
  if (!kSanitized) CHECK(last <= first + kSteadyBytes);
  CHECK(AwaitThreadCount(4));  // this one, the worker, the service thread, and a sanitizer's
}

TEST_CASE("B12: a policy that wants another number at every look costs no memory, and no task",
          "[scaling][long]") {
  struct Mine {
    std::atomic<uint64_t> looks{0};
  } mine;
  ScopedPool pool(Options());
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.flags = POOL_POLICY_KEEP;
  policy.user = &mine;
  policy.tick_ns = kMs;
  policy.decide = [](void* user, const pool_load_t*, double) {
    return static_cast<Mine*>(user)->looks++ % 2 == 0 ? 3u : 1u;
  };
  Must(pool_set_policy(pool, &policy), "set_policy");
  size_t first = 0;
  std::atomic<uint64_t> runs{0};
  uint64_t submitted = 0;
  const uint64_t looks = Rounds(10'000);
  for (bool measured = false; mine.looks < looks;) {
    // Enough to wait for each other, so that it looks once a tick.
    for (int i = 0; i < 50; ++i, ++submitted) Must(pool_submit(pool, CountRun, &runs), "submit");
    Body sleeps([&](pool_ctx_t*) {
      SleepNs(200 * kUs);
      return 0;
    });
    for (int i = 0; i < 40; ++i) Must(pool_submit(pool, Body::Run, &sleeps), "submit");
    REQUIRE(WaitIdle(pool));
    if (!measured && mine.looks >= looks / 10) {
      measured = true;
      first = ResidentBytes();
    }
  }
  CHECK(runs == submitted);
  const size_t last = ResidentBytes();
  CAPTURE(first, last);
  if (!kSanitized) CHECK(last <= first + kSteadyBytes);
}

}  // namespace
}  // namespace workpool_test
