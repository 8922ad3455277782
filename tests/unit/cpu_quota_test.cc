#include "base/cpu_quota.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "../fuzz/parsers.h"
#include "base/cpus.h"
#include "base/thread.h"
#include "fixture_tree.h"

namespace workpool {
namespace {

constexpr const char* kGroups = "/proc/self/cgroup";
constexpr const char* kMounts = "/proc/self/mountinfo";

double AffinityOfMainThread() {
  cpu_set_t cpus;
  REQUIRE(sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0);
  return CPU_COUNT(&cpus);
}

std::string Unified() { return MountLine("/", "/cg", "cgroup2"); }
std::string Cpu() { return MountLine("/", "/v1/cpu", "cpu,cpuacct"); }

// cpu.max of /a/b, where the process is, of /a, and of the mount point.
FixtureFiles V2(const char* own, const char* above, const char* top) {
  FixtureFiles files{{kGroups, "0::/a/b\n"}, {kMounts, Unified()}};
  if (own != nullptr) files["/cg/a/b/cpu.max"] = own;
  if (above != nullptr) files["/cg/a/cpu.max"] = above;
  if (top != nullptr) files["/cg/cpu.max"] = top;
  files["/cpu.max"] = "1 100000\n";  // beyond the mount point
  return files;
}

FixtureFiles V1(const char* own, const char* above, const char* period) {
  FixtureFiles files{{kGroups, "3:cpu,cpuacct:/a/b\n"}, {kMounts, Cpu()}};
  for (const char* dir : {"/v1/cpu", "/v1/cpu/a", "/v1/cpu/a/b"}) {
    if (period != nullptr) files[std::string(dir) + "/cpu.cfs_period_us"] = period;
  }
  files["/v1/cpu/cpu.cfs_quota_us"] = "-1\n";
  if (above != nullptr) files["/v1/cpu/a/cpu.cfs_quota_us"] = above;
  if (own != nullptr) files["/v1/cpu/a/b/cpu.cfs_quota_us"] = own;
  return files;
}

FixtureFiles With(FixtureFiles files, const FixtureFiles& more) {
  for (const auto& [path, content] : more) files[path] = content;
  return files;
}

TEST_CASE("G13: the CPUs to use are the smallest quota of all cgroups above, at most the affinity, at least 1",
          "[cpu_quota]") {
  struct Row {
    const char* what;
    FixtureFiles files;
    double quota;
  };
  const FixtureFiles hybrid = {{kGroups, "3:cpu,cpuacct:/a/b\n0::/u\n"}, {kMounts, Unified() + Cpu()}};
  for (const Row& row : {
           Row{"v2", V2("200000 100000\n", nullptr, nullptr), 2},
           Row{"v2, a fraction stays one", V2("150000 100000\n", nullptr, nullptr), 1.5},
           Row{"v2, another period", V2("25000 20000\n", nullptr, nullptr), 1.25},
           Row{"v2, own is smallest", V2("120000 100000\n", "300000 100000\n", "max 100000\n"), 1.2},
           Row{"v2, above is smallest", V2("300000 100000\n", "130000 100000\n", "max 100000\n"), 1.3},
           Row{"v2, the mount point is smallest", V2("300000 100000\n", "200000 100000\n", "140000 100000\n"), 1.4},
           Row{"v2, only above", V2("max 100000\n", "160000 100000\n", nullptr), 1.6},
           Row{"v2, own file is missing", V2(nullptr, "170000 100000\n", nullptr), 1.7},
           Row{"v2, a file between is missing", V2("400000 100000\n", nullptr, "180000 100000\n"), 1.8},
           Row{"v2, max everywhere", V2("max 100000\n", "max 100000\n", "max 100000\n"), kNoQuota},
           Row{"v2, no file", V2(nullptr, nullptr, nullptr), kNoQuota},
           Row{"v2, less than one CPU", V2("5000 100000\n", nullptr, nullptr), 0.05},
           Row{"v2, more than there are", V2("99900000 100000\n", nullptr, nullptr), 999},
           Row{"v2, garbage below a limit", V2("what\n", "190000 100000\n", nullptr), 1.9},
           Row{"v2, garbage only", V2("\xff\xfe x", "", "12 x\n"), kNoQuota},
           Row{"v2, numbers too large", V2("99999999999999999999 100000\n", nullptr, nullptr), kNoQuota},
           Row{"v2, below 0", V2("-5 100000\n", nullptr, nullptr), kNoQuota},
           Row{"v2, no period", V2("100000\n", nullptr, nullptr), kNoQuota},
           Row{"v2, a period of 0", V2("100000 0\n", nullptr, nullptr), kNoQuota},
           Row{"v2, a quota of 0", V2("0 100000\n", nullptr, nullptr), kNoQuota},
           Row{"v2, the group was removed",
               With(V2(nullptr, "110000 100000\n", nullptr), {{kGroups, "0::/a/gone (deleted)\n"}}), 1.1},
           Row{"v2, in a container's namespace",
               {{kGroups, "0::/\n"}, {kMounts, Unified()}, {"/cg/cpu.max", "150000 100000\n"}},
               1.5},
           Row{"v2, in a container that sees the host's names",
               {{kGroups, "0::/docker/ab\n"},
                {kMounts, MountLine("/docker/ab", "/cg", "cgroup2")},
                {"/cg/cpu.max", "150000 100000\n"},
                {"/cg/docker/ab/cpu.max", "110000 100000\n"}},
               1.5},
           Row{"v1", V1("250000\n", nullptr, "100000\n"), 2.5},
           Row{"v1, no limit", V1("-1\n", "-1\n", "100000\n"), kNoQuota},
           Row{"v1, above is smallest", V1("250000\n", "110000\n", "100000\n"), 1.1},
           Row{"v1, own is smallest", V1("120000\n", "250000\n", "100000\n"), 1.2},
           Row{"v1, no period", V1("250000\n", "110000\n", nullptr), kNoQuota},
           Row{"v1, garbage", V1("x", "150000\n", "100000\n"), 1.5},
           Row{"v1, a period of 0", V1("250000\n", "110000\n", "0\n"), kNoQuota},
           Row{"v1, in a container that sees the host's names",
               {{kGroups, "4:cpuset:/docker/ab\n3:cpu,cpuacct:/docker/ab\n"},
                {kMounts,
                 MountLine("/docker/ab", "/v1/cpuset", "cpuset") + MountLine("/docker/ab", "/v1/cpu", "cpu,cpuacct")},
                {"/v1/cpuset/cpu.cfs_quota_us", "100000\n"},
                {"/v1/cpuset/cpu.cfs_period_us", "100000\n"},
                {"/v1/cpu/cpu.cfs_quota_us", "350000\n"},
                {"/v1/cpu/cpu.cfs_period_us", "100000\n"}},
               3.5},
           Row{"hybrid, the controller is v1's",
               With(hybrid, {{"/v1/cpu/a/cpu.cfs_quota_us", "150000\n"}, {"/v1/cpu/a/cpu.cfs_period_us", "100000\n"}}),
               1.5},
           Row{"hybrid, the controller is v2's", With(hybrid, {{"/cg/u/cpu.max", "160000 100000\n"}}), 1.6},
           Row{"no /proc", {}, kNoQuota},
           Row{"no mountinfo", {{kGroups, "0::/a\n"}, {"/cg/a/cpu.max", "100000 100000\n"}}, kNoQuota},
           Row{"garbage in /proc", With(V2("100000 100000\n", nullptr, nullptr), {{kGroups, ":\n::\n0::\n0::a\n0:/a/b\n:0::/a/b\n1::/a/b\n\xff"}}),
               kNoQuota},
       }) {
    INFO(row.what);
    const FixtureTree tree(row.files);
    const CpuAllowance allowance = ReadCpuAllowance(tree.top());
    CHECK(allowance.quota == row.quota);
    CHECK(allowance.affinity == AffinityOfMainThread());
    CHECK(allowance.cores == std::max(1.0, std::min(AffinityOfMainThread(), row.quota)));
  }
}

TEST_CASE("G13: a quota that changes and a move to another cgroup are seen at the next look", "[cpu_quota]") {
  FixtureTree tree(V2("300000 100000\n", nullptr, nullptr));
  tree.Write("/cg/other/cpu.max", "120000 100000\n");
  CHECK(ReadCpuAllowance(tree.top()).quota == 3);
  tree.Write("/cg/a/b/cpu.max", "max 100000\n");
  CHECK(ReadCpuAllowance(tree.top()).quota == kNoQuota);
  tree.Write(kGroups, "0::/other\n");
  CHECK(ReadCpuAllowance(tree.top()).quota == 1.2);
}

TEST_CASE("how often limits were used up is counted where limits are", "[cpu_quota]") {
  FixtureTree tree(V2("200000 100000\n", "300000 100000\n", "max 100000\n"));
  tree.Write("/cg/a/b/cpu.stat", "usage_usec 9\nuser_usec 8\nnr_periods 70\nnr_throttled 5\nthrottled_usec 1234\n");
  tree.Write("/cg/a/cpu.stat", "nr_periods 70\nnr_throttled 30\n");
  tree.Write("/cg/cpu.stat", "nr_throttled 1000\n");
  CHECK(ReadCpuAllowance(tree.top()).throttled == 35);
  tree.Write("/cg/a/cpu.stat", "nr_throttledx 30\nnr_throttled x\n");
  CHECK(ReadCpuAllowance(tree.top()).throttled == 5);

  FixtureTree v1(V1("250000\n", nullptr, "100000\n"));
  CHECK(ReadCpuAllowance(v1.top()).throttled == 0);
  v1.Write("/v1/cpu/a/b/cpu.stat", "nr_periods 0\nnr_throttled 7\nthrottled_time 0\n");
  CHECK(ReadCpuAllowance(v1.top()).throttled == 7);
}

TEST_CASE("this system's allowance is within its bounds, on a small stack and without a descriptor left open",
          "[cpu_quota]") {
  const auto open_files = [] {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  };
  const size_t before = open_files();
  CpuAllowance allowance{.cores = 0, .quota = 0, .affinity = 0, .throttled = 0};
  const ThreadOptions options{
      .stack_bytes = workpool_test::kSanitized ? size_t{1} << 20 : 32 << 10, .own_cpus = false, .cpus = {}};
  ThreadHandle thread = 0;
  const auto read = [](void* out) { *static_cast<CpuAllowance*>(out) = ReadCpuAllowance(); };
  REQUIRE(StartThread(options, read, &allowance, &thread) == 0);
  JoinThread(thread);
  CHECK(allowance.cores >= 1);
  CHECK(allowance.cores <= AffinityOfMainThread());
  CHECK(allowance.quota > 0);
  CHECK(open_files() == before);
}

TEST_CASE("no text breaks the parsers of quotas", "[cpu_quota]") {
  const std::vector<std::string> seeds = {"max 100000\n", "150000 100000\n", "-1\n100000\n", "250000\n100000\n",
                                          "nr_periods 12\nnr_throttled 34\nthrottled_usec 56\n"};
  CHECK(TextThatBreaks(workpool_fuzz::WrongInQuota, seeds, workpool_test::Rounds(100'000), 13) == "");
}

}  // namespace
}  // namespace workpool
