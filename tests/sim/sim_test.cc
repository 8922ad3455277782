#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "sim_support.h"

namespace workpool::sim {
namespace {

// What n runnable threads for each core leave of it.
double Slowed(double threads_per_core) { return 1 + 0.015 * std::min(10.0, threads_per_core - 1); }

TEST_CASE("three tasks on one core share it until the shortest is done, then two", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":1,"duration_s":20}
{"t":1,"cpu_s":1}
{"t":1,"cpu_s":2}
{"t":1,"cpu_s":3})");
  const double first = 3 * Slowed(3), second = first + 2 * Slowed(2), third = second + 1;
  const Result r = RunFixed(c, 3, {});
  CHECK(r.sojourn_s == Approx(first + second + third));
  CHECK(r.cost.delay_s == Approx(first + second + third - 6));
  // While the threads start, too: three, on one core.
  CHECK(r.cost.excess_s == Approx(2 * first + (second - first) + 2 * 3 * kStartCpuS * Slowed(3)).epsilon(1e-9));
}

TEST_CASE("no more threads than cores do not slow each other", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":3,"duration_s":20}
{"t":1,"cpu_s":1}
{"t":1,"cpu_s":2}
{"t":1,"cpu_s":3})");
  const Result r = RunFixed(c, 3, {});
  CHECK(r.sojourn_s == Approx(6));
  CHECK(r.cost.excess_s == 0);
}

TEST_CASE("a quota that falls slows what runs from then on", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","cores":2,"duration_s":20,"quota":[{"t":3,"cores":1}]}
{"t":1,"cpu_s":4}
{"t":1,"cpu_s":4})");
  const Result r = RunFixed(c, 2, {});
  CHECK(r.sojourn_s == Approx(2 * (2 + 2 * 2 * Slowed(2))));
}

TEST_CASE("threads of others take their share of the cores, and are not charged to the pool", "[sim]") {
  const Case c =
      CaseOf(R"({"trace":"x","cores":1,"duration_s":20,"neighbours":[{"t":0.5,"threads":3},{"t":15,"threads":0}]}
{"t":1,"cpu_s":1}
{"t":16,"cpu_s":1})");
  const Result r = RunFixed(c, 1, {});
  CHECK(r.sojourn_s == Approx(4 * Slowed(4) + 1));
  CHECK(r.cost.excess_s == Approx(4 * Slowed(4)));
}

TEST_CASE("a downstream slows beyond its knee and fails beyond one and a half times that", "[sim]") {
  const std::string rows = R"(
{"t":5,"blocked_s":1,"downstream":"d"}
{"t":5,"blocked_s":1,"downstream":"d"}
{"t":5,"blocked_s":1,"downstream":"d"}
{"t":5,"blocked_s":1,"downstream":"d"})";
  struct Row {
    std::string downstream;
    double sojourn_s;
    uint64_t failed;
  };
  for (const Row& row : {
           Row{R"("knee":2,"timeout_s":0)", 1 + 1 + 2.25 + 4, 1},
           Row{R"("knee":2,"power":1,"timeout_s":0,"fail_beyond":0)", 1 + 1 + 1.5 + 2, 0},
           Row{R"("knee":2)", 1 + 1 + 2 + 2, 2},  // the third takes longer than 2 s, too
           Row{R"("knee":2,"from_s":6)", 4, 0}, Row{R"("knee":2,"to_s":5)", 4, 0}, Row{R"("factor":1.5)", 6, 0},
           Row{R"("connections":2,"timeout_s":0)", 1 + 1 + 2 + 2, 0},
           Row{R"("connections":2,"timeout_s":1.5)", 1 + 1 + 1.5 + 1.5, 2},    // half a second into their calls
           Row{R"("connections":1,"timeout_s":1.5)", 1 + 1.5 + 1.5 + 1.5, 3},  // two have not got that far
       }) {
    INFO(row.downstream);
    const Case c =
        CaseOf(R"({"trace":"x","duration_s":20,"downstreams":[{"name":"d",)" + row.downstream + "}]}" + rows);
    const Result r = RunFixed(c, 4, {});
    CHECK(r.sojourn_s == Approx(row.sojourn_s));
    CHECK(r.cost.failed == row.failed);
  }
}

