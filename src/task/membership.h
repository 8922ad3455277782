// Members: tasks that share a fate, those of a group or those under a token. It knows them, so that a waiter inside a
// task can run those that nobody has started, and a cancel reaches all of them, wherever they wait.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/mutex.h"

namespace workpool {

class TaskRecord;

// A task's place among the members; lies in the task.
struct Membership {
  enum State : uint8_t { kAdded, kOffered, kTaken };
  TaskRecord* record = nullptr;
  // ---- under the members' lock
  Membership* previous = nullptr;
  Membership* next = nullptr;
  State state = kAdded;
};

class Members {
 public:
  // A task may be added that is not yet queued. False: they were cancelled.
  [[nodiscard]] bool MayAdd();
  // It is queued: from now on ClaimOne finds it. False: they were cancelled meanwhile, and the caller is to claim and
  // settle it. The caller holds a reference to it.
  [[nodiscard]] bool Offer(Membership& member);
  // Told by TaskRecord::Claim.
  void Claimed(Membership& member);
  // It was claimed and is about to wait for another attempt. A cancel that comes before it does may miss it, so the caller
  // looks at MayAdd afterwards.
  void Returned(Membership& member);
  // It has ended.
  void Over(Membership& member);

  // The newest that nobody has started, claimed and with a reference for the caller; or nullptr. held: also those that
  // no worker could take yet. *was_held: whether it was one of those.
  [[nodiscard]] TaskRecord* ClaimOne(bool held, bool* was_held);

  // The newest that waits, held ones too, and for which take says yes, with a reference for the caller; or nullptr. take is
  // called under the lock: what it looks at cannot be settled meanwhile.
  [[nodiscard]] TaskRecord* FindWaiting(bool (*take)(TaskRecord& record));

  // One of them stands behind first in the line of their key.
  [[nodiscard]] bool AnyBehind(const TaskRecord& first);

  // A cancel, in three steps: refuses new members, and those that are claimed from now on are asked to stop; the caller then
  // settles what ClaimOne or FindWaiting gives it; and asks those that run already to stop, last, because a worker that
  // one of them frees might begin another one.
  void Refuse();
  void AskToStop();

 private:
  struct List {
    Membership* newest = nullptr;
    Membership* oldest = nullptr;
    void Push(Membership& member);
    void PushOldest(Membership& member);
    void Remove(Membership& member);
  };

  Mutex mu_;
  List queued_ ABSL_GUARDED_BY(mu_);
  List claimed_ ABSL_GUARDED_BY(mu_);
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace workpool
