// Completion queues: results for one reader.
#include "base/clock.h"
#include "capi/guard.h"
#include "capi/structs.h"

namespace workpool {
namespace {

// So many at a time are copied out through the stack.
constexpr uint32_t kBatch = 16;

// Done functions of the queue's tasks that this thread runs inside.
uint32_t OwnCallbacks(const CompletionQueue& queue) {
  uint32_t count = 0;
  for (const Frame* frame = InnermostFrame(CurrentTls()); frame != nullptr; frame = frame->outer) {
    const TaskDetails* details = frame->record != nullptr ? frame->record->details() : nullptr;
    if (details != nullptr && details->completions == &queue && details->in_done) ++count;
  }
  return count;
}

Status Poll(CompletionQueue& queue, unsigned char* out, uint32_t elem_size, uint32_t cap, uint64_t deadline_ns,
            uint32_t* n) {
  while (*n < cap) {
    pool_completion_t batch[kBatch];
    uint32_t count = 0;
    const uint32_t wanted = cap - *n < kBatch ? cap - *n : kBatch;
    Status status = queue.Poll(batch, wanted, 0, &count);
    // Only the first is waited for; in a task, with another worker up in its place.
    if (*n == 0 && status == POOL_E_TIMEOUT && (deadline_ns == kNever || NowNs() < deadline_ns)) {
      const BlockedScope blocked(CurrentWorker(CurrentTls()));
      status = queue.Poll(batch, wanted, deadline_ns, &count);
    }
    for (uint32_t i = 0; i < count; ++i) {
      CopyOut(batch[i], reinterpret_cast<pool_completion_t*>(out + size_t{*n + i} * elem_size), elem_size);
    }
    *n += count;
    if (count < wanted) return *n > 0 ? POOL_OK : status;
  }
  return POOL_OK;
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_cq_create(uint32_t capacity, pool_cq_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    if (capacity == 0 || capacity > POOL_CQ_CAPACITY_MAX) {
      return Fail(POOL_E_INVALID, "capacity = %u is outside 1 ... %u", capacity, POOL_CQ_CAPACITY_MAX);
    }
    Handles* handles = EnsureHandles();
    if (handles == nullptr) return POOL_E_NOMEM;
    CompletionQueue* queue = CompletionQueue::Make(capacity);
    if (queue == nullptr) return POOL_E_NOMEM;
    *out = handles->completions.Insert(queue);
    if (*out != 0) return POOL_OK;
    queue->Unref();
    return POOL_E_NOMEM;
  });
}

int32_t pool_cq_fd(pool_cq_t cq) {
  return Guard(__func__, [&] {
    return WithCompletions(cq, [](CompletionQueue& queue) -> Status { return queue.Descriptor(); });
  });
}

pool_status_t pool_cq_poll(pool_cq_t cq, void* out, uint32_t elem_size, uint32_t cap, int64_t timeout_ns,
                           uint32_t* n) {
  return Guard(__func__, [&]() -> Status {
    if (n == nullptr) return FailConst(POOL_E_INVALID, "n is NULL");
    *n = 0;
    if (out == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "out is NULL with cap > 0");
    Status status = CheckOutSize(elem_size, "out");
    if (status == POOL_OK) status = CheckTimeout(timeout_ns, "timeout_ns");
    if (status != POOL_OK) return status;
    return WithCompletions(cq, [&](CompletionQueue& queue) {
      return Poll(queue, static_cast<unsigned char*>(out), elem_size, cap, DeadlineAfter(timeout_ns), n);
    });
  });
}

pool_status_t pool_cq_detach(pool_cq_t cq) {
  return Guard(__func__, [&] {
    return WithCompletions(cq, [](CompletionQueue& queue) -> Status {
      const BlockedScope blocked(CurrentWorker(CurrentTls()));
      queue.Detach(OwnCallbacks(queue));
      return POOL_OK;
    });
  });
}

pool_status_t pool_cq_release(pool_cq_t cq) {
  return Guard(__func__, [&]() -> Status {
    Handles* handles = EnsureHandles();
    if (handles == nullptr) return POOL_E_NOMEM;
    HandleTable& table = handles->completions;
    if (table.Inherited(cq)) return table.DropInherited(cq);
    void* object = nullptr;
    Status status = table.Acquire(cq, &object);
    if (status != POOL_OK) return status;
    status = table.Remove(cq);
    if (status == POOL_OK) {
      static_cast<CompletionQueue*>(object)->EndHandle();
      table.Release(cq);  // the table's
    }
    table.Release(cq);
    return status;
  });
}

}  // extern "C"
