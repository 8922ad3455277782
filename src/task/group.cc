#include "task/group.h"

#include "base/clock.h"
#include "base/memory.h"

namespace workpool {

void Group::Unref() {
  if (refs_.fetch_sub(1, kAcqRel) == 1) Delete(this);
}

bool Group::Add(TaskRecord& member) {
  if (!members_.MayAdd()) return false;
  Ref();
  member.details()->group = this;
  pending_.fetch_add(kOne, kRelaxed);
  return true;
}

void Group::MemberOver(TaskRecord& member) {
  TaskDetails& details = *member.details();
  members_.Over(details.in_group);
  if (details.outcome == POOL_FAILED) {
    int32_t none = 0;
    first_code_.compare_exchange_strong(none, details.code, kRelaxed, kRelaxed);
  }
  Leave();
}

void Group::Leave() {
  // release: everything members did happens before a wait that sees the group empty. The member's reference
  // keeps the group alive beyond this.
  if (pending_.fetch_sub(kOne, kRelease) != (kOne | kAwaited)) return;
  pending_.fetch_and(~kAwaited, kRelaxed);
  FutexWakeAll(pending_);
}

bool Group::Await(uint64_t deadline_ns) {
  for (;;) {
    uint32_t pending = pending_.load(kAcquire);
    if ((pending & ~kAwaited) == 0) return true;
    if (deadline_ns != kNever && NowNs() >= deadline_ns) return false;
    if ((pending & kAwaited) == 0 &&
        !pending_.compare_exchange_weak(pending, pending | kAwaited, kRelaxed, kRelaxed)) {
      continue;
    }
    (void)FutexWait(pending_, pending | kAwaited, deadline_ns);
  }
}

}  // namespace workpool
