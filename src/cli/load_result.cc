#include "load_result.h"

#include <algorithm>
#include <cmath>

namespace workpool_cli {
namespace {

double Seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace

Spread SpreadOf(std::vector<uint64_t> times_ns) {
  Spread spread;
  spread.count = times_ns.size();
  if (times_ns.empty()) return spread;
  std::sort(times_ns.begin(), times_ns.end());
  // The smallest time that a share of q does not exceed.
  const auto quantile = [&](double q) {
    const double rank = std::ceil(q * static_cast<double>(times_ns.size()));
    return Seconds(times_ns[static_cast<size_t>(std::max(1.0, rank)) - 1]);
  };
  double sum_s = 0;
  for (uint64_t time_ns : times_ns) sum_s += Seconds(time_ns);
  spread.mean_s = sum_s / static_cast<double>(times_ns.size());
  spread.p50_s = quantile(0.5);
  spread.p90_s = quantile(0.9);
  spread.p99_s = quantile(0.99);
  spread.p999_s = quantile(0.999);
  spread.max_s = Seconds(times_ns.back());
  return spread;
}

double LoadCost::J() const {
  if (nominal_s <= 0) return 0;
  return (thread_s + 10 * delay_s + static_cast<double>(starts + flips) + 10 * static_cast<double>(failed)) / nominal_s;
}

void Judge(const LoadPlan& plan, const std::vector<LoadTask>& tasks, uint64_t start_ns, LoadResult* result) {
  LoadResult& r = *result;
  std::vector<uint64_t> waits, sojourns, late;
  r.scheduled = plan.arrivals.size();
  for (const LoadTask& task : tasks) {
    if (task.submit_ns == 0) continue;
    ++r.arrived;
    const uint64_t due_ns = start_ns + task.plan->at_ns;
    late.push_back(task.submit_ns - std::min(task.submit_ns, due_ns));
    r.cost.nominal_s += Seconds(task.plan->nominal_ns());
    if (task.start_ns != 0) waits.push_back(task.start_ns - task.submit_ns);
    if (task.runs > 1) r.retries += task.runs - 1;
    switch (task.end) {
      case LoadTask::End::kRefused:
        ++r.refused;
        continue;
      case LoadTask::End::kNone:
      case LoadTask::End::kDropped:
        ++r.dropped;
        continue;
      case LoadTask::End::kDone:
        ++r.done;
        break;
      case LoadTask::End::kFailed:
        ++r.failed;
        break;
    }
    const uint64_t sojourn_ns = task.end_ns - std::min(task.end_ns, due_ns);
    sojourns.push_back(sojourn_ns);
    r.cost.delay_s += Seconds(sojourn_ns - std::min(sojourn_ns, task.plan->nominal_ns()));
    r.cpu.planned_s += Seconds(task.plan->cpu_ns + task.plan->locked_ns + task.plan->cpu2_ns) * task.runs;
  }
  r.wait = SpreadOf(std::move(waits));
  r.sojourn = SpreadOf(std::move(sojourns));
  r.late = SpreadOf(std::move(late));
  r.cost.thread_s = r.threads.thread_s;
  r.cost.starts = r.threads.starts;
  r.cost.flips = r.threads.flips;
  r.cost.failed = r.failed + r.refused + r.dropped;
}

}  // namespace workpool_cli
