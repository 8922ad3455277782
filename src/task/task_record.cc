#include "task/task_record.h"

#include <cstring>
#include <new>

#include "base/clock.h"
#include "base/memory.h"
#include "park/event.h"
#include "task/completion_queue.h"
#include "task/group.h"
#include "task/task_details.h"
#include "task/token.h"

namespace workpool {
namespace {

// Shared by all pools: a waiter for many tasks may wait for those of several. Forked children find it as it
// was, which only means that they may count waiters that do not exist, and wake nobody.
constinit Event g_any_task_over;

constexpr size_t kDetailedBytes = sizeof(TaskRecord) + sizeof(TaskDetails);
static_assert(alignof(TaskDetails) <= alignof(TaskRecord) && sizeof(TaskRecord) % alignof(TaskDetails) == 0);

}  // namespace

Event& AnyTaskOver() { return g_any_task_over; }

TaskRecord* TaskRecord::Make(bool detailed) {
  void* memory = AllocateBytes(detailed ? kDetailedBytes : sizeof(TaskRecord), alignof(TaskRecord));
  if (memory == nullptr) return nullptr;
  auto* record = new (memory) TaskRecord();
  record->detailed = detailed;
  if (!detailed) return record;
  auto* details = new (static_cast<void*>(record + 1)) TaskDetails();
  details->in_group.record = details->under_token.record = record;
  return record;
}

void TaskRecord::Unref() {
  // acq_rel: all uses happen before the delete.
  if (refs_.fetch_sub(1, kAcqRel) != 1) return;
  size_t bytes = sizeof(TaskRecord);
  if (TaskDetails* more = details()) {
    bytes = kDetailedBytes;
    if (more->group != nullptr) more->group->Unref();
    if (more->token != nullptr) more->token->Unref();
    if (more->completions != nullptr) more->completions->Unref();
    FreeText(more->name);
    FreeText(more->text);
    Delete(more->before);
    more->~TaskDetails();
  }
  this->~TaskRecord();
  FreeBytes(this, bytes);
}

bool TaskRecord::ClaimUnless(uint32_t flags, bool* was_held) {
  uint32_t state = state_.load(kRelaxed);
  while ((state & (kPhaseMask | flags)) == kWaiting) {
    // acquire: what an earlier attempt wrote, and its release in Requeue. What the submitter wrote comes with the record's
    // address, out of a queue, the handle table, or the members and their lock.
    if (!state_.compare_exchange_weak(state, (state & ~kHeld) | kClaimed, kAcquire, kRelaxed)) continue;
    if (was_held != nullptr) *was_held = (state & kHeld) != 0;
    if (TaskDetails* more = details()) {
      if (more->group != nullptr) more->group->members().Claimed(more->in_group);
      if (more->token != nullptr) more->token->members().Claimed(more->under_token);
    }
    return true;
  }
  return false;
}

bool TaskRecord::Unhold() {
  uint32_t state = state_.load(kRelaxed);
  while ((state & kPhaseMask) == kWaiting) {
    // release: who moved it on has read what the next attempt may change; partner: the acquire in Claim.
    if (!state_.compare_exchange_weak(state, state & ~(kHeld | kAwaitedToRun), kRelease, kRelaxed)) continue;
    if ((state & kAwaitedToRun) != 0) FutexWakeAll(state_);
    return true;
  }
  return false;
}

bool TaskRecord::HoldAgain() {
  uint32_t state = state_.load(kRelaxed);
  // Held already: claimed meanwhile, and it waits for another attempt.
  while ((state & (kPhaseMask | kHeld)) == kWaiting) {
    if (state_.compare_exchange_weak(state, state | kHeld, kRelaxed, kRelaxed)) return true;
  }
  return false;
}

bool TaskRecord::Requeue() {
  uint32_t state = state_.load(kRelaxed);
  while ((state & kStopAsked) == 0) {
    // release: what this attempt wrote; partner: the acquire in Claim.
    const uint32_t waiting = (state & ~(kPhaseMask | kOverran)) | kWaiting | kHeld;
    if (state_.compare_exchange_weak(state, waiting, kRelease, kRelaxed)) return true;
  }
  return false;
}

bool TaskRecord::AskStop() {
  uint32_t state = state_.load(kRelaxed);
  while ((state & kPhaseMask) != kWaiting) {
    if (state_.compare_exchange_weak(state, state | kStopAsked, kRelaxed, kRelaxed)) return true;
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

bool TaskRecord::Await(uint64_t deadline_ns, bool to_run) {
  const uint32_t flags = kAwaited | (to_run ? kAwaitedToRun : 0);
  for (;;) {
    uint32_t state = state_.load(kAcquire);
    if ((state & kPhaseMask) == kOver) return true;
    if (to_run && (state & (kPhaseMask | kHeld)) == kWaiting) return true;
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return false;
    if ((state & flags) != flags && !state_.compare_exchange_weak(state, state | flags, kRelaxed, kRelaxed)) continue;
    // A change between the two is seen by the kernel's comparison.
    (void)FutexWait(state_, state | flags, deadline_ns);
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

}  // namespace workpool
