#include "load.h"

#include <signal.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "load_clock.h"
#include "load_peers.h"
#include "load_report.h"

namespace workpool_cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// The first ctrl-C ends the run, a second one the program.
void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void CheckOptions(const LoadOptions& o) {
  if (o.traces.empty() && o.shape.shape.empty()) {
    throw std::invalid_argument("it needs --trace FILE or --shape; --help tells");
  }
  if (!o.traces.empty() && o.shape.given()) {
    throw std::invalid_argument("--shape and its options do not go with --trace, which has its own load");
  }
  if (o.emit_schedule && o.traces.size() > 1) throw std::invalid_argument("--emit-schedule takes one trace at a time");
  const WorkpoolOptions& w = o.workpool;
  const bool tuned =
      !w.policy.empty() || w.workers_min != 0 || w.workers_max != 0 || w.keep_alive_s > 0 || !w.settings.empty();
  if (o.pool != "workpool" && (tuned || o.run.announce)) {
    throw std::invalid_argument("--pool " + o.pool +
                                " has no policy, workers, keep-alive, announcements or options to set");
  }
}

// All plans are made first, so that a bad file is told of before anything runs.
std::vector<LoadPlan> Plans(const LoadOptions& o) {
  PlanOptions plan = o.plan;
  plan.cores = o.cores > 0 ? o.cores : CoresHere();
  std::vector<LoadPlan> plans;
  for (const std::string& path : o.traces) plans.push_back(MakePlan(ReadTrace(path), plan));
  if (o.traces.empty()) plans.push_back(MakePlan(MakeShape(o.shape, plan.cores), plan));
  return plans;
}

std::unique_ptr<LoadSubject> MakeSubject(const LoadOptions& o, double cores) {
  if (o.pool == "workpool") return std::make_unique<WorkpoolSubject>(o.workpool);
  return MakePeer(o.pool, cores);
}

// all: nullptr only tries whether it can be written, before anything takes long.
void Save(const std::string& path, const nlohmann::json* all) {
  std::ofstream out(path, all == nullptr ? std::ios::app : std::ios::trunc);
  if (all != nullptr) out << all->dump(1) << "\n";
  if (!out.flush()) throw std::runtime_error("--save " + path + ": cannot be written");
}

}  // namespace

int RunLoads(const LoadOptions& options) {
  CheckOptions(options);
  const std::vector<LoadPlan> plans = Plans(options);
  if (options.emit_schedule) {
    for (const LoadPlan& plan : plans) {
      for (const std::string& note : plan.notes) std::fprintf(stderr, "note: %s\n", note.c_str());
      PrintSchedule(plan);
    }
    return 0;
  }
  if (!options.save.empty()) Save(options.save, nullptr);
  CatchInterrupts();
  nlohmann::json runs = nlohmann::json::array();
  bool drained = true;
  for (const LoadPlan& plan : plans) {
    const std::unique_ptr<LoadSubject> subject = MakeSubject(options, plan.cores);
    PrintPlan(plan);
    const LoadResult result = RunLoad(plan, *subject, options.run, interrupted);
    PrintResult(result);
    runs.push_back(ResultJson(plan, result));
    drained = drained && (result.drained || result.interrupted);
    if (result.interrupted) break;
  }
  const nlohmann::json all = {{"version", pool_version()}, {"runs", runs}};
  if (!options.save.empty()) Save(options.save, &all);
  if (interrupted) return 130;
  return drained ? 0 : 1;
}

}  // namespace workpool_cli
