// Workers, hooks, tuning, statistics.
#include "capi/guard.h"
#include "capi/structs.h"

using namespace workpool;

extern "C" {

int32_t pool_worker_index(pool_t pool) {
  Tls& tls = CurrentTls();
  if (CurrentLine(tls) == nullptr) return -1;
  const auto* worker = static_cast<const Worker*>(tls.worker);
  const bool own = worker != nullptr && worker->engine().handle == pool;
  return own ? static_cast<int32_t>(worker->index()) : -1;
}

pool_status_t pool_hook_add(pool_t pool, pool_hook_fn start, pool_hook_fn stop, void* user, uint64_t* id) {
  return Guard(__func__, [&]() -> Status {
    if (id == nullptr) return FailConst(POOL_E_INVALID, "id is NULL; it is needed to remove the hook");
    if (start == nullptr && stop == nullptr) {
      return FailConst(POOL_E_INVALID, "start and stop are both NULL; give at least one");
    }
    return WithPool(pool, [&](Pool& p) { return p.AddHook(start, stop, user, id); });
  });
}

pool_status_t pool_hook_remove(pool_t pool, uint64_t id) {
  return Guard(__func__,
               [&] { return WithPool(pool, [&](Pool& p) { return p.RemoveHook(id); }); });
}

pool_status_t pool_tune(pool_t pool, uint32_t workers) {
  return Guard(__func__, [&]() -> Status {
    const Status status = RefuseShared(pool, "tuned");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.Tune(workers); });
  });
}

pool_status_t pool_stats(pool_t pool, pool_stats_t* out, uint32_t size) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    const Status status = CheckOutSize(size, "out");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) -> Status {
      pool_stats_t stats;
      p.Snapshot(&stats);
      CopyOut(stats, out, size);
      return POOL_OK;
    });
  });
}

}  // extern "C"
