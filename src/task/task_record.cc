#include "task/task_record.h"

#include <cstring>

#include "base/clock.h"
#include "base/memory.h"
#include "park/event.h"
#include "task/group.h"

namespace workpool {
namespace {

// Shared by all pools: a waiter for many tasks may wait for those of several. Forked children find it as it
// was, which only means that they may count waiters that do not exist, and wake nobody.
constinit Event g_any_task_over;

}  // namespace

Event& AnyTaskOver() { return g_any_task_over; }

void TaskRecord::Unref() {
  // acq_rel: all uses happen before the delete.
  if (refs_.fetch_sub(1, kAcqRel) != 1) return;
  if (group != nullptr) group->Unref();
  Delete(this);
}

bool TaskRecord::Claim() {
  uint32_t state = state_.load(kRelaxed);
  while ((state & kPhaseMask) == kQueued) {
    // relaxed: what the submitter wrote comes with the record's address, out of a queue, the handle table, or the group
    // and its lock.
    if (state_.compare_exchange_weak(state, state | kClaimed, kRelaxed, kRelaxed)) {
      if (group != nullptr) group->MemberClaimed(*this);
      return true;
    }
  }
  return false;
}

void TaskRecord::Finish() {
  // One exchange publishes the result and collects who waits, so that no waiter can slip in between.
  // release: the result.
  const uint32_t before = state_.exchange(kOver, kRelease);
  // From here on the waiters may be gone, and the record with them, but for the claimer's reference.
  if ((before & kAwaited) != 0) FutexWakeAll(state_);
  if ((before & kWatchedByMany) != 0) g_any_task_over.Notify();
}

bool TaskRecord::Await(uint64_t deadline_ns) {
  for (;;) {
    uint32_t state = state_.load(kAcquire);
    if ((state & kPhaseMask) == kOver) return true;
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return false;
    if ((state & kAwaited) == 0 &&
        !state_.compare_exchange_weak(state, state | kAwaited, kRelaxed, kRelaxed)) {
      continue;
    }
    // A change between the two is seen by the kernel's comparison.
    (void)FutexWait(state_, state | kAwaited, deadline_ns);
  }
}

bool TaskRecord::WatchByMany() {
  uint32_t state = state_.load(kAcquire);
  while ((state & kPhaseMask) != kOver) {
    // acquire, where it fails: the result. (gcc 12 wants it of success then, too.)
    if (state_.compare_exchange_weak(state, state | kWatchedByMany, kAcquire, kAcquire)) return false;
  }
  return true;
}

void TaskRecord::CopyResult(pool_result_t* out) const {
  out->outcome = outcome;
  out->code = code;
  out->attempts = attempts;
  out->worker = worker;
  out->reserved = 0;
  out->ticket = ticket;
  out->value = value;
  out->wait_ns = wait_ns;
  out->run_ns = run_ns;
  std::memcpy(out->text, text, sizeof(out->text));
}

}  // namespace workpool
