// Workers, hooks, tuning, statistics.
#include <algorithm>

#include "absl/container/inlined_vector.h"
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

pool_status_t pool_health(pool_t pool) {
  return Guard(__func__, [&] { return WithPool(pool, [&](Pool& p) { return p.Health(); }); });
}

pool_status_t pool_running(pool_t pool, int64_t longer_than_ns, void* out, uint32_t elem_size, uint32_t cap,
                           uint32_t* n) {
  return Guard(__func__, [&]() -> Status {
    if (n == nullptr) return FailConst(POOL_E_INVALID, "n is NULL");
    *n = 0;
    if (out == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "out is NULL with cap > 0");
    Status status = CheckOutSize(elem_size, "out");
    if (status == POOL_OK) status = CheckTime(longer_than_ns, "call", "longer_than_ns");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) -> Status {
      if (!p.engine().watch.on()) {
        return FailConst(POOL_E_INVALID, "the pool is not watched; create it with options.stuck_after_ns");
      }
      absl::InlinedVector<pool_running_t, 16> list(std::min(cap, kWorkersMax));
      *n = p.engine().watch.List(static_cast<uint64_t>(longer_than_ns), list.data(), static_cast<uint32_t>(list.size()));
      for (uint32_t i = 0; i < *n; ++i) {
        CopyOut(list[i], reinterpret_cast<pool_running_t*>(static_cast<char*>(out) + size_t{i} * elem_size), elem_size);
      }
      return POOL_OK;
    });
  });
}

pool_status_t pool_dead_letters(pool_t pool, void* out, uint32_t elem_size, uint32_t cap, uint32_t* n, uint64_t* lost) {
  return Guard(__func__, [&]() -> Status {
    if (n == nullptr) return FailConst(POOL_E_INVALID, "n is NULL");
    *n = 0;
    if (out == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "out is NULL with cap > 0");
    const Status status = CheckOutSize(elem_size, "out");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) -> Status {
      DeadLetters& letters = p.engine().dead_letters;
      if (!letters.on()) {
        return FailConst(POOL_E_INVALID, "the pool keeps no dead letters; create it with options.dead_letter_limit");
      }
      pool_dead_letter_t letter;
      for (; *n < cap && letters.Take(&letter); ++*n) {
        CopyOut(letter, reinterpret_cast<pool_dead_letter_t*>(static_cast<char*>(out) + size_t{*n} * elem_size), elem_size);
      }
      if (lost != nullptr) *lost = letters.TakeLost();
      return POOL_OK;
    });
  });
}

pool_status_t pool_class_options_init(pool_class_options_t* options, uint32_t size) {
  return Guard(__func__, [&] { return InitStruct(options, size, "options"); });
}

pool_status_t pool_class_set(pool_t pool, uint32_t class_id, const pool_class_options_t* options) {
  return Guard(__func__, [&]() -> Status {
    if (options == nullptr) return FailConst(POOL_E_INVALID, "options is NULL");
    if (class_id == 0 || class_id > POOL_CLASS_MAX) {
      return Fail(POOL_E_INVALID, "class_id = %u is outside 1 ... %u", class_id, POOL_CLASS_MAX);
    }
    pool_class_options_t checked{};
    const Status status = CopyIn(options, "options", &checked);
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.SetClass(class_id, checked); });
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
