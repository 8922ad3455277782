#include "task/group.h"

#include "base/clock.h"
#include "base/memory.h"

namespace workpool {

void Group::List::Push(TaskRecord& member) {
  member.previous = nullptr;
  member.next = newest;
  if (newest != nullptr) newest->previous = &member;
  newest = &member;
}

void Group::List::Remove(TaskRecord& member) {
  (member.previous != nullptr ? member.previous->next : newest) = member.next;
  if (member.next != nullptr) member.next->previous = member.previous;
}

void Group::Unref() {
  if (refs_.fetch_sub(1, kAcqRel) == 1) Delete(this);
}

bool Group::Add(TaskRecord& member) {
  MutexLock lock(mu_);
  if (cancelled_) return false;
  Ref();
  member.group = this;
  pending_.fetch_add(kOne, kRelaxed);
  return true;
}

bool Group::Offer(TaskRecord& member) {
  MutexLock lock(mu_);
  if (member.membership != TaskRecord::kAdded) return true;  // a worker was faster
  member.membership = TaskRecord::kOffered;
  queued_.Push(member);
  return !cancelled_;
}

void Group::MemberClaimed(TaskRecord& member) {
  MutexLock lock(mu_);
  if (member.membership == TaskRecord::kOffered) queued_.Remove(member);
  member.membership = TaskRecord::kTaken;
  claimed_.Push(member);
  if (cancelled_) member.AskStop();
}

void Group::MemberOver(TaskRecord& member) {
  {
    MutexLock lock(mu_);
    claimed_.Remove(member);
  }
  if (member.outcome == POOL_FAILED) {
    int32_t none = 0;
    first_code_.compare_exchange_strong(none, member.code, kRelaxed, kRelaxed);
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

TaskRecord* Group::ClaimOne() {
  for (;;) {
    TaskRecord* member;
    {
      MutexLock lock(mu_);
      member = queued_.newest;
      // Passed over: one that somebody else has claimed and is about to move to the other list.
      while (member != nullptr && member->phase() != TaskRecord::kQueued) member = member->next;
      if (member == nullptr) return nullptr;
      member->Ref();
    }
    if (member->Claim()) return member;
    member->Unref();
  }
}

void Group::Cancel() {
  MutexLock lock(mu_);
  cancelled_ = true;
  for (TaskRecord* member = claimed_.newest; member != nullptr; member = member->next) {
    member->AskStop();
  }
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
