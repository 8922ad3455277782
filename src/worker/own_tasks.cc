// How a worker queues what its own task submits.
#include "base/error.h"
#include "worker/engine.h"
#include "worker/worker.h"

namespace workpool {

// Moves the older half of the deque to an injection queue, from which others take whole batches, and tells of them.
void Worker::Spill(Admission admission) {
  Slot half[Deque::kCapacityMax / 2];
  const size_t taken = deque_.TakeOldest(half, Deque::kCapacityMax / 2);
  uint32_t count = 0;
  for (size_t i = 0; i < taken; ++i) {
    // A fork stays, so that its parent's join finds it.
    if (IsFork(half[i])) {
      (void)deque_.TryPush(half[i]);
    } else {
      half[count++] = half[i];
    }
  }
  const uint32_t moved = count == 0 ? 0 : engine_.dispatcher.Push(half, count, index_, admission, false).accepted;
  for (uint32_t i = moved; i < count; ++i) (void)deque_.TryPush(half[i]);
  if (!quiet_.Fence() && idle_.Load().NeedsHelp()) Help();
}

Status Worker::SubmitShared(Slot slot, Admission admission, int32_t priority) {
  if (engine_.idle.Load().has(Census::kRefuseAll)) [[unlikely]] return FailClosed();
  const auto result = engine_.dispatcher.Push(&slot, 1, index_, admission, true, priority);
  if (result.accepted == 0) return result.status;
  engine_.NoteWaiting();
  // As below.
  if (!quiet_.Fence() && engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
  return POOL_OK;
}

Status Worker::Submit(Slot slot, Admission admission) {
  if (!engine_.own_queues) return SubmitShared(slot, admission, 0);
  if (engine_.idle.Load().has(Census::kRefuseAll)) [[unlikely]] return FailClosed();
  if (!deque_.HasRoom()) [[unlikely]] Spill(admission);
  if (deque_.HasRoom()) [[likely]] {
    if (engine_.exact_limit) {
      if (admission == Admission::kExempt) {
        engine_.dispatcher.limit().AcquireExempt(1);
      } else if (engine_.dispatcher.limit().Acquire(1) == 0) {
        return POOL_E_FULL;  // the caller says so
      }
    }
    counters.submitted.Add();
    deque_.Push(slot);
  } else {
    const auto result = engine_.dispatcher.Push(&slot, 1, index_, admission, true);
    if (result.accepted == 0) return result.status;
  }
  engine_.NoteWaiting();
  // The task before the look at the census; partners: the fence in IdleSet::Announce, and Quiet::Alert.
  if (!quiet_.Fence() && engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
  return POOL_OK;
}

bool Worker::TryPush(Slot slot) {
  if (!deque_.TryPush(slot)) return false;
  // As in Submit.
  if (!quiet_.Fence() && engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
  return true;
}

}  // namespace workpool
