#include "scaling/idle_core.h"

#include <algorithm>
#include <cmath>

namespace workpool {
namespace {

uint32_t Whole(double workers) { return static_cast<uint32_t>(std::ceil(workers - 1e-9)); }

// What is up without being asked for: one for each CPU, and the minimum.
uint32_t Base(const LoadSample& sample) {
  return std::min(std::max(Whole(sample.cores), sample.workers_min), sample.workers_max);
}

}  // namespace

IdleCore::IdleCore(const IdleCoreOptions& options) : options_(options), search_(options.search) {}

void IdleCore::Adopt(const LoadSample& sample) {
  (void)sample;
  search_.Reset();
}

Decision IdleCore::Decide(const LoadSample& sample) {
  const uint32_t base = Base(sample);
  if (sample.dt_ns == 0) return {std::max(sample.target, base), Reason::kHold};
  // Those that have just been let up all compute at first: what lasts counts.
  const double kept = std::exp(-sample.dt_s() / options_.trim_memory_s);
  runnable_ = runnable_ * kept + sample.runnable * (1 - kept);
  if (std::min(runnable_, sample.runnable) > options_.trim_at * sample.cores && sample.target > base) {
    const double share = options_.trim_to * sample.cores / runnable_;
    const uint32_t fewer = std::max(base, Whole(std::min(sample.target, sample.busy()) * share));
    if (fewer < sample.target) return {fewer, Reason::kTrimmed};
  }
  const bool starved = sample.queued > 0 && sample.head_age_s() >= options_.patience_s;
  uint32_t wanted = std::max(sample.target, base);
  Reason reason = Reason::kHold;
  if (starved) {
    const Decision grown = Grow(sample);
    wanted = std::max(wanted, grown.workers);
    reason = grown.reason;
  }
  const double free_level = std::max({options_.free_workers, 2 * sample.cores, 2 * search_.proven()}) + sample.hung;
  const Decision allowed = search_.Allow(sample, wanted, base, free_level, starved);
  if (allowed.workers > sample.target && allowed.reason == Reason::kStarved && reason != Reason::kHold) {
    return {allowed.workers, reason};
  }
  return allowed;
}

Decision IdleCore::Grow(const LoadSample& sample) {
  const Decision hold{sample.target, Reason::kHold};
  // Those that may be up already are still on their way.
  const uint32_t busy = sample.busy() - std::min(sample.blocked, sample.busy());
  if (busy < sample.target) return hold;
  const double reserve = std::max(options_.reserve_cores, options_.reserve_share * sample.cores);
  const double idle = sample.idle_cores();
  if (idle <= reserve) {
    // The CPUs are at work; hung workers, which are not, are stood in for all the same.
    const uint32_t compensated = std::min(Base(sample) + sample.hung, sample.workers_max);
    return compensated > sample.target ? Decision{compensated, Reason::kCompensated} : hold;
  }
  const double share = std::max(options_.cpu_share_min, sample.runnable / std::max<uint32_t>(busy, 1));
  const double service_s = sample.service_s > 0 ? sample.service_s : options_.drain_s;
  const double demand = static_cast<double>(sample.queued) * service_s / options_.drain_s;
  const double add = std::min({idle / share, demand, (options_.growth - 1) * std::max(busy, 1u),
                               static_cast<double>(sample.queued)});
  return {sample.target + std::max(1u, Whole(add)), sample.hung >= busy ? Reason::kCompensated : Reason::kStarved};
}

}  // namespace workpool