TEST_CASE("a task that failed runs again as often as it may, and is charged once", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","duration_s":20,"downstreams":[{"name":"d"}]}
{"t":1,"cpu_s":0.5,"blocked_s":3,"downstream":"d","retries":2})");
  Watcher watcher;
  const Result r = RunWith(c, watcher);
  // The call is given up after 2 s.
  CHECK(r.sojourn_s == Approx(3 * 2.5 + kStartLatencyS + kStartCpuS));
  CHECK(r.cost.failed == 1);
  CHECK(r.tasks == 1);
}

TEST_CASE("a mutex lets one task after another through, in order", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","duration_s":20,"mutexes":["m"]}
{"t":1,"locked_s":1,"mutex":"m","blocked_s":0.25}
{"t":1.25,"locked_s":2,"mutex":"m"}
{"t":1.5,"locked_s":1,"mutex":"m"})");
  CHECK(RunFixed(c, 3, {}).sojourn_s == Approx(1.25 + 2.75 + 3.5));
}

TEST_CASE("J of one task is what one computes by hand", "[sim]") {
  // One worker from 0 to 5 and one start, for 2 s of work.
  CHECK(RunFixed(CaseOf(R"({"trace":"x","duration_s":5}
{"t":1,"blocked_s":2})"),
                 1, {})
            .cost.J() == Approx((5 + 1) / 2.0));
  // The second one waits for 1 s.
  const Result two = RunFixed(CaseOf(R"({"trace":"x","duration_s":5}
{"t":1,"blocked_s":2}
{"t":2,"blocked_s":1})"),
                              1, {});
  CHECK(two.cost.J() == Approx((5 + 1 + 10) / 3.0));
  CHECK(two.wait_p99_s == 0);  // of two, the 99th hundredth is the lower one
  CHECK(two.wait_mean_s == Approx(0.5));
  // The call is given up after 2 of 3 s: 10 for the failure, and no delay.
  CHECK(RunFixed(CaseOf(R"({"trace":"x","duration_s":5,"downstreams":[{"name":"d"}]}
{"t":1,"blocked_s":3,"downstream":"d"})"),
                 1, {})
            .cost.J() == Approx((5 + 1 + 10) / 3.0));
  // It outlasts the trace, and so does what is charged.
  CHECK(RunFixed(CaseOf(R"({"trace":"x","duration_s":5}
{"t":1,"blocked_s":9})"),
                 2, {})
            .cost.J() == Approx((2 * 10 + 2) / 9.0));
}

TEST_CASE("a turn counts when it is by more than a tenth", "[sim]") {
  const auto flips = [](std::initializer_list<uint32_t> lives) {
    Flips f;
    for (const uint32_t live : lives) f.Note(live);
    return f.count();
  };
  CHECK(flips({1, 2, 3, 100}) == 0);
  CHECK(flips({100, 95, 91, 90, 95, 100}) == 0);
  CHECK(flips({100, 89, 100, 89}) == 3);
  CHECK(flips({100, 89, 50, 54, 49, 53}) == 1);
  CHECK(flips({100, 89, 50, 56}) == 2);
  CHECK(flips({1, 0, 1, 0}) == 3);
}

