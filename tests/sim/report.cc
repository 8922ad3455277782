#include "report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace workpool::sim {
namespace {

double WaitMs(const Result& r) { return r.wait_p99_s * 1e3; }
double Workers(const Result& r) { return r.workers_mean; }
double Peak(const Result& r) { return r.workers_peak; }
double Starts(const Result& r) { return static_cast<double>(r.cost.starts); }
double FlipsOf(const Result& r) { return static_cast<double>(r.cost.flips); }
double Failed(const Result& r) { return static_cast<double>(r.cost.failed); }
// The parts of J.
double ThreadPart(const Result& r) { return r.cost.thread_s / r.cost.nominal_s; }
double DelayPart(const Result& r) { return 10 * r.cost.delay_s / r.cost.nominal_s; }
double StartPart(const Result& r) { return static_cast<double>(r.cost.starts) / r.cost.nominal_s; }
double ExcessPart(const Result& r) { return r.cost.excess_s / r.cost.nominal_s; }
double FlipPart(const Result& r) { return static_cast<double>(r.cost.flips) / r.cost.nominal_s; }
double FailedPart(const Result& r) { return 10 * static_cast<double>(r.cost.failed) / r.cost.nominal_s; }

struct Column {
  const char* name;
  double (*figure)(const Result&);
  int decimals;
};
constexpr Column kColumns[] = {
    {"thread", ThreadPart, 2}, {"delay", DelayPart, 2},   {"start", StartPart, 2}, {"excess", ExcessPart, 2},
    {"flip", FlipPart, 2},     {"failed", FailedPart, 2}, {"p99_ms", WaitMs, 1},   {"workers", Workers, 1},
    {"peak", Peak, 0},         {"starts", Starts, 0},     {"flips", FlipsOf, 0},   {"fails", Failed, 0},
};

struct Means {
  double j = 0;
  double ratio = 0;
  double ratio_free = 0;  // traces without a shared bottleneck
  double ratio_shared = 0;
};

Means MeansOf(const Contest& contest, const std::string& policy) {
  std::vector<double> j, ratio, unshared, shared;
  for (const Verdict& v : contest.verdicts) {
    if (v.policy != policy) continue;
    j.push_back(v.J());
    if (v.oracle_j.empty()) continue;
    ratio.push_back(v.Ratio());
    (v.shared_bottleneck ? shared : unshared).push_back(v.Ratio());
  }
  return {GeometricMean(j), GeometricMean(ratio), GeometricMean(unshared), GeometricMean(shared)};
}

Verdict OracleVerdict(const OracleRow& row) {
  Verdict v;
  v.policy = "oracle";
  v.trace = row.trace;
  for (const Schedule& schedule : row.schedules) v.results.push_back(schedule.result);
  return v;
}

void PrintRow(const std::string& name, const Verdict& v, bool with_ratio) {
  std::printf("%-18s %9.3f ", name.c_str(), v.J());
  if (with_ratio && !v.oracle_j.empty()) {
    std::printf("%7.2f", v.Ratio());
  } else {
    std::printf("%7s", "");
  }
  for (const Column& column : kColumns) std::printf(" %8.*f", column.decimals, v.Mean(column.figure));
  std::printf("\n");
}

void PrintHead(const std::string& title) {
  std::printf("\n%-18s %9s %7s", title.c_str(), "J", "/oracle");
  for (const Column& column : kColumns) std::printf(" %8s", column.name);
  std::printf("\n");
}

nlohmann::json JsonOf(const Verdict& v) {
  nlohmann::json json = {{"policy", v.policy}, {"trace", v.trace}, {"j", v.J()}};
  for (const Column& column : kColumns) json[column.name] = v.Mean(column.figure);
  return json;
}

}  // namespace

void PrintTable(const Contest& contest) {
  std::printf("J and its parts: what each adds to J. workers: mean; delay counts ten times, a failed task as 10 s.\n");
  if (!contest.oracle.empty()) {
    PrintHead("oracle");
    for (const OracleRow& row : contest.oracle) PrintRow(row.trace, OracleVerdict(row), false);
  }
  for (const std::string& policy : PoliciesOf(contest)) {
    PrintHead(policy);
    for (const Verdict& v : contest.verdicts) {
      if (v.policy == policy) PrintRow(v.trace, v, true);
    }
    const Means means = MeansOf(contest, policy);
    std::printf("%-18s %9.3f", "geometric mean", means.j);
    if (means.ratio > 0) {
      std::printf(" %7.2f; without a shared bottleneck %.2f, with one %.2f", means.ratio, means.ratio_free,
                  means.ratio_shared);
    }
    std::printf("\n");
  }
}

void PrintJson(const Contest& contest) {
  nlohmann::json runs = nlohmann::json::array(), oracles = nlohmann::json::array(), means = nlohmann::json::object();
  for (const Verdict& v : contest.verdicts) {
    nlohmann::json json = JsonOf(v);
    json["shared_bottleneck"] = v.shared_bottleneck;
    json["seeds"] = v.results.size();
    if (!v.oracle_j.empty()) json["ratio"] = v.Ratio();
    runs.push_back(json);
  }
  for (const OracleRow& row : contest.oracle) {
    nlohmann::json json = JsonOf(OracleVerdict(row));
    json["fixed_best"] = row.schedules[0].fixed_best;
    json["fixed_j"] = row.schedules[0].fixed_j;
    json["tried"] = row.schedules[0].tried;
    json["segment_s"] = kSegmentNs * 1e-9;
    json["targets"] = row.schedules[0].targets;
    oracles.push_back(json);
  }
  for (const std::string& policy : PoliciesOf(contest)) {
    const Means m = MeansOf(contest, policy);
    means[policy] = {{"j", m.j}};
    if (m.ratio == 0) continue;
    means[policy].update({{"ratio", m.ratio}, {"ratio_free", m.ratio_free}, {"ratio_shared", m.ratio_shared}});
  }
  const nlohmann::json all = {{"runs", runs}, {"oracle", oracles}, {"geometric_means", means}};
  std::printf("%s\n", all.dump(1).c_str());
}

bool WriteSeries(const std::string& path, const Result& result, double piece_s) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  std::fprintf(file, "t_s,arrivals_per_s,workers,busy,target,wait_mean_ms,wait_max_ms\n");
  for (const Piece& piece : result.series) {
    const double mean_s = piece.waits > 0 ? piece.wait_sum_s / static_cast<double>(piece.waits) : 0;
    std::fprintf(file, "%.3f,%.1f,%.2f,%.2f,%u,%.3f,%.3f\n", piece.t_s, static_cast<double>(piece.arrived) / piece_s,
                 piece.live_s / piece_s, piece.busy_s / piece_s, piece.target, mean_s * 1e3, piece.wait_max_s * 1e3);
  }
  return std::fclose(file) == 0;
}

}  // namespace workpool::sim
