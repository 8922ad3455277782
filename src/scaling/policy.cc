#include "scaling/policy.h"

#include <algorithm>

#include "base/error.h"
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

Status Policy::Make(const pool_policy_t& own, Policy** out) {
  *out = nullptr;
  Policy* policy = nullptr;
  Status status = POOL_OK;
  if (own.decide == nullptr) {
    status = Parse(own.name != nullptr ? own.name : "auto", &policy);
    if (status != POOL_OK) return status;
  } else {
    OwnDecider* decider = New<OwnDecider>(own);
    policy = decider != nullptr ? New<Policy>(decider) : nullptr;
    if (policy == nullptr) {
      Delete(decider);
      return FailConst(POOL_E_NOMEM, "no memory for a policy");
    }
  }
  status = policy->TakeParts(own);
  if (status != POOL_OK) {
    Delete(policy);
    return status;
  }
  *out = policy;
  return POOL_OK;
}

Status Policy::TakeParts(const pool_policy_t& own) {
  own_ = OwnParts(own);
  if (own_.has_signal() != decider_->reads_own() && own.decide == nullptr) {
    return own_.has_signal() ? FailConst(POOL_E_INVALID, "policy.signal is given, and the policy named reads none; use "
                                                         "'ewma,signal=own', or give decide")
                             : FailConst(POOL_E_INVALID, "signal=own in a policy needs policy.signal (pool_set_policy)");
  }
  if (own.history != nullptr) {
    if (floor_ == nullptr) return FailConst(POOL_E_INVALID, "policy.history is for one that learns: seasonal");
    const Status status = floor_->Load(own.history);
    if (status != POOL_OK) return status;
  }
  if (own.tick_ns != 0) tick_ns_ = static_cast<uint64_t>(own.tick_ns);
  if (own.patience_ns != 0) patience_ns_ = static_cast<uint64_t>(own.patience_ns);
  if (own.call_max_ns != 0) own_max_ns_ = static_cast<uint64_t>(own.call_max_ns);
  return POOL_OK;
}

void Policy::Dismiss() {
  dismissed_ = true;
  own_.Dismiss();
}

bool Policy::MayGoOn(uint64_t took_ns) {
  own_slow_ = took_ns > own_max_ns_ ? own_slow_ + 1 : 0;
  return own_slow_ < kOwnSlowMax || dismissed_;
}

size_t Policy::SaveHistory(char* out, size_t room) const {
  return floor_ != nullptr ? floor_->Save(out, room) : 0;
}

Decision Policy::Decide(const LoadSample& seen) {
  if (!own_.any()) return DecideOn(seen);
  LoadSample sample = seen;
  const Decision hold{seen.target, Reason::kHold};
  if (!own_.Measure(seen, &sample.own) || dismissed_) return hold;
  Decision decision = DecideOn(sample);
  if (dismissed_) return hold;
  decision.signal = sample.own;
  return decision;
}

Decision Policy::DecideOn(const LoadSample& sample) {
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
    const uint32_t unchanged = std::clamp(sample.target, least, most);
    if (decision.workers != unchanged && !own_.MayChange(sample, decision.workers)) {
      decision.workers = unchanged;
      decision.reason = Reason::kCooldown;
    } else if (decision.workers != from) {
      cooldown_.Record(now_ns);
    }
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