TEST_CASE("queues of one and of three servers are as long as theory says", "[sim]") {
  // M/D/1: rho S / (2 (1 - rho)).
  const Case one = CaseOf(R"({"trace":"x","duration_s":20000}
{"rate":80,"tasks":[{"blocked_s":0.01}]})");
  CHECK(RunFixed(one, 1, {}).wait_mean_s == Approx(0.8 * 0.01 / 0.4).epsilon(0.02));
  // M/M/3 with rho 0.8, by Erlang's C.
  const Case three = CaseOf(R"({"trace":"x","duration_s":20000}
{"rate":80,"tasks":[{"blocked_s":{"mean":0.03,"cv":1}}]})");
  const double load = 2.4, top = load * load * load / 6 / (1 - 0.8), waits = top / (1 + load + load * load / 2 + top);
  CHECK(RunFixed(three, 3, {}).wait_mean_s == Approx(waits * 0.03 / (3 * 0.2)).epsilon(0.02));
  // M/G/1 with processor sharing: S / (1 - rho), whatever the spread; the cost of switching is small here.
  const Case shared = CaseOf(R"({"trace":"x","cores":1,"duration_s":20000}
{"rate":20,"tasks":[{"cpu_s":{"mean":0.01,"cv":0.5}}]})");
  const Result r = RunFixed(shared, 64, {});
  CHECK(r.sojourn_s / static_cast<double>(r.tasks) == Approx(0.01 / 0.8).epsilon(0.01));
}

TEST_CASE("Little's law holds on every trace, and all tasks end", "[sim]") {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SIM_TRACES)) {
    if (!entry.is_regular_file()) continue;
    const Case c(workpool_cli::ReadTrace(entry.path()), 3);
    for (const char* policy : {"auto", "fixed,n=24"}) {
      INFO(c.trace.name << " " << policy);
      const Result r = RunPolicy(c, policy, {});
      CHECK(r.in_pool_s == Approx(r.sojourn_s).epsilon(1e-6));
      CHECK(r.cost.thread_s >= r.cost.nominal_s);
      CHECK(r.cost.thread_s == Approx(r.workers_mean * r.end_s));
      CHECK(r.workers_mean <= r.workers_peak * (1 + 1e-9));
      CHECK(r.end_s >= c.trace.duration_s);
    }
  }
}

TEST_CASE("the same seed gives the same result, whatever is recorded beside it", "[sim]") {
  const Trace trace = workpool_cli::ReadTrace(SIM_TRACES "/bursts-30s.jsonl");
  const Result first = RunPolicy(Case(trace, 5), "auto", {});
  Options recorded;
  recorded.series_s = 0.3;
  const Result again = RunPolicy(Case(trace, 5), "auto", recorded);
  CHECK(first.cost.J() == again.cost.J());
  CHECK(first.events == again.events);
  CHECK(first.wait_p99_s == again.wait_p99_s);
  CHECK(RunPolicy(Case(trace, 6), "auto", {}).cost.J() != first.cost.J());
  double live_s = 0;
  uint64_t arrived = 0, waits = 0;
  for (const Piece& piece : again.series) {
    live_s += piece.live_s;
    arrived += piece.arrived;
    waits += piece.waits;
  }
  CHECK(live_s == Approx(again.cost.thread_s));
  CHECK(arrived == again.tasks);
  CHECK(waits == again.tasks);
}

TEST_CASE("a copy of a run that has begun goes on as the run does", "[sim]") {
  const Case c(workpool_cli::ReadTrace(SIM_TRACES "/error-storm.jsonl"), 1);
  const std::vector<uint32_t> targets(300, 20);
  TableSteering steering(targets, kStartNs, 500'000'000);
  Simulation run(c.trace, c.arrivals, steering, {});
  run.RunTo(50);
  Simulation copy(run);
  const Result first = run.Finish(), second = copy.Finish();
  CHECK(first.cost.Sum() == second.cost.Sum());
  CHECK(first.events == second.events);
}

TEST_CASE("a policy that is not known is refused with those that are", "[sim]") {
  const Case c = CaseOf(R"({"trace":"x","duration_s":1}
{"t":0})");
  CHECK_THROWS_WITH(RunPolicy(c, "magic", {}), Catch::Contains("magic") && Catch::Contains("auto"));
}

}  // namespace
}  // namespace workpool::sim
