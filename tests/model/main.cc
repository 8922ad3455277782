// The command line of the model tests. Without a strategy every test gets all three within the
// budget, the depth-first search first; what that leaves is shared by the random ones.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "model/mutation.h"
#include "model/runner.h"
#include "model/trace.h"

namespace workpool::model {
namespace {

struct Arguments {
  bool list = false;
  bool depth_first = false;
  bool random = false;
  bool pct = false;
  bool sites = false;
  bool verbose = false;
  int depth = 3;
  std::vector<std::string> filters;
  std::string replay;
  bool has_replay = false;
  std::string mutation;
  uint64_t seed = 1;
  uint64_t schedules = UINT64_MAX;
  double budget_s = 60;
  size_t trace_lines = 120;
};

const char* Name(Strategy::Mode mode) {
  switch (mode) {
    case Strategy::Mode::kDepthFirst:
      return "depth-first";
    case Strategy::Mode::kRandom:
      return "random";
    case Strategy::Mode::kPct:
      return "pct";
    case Strategy::Mode::kReplay:
      return "replay";
  }
  return "?";
}

// The strategies for one test, each with its part of the test's time.
struct Part {
  Strategy::Mode mode;
  double share;
};

std::vector<Part> Parts(const Arguments& arguments, const Test& test) {
  if (arguments.has_replay) return {{Strategy::Mode::kReplay, 1}};
  std::vector<Part> parts;
  const bool all = !arguments.depth_first && !arguments.random && !arguments.pct;
  const bool depth_first = (all || arguments.depth_first) && test.options.preemptions >= 0;
  // A mutant is most quickly killed by chance, and a complete search is wanted only when none is
  // there.
  const bool chance_first = all && !arguments.mutation.empty();
  if (depth_first && !chance_first) parts.push_back({Strategy::Mode::kDepthFirst, all ? 0.5 : 1});
  if (all || arguments.random)
    parts.push_back({Strategy::Mode::kRandom, chance_first ? 0.25 : 0.5});
  if (all || arguments.pct) parts.push_back({Strategy::Mode::kPct, chance_first ? 0.33 : 1});
  if (depth_first && chance_first) parts.push_back({Strategy::Mode::kDepthFirst, 1});
  return parts;
}

// Returns false if the test failed.
bool RunTest(const Arguments& arguments, const Test& test, double budget_s) {
  double left_s = budget_s;
  for (const Part& part : Parts(arguments, test)) {
    SearchPlan plan;
    plan.mode = part.mode;
    plan.budget_s = left_s * part.share;
    plan.schedules_max = arguments.schedules;
    plan.seed = arguments.seed;
    plan.pct_depth = arguments.depth;
    plan.choices = arguments.replay;
    const SearchResult result = Search(test, plan);
    left_s = std::max(0.0, left_s - result.seconds);
    const double rate = static_cast<double>(result.schedules) / std::max(result.seconds, 1e-6);
    std::string bounds;
    if (result.complete)
      bounds =
          ", complete with at most " + std::to_string(test.options.preemptions) + " preemptions";
    std::printf("%-6s %-11s %9llu schedules %8.0f/s %5.0f steps  %s%s\n",
                result.failed          ? "FAILED"
                : result.found.empty() ? "ok"
                                       : "found",
                Name(part.mode), static_cast<unsigned long long>(result.schedules), rate,
                static_cast<double>(result.steps) / static_cast<double>(result.schedules),
                test.name, bounds.c_str());
    if (arguments.verbose && !result.found.empty()) std::printf("  %s\n", result.found.c_str());
    if (result.failed) {
      std::printf("  %s\n", result.failure.c_str());
      return false;
    }
    std::fflush(stdout);
    // A depth-first search that is complete leaves the random ones little to add.
    if (result.complete) break;
  }
  return true;
}

bool Matches(const Arguments& arguments, const Test& test) {
  return arguments.filters.empty() ||
         std::any_of(arguments.filters.begin(), arguments.filters.end(),
                     [&test](const std::string& filter) {
                       return std::string(test.name).find(filter) != std::string::npos;
                     });
}

int Run(const Arguments& arguments) {
  std::vector<const Test*> tests;
  for (const Test& test : Tests()) {
    if (Matches(arguments, test)) tests.push_back(&test);
  }
  // Those that a complete search is meant for come first: they leave time to the others.
  std::stable_partition(tests.begin(), tests.end(),
                        [](const Test* test) { return test->options.preemptions >= 2; });
  if (arguments.list) {
    for (const Test* test : tests) std::printf("%s\n", test->name);
    return 0;
  }
  if (tests.empty()) {
    std::fprintf(stderr, "no test has such a name\n");
    return 2;
  }
  if (!arguments.mutation.empty() && !SetMutation(arguments.mutation)) {
    std::fprintf(stderr, "%s: not FILE:LINE[:COLUMN]:KIND\n", arguments.mutation.c_str());
    return 2;
  }
  SetTraceLength(arguments.trace_lines);
  if (arguments.sites) RecordSites();
  const auto begin = std::chrono::steady_clock::now();
  int failures = 0;
  for (size_t i = 0; i < tests.size(); ++i) {
    // What earlier tests did not use goes to the later ones.
    const double used_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double share_s =
        std::max(0.01, (arguments.budget_s - used_s) / static_cast<double>(tests.size() - i));
    if (!RunTest(arguments, *tests[i], share_s)) {
      ++failures;
      // One is enough to kill a mutant.
      if (!arguments.mutation.empty()) break;
    }
  }
  if (arguments.sites) std::printf("SITES\n%s", ListSites().c_str());
  if (!arguments.mutation.empty() && !MutationReached()) {
    std::printf("the mutated place was not reached\n");
    return 3;
  }
  std::printf("%zu tests, %d failed\n", tests.size(), failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace workpool::model

int main(int argc, char** argv) {
  using namespace workpool::model;
  Arguments arguments;
  CLI::App app(
      "Runs the library's protocols under every schedule and memory order that fit the budget.");
  app.add_flag("--list", arguments.list, "Print the names of the tests");
  app.add_option("--filter", arguments.filters,
                 "Only tests whose name contains this; may be repeated");
  app.add_flag("--dfs", arguments.depth_first, "Depth-first search with bounded preemptions");
  auto* random = app.add_option("--random", arguments.schedules, "So many random schedules a test");
  auto* pct = app.add_option("--pct", arguments.schedules,
                             "So many schedules of probabilistic concurrency testing");
  app.add_option("--depth", arguments.depth, "Bug depth of --pct");
  app.add_option("--seed", arguments.seed,
                 "Of the random strategies; schedule i of seed s is schedule 0 of s + i");
  app.add_option("--budget", arguments.budget_s, "Seconds for all tests together");
  auto* replay = app.add_option("--replay", arguments.replay,
                                "Choices of one schedule, as a failure prints them");
  app.add_option("--trace", arguments.trace_lines,
                 "How many of a failed schedule's last operations are printed");
  app.add_option("--mutate", arguments.mutation,
                 "FILE:LINE[:COLUMN]:KIND; KIND is relaxed, acquire, release, acq_rel, "
                 "fail_relaxed, fail_acquire "
                 "or none (a fence is left out)");
  app.add_flag("--sites", arguments.sites,
               "Print every atomic operation and fence that was reached");
  app.add_flag("--verbose", arguments.verbose, "Print the failures that tests are there to find");
  CLI11_PARSE(app, argc, argv);
  arguments.random = random->count() > 0;
  arguments.pct = pct->count() > 0;
  arguments.has_replay = replay->count() > 0;
  return Run(arguments);
}
