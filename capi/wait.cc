// Tickets: wait, cancel, release; waiting for a whole pool.
#include "absl/container/inlined_vector.h"
#include "base/clock.h"
#include "capi/guard.h"
#include "capi/structs.h"

namespace workpool {
namespace {

// References to the records of several tickets.
class HeldRecords {
 public:
  explicit HeldRecords(HandleTable& table) : table_(table) {}
  ~HeldRecords() {
    for (pool_ticket_t ticket : tickets_) table_.Release(ticket);
  }
  HeldRecords(const HeldRecords&) = delete;
  HeldRecords& operator=(const HeldRecords&) = delete;

  // Room for count of them. OK, NOMEM.
  Status Reserve(uint32_t count) {
    try {
      tickets_.reserve(count);
      records_.reserve(count);
    } catch (const std::bad_alloc&) {
      return POOL_E_NOMEM;
    }
    return POOL_OK;
  }

  // OK, BADHANDLE.
  Status Add(pool_ticket_t ticket) {
    void* object = nullptr;
    const Status status = table_.Acquire(ticket, &object);
    if (status != POOL_OK) return status;
    tickets_.push_back(ticket);
    records_.push_back(static_cast<TaskRecord*>(object));
    return POOL_OK;
  }
  TaskRecord* const* data() const { return records_.data(); }

 private:
  HandleTable& table_;
  absl::InlinedVector<pool_ticket_t, 16> tickets_;
  absl::InlinedVector<TaskRecord*, 16> records_;
};

// With the pool held: what is run here counts and wakes in it. If it is gone, so is whatever could be run.
Status WaitHelping(Handles& handles, TaskRecord& record, uint64_t deadline_ns) {
  Held<Pool> pool(handles.pools, record.details()->pool);
  if (pool.status() != POOL_OK) return WaitTask(record, false, deadline_ns);
  return WaitTask(record, true, deadline_ns);
}

Status Cancel(Handles& handles, TaskRecord& record) {
  // With the pool held: settling counts and wakes in it. If it is gone, so is whatever could be cancelled.
  Held<Pool> pool(handles.pools, record.details()->pool);
  for (;;) {
    bool was_held = false;
    if (pool.status() == POOL_OK && record.Claim(&was_held)) {
      record.engine->ClaimedElsewhere(was_held);
      EndUnfinished(record, nullptr, POOL_CANCELLED, POOL_E_CANCELLED);
      return POOL_OK;
    }
    // Not stopped: it has just begun to wait for another attempt.
    if (record.AskStop()) {
      return FailConst(POOL_E_ALREADY, "too late: the task runs, and is asked to stop, or it is over");
    }
    if (pool.status() != POOL_OK) return FailConst(POOL_E_ALREADY, "too late: the pool of the task has ended");
  }
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_wait(pool_ticket_t ticket, uint32_t flags, int64_t timeout_ns,
                        pool_result_t* out_or_null, uint32_t size) {
  return GuardRunningTasks(__func__, [&]() -> Status {
    if ((flags & ~POOL_WAIT_HELP) != 0) {
      return Fail(POOL_E_INVALID, "flags = %u holds unknown bits; use 0 or POOL_WAIT_HELP", flags);
    }
    Status status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status == POOL_OK && out_or_null != nullptr) status = CheckOutSize(size, "out");
    if (status != POOL_OK) return status;
    return WithRecord(ticket, [&](TaskRecord& record) -> Status {
      const Status waited = (flags & POOL_WAIT_HELP) != 0
                                ? WaitHelping(*CurrentHandles(), record, DeadlineAfter(timeout_ns))
                                : WaitTask(record, false, DeadlineAfter(timeout_ns));
      if (waited != POOL_OK || out_or_null == nullptr) return waited;
      pool_result_t result{};
      record.details()->CopyResult(&result);
      CopyOut(result, out_or_null, size);
      return POOL_OK;
    });
  });
}

pool_status_t pool_wait_many(const pool_ticket_t* tickets, uint32_t n, int32_t all, int64_t timeout_ns,
                             uint32_t* index) {
  return GuardRunningTasks(__func__, [&]() -> Status {
    if (tickets == nullptr) return FailConst(POOL_E_INVALID, "tickets is NULL");
    if (n == 0) return FailConst(POOL_E_INVALID, "n = 0; give at least one ticket");
    if (all != 0 && all != 1) return Fail(POOL_E_INVALID, "all = %d is no switch; use 0 or 1", all);
    Status status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status != POOL_OK) return status;
    Handles* handles = EnsureHandles();
    if (handles == nullptr) return POOL_E_NOMEM;
    HeldRecords records(handles->tickets);
    uint32_t which = 0;
    status = records.Reserve(n);
    if (status != POOL_OK) return status;
    for (; which < n && status == POOL_OK; ++which) status = records.Add(tickets[which]);
    if (status == POOL_OK) {
      status = WaitTasks(records.data(), n, all == 1, DeadlineAfter(timeout_ns), &which);
    } else {
      --which;
    }
    if (index != nullptr && (status == POOL_OK || status == POOL_E_BADHANDLE)) *index = which;
    return status;
  });
}

pool_status_t pool_wait_idle(pool_t pool, int64_t timeout_ns) {
  return Guard(__func__, [&]() -> Status {
    const Status status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.WaitIdle(DeadlineAfter(timeout_ns)); });
  });
}

pool_status_t pool_cancel(pool_ticket_t ticket) {
  return Guard(__func__, [&] {
    return WithRecord(ticket, [&](TaskRecord& record) { return Cancel(*CurrentHandles(), record); });
  });
}

pool_status_t pool_ticket_release(pool_ticket_t ticket) {
  return Guard(__func__, [&] { return GiveBackHandle(&Handles::tickets, ticket); });
}

}  // extern "C"
