// Groups: tasks that are waited for, and cancelled, as one.
#include "base/clock.h"
#include "base/finally.h"
#include "capi/guard.h"
#include "capi/structs.h"

namespace workpool {
namespace {

Status Submit(Pool& pool, Group& group, RunFn run, void* arg) {
  pool_task_t task{};
  task.run = run;
  task.arg = arg;
  task.drop = pool.engine().options.drop;
  AdmissionPolicy policy;
  Status status;
  TaskRecord* record = pool.MakeRecord(task, TaskLinks{.group = &group}, false, &policy, &status);
  return record == nullptr ? status : pool.SubmitRecord(*record, Admission::kExempt, policy, 0, 0);
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_group_create(pool_t pool, const pool_group_options_t* options_or_null,
                                pool_group_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    if (options_or_null != nullptr) {
      pool_group_options_t options{};
      const Status status = CopyIn(options_or_null, "options", &options);
      if (status != POOL_OK) return status;
      if (options.reserved != 0) {
        return Fail(POOL_E_INVALID, "options.reserved = %u must be 0", options.reserved);
      }
    }
    return WithPool(pool, [&](Pool& p) -> Status {
      if (p.engine().idle.Load().has(Census::kRefuseAll)) {
        return FailConst(POOL_E_CLOSED, "the pool is closing");
      }
      Group* group = New<Group>(pool);
      if (group == nullptr) return POOL_E_NOMEM;
      *out = CurrentHandles()->groups.Insert(group);
      if (*out != 0) return POOL_OK;
      group->Unref();
      return POOL_E_NOMEM;
    });
  });
}

pool_status_t pool_group_submit(pool_group_t group, pool_run_fn run, void* arg) {
  return Guard(__func__, [&]() -> Status {
    if (run == nullptr) return FailConst(POOL_E_INVALID, "run is NULL; give a function");
    return WithGroup(group, [&](Group& g) -> Status {
      Held<Pool> pool(CurrentHandles()->pools, g.pool());
      if (pool.status() != POOL_OK) return FailConst(POOL_E_CLOSED, "the group's pool has ended");
      return Submit(*pool, g, run, arg);
    });
  });
}

pool_status_t pool_group_wait(pool_group_t group, int64_t timeout_ns, int32_t* first_code_or_null) {
  return GuardRunningTasks(__func__, [&]() -> Status {
    const Status status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status != POOL_OK) return status;
    return WithGroup(group, [&](Group& g) -> Status {
      const Status waited = WaitGroup(g, DeadlineAfter(timeout_ns));
      if (waited == POOL_OK && first_code_or_null != nullptr) *first_code_or_null = g.FirstCode();
      return waited;
    });
  });
}

pool_status_t pool_group_cancel(pool_group_t group) {
  return Guard(__func__, [&]() -> Status {
    return WithGroup(group, [&](Group& g) -> Status {
      g.members().Refuse();
      // Also if a callback ends this thread.
      const Finally ask([&] { g.members().AskToStop(); });
      // If the pool is gone, so is every member that could still be cancelled.
      Held<Pool> pool(CurrentHandles()->pools, g.pool());
      if (pool.status() != POOL_OK) return POOL_OK;
      bool was_held = false;
      while (TaskRecord* member = g.members().ClaimOne(true, &was_held)) {
        const RecordReference reference(*member);
        pool->engine().ClaimedElsewhere(was_held);
        EndUnfinished(*member, nullptr, POOL_CANCELLED, POOL_E_CANCELLED);
      }
      return POOL_OK;
    });
  });
}

pool_status_t pool_group_release(pool_group_t group) {
  return Guard(__func__, [&] { return GiveBackHandle(&Handles::groups, group); });
}

}  // extern "C"
