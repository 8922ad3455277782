#include "task/membership.h"

#include "task/task_record.h"

namespace workpool {

void Members::List::Push(Membership& member) {
  member.previous = nullptr;
  member.next = newest;
  if (newest != nullptr) newest->previous = &member;
  newest = &member;
}

void Members::List::Remove(Membership& member) {
  (member.previous != nullptr ? member.previous->next : newest) = member.next;
  if (member.next != nullptr) member.next->previous = member.previous;
}

bool Members::MayAdd() {
  MutexLock lock(mu_);
  return !cancelled_;
}

bool Members::Offer(Membership& member) {
  MutexLock lock(mu_);
  if (member.state != Membership::kAdded) return true;  // a worker was faster
  member.state = Membership::kOffered;
  queued_.Push(member);
  return !cancelled_;
}

void Members::Claimed(Membership& member) {
  MutexLock lock(mu_);
  if (member.state == Membership::kOffered) queued_.Remove(member);
  member.state = Membership::kTaken;
  claimed_.Push(member);
  if (cancelled_) member.record->AskStop();
}

void Members::Returned(Membership& member) {
  MutexLock lock(mu_);
  claimed_.Remove(member);
  member.state = Membership::kOffered;
  queued_.Push(member);
}

void Members::Over(Membership& member) {
  MutexLock lock(mu_);
  claimed_.Remove(member);
}

TaskRecord* Members::ClaimOne(bool held, bool* was_held) {
  for (;;) {
    TaskRecord* record = nullptr;
    {
      MutexLock lock(mu_);
      // Passed over: one that somebody else has claimed and is about to move to the other list.
      for (Membership* member = queued_.newest; member != nullptr; member = member->next) {
        if (!member->record->IsWaiting() || (member->record->held() && !held)) continue;
        record = member->record;
        break;
      }
      if (record == nullptr) return nullptr;
      record->Ref();
    }
    if (held ? record->Claim(was_held) : record->ClaimQueued()) return record;
    record->Unref();
  }
}

void Members::Cancel() {
  MutexLock lock(mu_);
  cancelled_ = true;
  for (Membership* member = claimed_.newest; member != nullptr; member = member->next) {
    (void)member->record->AskStop();
  }
}

}  // namespace workpool
