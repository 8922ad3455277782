#include "task/membership.h"

#include "task/task_details.h"

namespace workpool {

void Members::List::Push(Membership& member) {
  member.previous = nullptr;
  member.next = newest;
  (newest != nullptr ? newest->previous : oldest) = &member;
  newest = &member;
}

void Members::List::PushOldest(Membership& member) {
  member.next = nullptr;
  member.previous = oldest;
  (oldest != nullptr ? oldest->next : newest) = &member;
  oldest = &member;
}

void Members::List::Remove(Membership& member) {
  (member.previous != nullptr ? member.previous->next : newest) = member.next;
  (member.next != nullptr ? member.next->previous : oldest) = member.previous;
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
      // Passed over: one that somebody else has claimed and is about to move to the other list, and one that may not run
      // yet. It goes to the end, out of the way of the next call.
      const Membership* passed_over = nullptr;
      for (Membership* member = queued_.newest; member != nullptr && member != passed_over;) {
        if (member->record->IsWaiting() && (held || !member->record->held())) {
          record = member->record;
          break;
        }
        Membership* next = member->next;
        if (passed_over == nullptr) passed_over = member;
        queued_.Remove(*member);
        queued_.PushOldest(*member);
        member = next;
      }
      if (record == nullptr) return nullptr;
      record->Ref();
    }
    if (held ? record->Claim(was_held) : record->ClaimQueued()) return record;
    record->Unref();
  }
}

TaskRecord* Members::FindWaiting(bool (*take)(TaskRecord& record)) {
  MutexLock lock(mu_);
  for (Membership* member = queued_.newest; member != nullptr; member = member->next) {
    if (!member->record->IsWaiting() || !take(*member->record)) continue;
    member->record->Ref();
    return member->record;
  }
  return nullptr;
}

bool Members::AnyBehind(const TaskRecord& first) {
  MutexLock lock(mu_);
  for (const Membership* member = queued_.newest; member != nullptr; member = member->next) {
    if (StandsBehind(*member->record, first)) return true;
  }
  return false;
}

void Members::Refuse() {
  MutexLock lock(mu_);
  cancelled_ = true;
}

void Members::AskToStop() {
  MutexLock lock(mu_);
  for (Membership* member = claimed_.newest; member != nullptr; member = member->next) {
    (void)member->record->AskStop();
  }
}

}  // namespace workpool
