// Submits from outside and from own tasks, and parallel loops.
#include "base/limits.h"
#include "capi/guard.h"
#include "capi/structs.h"

namespace workpool {
namespace {

// The queue limit stopped the fast path: the slow one counts the refusal, or waits.
Status SubmitAgain(pool_t pool, Slot slot) {
  return WithPool(pool, [&](Pool& p) { return p.SubmitOne(slot, Admission::kLimited, p.policy().Deadline()); });
}

Status SubmitPlain(pool_t handle, Slot slot) {
  if (slot.run == nullptr) return FailConst(POOL_E_INVALID, "run is NULL; give a function");
  Tls& tls = CurrentTls();
  ThreadLine* line = CurrentLine(tls);
  Handles* handles = EnsureHandles();
  if (line == nullptr || handles == nullptr) return POOL_E_NOMEM;
  const void* slot_address = LightFenceIsFree() ? handles->pools.SlotAddress(handle) : nullptr;
  tls.seen_handle = slot_address != nullptr ? handle : 0;
  tls.seen_alive = HandleTable::AliveWord(handle);
  tls.seen_slot = slot_address != nullptr ? slot_address : kDeadSlot;
  if (Pool* pool = Pool::OfWorker(tls, handle)) {
    return pool->SubmitPlainLocal(tls, *static_cast<Worker*>(tls.worker), slot, Admission::kLimited);
  }
  Status status;
  {
    const LineSection section(*line, HandleTable::LineSlot(handle));
    void* object;
    status = handles->pools.Protect(handle, &object);
    if (status != POOL_OK) return status;
    status = static_cast<Pool*>(object)->SubmitPlainInSection(tls, *line, slot);
  }
  if (status == POOL_E_FULL) return SubmitAgain(handle, slot);
  return status;
}

[[gnu::noinline]] Status HelpAndLeave(Pool& pool, ThreadLine& line) {
  pool.HelpInSection();
  LineSection::Leave(line);
  return POOL_OK;
}

[[gnu::noinline]] Status SubmitGuarded(pool_t pool, RunFn run, void* arg) {
  return Guard("pool_submit", [&] { return SubmitPlain(pool, {run, arg}); });
}

// Makes and queues the record of one task; *ticket receives a handle if asked for.
Status SubmitOne(Handles& handles, Pool& pool, const pool_task_t& task, pool_ticket_t* ticket) {
  if (ticket == nullptr && pool.IsPlain(task)) return pool.SubmitPlainTask(task);
  const OptionalHeld<Group> group(handles.groups, task.group);
  if (group.status() != POOL_OK) return group.status();
  const OptionalHeld<Token> token(handles.tokens, task.token);
  if (token.status() != POOL_OK) return token.status();
  const OptionalHeld<CompletionQueue> completions(handles.completions, task.cq);
  if (completions.status() != POOL_OK) return completions.status();
  AdmissionPolicy policy;
  Status status;
  TaskRecord* record = pool.MakeRecord(task, TaskLinks{group.get(), token.get(), completions.get()}, ticket != nullptr,
                                       &policy, &status);
  if (record == nullptr) return status;
  pool_ticket_t handle = 0;
  if (ticket != nullptr) {
    handle = handles.tickets.Insert(record);
    if (handle == 0) {
      pool.GiveUpRecord(*record);
      return POOL_E_NOMEM;
    }
    record->Ref();
    record->details()->ticket = handle;
  }
  status = pool.SubmitRecord(*record, Admission::kLimited, policy, static_cast<uint64_t>(task.delay_ns),
                             static_cast<uint64_t>(task.queue_timeout_ns));
  if (status != POOL_OK) {
    if (handle != 0) {
      (void)handles.tickets.Remove(handle);
      handles.tickets.Release(handle);
    }
    return status;
  }
  if (ticket != nullptr) *ticket = handle;
  return POOL_OK;
}

Status SubmitBatch(pool_t pool, const pool_task_t* tasks, uint32_t stride, uint32_t count,
                   pool_ticket_t* tickets, uint32_t* accepted) {
  const auto submit = [&](Pool& p) -> Status {
    const auto* bytes = reinterpret_cast<const unsigned char*>(tasks);
    for (; *accepted < count; ++*accepted) {
      const uint32_t i = *accepted;
      const auto* given = reinterpret_cast<const pool_task_t*>(bytes + size_t{i} * stride);
      if (stride != 0 && given->struct_size > stride) {
        return Fail(POOL_E_INVALID, "stride = %u is below tasks[%u].struct_size = %u; give sizeof(pool_task_t)", stride,
                    i, given->struct_size);
      }
      pool_task_t copy;
      const bool as_is = HasOurLayout(given);
      Status status = as_is ? POOL_OK : CopyIn(given, "task", &copy);
      if (status == POOL_OK) {
        status = SubmitOne(*CurrentHandles(), p, as_is ? *given : copy, tickets == nullptr ? nullptr : &tickets[i]);
      }
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  };
  Pool* own = Pool::OfWorker(CurrentTls(), pool);
  return own != nullptr ? submit(*own) : WithPool(pool, submit);
}

// One task from outside, without a reference to the pool. FULL: by the long way.
Status SubmitInSection(pool_t handle, const pool_task_t& task) {
  Tls& tls = CurrentTls();
  ThreadLine* line = CurrentLine(tls);
  Handles* handles = EnsureHandles();
  if (line == nullptr || handles == nullptr) return POOL_E_NOMEM;
  if (Pool::OfWorker(tls, handle) != nullptr) return POOL_E_FULL;
  const LineSection section(*line, HandleTable::LineSlot(handle));
  void* object;
  const Status status = handles->pools.Protect(handle, &object);
  return status != POOL_OK ? status : static_cast<Pool*>(object)->SubmitTaskInSection(tls, *line, task);
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

// The way of nearly all submits stands here, without a call: a thread that has been here before, a live pool with room,
// nothing special. Everything else is a tail call. (No buffer here that could overflow.)
__attribute__((no_stack_protector)) pool_status_t pool_submit(pool_t pool, pool_run_fn run, void* arg) {
  Tls& tls = CurrentTls();
  if (tls.seen_handle != pool || run == nullptr || tls.until_sample == 1) [[unlikely]] {
    return SubmitGuarded(pool, run, arg);
  }
  auto* worker = static_cast<Worker*>(tls.worker);
  if (worker != nullptr && worker->engine().handle == pool) {
    if (!worker->TrySubmit({run, arg})) [[unlikely]] return SubmitGuarded(pool, run, arg);
    --tls.until_sample;
    return POOL_OK;
  }
  ThreadLine& line = *tls.line;
  LineSection::EnterFree(line, HandleTable::LineSlot(pool));
  auto* object = static_cast<Pool*>(HandleTable::TryProtectAlive(tls.seen_slot, tls.seen_alive));
  const Pool::Quick quick =
      object == nullptr ? Pool::Quick::kRefused : object->TryQueueInSection(line, {run, arg});
  if (quick == Pool::Quick::kRefused) [[unlikely]] return SubmitGuarded(pool, run, arg);  // enters anew
  --tls.until_sample;
  if (quick == Pool::Quick::kNeedsHelp) [[unlikely]] return HelpAndLeave(*object, line);
  LineSection::Leave(line);
  return POOL_OK;
}

pool_status_t pool_submit_many(pool_t pool, pool_run_fn run, void* const* args, uint32_t n,
                               uint32_t* accepted) {
  return Guard(__func__, [&]() -> Status {
    uint32_t count = 0;
    if (accepted != nullptr) *accepted = 0;
    if (run == nullptr) return FailConst(POOL_E_INVALID, "run is NULL; give a function");
    if (args == nullptr && n > 0) return FailConst(POOL_E_INVALID, "args is NULL with n > 0");
    const Status status =
        WithPool(pool, [&](Pool& p) { return p.SubmitMany(run, args, n, &count); });
    if (accepted != nullptr) *accepted = count;
    return status;
  });
}

pool_status_t pool_task_init(pool_task_t* task, uint32_t size) {
  return Guard(__func__, [&] { return InitStruct(task, size, "task"); });
}

pool_status_t pool_submit_task(pool_t pool, const pool_task_t* task, pool_ticket_t* out_or_null) {
  return Guard(__func__, [&]() -> Status {
    if (out_or_null != nullptr) *out_or_null = 0;
    if (task == nullptr) return FailConst(POOL_E_INVALID, "task is NULL");
    if (out_or_null == nullptr && HasOurLayout(task)) {
      const Status status = SubmitInSection(pool, *task);
      if (status != POOL_E_FULL) return status;
    }
    uint32_t accepted = 0;
    return SubmitBatch(pool, task, 0, 1, out_or_null, &accepted);
  });
}

pool_status_t pool_submit_batch(pool_t pool, const pool_task_t* tasks, uint32_t stride, uint32_t n,
                                pool_ticket_t* tickets_or_null, uint32_t* accepted) {
  return Guard(__func__, [&]() -> Status {
    uint32_t count = 0;
    if (accepted != nullptr) *accepted = 0;
    if (tasks == nullptr && n > 0) return FailConst(POOL_E_INVALID, "tasks is NULL with n > 0");
    if (n > 0 && stride < sizeof(uint32_t)) {
      return Fail(POOL_E_INVALID, "stride = %u is too small; give sizeof(pool_task_t)", stride);
    }
    if (tickets_or_null != nullptr) {
      for (uint32_t i = 0; i < n; ++i) tickets_or_null[i] = 0;
    }
    const Status status = SubmitBatch(pool, tasks, stride, n, tickets_or_null, &count);
    if (accepted != nullptr) *accepted = count;
    return status;
  });
}

pool_status_t pool_parallel_for(pool_t pool, uint64_t begin, uint64_t end, uint64_t grain,
                                uint32_t participants_max, pool_range_fn body, void* arg,
                                int32_t* body_code) {
  return GuardRunningTasks(__func__, [&]() -> Status {
    if (body_code != nullptr) *body_code = 0;
    if (body == nullptr) return FailConst(POOL_E_INVALID, "body is NULL; give a function");
    if (begin > end) {
      return Fail(POOL_E_INVALID, "begin = %llu is above end = %llu", static_cast<unsigned long long>(begin),
                  static_cast<unsigned long long>(end));
    }
    if (participants_max > kParticipantsMax) {
      return Fail(POOL_E_INVALID, "participants_max = %u is above the limit %u; use 0 for the pool's",
                  participants_max, kParticipantsMax);
    }
    return WithPool(pool, [&](Pool& p) {
      return p.ParallelFor(begin, end, grain, participants_max, body, arg, body_code);
    });
  });
}

int32_t pool_participants(pool_t pool) {
  return Guard(__func__, [&] {
    return WithPool(pool, [](Pool& p) { return static_cast<Status>(p.participants()); });
  });
}

}  // extern "C"
