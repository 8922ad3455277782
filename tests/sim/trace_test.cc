#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "sim_support.h"

namespace workpool::sim {
namespace {

const std::string kHeader = R"({"trace":"x","duration_s":10,"downstreams":[{"name":"db","knee":2}],"mutexes":["m"]})";

std::string ErrorOf(const std::string& text) {
  try {
    (void)TraceOf(text);
  } catch (const workpool_cli::TraceError& e) {
    return e.what();
  }
  return "";
}

TEST_CASE("a trace that does not fit is refused with its line and what is allowed", "[trace]") {
  struct Row {
    std::string text;
    std::string error;
  };
  for (const Row& row : {
           Row{"", "t:1: empty, the first line is the header"},
           Row{"{\"duration_s\":1}", "t:1: the first line is the header and needs a name"},
           Row{"{\"trace\":\"x\"}", "t:1: the header needs duration_s"},
           Row{"[1]", "t:1: the header is not an object"},
           Row{kHeader + "\n\n{\"rate\":", "t:3: not JSON, one object a line"},
           Row{kHeader + "\n{\"rate\":1}", "t:2: neither the phase nor the header says which tasks"},
           Row{kHeader + "\n{\"tasks\":[{}]}", "t:2: a phase needs one of: rate, rate_from with rate_to, sine"},
           Row{kHeader + "\n{\"rate\":1,\"sine\":{},\"tasks\":[{}]}", "t:2: a phase needs one of"},
           Row{kHeader + "\n{\"rate_from\":1,\"tasks\":[{}]}", "t:2: a phase needs rate_to"},
           Row{kHeader + "\n{\"rate\":-1,\"tasks\":[{}]}", "t:2: a phase: rate is -1, allowed: a number from 0 to"},
           Row{kHeader + "\n{\"rate\":\"1\",\"tasks\":[{}]}", "t:2: a phase: rate is \"1\", allowed: a number"},
           Row{kHeader + "\n{\"rate\":1,\"to_s\":11,\"tasks\":[{}]}",
               "t:2: a phase: to_s is 11, allowed: a number from 0 to 10"},
           Row{kHeader + "\n{\"rate\":1,\"cpu\":1,\"tasks\":[{}]}",
               "t:2: a phase has no field 'cpu', allowed: from_s to_s rate"},
           Row{kHeader + "\n{\"rate\":1,\"spacing\":\"odd\",\"tasks\":[{}]}",
               "t:2: spacing is 'odd', allowed: poisson, even"},
           Row{kHeader + "\n{\"rate\":1,\"tasks\":[{\"cpu\":1}]}",
               "t:2: a kind of task has no field 'cpu', allowed: share cpu_s"},
           Row{kHeader + "\n{\"rate\":1,\"tasks\":[{\"cpu_s\":{\"low\":2,\"high\":1}}]}",
               "t:2: cpu_s: high is 1, allowed: a number from 2"},
           Row{kHeader + "\n{\"rate\":1,\"tasks\":[{\"cpu_s\":{\"cv\":1}}]}", "t:2: cpu_s needs mean"},
           Row{kHeader + "\n{\"rate\":1,\"tasks\":[{\"downstream\":\"d\"}]}",
               "t:2: downstream 'd' is not in the header, which has: db"},
           Row{kHeader + "\n{\"rate\":1,\"tasks\":[{\"locked_s\":1}]}",
               "t:2: a kind of task with locked_s needs a mutex"},
           Row{kHeader + "\n{\"t\":11}", "t:2: a row: t is 11, allowed: a number from 0 to 10"},
           Row{kHeader + "\n{\"t\":1,\"cpu_s2\":1}", "t:2: a row has no field 'cpu_s2', allowed: t cpu_s"},
           Row{kHeader + "\n{\"t\":1,\"retries\":0.5}", "t:2: a row: retries is not a whole number"},
           Row{R"({"trace":"x","duration_s":1,"quota":[{"t":2,"cores":1},{"t":1,"cores":2}]})",
               "t:1: steps must ascend in t"},
           Row{R"({"trace":"x","duration_s":1,"quota":[{"t":2,"cores":0}]})", "t:1: a quota step: cores is 0, allowed"},
           Row{R"({"trace":"x","duration_s":1,"downstreams":[{}]})", "t:1: a downstream needs a name"},
       }) {
    INFO(row.text);
    const std::string error = ErrorOf(row.text);
    INFO(error);
    CHECK(error.find(row.error) == 0);
  }
}

TEST_CASE("every trace of the folder can be read, and tells its name", "[trace]") {
  size_t traces = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SIM_TRACES)) {
    if (!entry.is_regular_file()) continue;
    INFO(entry.path());
    const Trace trace = workpool_cli::ReadTrace(entry.path());
    CHECK(trace.name == entry.path().stem());
    CHECK_FALSE(trace.note.empty());
    const Case c(trace, 1);
    CHECK(c.arrivals.size() >= 100);
    for (size_t i = 1; i < c.arrivals.size(); ++i) REQUIRE(c.arrivals[i - 1].at_ns <= c.arrivals[i].at_ns);
    CHECK(static_cast<double>(c.arrivals.back().at_ns) <= trace.duration_s * 1e9);
    ++traces;
  }
  CHECK(traces >= 16);
}

