// How a pool is scaled: what its scaler is given, and when there is one.
#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/memory.h"
#include "pool/pool.h"
#include "pool/task_rules.h"

namespace workpool {

Status Pool::BeginScaling(const pool_options_t& options, Budget* budget) {
  // Where as many as may be are up at once, there is nothing to decide, and nobody looks.
  if (options.policy == nullptr && budget == nullptr && engine_.workers.max() <= engine_.workers.base()) return POOL_OK;
  Policy* policy = nullptr;
  pool_policy_t named{};
  named.name = options.policy;
  Status status = Policy::Make(named, &policy);
  const bool keeps = status == POOL_OK && policy->keeps();
  if (status == POOL_OK) status = EnsureScaler(policy);
  // Until the first look, which is asked for when the pool is made.
  if (status == POOL_OK && keeps && budget == nullptr) engine_.workers.Aim(1, 1, true);
  looks_first_ = keeps;
  if (status != POOL_OK || budget == nullptr) return status;
  in_budget_ = true;
  const uint32_t weight = options.budget_weight != 0 ? options.budget_weight : 1;
  return scaler_.load(kRelaxed)->JoinBudget(*budget, options.budget_floor, weight);
}

Status Pool::EnsureScaler(Policy* policy) {
  MutexLock lock(scaler_mu_);
  if (scaler_.load(kRelaxed) != nullptr) {
    Delete(policy);  // another thread was faster
    return POOL_OK;
  }
  Scaler* scaler = New<Scaler>(engine_);
  if (scaler == nullptr) {
    Delete(policy);
    return POOL_E_NOMEM;
  }
  if (policy->keep_alive_ns() != 0) engine_.keep_alive_ns.store(policy->keep_alive_ns(), kRelaxed);
  scaler->Begin(policy);
  // release: who finds the census not watched finds the scaler.
  scaler_.store(scaler, kRelease);
  engine_.idle.SetFlags(Census::kUnwatched);
  return POOL_OK;
}

Status Pool::SetPolicy(const pool_policy_t& own) {
  constexpr uint32_t kFlags = POOL_POLICY_SHADOW | POOL_POLICY_KEEP;
  if ((own.flags & ~kFlags) != 0) {
    return Fail(POOL_E_INVALID, "policy.flags = %u has a bit that is no POOL_POLICY_; use 0", own.flags);
  }
  if (own.decide == nullptr && (own.flags & POOL_POLICY_KEEP) != 0) {
    return FailConst(POOL_E_INVALID, "POOL_POLICY_KEEP is for a policy.decide; a policy by name knows itself what it keeps");
  }
  if (own.decide != nullptr && own.name != nullptr) {
    return FailConst(POOL_E_INVALID, "policy.name and policy.decide are both given; one of them is NULL");
  }
  Status status = CheckTime(own.tick_ns, "policy", "tick_ns");
  if (status == POOL_OK) status = CheckTime(own.patience_ns, "policy", "patience_ns");
  if (status == POOL_OK) status = CheckTime(own.call_max_ns, "policy", "call_max_ns");
  if (status != POOL_OK) return status;
  if (engine_.idle.Load().has(Census::kRefuseOutside)) return FailConst(POOL_E_CLOSED, "the pool is closing");
  const bool shadow = (own.flags & POOL_POLICY_SHADOW) != 0;
  Policy* policy = nullptr;
  if (shadow && own.name != nullptr && std::string_view(own.name) == "none") {
    if (scaler_.load(kAcquire) == nullptr) return POOL_OK;
  } else {
    status = Policy::Make(own, &policy);
  }
  return status == POOL_OK ? SetPolicy(policy, shadow) : status;
}

Status Pool::SetPolicy(Policy* policy, bool shadow) {
  const uint64_t own_keep_alive_ns = policy != nullptr ? policy->keep_alive_ns() : 0;
  if (scaler_.load(kAcquire) == nullptr) {
    Policy* first = nullptr;
    const Status parsed = Policy::Parse("auto", &first);
    const Status status = parsed == POOL_OK ? EnsureScaler(first) : parsed;
    if (status != POOL_OK) {
      Delete(policy);
      return status;
    }
  }
  Status status = POOL_OK;
  StoodInFor([&] { status = scaler_.load(kAcquire)->SetPolicy(policy, shadow); });
  if (status == POOL_OK && !shadow) {
    engine_.SetKeepAlive(own_keep_alive_ns != 0 ? own_keep_alive_ns : engine_.option_keep_alive_ns.load(kRelaxed));
  }
  return status;
}

Status Pool::FollowBounds() {
  WorkerSet& workers = engine_.workers;
  if (scaler_.load(kAcquire) == nullptr && workers.max() > workers.base()) {
    const Status status = BeginScaling({}, nullptr);
    if (status != POOL_OK) return status;
  }
  Scaler* scaler = scaler_.load(kAcquire);
  // At once, whenever the scaler comes to it. A budget says itself how few there are.
  const uint32_t target = scaler != nullptr ? workers.target() : workers.base();
  const uint32_t least = in_budget_ ? 0 : workers.min();
  const uint32_t keep = workers.exact() ? std::max(workers.keep().load(kRelaxed), least) : workers.min();
  workers.Aim(std::clamp(target, least, workers.max()), std::min(keep, workers.max()), workers.exact());
  return POOL_OK;
}

void Pool::TellBounds(uint32_t before) {
  Scaler* scaler = scaler_.load(kAcquire);
  if (scaler == nullptr) return;
  if (!engine_.workers.tuned()) scaler->NoteChange(before, engine_.workers.target(), Reason::kBounds);
  (void)scaler->Call();
}

Status Pool::PolicyHistory(char* out, size_t room, size_t* needed) {
  Status status = POOL_E_INVALID;
  if (Scaler* scaler = scaler_.load(kAcquire)) {
    StoodInFor([&] { status = scaler->SaveHistory(out, room, needed); });
    return status;
  }
  return FailConst(status, "the pool has no policy that learns");
}

void Pool::StopScaler(bool wait) {
  if (Scaler* scaler = scaler_.load(kAcquire)) scaler->Stop(wait);
}

void Pool::NoteTune(uint32_t before, uint32_t workers) {
  Scaler* scaler = scaler_.load(kAcquire);
  if (scaler == nullptr) return;
  if (workers == 0) {
    (void)scaler->LookAgain();
  } else {
    scaler->NoteChange(before, workers, Reason::kManual);
  }
}

uint32_t Pool::Decisions(uint64_t after, pool_decision_t* out, uint32_t cap) const {
  const Scaler* scaler = scaler_.load(kAcquire);
  return scaler != nullptr ? scaler->decisions().CopyTo(after, out, cap) : 0;
}

}  // namespace workpool
