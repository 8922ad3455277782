#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "contest.h"
#include "sim_support.h"

namespace workpool::sim {
namespace {

const std::string kStep =
    R"({"trace":"step","duration_s":12,"tasks":[{"cpu_s":0.001,"blocked_s":{"mean":0.04,"cv":0.4}}]}
{"from_s":0,"to_s":4,"rate":50}
{"from_s":4,"to_s":8,"rate":500}
{"from_s":8,"to_s":12,"rate":50})";

const std::string kKnee =
    R"({"trace":"knee","duration_s":12,"downstreams":[{"name":"d","knee":6,"from_s":3,"to_s":9}]}
{"rate":100,"burst":{"first_s":4,"every_s":20,"for_s":0.3,"rate":400},)"
    R"("tasks":[{"cpu_s":0.002,"blocked_s":{"mean":0.03,"cv":0.4},"downstream":"d","retries":1}]})";

TEST_CASE("the oracle is never worse than a fixed size, nor than what it began with", "[oracle]") {
  for (const std::string& text : {kStep, kKnee}) {
    const Case c = CaseOf(text);
    INFO(c.trace.name);
    const std::vector<uint32_t> start = {3, 5, 8, 13, 21, 34, 21, 13, 8, 5, 3};
    Oracle oracle(c);
    oracle.Start(start);
    const Schedule found = oracle.Find();
    const double j = found.result.cost.J();
    CHECK(found.tried >= 350);
    for (uint32_t n = 1; n <= 64; ++n) CHECK(j <= RunFixed(c, n, {}).cost.J());
    std::vector<uint32_t> whole = start;
    whole.resize(24, start.back());
    CHECK(j <= RunTable(c, whole, kSegmentNs, {}).cost.J());
    // It is what it says it is.
    CHECK(RunTable(c, found.targets, kSegmentNs, {}).cost.J() == j);
    CHECK(found.fixed_j == Approx(RunFixed(c, found.fixed_best, {}).cost.J()));
  }
}

TEST_CASE("the oracle follows a step of the load, and stays near a knee", "[oracle]") {
  const Schedule step = Oracle(CaseOf(kStep)).Find();
  CHECK(step.result.cost.J() < 0.8 * step.fixed_j);
  CHECK(step.targets[4] <= 6);
  CHECK(step.targets[12] >= 20);
  CHECK(step.targets[20] <= 6);
  const Schedule knee = Oracle(CaseOf(kKnee)).Find();
  CHECK(knee.result.cost.failed == 0);
  CHECK(knee.targets[9] <= 10);
}

TEST_CASE("J of the oracle is at most that of every policy in the contest", "[oracle]") {
  ContestOptions options;
  options.policies = {"auto", "fixed,n=12", "ewma", "busy-share"};
  options.oracle = true;
  options.seeds = 2;
  const Contest contest = RunContest({TraceOf(kStep), TraceOf(kKnee)}, options);
  REQUIRE(contest.verdicts.size() == 8);
  REQUIRE(contest.oracle.size() == 2);
  for (const Verdict& v : contest.verdicts) {
    INFO(v.policy << " " << v.trace);
    REQUIRE(v.results.size() == 2);
    REQUIRE(v.oracle_j.size() == 2);
    for (size_t i = 0; i < 2; ++i) CHECK(v.oracle_j[i] <= v.results[i].cost.J());
    CHECK(v.Ratio() >= 1);
    CHECK(v.shared_bottleneck == (v.trace == "knee"));
  }
}

TEST_CASE("a schedule is found once and kept, until it costs something else", "[oracle]") {
  char path[] = "/tmp/workpool-sim-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  OracleCache cache(path);
  const Case c = CaseOf(kStep);
  const Schedule first = cache.Get(c, {}, {});
  const auto lines = [&] {
    std::ifstream in(path);
    std::string line;
    size_t count = 0;
    while (std::getline(in, line)) ++count;
    return count;
  };
  CHECK(lines() == 1);
  CHECK(cache.Get(c, {}, {}).targets == first.targets);
  CHECK(lines() == 1);
  (void)cache.Get(CaseOf(kStep, 2), {}, {});
  CHECK(lines() == 2);
  // As if the model had changed since.
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  line[line.find("\"j\":") + 4] = '0';
  std::ofstream(path) << line << "\n";
  CHECK(cache.Get(c, {}, {}).targets == first.targets);
  CHECK(lines() == 2);
  unlink(path);
}

}  // namespace
}  // namespace workpool::sim
