#include "load_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace workpool_cli {
namespace {

// Each takes some 150 bytes.
constexpr double kArrivalsMax = 20e6;

bool Computes(const TaskKind& kind) { return kind.cpu.mean_s + kind.locked.mean_s + kind.cpu2.mean_s > 0; }

bool Computes(const Trace& trace) {
  for (const Phase& phase : trace.phases) {
    if (std::any_of(phase.tasks.begin(), phase.tasks.end(), [](const TaskKind& kind) { return Computes(kind); }))
      return true;
  }
  return std::any_of(trace.rows.begin(), trace.rows.end(),
                     [](const TraceRow& row) { return row.cpu_s + row.locked_s + row.cpu2_s > 0; });
}

// To two digits: 0.25, not 0.2500001.
double Rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return std::stod(text);
}

void ScaleTime(Trace* trace, double k) {
  trace->duration_s *= k;
  for (CoresStep& step : trace->quota) step.t_s *= k;
  for (NeighbourStep& step : trace->neighbours) step.t_s *= k;
  for (Downstream& d : trace->downstreams) {
    d.from_s *= k;
    d.to_s *= k;
  }
  for (Phase& phase : trace->phases) {
    for (double* t_s : {&phase.from_s, &phase.to_s, &phase.period_s, &phase.burst_every_s, &phase.burst_for_s,
                        &phase.burst_first_s}) {
      *t_s *= k;
    }
  }
  for (TraceRow& row : trace->rows) row.t_s *= k;
}

void ScaleRate(Trace* trace, double k) {
  for (Phase& phase : trace->phases) {
    for (double* rate : {&phase.rate_from, &phase.rate_to, &phase.low, &phase.high, &phase.burst_rate}) *rate *= k;
  }
  for (Downstream& d : trace->downstreams) {
    d.knee *= k;
    if (d.connections > 0) d.connections = static_cast<uint32_t>(std::max(1.0, std::round(d.connections * k)));
  }
}

// k times as many rows, spread evenly over them: some are left out, or come several times.
void ScaleRows(Trace* trace, double k) {
  std::vector<TraceRow> rows;
  double due = 0;
  for (const TraceRow& row : trace->rows) {
    for (due += k; due >= 1 - 1e-9; due -= 1) rows.push_back(row);
  }
  trace->rows = std::move(rows);
}

void ScaleCpu(Trace* trace, double k) {
  for (Phase& phase : trace->phases) {
    for (TaskKind& kind : phase.tasks) {
      for (Distribution* time : {&kind.cpu, &kind.locked, &kind.cpu2}) {
        time->mean_s *= k;
        time->low_s *= k;
        time->high_s *= k;
      }
    }
  }
  for (TraceRow& row : trace->rows) {
    row.cpu_s *= k;
    row.locked_s *= k;
    row.cpu2_s *= k;
  }
}

void ScaleNeighbours(Trace* trace, double k) {
  for (NeighbourStep& step : trace->neighbours) {
    if (step.threads > 0) step.threads = static_cast<uint32_t>(std::max(1.0, std::round(step.threads * k)));
  }
}

void CheckCount(const Trace& trace) {
  double most = static_cast<double>(trace.rows.size());
  for (const Phase& phase : trace.phases) most += phase.RateMax() * (phase.to_s - phase.from_s);
  if (most <= kArrivalsMax) return;
  char text[120];
  std::snprintf(text, sizeof text,
                "there may be %.3g arrivals, more than %.3g: lower the rate, --rate-scale or --time-scale", most,
                kArrivalsMax);
  throw std::invalid_argument(text);
}

}  // namespace

double LoadPlan::cpu_s() const {
  double sum = 0;
  for (const Arrival& a : arrivals) sum += static_cast<double>(a.cpu_ns + a.locked_ns + a.cpu2_ns) / 1e9;
  return sum;
}

double LoadPlan::blocked_s() const {
  double sum = 0;
  for (const Arrival& a : arrivals) sum += static_cast<double>(a.blocked_ns) / 1e9;
  return sum;
}

LoadPlan MakePlan(Trace trace, const PlanOptions& options) {
  LoadPlan plan;
  plan.seed = options.seed;
  plan.cores = options.cores;
  plan.time_scale = options.time_scale;
  plan.cpu_scale = options.cpu_scale.value_or(1);
  const double share = options.cores / trace.cores;
  if (options.rate_scale) {
    plan.rate_scale = *options.rate_scale;
  } else if (!options.cpu_scale && share < 1 && Computes(trace)) {
    plan.rate_scale = Rounded(share);
    char text[160];
    std::snprintf(text, sizeof text, "rates x %g: %g cores here, the trace computes on %g (--rate-scale, --cpu-scale)",
                  plan.rate_scale, options.cores, trace.cores);
    plan.notes.push_back(text);
  }
  if (!trace.mutexes.empty() && plan.rate_scale != 1) {
    plan.notes.push_back("mutexes are held as long as in the trace, by fewer or more tasks");
  }
  if (!trace.quota.empty()) plan.notes.push_back("the trace changes a quota of cores; that is not replayed here");
  ScaleTime(&trace, plan.time_scale);
  ScaleRate(&trace, plan.rate_scale);
  ScaleRows(&trace, plan.time_scale * plan.rate_scale);
  ScaleCpu(&trace, plan.cpu_scale);
  ScaleNeighbours(&trace, share);
  CheckCount(trace);
  plan.arrivals = MakeArrivals(trace, plan.seed);
  plan.trace = std::move(trace);
  return plan;
}

}  // namespace workpool_cli
