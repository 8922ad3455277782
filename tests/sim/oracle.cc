#include "oracle.h"

#include <algorithm>
#include <cmath>

namespace workpool::sim {
namespace {

constexpr double kSegmentS = kSegmentNs * 1e-9;
// What a change does is watched for so long after it.
constexpr double kTailS = 3;
// A round that gains less is the last one.
constexpr double kGainMin = 3e-4;

// Adds one task's stay from from_s to to_s to the segments it falls in.
void AddStay(double from_s, double to_s, std::vector<double>* segments) {
  for (size_t i = static_cast<size_t>(from_s / kSegmentS); i < segments->size(); ++i) {
    const double begin_s = static_cast<double>(i) * kSegmentS, end_s = begin_s + kSegmentS;
    if (begin_s >= to_s) return;
    (*segments)[i] += (std::min(end_s, to_s) - std::max(begin_s, from_s)) / kSegmentS;
  }
}

}  // namespace

Oracle::Oracle(const Case& c, const OracleOptions& options)
    : case_(c),
      options_(options),
      segments_(static_cast<size_t>(std::ceil(c.trace.duration_s / kSegmentS - 1e-9))),
      demand_(segments_, 0.0),
      best_cost_(kNeverS) {
  run_.workers_max = options.workers_max;
  run_.waits = false;
  for (const Arrival& task : c.arrivals) {
    const double at_s = static_cast<double>(task.at_ns) * 1e-9;
    double call_s = static_cast<double>(task.blocked_ns) * 1e-9;
    bool fails = false;
    if (task.downstream >= 0) {
      call_s = c.trace.downstreams[static_cast<size_t>(task.downstream)].CallS(call_s, at_s, 1, &fails);
    }
    AddStay(at_s, at_s + call_s + static_cast<double>(task.nominal_ns() - task.blocked_ns) * 1e-9, &demand_);
  }
}

uint32_t Oracle::Clamped(double workers) const {
  return static_cast<uint32_t>(std::clamp(std::round(workers), 1.0, static_cast<double>(options_.workers_max)));
}

void Oracle::Start(std::vector<uint32_t> targets) {
  if (targets.empty()) targets.push_back(1);
  targets.resize(segments_, targets.back());
  for (const double factor : {1.0, 1.1, 1.25, 0.9}) {
    std::vector<uint32_t> scaled = targets;
    for (uint32_t& target : scaled) target = Clamped(target * factor);
    Try(scaled);
    if (factor == 1.0) TryKnees(scaled);
  }
}

Schedule Oracle::Find() {
  TryFixed();
  TryDemand();
  Descend();
  found_.targets = best_;
  found_.result = RunTable(case_, best_, kSegmentNs, [this] {
    Options options = run_;
    options.waits = true;
    return options;
  }());
  return found_;
}

bool Oracle::Try(const std::vector<uint32_t>& targets) {
  ++found_.tried;
  const TableSteering steering(targets, kStartNs, kSegmentNs);
  TableSteering own = steering;
  Simulation run(case_.trace, case_.arrivals, own, run_);
  const bool whole = run.RunTo(kNeverS, best_cost_);
  events_ += run.events();
  if (!whole) return false;
  const double cost = run.Finish().cost.Sum();
  if (cost >= best_cost_) return false;
  best_cost_ = cost;
  best_ = targets;
  return true;
}

void Oracle::TryFixed() {
  const double peak = demand_.empty() ? 1 : *std::max_element(demand_.begin(), demand_.end());
  const double most = std::min<double>(options_.workers_max, 2 * peak + 2 * case_.trace.cores + 16);
  double fixed_cost = kNeverS;
  for (double n = 1; n <= most; n = std::max(n + 1, std::floor(n * 1.12))) {
    const std::vector<uint32_t> targets(segments_, Clamped(n));
    TableSteering steering(targets, kStartNs, kSegmentNs);
    Simulation run(case_.trace, case_.arrivals, steering, run_);
    ++found_.tried;
    const bool whole = run.RunTo(kNeverS, fixed_cost);
    events_ += run.events();
    if (!whole) continue;
    const Cost cost = run.Finish().cost;
    if (cost.Sum() >= fixed_cost) continue;
    fixed_cost = cost.Sum();
    found_.fixed_best = targets[0];
    found_.fixed_j = cost.J();
  }
  if (found_.fixed_best > 0) {
    Try(std::vector<uint32_t>(segments_, found_.fixed_best));
    TryKnees(std::vector<uint32_t>(segments_, found_.fixed_best));
  }
}

void Oracle::TryDemand() {
  for (const size_t near : {size_t{0}, size_t{1}, size_t{3}}) {
    for (const double factor : {1.0, 1.1, 1.25}) {
      for (const double margin : {0.0, 0.5, 1.0, 1.5, 2.0, 3.0}) {
        std::vector<uint32_t> targets(segments_);
        for (size_t i = 0; i < segments_; ++i) {
          double demand = 0;
          for (size_t k = i - std::min(i, near); k <= std::min(i + near, segments_ - 1); ++k) {
            demand = std::max(demand, demand_[k]);
          }
          targets[i] = Clamped(std::ceil(factor * demand + margin * std::sqrt(demand)));
        }
        Try(targets);
        TryKnees(targets);
      }
    }
  }
}

// The same with a limit near the knee while what is called slows under load.
void Oracle::TryKnees(const std::vector<uint32_t>& targets) {
  for (const workpool_cli::Downstream& called : case_.trace.downstreams) {
    const double knee = called.knee > 0 ? called.knee : called.connections;
    if (knee <= 0) continue;
    for (const double factor : {0.75, 0.9, 1.0, 1.1, 1.25, 1.5}) {
      std::vector<uint32_t> limited = targets;
      for (size_t i = 0; i < segments_; ++i) {
        const double t_s = static_cast<double>(i) * kSegmentS;
        if (t_s + kSegmentS > called.from_s && t_s < called.to_s)
          limited[i] = std::min(limited[i], Clamped(knee * factor));
      }
      Try(limited);
      for (uint32_t& target : limited) target = std::min(target, Clamped(knee * factor));
      Try(limited);
    }
  }
}

void Oracle::Descend() {
  const size_t tail = static_cast<size_t>(kTailS / kSegmentS);
  for (uint64_t round = 0; round < options_.rounds_max && events_ < options_.events_max; ++round) {
    const double before = best_cost_;
    for (size_t block = segments_; block > 1; block = (block + 1) / 2) Sweep(block, tail);
    Sweep(1, tail);
    Sweep(2, 2 * tail);
    if (best_cost_ > before * (1 - kGainMin)) break;
  }
}

// From here to the end of segment until, and what that leaves behind.
double Oracle::CostOf(const Simulation& from, size_t until) {
  Simulation run(from);
  const uint64_t events = run.events();
  ++found_.tried;
  double cost;
  if (until >= segments_) {
    cost = run.RunTo(kNeverS, 2 * best_cost_) ? run.Finish().cost.Sum() : kNeverS;
  } else {
    run.RunTo(static_cast<double>(until) * kSegmentS);
    cost = run.CostSoFar();
  }
  events_ += run.events() - events;
  return cost;
}

bool Oracle::Sweep(size_t block, size_t tail) {
  std::vector<uint32_t> targets = best_;
  TableSteering steering(targets, kStartNs, kSegmentNs);  // reads what targets are then
  Simulation run(case_.trace, case_.arrivals, steering, run_);
  bool changed = false;
  for (size_t at = 0; at < segments_ && events_ < options_.events_max; at += std::max<size_t>(block / 2, 1)) {
    run.RunTo(static_cast<double>(at) * kSegmentS);
    const size_t length = std::min(block, segments_ - at), until = at + length + tail;
    Moves(targets, at, length);
    const auto piece = targets.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector<uint32_t> best(piece, piece + static_cast<std::ptrdiff_t>(length));
    double least = CostOf(run, until);
    for (const std::vector<uint32_t>& move : moves_) {
      std::copy(move.begin(), move.end(), piece);
      const double cost = CostOf(run, until);
      if (cost >= least) continue;
      least = cost;
      best = move;
      changed = true;
    }
    std::copy(best.begin(), best.end(), piece);
  }
  return changed && Try(targets);
}

void Oracle::Propose(const std::vector<uint32_t>& move, const std::vector<uint32_t>& all, size_t at) {
  if (std::equal(move.begin(), move.end(), all.begin() + static_cast<std::ptrdiff_t>(at))) return;
  if (std::find(moves_.begin(), moves_.end(), move) == moves_.end()) moves_.push_back(move);
}

// What the block from at on could be instead.
void Oracle::Moves(const std::vector<uint32_t>& all, size_t at, size_t block) {
  moves_.clear();
  const auto piece = all.begin() + static_cast<std::ptrdiff_t>(at);
  const std::vector<uint32_t> now(piece, piece + static_cast<std::ptrdiff_t>(block));
  std::vector<uint32_t> move(block);
  const auto propose = [&](auto figure) {
    for (size_t i = 0; i < block; ++i) move[i] = Clamped(figure(static_cast<double>(now[i])));
    Propose(move, all, at);
  };
  for (const double factor : {0.7, 0.85, 0.95, 1.05, 1.2, 1.5}) propose([&](double n) { return n * factor; });
  for (const double step : {-1.0, 1.0}) propose([&](double n) { return n + step; });
  // Level with itself or with a neighbour: every turn costs starts.
  if (at > 0) propose([&](double) { return all[at - 1]; });
  if (at + block < all.size()) propose([&](double) { return all[at + block]; });
  if (block > 1) {
    double sum = 0;
    for (const uint32_t n : now) sum += n;
    const double most = *std::max_element(now.begin(), now.end());
    propose([&](double) { return sum / static_cast<double>(block); });
    propose([&](double) { return most; });
  }
}

}  // namespace workpool::sim
