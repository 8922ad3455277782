#include "model/runner.h"

#include <sys/time.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <set>
#include <sstream>

#include "model/heap.h"
#include "model/mutation.h"
#include "model/trace.h"

// assert() in the library ends the schedule, not the program.
extern "C" void __assert_fail(const char* condition, const char* file, unsigned line,
                              const char*) noexcept {
  const char* slash = std::strrchr(file, '/');
  workpool::model::Fail("%s:%u: assertion %s", slash == nullptr ? file : slash + 1, line,
                        condition);
}

namespace workpool::model {
namespace {

std::set<std::string> g_outcomes;
uint64_t g_schedules = 0;  // run so far

void OnSignal(int signal) {
  if (g_running) Fail("signal %d (%s)", signal, strsignal(signal));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// A loop that never comes to a point: plain data gone wrong. Nothing has moved between two ticks.
void OnTick(int) {
  static uint64_t last_schedule = 0;
  static uint32_t last_step = 0;
  const bool same = last_schedule == g_schedules && last_step == g_scheduler.steps();
  last_schedule = g_schedules;
  last_step = g_scheduler.steps();
  if (same && g_running) Fail("a thread loops without touching shared memory");
}

// Use of freed memory mostly ends in a fault, whose handler leaves the virtual thread for good.
void CatchFaults() {
  static char stack[64 * 1024];
  static bool done = false;
  if (std::exchange(done, true)) return;
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof(stack);
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
  action.sa_handler = OnTick;
  action.sa_flags |= SA_RESTART;
  sigaction(SIGVTALRM, &action, nullptr);
  const itimerval tick{{1, 0}, {1, 0}};
  setitimer(ITIMER_VIRTUAL, &tick, nullptr);
}

// One schedule; the text of its failure, empty if there was none.
std::string RunOnce(const Test& test) {
  const auto body = [](void* arg) { static_cast<const Test*>(arg)->body(); };
  std::string failure;
  ++g_schedules;
  if (!g_scheduler.Run(test.options, body, const_cast<Test*>(&test))) {
    failure = g_scheduler.failure();
  } else if (const size_t leaked = g_heap.LeakedBytes(); leaked > 0) {
    failure = std::to_string(leaked) + " bytes leaked";
  }
  g_memory.EndSchedule();
  return failure;
}

std::string Explain(const Test& test, const SearchPlan& plan, uint64_t schedule,
                    const std::string& failure) {
  const std::string choices = g_strategy.Choices();
  std::ostringstream text;
  text << failure << "\n  after " << schedule << " schedules; to repeat it:\n";
  if (plan.mode == Strategy::Mode::kRandom || plan.mode == Strategy::Mode::kPct) {
    text << "    --filter '" << test.name << "' "
         << (plan.mode == Strategy::Mode::kRandom
                 ? "--random 1"
                 : "--pct 1 --depth " + std::to_string(plan.pct_depth))
         << " --seed " << g_strategy.seed() << '\n';
  }
  text << "    --filter '" << test.name << "' --replay '" << choices << "'\n";
  g_strategy.StartReplay(choices);
  StartTrace();
  const std::string again = RunOnce(test);
  text << "  the last operations:\n" << TakeTrace();
  if (again != failure) text << "  (the repetition went another way: \"" << again << "\")\n";
  return text.str();
}

std::set<std::string> Split(const char* text) {
  std::istringstream stream(text);
  std::set<std::string> words;
  for (std::string word; stream >> word;) words.insert(word);
  return words;
}

// Every outcome must be an expected one, and a complete search must have met all of them.
std::string CheckOutcomes(const Test& test, bool complete) {
  if (test.options.outcomes == nullptr) return "";
  const std::set<std::string> expected = Split(test.options.outcomes);
  std::string wrong;
  for (const std::string& outcome : g_outcomes) {
    if (!expected.contains(outcome)) wrong += " unexpected outcome " + outcome;
  }
  for (const std::string& outcome : expected) {
    if (complete && !g_outcomes.contains(outcome)) wrong += " missing outcome " + outcome;
  }
  return wrong;
}

// How many points a schedule has: what PCT spreads its changes over. The same for every seed.
uint32_t MeasureSteps(const Test& test) {
  g_strategy.StartRandom(0);
  (void)RunOnce(test);
  return g_scheduler.steps();
}

void StartStrategy(const Test& test, const SearchPlan& plan) {
  switch (plan.mode) {
    case Strategy::Mode::kDepthFirst:
      g_strategy.StartDepthFirst(test.options.preemptions);
      break;
    case Strategy::Mode::kRandom:
      g_strategy.StartRandom(plan.seed);
      break;
    case Strategy::Mode::kPct:
      g_strategy.StartPct(plan.seed, plan.pct_depth, MeasureSteps(test));
      break;
    case Strategy::Mode::kReplay:
      g_strategy.StartReplay(plan.choices);
      break;
  }
}

}  // namespace

std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

void Observe(const std::string& outcome) { g_outcomes.insert(outcome); }

SearchResult Search(const Test& test, const SearchPlan& plan) {
  using Clock = std::chrono::steady_clock;
  CatchFaults();
  g_outcomes.clear();
  SetSitesTest(test.name);
  SearchResult result;
  const auto begin = Clock::now();
  const auto seconds = [begin] {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  StartStrategy(test, plan);
  for (;;) {
    const std::string failure = RunOnce(test);
    ++result.schedules;
    result.steps += g_scheduler.steps();
    if (!failure.empty()) {
      const bool sought =
          test.options.finds != nullptr && failure.find(test.options.finds) != std::string::npos;
      (sought ? result.found : result.failure) = Explain(test, plan, result.schedules, failure);
      result.failed = !sought;
      break;
    }
    if (!g_strategy.NextSchedule()) {
      result.complete = plan.mode == Strategy::Mode::kDepthFirst;
      break;
    }
    if (result.schedules == plan.schedules_max) break;
    if (result.schedules % 64 == 0 && seconds() >= plan.budget_s) break;
  }
  if (!result.failed && result.found.empty()) result.failure = CheckOutcomes(test, result.complete);
  if (result.failure.empty() && test.options.finds != nullptr && result.found.empty()) {
    result.failure = '"' + std::string(test.options.finds) + "\" was not found";
  }
  result.failed = !result.failure.empty();
  result.seconds = seconds();
  return result;
}

}  // namespace workpool::model
