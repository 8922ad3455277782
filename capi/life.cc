// Create, share, close, destroy, release, pause.
#include "base/clock.h"
#include "base/finally.h"
#include "base/process.h"
#include "capi/guard.h"
#include "capi/structs.h"

namespace workpool {
namespace {

// The pool that pool_shared hands out, and how many have it.
struct Shared {
  Mutex mu;
  Atomic<pool_t> pool{0};  // written under mu
  uint64_t count ABSL_GUARDED_BY(mu) = 0;
};
constinit PerProcess<Shared> g_shared;

Status Create(const pool_options_t* options_or_null, pool_t* out) {
  pool_options_t options{};
  options.struct_size = sizeof(options);
  if (options_or_null != nullptr) {
    const Status status = CopyIn(options_or_null, "options", &options);
    if (status != POOL_OK) return status;
  }
  Handles* handles = EnsureHandles();
  if (handles == nullptr || CurrentLine(CurrentTls()) == nullptr) return POOL_E_NOMEM;
  ReadStrictMode();
  const OptionalHeld<Budget> budget(handles->budgets, options.budget);
  if (budget.status() != POOL_OK) return budget.status();
  Pool* pool = nullptr;
  Status status = Pool::Create(options, budget.get(), &pool);
  if (status != POOL_OK) return status;
  const pool_t handle = handles->pools.Insert(pool);
  if (handle == 0) {
    pool->Unref();
    return POOL_E_NOMEM;
  }
  pool->SetHandle(handle, HandleTable::LineSlot(handle));
  status = pool->Prestart();
  if (status != POOL_OK) {
    (void)pool->Close(POOL_DRAIN, POOL_FOREVER);
    pool->JoinWorkers();
    (void)handles->pools.Remove(handle);
    handles->pools.Release(handle);
    return status;
  }
  *out = handle;
  return POOL_OK;
}

Status Destroy(pool_t handle) {
  Handles* handles = EnsureHandles();
  if (handles == nullptr) return POOL_E_NOMEM;
  HandleTable& table = handles->pools;
  if (table.Inherited(handle)) return table.DropInherited(handle);
  Status status = RefuseShared(handle, "destroyed; use pool_release");
  if (status != POOL_OK) return status;
  void* object = nullptr;
  status = table.Doom(handle, &object);  // with a reference
  if (status != POOL_OK) return status;
  auto& pool = *static_cast<Pool*>(object);
  status = pool.Close(POOL_DRAIN, POOL_FOREVER);
  if (status != POOL_OK) {
    table.Undoom(handle);
    table.Release(handle);
    return status;
  }
  pool.JoinWorkers();
  status = table.Remove(handle);
  if (status == POOL_OK) table.Release(handle);  // the table's
  pool.StoodInFor([&] { table.AwaitOnlyReference(handle); });
  // Calls that were inside may have started workers: a tune, a parallel loop.
  pool.JoinWorkers();
  table.Release(handle);
  return POOL_OK;
}

Status Release(pool_t handle) {
  Handles* handles = EnsureHandles();
  if (handles == nullptr) return POOL_E_NOMEM;
  HandleTable& table = handles->pools;
  if (table.Inherited(handle)) return table.DropInherited(handle);
  if (handle != 0 && handle == SharedPool()) {
    Shared* shared = g_shared.Get();
    MutexLock lock(shared->mu);
    // Once more under the lock: somebody may have given back the last count meanwhile.
    if (handle == shared->pool.load(kRelaxed)) {
      if (--shared->count > 0) return POOL_OK;
      shared->pool.store(0, kRelease);
    }
  }
  void* object = nullptr;
  Status status = table.Doom(handle, &object);
  if (status != POOL_OK) return status;
  // Given back also if a drop ends this thread.
  status = table.Remove(handle);
  const Finally references([&] {
    if (status == POOL_OK) table.Release(handle);  // the table's
    table.Release(handle);
  });
  static_cast<Pool*>(object)->Abandon();
  return POOL_OK;
}

}  // namespace

pool_t SharedPool() {
  Shared* shared = g_shared.Get();
  return shared == nullptr ? 0 : shared->pool.load(kAcquire);
}

Status RefuseShared(pool_t pool, const char* what) {
  if (pool == 0 || pool != SharedPool()) return POOL_OK;
  return Fail(POOL_E_INVALID, "the shared pool belongs to all of the process and cannot be %s", what);
}

}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_options_init(pool_options_t* options, uint32_t size) {
  return Guard(__func__, [&] { return InitStruct(options, size, "options"); });
}

pool_status_t pool_create(const pool_options_t* options_or_null, pool_t* out) {
  return Guard(__func__, [&] {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    return Create(options_or_null, out);
  });
}

pool_status_t pool_shared(pool_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    Shared* shared = g_shared.Ensure();
    if (shared == nullptr) return POOL_E_NOMEM;
    MutexLock lock(shared->mu);
    if (shared->count == 0) {
      pool_t pool = 0;
      const Status status = Create(nullptr, &pool);
      if (status != POOL_OK) return status;
      shared->pool.store(pool, kRelease);
    }
    ++shared->count;
    *out = shared->pool.load(kRelaxed);
    return POOL_OK;
  });
}

pool_status_t pool_close(pool_t pool, int32_t mode, int64_t timeout_ns) {
  return Guard(__func__, [&]() -> Status {
    if (mode < POOL_DRAIN || mode > POOL_CANCEL_ALL) {
      return Fail(POOL_E_INVALID, "mode = %d is no POOL_DRAIN or POOL_CANCEL_ value; use 0 ... 2", mode);
    }
    Status status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status == POOL_OK) status = RefuseShared(pool, "closed");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.Close(mode, timeout_ns); });
  });
}

pool_status_t pool_destroy(pool_t pool) {
  return Guard(__func__, [&] { return Destroy(pool); });
}

pool_status_t pool_release(pool_t pool) {
  return Guard(__func__, [&] { return Release(pool); });
}

pool_status_t pool_pause(pool_t pool) {
  return Guard(__func__, [&] {
    const Status status = RefuseShared(pool, "paused");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.Pause(); });
  });
}

pool_status_t pool_resume(pool_t pool) {
  return Guard(__func__, [&] {
    const Status status = RefuseShared(pool, "resumed");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.Resume(); });
  });
}

}  // extern "C"
