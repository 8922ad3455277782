// Policies, and what they decide.
#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "base/memory.h"
#include "capi/guard.h"
#include "capi/structs.h"

using namespace workpool;

extern "C" {

pool_status_t pool_policy_init(pool_policy_t* policy, uint32_t size) {
  return Guard(__func__, [&] { return InitStruct(policy, size, "policy"); });
}

pool_status_t pool_set_policy(pool_t pool, const pool_policy_t* policy) {
  return Guard(__func__, [&]() -> Status {
    if (policy == nullptr) return FailConst(POOL_E_INVALID, "policy is NULL");
    pool_policy_t own{};
    Status status = CopyIn(policy, "policy", &own);
    if (status == POOL_OK) status = RefuseShared(pool, "given a policy");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.SetPolicy(own); });
  });
}

pool_status_t pool_policy_history(pool_t pool, char* buf, size_t cap, size_t* needed) {
  return Guard(__func__, [&]() -> Status {
    if (buf == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "buf is NULL with cap > 0");
    size_t length = 0;
    const Status status = WithPool(pool, [&](Pool& p) { return p.PolicyHistory(buf, cap, &length); });
    if (needed != nullptr) *needed = length;
    return status;
  });
}

pool_status_t pool_decisions(pool_t pool, uint64_t after, void* out, uint32_t elem_size, uint32_t cap, uint32_t* n) {
  return Guard(__func__, [&]() -> Status {
    if (n == nullptr) return FailConst(POOL_E_INVALID, "n is NULL");
    *n = 0;
    if (out == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "out is NULL with cap > 0");
    const Status status = CheckOutSize(elem_size, "out");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) -> Status {
      absl::InlinedVector<pool_decision_t, 16> list(std::min(cap, DecisionRing::kSize));
      *n = p.Decisions(after, list.data(), static_cast<uint32_t>(list.size()));
      for (uint32_t i = 0; i < *n; ++i) {
        CopyOut(list[i], reinterpret_cast<pool_decision_t*>(static_cast<char*>(out) + size_t{i} * elem_size), elem_size);
      }
      return POOL_OK;
    });
  });
}

const char* pool_reason_name(int32_t reason) {
  return reason >= POOL_REASON_HOLD && reason <= POOL_REASON_BOUNDS ? ReasonName(static_cast<Reason>(reason)) : "unknown";
}

}  // extern "C"
