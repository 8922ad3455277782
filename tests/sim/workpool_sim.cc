// workpool-sim: runs policies on traces in virtual time, and judges them. README.md says how.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "report.h"
#include "scaling/policy_table.h"

namespace workpool::sim {
namespace {

struct Arguments {
  ContestOptions contest;
  std::vector<std::string> traces;
  bool json = false;
  std::string series;
  double series_s = 0.5;
  std::string decisions;
  bool list = false;
  double keep_alive_s = 1;
};

int List() {
  const char *name, *doc;
  for (uint32_t i = 0; ListPolicies(i, &name, &doc); ++i) std::printf("%-18s %s\n", name, doc);
  return 0;
}

int CannotWrite(const std::string& path) {
  std::fprintf(stderr, "workpool-sim: %s cannot be written\n", path.c_str());
  return 2;
}

// The first policy on the first trace once more, as files over time.
int Record(const Arguments& arguments, const Trace& trace) {
  if (arguments.series.empty() && arguments.decisions.empty()) return 0;
  Options run = arguments.contest.run;
  run.series_s = arguments.series_s;
  std::FILE* log = nullptr;
  if (!arguments.decisions.empty()) {
    log = std::fopen(arguments.decisions.c_str(), "w");
    if (log == nullptr) return CannotWrite(arguments.decisions);
  }
  const Case first(trace, arguments.contest.seed_first);
  const Result result = RunPolicy(first, arguments.contest.policies[0], run, log);
  if (log != nullptr && std::fclose(log) != 0) return CannotWrite(arguments.decisions);
  if (arguments.series.empty() || WriteSeries(arguments.series, result, run.series_s)) return 0;
  return CannotWrite(arguments.series);
}

int Run(const Arguments& arguments) {
  std::vector<Trace> traces;
  for (const std::string& path : arguments.traces) traces.push_back(workpool_cli::ReadTrace(path));
  const Contest contest = RunContest(traces, arguments.contest);
  if (arguments.json) {
    PrintJson(contest);
  } else {
    PrintTable(contest);
  }
  return Record(arguments, traces[0]);
}

int Main(int argc, char** argv) {
  Arguments a;
  CLI::App app("Runs scaling policies on traces in virtual time, and judges them.", "workpool-sim");
  app.add_option("--policy", a.contest.policies, "Name and options, 'ewma,alpha=0.2'; may be given again");
  app.add_option("--trace", a.traces, "Trace files");
  app.add_option("--seeds", a.contest.seeds, "So many runs of each, each with other arrivals")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", a.contest.seed_first, "The first of them")->capture_default_str();
  app.add_flag("--oracle", a.contest.oracle, "Find the best schedule in hindsight, and compare");
  app.add_option("--oracle-cache", a.contest.oracle_cache, "File that keeps what was found");
  app.add_option("--oracle-events", a.contest.oracle_events, "How long to look, in simulated events")
      ->capture_default_str();
  app.add_flag("--json", a.json, "For programs");
  app.add_option("--series", a.series, "CSV over time of the first policy on the first trace");
  app.add_option("--series-s", a.series_s, "Its step")->check(CLI::Range(0.001, 1e6))->capture_default_str();
  app.add_option("--decisions", a.decisions, "CSV of every decision of the first policy on the first trace");
  app.add_flag("--list", a.list, "The policies there are");
  app.add_option("--workers-min", a.contest.run.workers_min, "As in the pool's options")->capture_default_str();
  app.add_option("--workers-max", a.contest.run.workers_max, "As in the pool's options")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--keep-alive-s", a.keep_alive_s, "As in the pool's options, where the policy has no own")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (a.list) return List();
  if (a.traces.empty() || a.contest.policies.empty()) {
    std::fprintf(stderr, "workpool-sim: needs --policy and --trace; --list shows the policies, --help the rest\n");
    return 2;
  }
  a.contest.run.keep_alive_ns = static_cast<uint64_t>(a.keep_alive_s * 1e9);
  try {
    return Run(a);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "workpool-sim: %s\n", e.what());
    return 2;
  }
}

}  // namespace
}  // namespace workpool::sim

int main(int argc, char** argv) { return workpool::sim::Main(argc, argv); }