TEST_CASE("rows are tasks as they stand, sorted by time", "[trace]") {
  const Case c = CaseOf(kHeader + R"(
{"t":2,"cpu_s":0.5,"locked_s":0.25,"mutex":"m","blocked_s":1.5,"cpu2_s":0.125,"downstream":"db","retries":3}
{"t":1})");
  REQUIRE(c.arrivals.size() == 2);
  CHECK(c.arrivals[0].at_ns == 1'000'000'000);
  CHECK(c.arrivals[0].nominal_ns() == 0);
  CHECK(c.arrivals[0].downstream == -1);
  const Arrival& task = c.arrivals[1];
  CHECK(task.at_ns == 2'000'000'000);
  CHECK(task.cpu_ns == 500'000'000);
  CHECK(task.locked_ns == 250'000'000);
  CHECK(task.blocked_ns == 1'500'000'000);
  CHECK(task.cpu2_ns == 125'000'000);
  CHECK(task.downstream == 0);
  CHECK(task.mutex == 0);
  CHECK(task.retries == 3);
}

TEST_CASE("a seed gives the same arrivals everywhere, another one others", "[trace]") {
  const std::string text = R"({"trace":"x","duration_s":10}
{"rate":100,"tasks":[{"share":3,"cpu_s":{"mean":0.01,"cv":0.4}},{"share":1,"blocked_s":{"low":0.1,"high":0.2}}]})";
  const auto sum_of = [](const Case& c) {
    uint64_t sum = 0;
    for (const Arrival& task : c.arrivals) sum = sum * 31 + task.at_ns + 3 * task.cpu_ns + 7 * task.blocked_ns;
    return sum;
  };
  const Case first = CaseOf(text);
  // As computed on x86-64 with glibc 2.36; integers and the basic operations are the same everywhere, and what log and
  // sqrt differ in is far below the nanosecond that all is rounded to.
  CHECK(first.arrivals.size() == 989);
  CHECK(sum_of(first) == 10'927'064'798'813'150'421u);
  CHECK(sum_of(CaseOf(text)) == sum_of(first));
  CHECK(sum_of(CaseOf(text, 2)) != sum_of(first));
}

TEST_CASE("arrivals and times have the rate, mean and spread that were asked for", "[trace]") {
  struct Row {
    std::string time;
    double mean, cv;
  };
  for (const Row& row : {
           Row{"0.01", 0.01, 0},
           Row{R"({"mean":0.01,"cv":0.3})", 0.01, 0.3},
           Row{R"({"mean":0.01,"cv":1})", 0.01, 1},
           Row{R"({"mean":0.01,"cv":2})", 0.01, 2},
           Row{R"({"low":0.01,"high":0.03})", 0.02, 1 / std::sqrt(12.0)},
       }) {
    INFO(row.time);
    const Case c = CaseOf(R"({"trace":"x","duration_s":1000}
{"rate":200,"tasks":[{"cpu_s":)" +
                          row.time + "}]}");
    const double n = static_cast<double>(c.arrivals.size());
    // Within four standard deviations of a Poisson number.
    CHECK(n == Approx(200'000).margin(4 * std::sqrt(200'000.0)));
    double sum = 0, squares = 0;
    for (const Arrival& task : c.arrivals) {
      const double s = static_cast<double>(task.cpu_ns) * 1e-9;
      sum += s;
      squares += s * s;
    }
    const double mean = sum / n, deviation = std::sqrt(squares / n - mean * mean);
    CHECK(mean == Approx(row.mean).epsilon(0.02));
    CHECK(deviation == Approx(row.cv * row.mean).epsilon(0.03).margin(1e-9));
  }
}

TEST_CASE("the rate follows a line, a sine and bursts", "[trace]") {
  const auto between = [](const Case& c, double from_s, double to_s) {
    double count = 0;
    for (const Arrival& task : c.arrivals) {
      const double t_s = static_cast<double>(task.at_ns) * 1e-9;
      if (t_s >= from_s && t_s < to_s) ++count;
    }
    return count;
  };
  SECTION("a line") {
    const Case c = CaseOf(R"({"trace":"x","duration_s":100,"tasks":[{}]}
{"rate_from":0,"rate_to":1000})");
    CHECK(between(c, 0, 50) == Approx(12'500).margin(4 * std::sqrt(12'500.0)));
    CHECK(between(c, 50, 100) == Approx(37'500).margin(4 * std::sqrt(37'500.0)));
  }
  SECTION("a sine begins at its lowest") {
    const Case c = CaseOf(R"({"trace":"x","duration_s":60,"tasks":[{}]}
{"sine":{"period_s":60,"low":0,"high":1000}})");
    const double quarter = 500 * (15 - 60 / (2 * M_PI));
    CHECK(between(c, 0, 15) == Approx(quarter).margin(4 * std::sqrt(quarter)));
    CHECK(between(c, 0, 60) == Approx(30'000).margin(4 * std::sqrt(30'000.0)));
  }
  SECTION("bursts") {
    const Case c = CaseOf(R"({"trace":"x","duration_s":100,"tasks":[{}]}
{"rate":0,"burst":{"first_s":10,"every_s":30,"for_s":2,"rate":1000}})");
    for (const double begin_s : {10.0, 40.0, 70.0}) {
      CHECK(between(c, begin_s, begin_s + 2) == Approx(2000).margin(4 * std::sqrt(2000.0)));
    }
    CHECK(c.arrivals.size() == between(c, 10, 12) + between(c, 40, 42) + between(c, 70, 72));
  }
  SECTION("evenly spaced") {
    const Case c = CaseOf(R"({"trace":"x","duration_s":10.125,"tasks":[{}]}
{"rate":4,"spacing":"even"})");
    REQUIRE(c.arrivals.size() == 40);
    for (size_t i = 0; i < c.arrivals.size(); ++i) {
      CHECK(static_cast<double>(c.arrivals[i].at_ns) == Approx(0.25e9 * static_cast<double>(i + 1)).margin(10));
    }
  }
}

}  // namespace
}  // namespace workpool::sim
