#include "contest.h"

#include <algorithm>
#include <cmath>

namespace workpool::sim {
namespace {

constexpr double kSegmentS = kSegmentNs * 1e-9;

// What a policy did, as schedules for the oracle to begin with.
void AddStarts(const Result& result, std::vector<std::vector<uint32_t>>* starts) {
  std::vector<uint32_t> live, busy;
  for (const Piece& piece : result.series) {
    live.push_back(static_cast<uint32_t>(std::round(piece.live_s / kSegmentS)));
    busy.push_back(static_cast<uint32_t>(std::ceil(piece.busy_s / kSegmentS)));
  }
  starts->push_back(std::move(live));
  starts->push_back(std::move(busy));
}

// All policies with one seed; row: the verdicts of this trace.
void RunOne(const Case& c, const ContestOptions& options, OracleCache* cache, Verdict* row, OracleRow* oracle) {
  Options run = options.run;
  if (options.oracle) run.series_s = kSegmentS;
  std::vector<std::vector<uint32_t>> starts;
  double least = kNeverS;
  for (size_t i = 0; i < options.policies.size(); ++i) {
    Result result = RunPolicy(c, options.policies[i], run);
    least = std::min(least, result.cost.J());
    AddStarts(result, &starts);
    row[i].results.push_back(std::move(result));
  }
  if (!options.oracle) return;
  OracleOptions search;
  search.workers_max = options.run.workers_max;
  search.events_max = options.oracle_events;
  oracle->schedules.push_back(cache->Get(c, starts, search));
  const Schedule& found = oracle->schedules.back();
  const double j = std::min({least, found.result.cost.J(), found.fixed_j});
  for (size_t i = 0; i < options.policies.size(); ++i) row[i].oracle_j.push_back(j);
}

}  // namespace

double GeometricMean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

double Verdict::J() const {
  return Mean([](const Result& r) { return r.cost.J(); });
}

double Verdict::Mean(double (*figure)(const Result&)) const {
  double sum = 0;
  for (const Result& r : results) sum += figure(r);
  return results.empty() ? 0 : sum / static_cast<double>(results.size());
}

double Verdict::Ratio() const {
  std::vector<double> ratios;
  for (size_t i = 0; i < oracle_j.size(); ++i) ratios.push_back(results[i].cost.J() / oracle_j[i]);
  return GeometricMean(ratios);
}

std::vector<std::string> PoliciesOf(const Contest& contest) {
  std::vector<std::string> names;
  for (const Verdict& v : contest.verdicts) {
    if (std::find(names.begin(), names.end(), v.policy) == names.end()) names.push_back(v.policy);
  }
  return names;
}

Contest RunContest(const std::vector<Trace>& traces, const ContestOptions& options) {
  Contest contest;
  OracleCache cache(options.oracle_cache);
  for (const Trace& trace : traces) {
    const size_t first = contest.verdicts.size();
    OracleRow oracle{trace.name, {}};
    for (uint64_t i = 0; i < options.seeds; ++i) {
      const Case c(trace, options.seed_first + i);
      if (i == 0) {
        for (const std::string& policy : options.policies) {
          contest.verdicts.push_back({policy, trace.name, c.shared_bottleneck(), {}, {}});
        }
      }
      RunOne(c, options, &cache, contest.verdicts.data() + first, &oracle);
    }
    if (options.oracle) contest.oracle.push_back(std::move(oracle));
  }
  return contest;
}

}  // namespace workpool::sim
