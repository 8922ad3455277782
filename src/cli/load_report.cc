#include "load_report.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace workpool_cli {
namespace {

using Json = nlohmann::json;

void SpreadRow(const char* name, const Spread& s) {
  std::printf("  %-10s %10.3f %10.3f %10.3f %10.3f %10.3f %10.3f\n", name, s.mean_s * 1e3, s.p50_s * 1e3, s.p90_s * 1e3,
              s.p99_s * 1e3, s.p999_s * 1e3, s.max_s * 1e3);
}

Json SpreadJson(const Spread& s) {
  return {{"count", s.count},     {"mean", s.mean_s * 1e3}, {"p50", s.p50_s * 1e3}, {"p90", s.p90_s * 1e3},
          {"p99", s.p99_s * 1e3}, {"p999", s.p999_s * 1e3}, {"max", s.max_s * 1e3}};
}

Json RowJson(const SeriesRow& row) {
  return {{"t_s", row.t_s},
          {"arrivals_per_s", row.arrivals_per_s},
          {"ended_per_s", row.ended_per_s},
          {"wait_max_ms", row.wait_max_ms},
          {"workers", row.workers},
          {"busy", row.busy},
          {"target", row.target ? Json(*row.target) : Json()},
          {"queued", row.queued}};
}

double WorkersMean(const LoadResult& r) { return r.elapsed_s > 0 ? r.threads.thread_s / r.elapsed_s : 0; }

}  // namespace

void PrintPlan(const LoadPlan& plan) {
  const double count = std::max<double>(1, static_cast<double>(plan.arrivals.size()));
  std::printf(
      "load %s: %zu arrivals in %.1f s, each %.3f ms CPU and %.3f ms blocked in the mean; seed "
      "%" PRIu64 "\n",
      plan.trace.name.c_str(), plan.arrivals.size(), plan.trace.duration_s, plan.cpu_s() / count * 1e3,
      plan.blocked_s() / count * 1e3, plan.seed);
  if (!plan.trace.note.empty()) std::printf("  trace: %s\n", plan.trace.note.c_str());
  for (const std::string& note : plan.notes) std::printf("  note: %s\n", note.c_str());
  std::printf("  the tasks' CPU is %.2f of %g cores\n", plan.cpu_s() / plan.trace.duration_s, plan.cores);
  std::fflush(stdout);
}

void PrintResult(const LoadResult& r) {
  std::printf("pool %s: %.1f s%s%s\n", r.pool.c_str(), r.elapsed_s, r.interrupted ? ", interrupted" : "",
              r.drained ? "" : ", NOT DRAINED: what had not ended was given up");
  std::printf("  tasks      arrived %" PRIu64 " of %" PRIu64 "  refused %" PRIu64 "  done %" PRIu64 "  failed %" PRIu64
              "  dropped %" PRIu64 "  retries %" PRIu64 "\n",
              r.arrived, r.scheduled, r.refused, r.done, r.failed, r.dropped, r.retries);
  std::printf("  %-10s %10s %10s %10s %10s %10s %10s\n", "ms", "mean", "p50", "p90", "p99", "p99.9", "max");
  SpreadRow("wait", r.wait);
  SpreadRow("sojourn", r.sojourn);
  SpreadRow("submit late", r.late);
  std::printf("  workers    mean %.1f  most %" PRIu32 "  starts %" PRIu64 "  thread-seconds %.1f  flips %" PRIu32 "\n",
              WorkersMean(r), r.threads.most, r.threads.starts, r.threads.thread_s, r.threads.flips);
  std::printf(
      "  CPU s      pool %.2f (tasks %.2f)  submitter %.2f  sampler %.2f  server %.2f  "
      "neighbours %.2f\n",
      r.cpu.pool_s(), r.cpu.planned_s, r.cpu.submitter_s, r.cpu.sampler_s, r.cpu.server_s, r.cpu.neighbours_s);
  if (r.told.contains("decision_reasons")) {
    std::printf("  decisions ");
    for (const auto& [reason, count] : r.told["decision_reasons"].items()) {
      std::printf(" %s %d ", reason.c_str(), count.get<int>());
    }
    std::printf("%s\n", r.told["decision_reasons"].empty() ? " none" : "");
    for (const auto& [text, count] : r.told["refusals"].items()) {
      std::printf("  refused    %" PRIu64 ": %s\n", count.get<uint64_t>(), text.c_str());
    }
  }
  std::printf("  J          %.3f, without the excess of runnable threads\n", r.cost.J());
  std::fflush(stdout);
}

Json ResultJson(const LoadPlan& plan, const LoadResult& r) {
  Json told = r.told;
  told.erase("start_ns");
  Json series = Json::array();
  for (const SeriesRow& row : r.series) series.push_back(RowJson(row));
  return {
      {"trace", plan.trace.name},
      {"seed", plan.seed},
      {"cores", plan.cores},
      {"time_scale", plan.time_scale},
      {"rate_scale", plan.rate_scale},
      {"cpu_scale", plan.cpu_scale},
      {"notes", plan.notes},
      {"duration_s", plan.trace.duration_s},
      {"pool", r.pool},
      {"interrupted", r.interrupted},
      {"drained", r.drained},
      {"elapsed_s", r.elapsed_s},
      {"scheduled", r.scheduled},
      {"arrived", r.arrived},
      {"refused", r.refused},
      {"done", r.done},
      {"failed", r.failed},
      {"dropped", r.dropped},
      {"retries", r.retries},
      {"wait_ms", SpreadJson(r.wait)},
      {"sojourn_ms", SpreadJson(r.sojourn)},
      {"late_ms", SpreadJson(r.late)},
      {"workers",
       {{"mean", WorkersMean(r)},
        {"most", r.threads.most},
        {"starts", r.threads.starts},
        {"thread_s", r.threads.thread_s},
        {"flips", r.threads.flips}}},
      {"cpu_s",
       {{"process", r.cpu.process_s},
        {"pool", r.cpu.pool_s()},
        {"tasks", r.cpu.planned_s},
        {"submitter", r.cpu.submitter_s},
        {"sampler", r.cpu.sampler_s},
        {"server", r.cpu.server_s},
        {"neighbours", r.cpu.neighbours_s}}},
      {"cost",
       {{"j", r.cost.J()}, {"delay_s", r.cost.delay_s}, {"nominal_s", r.cost.nominal_s}, {"failed", r.cost.failed}}},
      {"series", series},
      {"told", told},
  };
}

void PrintSchedule(const LoadPlan& plan) {
  const auto us = [](uint64_t ns) { return (ns + 500) / 1000; };
  for (const Arrival& a : plan.arrivals) {
    std::printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", us(a.at_ns), us(a.cpu_ns + a.locked_ns),
                us(a.blocked_ns), us(a.cpu2_ns));
  }
}

}  // namespace workpool_cli
