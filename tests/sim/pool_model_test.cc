#include <catch2/catch.hpp>

#include "sim_support.h"

namespace workpool::sim {
namespace {

TEST_CASE("a schedule keeps exactly as many workers as it says", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","duration_s":2}
{"t":0.75,"blocked_s":0.5})");
  const Result r = RunTable(c, {2, 4, 1, 1}, 500'000'000, {});
  CHECK(r.cost.thread_s == Approx(1 + 2 + 0.5 + 0.5));  // the one at work is the one that stays
  CHECK(r.cost.starts == 4);
  CHECK(r.cost.flips == 1);
  CHECK(r.workers_peak == 4);
}

TEST_CASE("idle workers expire one keep-alive after they have parked, down to the minimum", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":4,"duration_s":10}
{"t":1,"blocked_s":0.5}
{"t":1,"blocked_s":1}
{"t":1,"blocked_s":1.5})");
  const double start_s = kStartLatencyS + kStartCpuS;
  struct Row {
    uint32_t workers_min;
    double thread_s;
  };
  for (const Row& row : {Row{0, 3 * start_s + 1.5 + 2 + 2.5}, Row{1, 2 * start_s + 1.5 + 2 + 9}, Row{3, 27}}) {
    Options options;
    options.workers_min = row.workers_min;
    Watcher watcher;
    const Result r = RunWith(c, watcher, options);
    CHECK(r.cost.thread_s == Approx(row.thread_s));
    CHECK(r.cost.starts == 3);
    CHECK(r.cost.delay_s == Approx(3 * start_s));
  }
}

TEST_CASE("the target follows those that expire, not below one for each core", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":2,"duration_s":20}
{"t":1,"blocked_s":1}
{"t":1,"blocked_s":1}
{"t":1,"blocked_s":1}
{"t":1,"blocked_s":1}
{"t":10,"blocked_s":1}
{"t":10,"blocked_s":1}
{"t":10,"blocked_s":1})");
  // Raises it once, to 4, and says the target as it finds it from then on.
  struct Once final : Decider {
    Decision Decide(const LoadSample& sample) override {
      targets.push_back(sample.target);
      return {targets.size() == 2 ? 4 : sample.target, Reason::kHold, kNever};
    }
    std::vector<uint32_t> targets;
  } once;
  const Result r = RunWith(c, once);
  REQUIRE(once.targets.size() > 6);
  CHECK(once.targets[1] == 2);
  CHECK(once.targets[2] == 4);
  CHECK(once.targets.back() == 2);
  CHECK(r.workers_peak == 4);
}

TEST_CASE("workers above a target that falls park when their task ends, and take no other", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":1,"duration_s":20}
{"rate":100,"to_s":2,"spacing":"even","tasks":[{"blocked_s":0.1}]})");
  struct Falls final : Decider {
    Decision Decide(const LoadSample& sample) override {
      return {sample.now_s() < 2 ? 8u : 2u, Reason::kHold, kStartNs + 1'000'000'000};
    }
  } falls;
  Options options;
  options.series_s = 0.5;
  const Result r = RunWith(c, falls, options);
  CHECK(r.series[1].busy_s == Approx(8 * 0.5).epsilon(0.05));
  CHECK(r.series[3].busy_s == Approx(2 * 0.5));
}

TEST_CASE("the monitor sleeps until a task finds nobody, and again when none has waited for a while", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":1,"duration_s":10}
{"t":1,"blocked_s":1,"cpu_s":0.002}
{"t":1,"blocked_s":1})");
  Watcher watcher;
  const Result r = RunWith(c, watcher);
  // At the start, then from 1.005 until four looks at which nothing waited.
  const double taken_s = 2.002 + kStartLatencyS + kStartCpuS;
  REQUIRE(watcher.seen.size() == 1 + 200 + 4);
  CHECK(watcher.seen[1].now_s() == Approx(1 + 1.005));
  CHECK(watcher.seen[2].now_s() == Approx(1 + 1.010));
  CHECK(watcher.seen.back().now_s() == Approx(1 + 1.000 + 0.005 * 204));
  CHECK(r.decisions == watcher.seen.size());
  CHECK(watcher.seen[1].dt_ns == 0);
  CHECK(watcher.seen[2].dt_ns == Approx(5e6).margin(2));
  const LoadSample& late = watcher.seen[150];
  CHECK(late.queued == 1);
  CHECK(late.live == 1);
  CHECK(late.busy() == 1);
  CHECK(late.runnable == Approx(0).margin(1e-9));
  CHECK(late.head_age_s() == Approx(0.005 * 149));
  CHECK(late.hung == 1);  // off the CPU for more than a quarter of a second, and no task has ended yet
  CHECK(watcher.seen[20].hung == 0);
  CHECK(watcher.seen[201].queued == (1 + 0.005 * 201 > taken_s ? 0 : 1));
}

TEST_CASE("the sample counts the threads that can run, more than there are cores, too", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":2,"duration_s":10}
{"t":1,"cpu_s":1}
{"t":1,"cpu_s":1}
{"t":1,"cpu_s":1}
{"t":1,"cpu_s":1})");
  Watcher watcher(3);
  (void)RunWith(c, watcher);
  REQUIRE(watcher.seen.size() > 20);
  CHECK(watcher.seen[0].cores == 2);
  CHECK(watcher.seen[0].target == 2);
  CHECK(watcher.seen[10].runnable == Approx(3));
  CHECK(watcher.seen[10].queued == 1);
  CHECK(watcher.seen[10].hung == 0);
}

TEST_CASE("a policy that says when it wants to look again is asked then", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","duration_s":2}
{"t":1,"cpu_s":0.1})");
  struct Often final : Decider {
    Decision Decide(const LoadSample& sample) override {
      times_ns.push_back(sample.now_ns);
      return {sample.target, Reason::kHold, sample.now_ns + 250'000'000};
    }
    std::vector<uint64_t> times_ns;
  } often;
  (void)RunWith(c, often);
  REQUIRE(often.times_ns.size() == 8);
  for (size_t i = 0; i < 8; ++i) CHECK(often.times_ns[i] == kStartNs + i * 250'000'000);
}

}  // namespace
}  // namespace workpool::sim
