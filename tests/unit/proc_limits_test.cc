#include "base/proc_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "../fuzz/parsers.h"
#include "child.h"
#include "fixture_tree.h"

namespace workpool {
namespace {

FixtureFiles Pids(const std::string& dir, const char* max, const char* current) {
  FixtureFiles files{{dir + "/pids.max", max}};
  if (current != nullptr) files[dir + "/pids.current"] = current;
  return files;
}

FixtureFiles Join(std::initializer_list<FixtureFiles> parts) {
  FixtureFiles all;
  for (const FixtureFiles& part : parts) all.insert(part.begin(), part.end());
  return all;
}

TEST_CASE("threads left are the fewest that any cgroup above leaves", "[proc_limits]") {
  const FixtureFiles v2 = {{"/proc/self/cgroup", "0::/a/b\n"},
                           {"/proc/self/mountinfo", MountLine("/", "/cg", "cgroup2")}};
  const FixtureFiles v1 = {{"/proc/self/cgroup", "3:cpu:/x\n2:pids:/a\n0::/\n"},
                           {"/proc/self/mountinfo", MountLine("/", "/cg", "cgroup2") + MountLine("/", "/p", "pids")}};
  struct Row {
    const char* what;
    FixtureFiles files;
    uint64_t left;
  };
  for (const Row& row : {
           Row{"v2, own", Join({v2, Pids("/cg/a/b", "100\n", "30\n")}), 70},
           Row{"v2, above leaves fewer", Join({v2, Pids("/cg/a/b", "100\n", "30\n"), Pids("/cg/a", "90\n", "80\n")}),
               10},
           Row{"v2, above has a larger maximum, and leaves fewer",
               Join({v2, Pids("/cg/a/b", "100\n", "30\n"), Pids("/cg/a", "900\n", "899\n")}), 1},
           Row{"v2, above leaves more",
               Join(
                   {v2, Pids("/cg/a/b", "100\n", "30\n"), Pids("/cg/a", "900\n", "80\n"), Pids("/cg", "max\n", "9\n")}),
               70},
           Row{"v2, max", Join({v2, Pids("/cg/a/b", "max\n", "30\n"), Pids("/cg/a", "max\n", "30\n")}), kNoLimit},
           Row{"v2, more than may be", Join({v2, Pids("/cg/a/b", "10\n", "30\n")}), 0},
           Row{"v2, the current number is missing", Join({v2, Pids("/cg/a/b", "10\n", nullptr)}), 10},
           Row{"v2, garbage", Join({v2, Pids("/cg/a/b", "ten\n", "30\n"), Pids("/cg/a", "50\n", "x\n")}), 50},
           Row{"v1", Join({v1, Pids("/p/a", "64\n", "4\n")}), 60},
           Row{"v1, nested", Join({v1, Pids("/p/a", "64\n", "4\n"), Pids("/p", "40\n", "39\n")}), 1},
           Row{"both", Join({v1, Pids("/p/a", "64\n", "4\n"), Pids("/cg", "9\n", "4\n")}), 5},
           Row{"nothing", {}, kNoLimit},
       }) {
    INFO(row.what);
    const FixtureTree tree(row.files);
    CHECK(PidsLeft(tree.top()) == row.left);
    const uint64_t share = std::min(UserThreadsMax(), row.left) / 2;
    CHECK(ThreadsAllowed(0, tree.top()) == std::clamp<uint64_t>(share, 1, kThreadsAutoMax));
  }
}

TEST_CASE("a pool may have half of what is left, and its own growth does not lower that", "[proc_limits]") {
  CHECK(ThreadsAllowedOf(kNoLimit, kNoLimit, 0) == kThreadsAutoMax);
  CHECK(ThreadsAllowedOf(kNoLimit, kNoLimit, UINT32_MAX) == kThreadsAutoMax);
  CHECK(ThreadsAllowedOf(600, kNoLimit, 0) == 300);
  CHECK(ThreadsAllowedOf(600, 100, 0) == 50);
  CHECK(ThreadsAllowedOf(kNoLimit, 0, 0) == 1);
  CHECK(ThreadsAllowedOf(0, kNoLimit, 0) == 1);
  for (uint32_t own = 0; own <= 100; ++own) CHECK(ThreadsAllowedOf(kNoLimit, 100 - own, own) == 50);
}

TEST_CASE("the limits of the process are those of getrlimit", "[proc_limits]") {
  const workpool_test::ChildEnd end = workpool_test::RunChild([] {
    rlimit limit;
    EXPECT(getrlimit(RLIMIT_NPROC, &limit) == 0);
    const rlim_t threads = std::min<rlim_t>(limit.rlim_max, 800);
    limit.rlim_cur = threads;
    EXPECT(setrlimit(RLIMIT_NPROC, &limit) == 0);
    EXPECT(UserThreadsMax() == threads);
    const FixtureTree none;
    EXPECT(ThreadsAllowed(0, none.top()) == std::max<rlim_t>(threads / 2, 1));
    EXPECT(ThreadsAllowed(123, none.top()) == std::max<rlim_t>(threads / 2, 1));
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 77;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    EXPECT(OpenFilesMax() == 77);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("no text breaks the parsers of limits", "[proc_limits]") {
  const std::vector<std::string> seeds = {"max\n5\n", "100\n30\n", "4194304\n0\n"};
  CHECK(TextThatBreaks(workpool_fuzz::WrongInPids, seeds, workpool_test::Rounds(100'000), 13) == "");
}

}  // namespace
}  // namespace workpool
