#include "scaling/policy.h"

#include <algorithm>

#include "base/memory.h"
#include "scaling/policy_table.h"
#include "scaling/signals.h"

namespace workpool {
namespace {

constexpr GeneralOptions kUsual;
constexpr double kNsInS = 1e9;
// Between two looks while no task waits, at least.
constexpr uint64_t kCalmTickNs = 100'000'000;

}  // namespace

Policy::Policy(Decider* decider)
    : decider_(decider),
      tick_ns_(static_cast<uint64_t>(kUsual.tick_s * kNsInS)),
      patience_ns_(static_cast<uint64_t>(kUsual.patience_s * kNsInS)) {}

Policy::~Policy() {
  Delete(decider_);
  Delete(floor_);
}

bool Policy::keeps() const { return decider_->keeps(); }

void Policy::Adopt(const LoadSample& sample) { decider_->Adopt(sample); }

Decision Policy::Decide(const LoadSample& sample) {
  const uint64_t now_ns = sample.now_ns;
  // One at least, or a task would have to wait for the next decision to be begun at all.
  const uint32_t least = std::max(sample.workers_min, 1u);
  const uint32_t most = std::max(sample.workers_max, least);
  uint32_t kept = least;

  Decision decision = decider_->Decide(smoothing_.Smooth(sample));
  if (floor_ != nullptr) {
    const Floor::Level level = floor_->At(sample);
    if (level.workers > decision.workers) {
      decision.workers = level.workers;
      decision.reason = Reason::kSchedule;
    }
    decision.again_ns = std::min(decision.again_ns, level.again_ns);
    kept = std::clamp(level.workers, least, most);
  }
  if (decision.workers < least || decision.workers > most) {
    decision.workers = std::clamp(decision.workers, least, most);
    decision.reason = Reason::kBounds;
  }

  // Where idle workers expire the target is a bound, and what is up counts.
  const uint32_t from = keeps() ? sample.target : std::min(sample.target, std::max(Counted(sample), 1u));
  if (keeps() || decision.reason != Reason::kHold) {
    const uint32_t allowed = cooldown_.Allow(now_ns, from, decision.workers);
    if (allowed != decision.workers) {
      const uint64_t next_ns = decision.workers > from ? cooldown_.UpNs(now_ns) : cooldown_.DownNs(now_ns);
      decision.again_ns = std::min(decision.again_ns, next_ns > now_ns ? next_ns : TimeAfter(now_ns, tick_ns_));
      // Bounds that have moved do not wait.
      decision.workers = std::clamp(allowed, least, most);
      decision.reason = Reason::kCooldown;
    }
    if (decision.workers != from) cooldown_.Record(now_ns);
  }
  // What is kept must be looked at until it can fall no further. An idle pool has no tick then.
  const bool settled = decision.workers <= kept && sample.queued == 0 && sample.busy() == 0;
  if (keeps() && !settled && tick_ns_ != kNever) {
    const uint64_t tick_ns = sample.queued > 0 ? tick_ns_ : std::max(tick_ns_, kCalmTickNs);
    decision.again_ns = std::min(decision.again_ns, TimeAfter(now_ns, tick_ns));
  }
  return decision;
}

}  // namespace workpool
