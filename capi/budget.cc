// Budgets: one cap on the workers of several pools.
#include "base/limits.h"
#include "base/memory.h"
#include "capi/guard.h"

namespace workpool {
namespace {

Status CheckCap(uint32_t workers_max) {
  if (workers_max != 0 && workers_max <= kWorkersMax) return POOL_OK;
  return Fail(POOL_E_INVALID, "workers_max = %u is outside 1 ... %u", workers_max, kWorkersMax);
}

// Takes the budget.
Status Publish(Budget* budget, pool_budget_t* out) {
  if (budget == nullptr) return POOL_E_NOMEM;
  Handles* handles = EnsureHandles();
  const pool_budget_t handle = handles != nullptr ? handles->budgets.Insert(budget) : 0;
  if (handle == 0) {
    budget->Unref();
    return POOL_E_NOMEM;
  }
  *out = handle;
  return POOL_OK;
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_budget_create(uint32_t workers_max, pool_budget_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    const Status status = CheckCap(workers_max);
    return status == POOL_OK ? Publish(New<Budget>(workers_max), out) : status;
  });
}

pool_status_t pool_budget_jobserver(pool_budget_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    Jobserver* jobserver = Jobserver::OfProcess();
    if (jobserver == nullptr) return POOL_E_NOMEM;
    const JobserverState state = jobserver->state();
    if (state == JobserverState::kReady) return Publish(New<Budget>(*jobserver), out);
    const bool none = state == JobserverState::kNone || state == JobserverState::kOff;
    return Fail(none ? POOL_E_NOTFOUND : POOL_E_SYSTEM, "%s; use pool_budget_create", JobserverStateText(state));
  });
}

pool_status_t pool_budget_set(pool_budget_t budget, uint32_t workers_max) {
  return Guard(__func__, [&]() -> Status {
    const Status status = CheckCap(workers_max);
    if (status != POOL_OK) return status;
    return WithHeld<Budget>(&Handles::budgets, budget, [&](Budget& b) -> Status {
      if (b.follows_tokens()) return FailConst(POOL_E_INVALID, "the cap of this budget is what make gives");
      b.SetCap(workers_max);
      return POOL_OK;
    });
  });
}

pool_status_t pool_budget_release(pool_budget_t budget) {
  return Guard(__func__, [&] { return GiveBackHandle(&Handles::budgets, budget); });
}

}  // extern "C"
