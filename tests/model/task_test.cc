// Task records and groups (src/task), queues and their limit (src/dispatch), hooks (src/worker),
// each alone. Whole pools: pool_test.cc.
#include "base/memory.h"
#include "dispatch/dispatcher.h"
#include "dispatch/task_class.h"
#include "model/explorer.h"
#include "park/event.h"
#include "task/completion_queue.h"
#include "task/group.h"
#include "task/task_record.h"
#include "task/token.h"
#include "worker/hooks.h"

namespace workpool::model {
namespace {

// Each of three threads has a reference to what is counted, and gives it back after its use. Takes over the caller's.
template <typename Counted, typename Use>
void UseByThree(Counted* counted, Use use) {
  counted->Ref();
  counted->Ref();
  const auto use_and_leave = [counted, use] {
    use(*counted);
    counted->Unref();
  };
  Thread one(use_and_leave);
  Thread two(use_and_leave);
  use_and_leave();
  one.Join();
  two.Join();
}

// ---- records -----------------------------------------------------------------------------------

TaskRecord* MakeRecord() { return TaskRecord::Make(true); }

MODEL_TEST("H10: of a worker and two cancellers one claims the task", .preemptions = 2,
           .spurious = 1) {
  TaskRecord* record = MakeRecord();
  int claims = 0;
  const auto claim = [&] {
    record->Ref();
    if (record->Claim()) ++claims;
    record->Unref();
  };
  Thread one(claim);
  Thread two(claim);
  claim();
  one.Join();
  two.Join();
  MODEL_CHECK(claims == 1);
  record->Unref();
}

// The submitter gives the ticket away before the task is queued; a canceller has no other order
// with it.
MODEL_TEST("H10: who claims a task by its ticket sees what its submitter wrote") {
  Atomic<TaskRecord*> ticket{nullptr};
  Plain<int> argument;
  TaskRecord* record = MakeRecord();
  Thread submitter([&] {
    argument.Write(1);
    ticket.store(record, kRelease);
  });
  TaskRecord* seen = ticket.load(kAcquire);
  if (seen != nullptr && seen->Claim()) MODEL_CHECK(argument.Read() == 1);
  submitter.Join();
  record->Unref();
}

// With who waits, who asks the task to stop, and who only looks.
void FinishAgainst(uint64_t timeout_ns) {
  TaskRecord* record = MakeRecord();
  Plain<int> result{0};
  record->Ref();
  Thread worker([&] {
    MODEL_CHECK(record->Claim());
    result.Write(1);
    record->Finish();
    record->Unref();
  });
  Thread other([&] {
    (void)record->AskStop();
    if (record->phase() == TaskRecord::kOver) MODEL_CHECK(result.Read() == 1);
  });
  if (record->Await(timeout_ns == kNever ? kNever : NowNs() + timeout_ns)) {
    MODEL_CHECK(result.Read() == 1);
  } else {
    MODEL_CHECK(timeout_ns != kNever);
  }
  worker.Join();
  other.Join();
  record->Unref();
}

MODEL_TEST("B17: a wait for a task ends when it is over, and sees its result", .preemptions = 2,
           .spurious = 1) {
  FinishAgainst(kNever);
}
MODEL_TEST("B17: a wait for a task with a deadline ends by it", .preemptions = 2,
           .early_timeouts = 1) {
  FinishAgainst(1'000'000);
}

MODEL_TEST("B17: a task watched among many wakes who watches, who sees its result",
           .preemptions = 2) {
  TaskRecord* record = MakeRecord();
  Plain<int> result{0};
  record->Ref();
  Thread worker([&] {
    MODEL_CHECK(record->Claim());
    result.Write(1);
    record->Finish();
    record->Unref();
  });
  if (!record->WatchByMany()) {
    MODEL_CHECK(AnyTaskOver().Await(kNever, [&] { return record->phase() == TaskRecord::kOver; }));
  }
  MODEL_CHECK(result.Read() == 1);
  worker.Join();
  record->Unref();
}

MODEL_TEST("the last of three references deletes a record, after all uses", .preemptions = 2) {
  UseByThree(MakeRecord(), [](const TaskRecord& record) { (void)record.phase(); });
}

MODEL_TEST("who claims a task for its next attempt sees what the last one wrote", .outcomes = "first next") {
  TaskRecord* record = MakeRecord();
  Plain<int> written{0};
  record->Ref();
  MODEL_CHECK(record->Claim());
  Thread worker([&] {
    written.Write(1);
    MODEL_CHECK(record->Requeue());
    record->Unref();
  });
  const bool claimed = record->Claim();
  if (claimed) MODEL_CHECK(written.Read() == 1);
  Observe(claimed ? "next" : "first");
  worker.Join();
  record->Unref();
}

MODEL_TEST("who claims a queued task comes after who moved it on, and what that one read", .outcomes = "held queued") {
  TaskRecord* record = MakeRecord();
  Plain<int> rules{1};
  record->Ref();
  record->BeginHeld();
  Thread mover([&] {
    MODEL_CHECK(rules.Read() == 1);
    MODEL_CHECK(record->Unhold());
    record->Unref();
  });
  const bool claimed = record->ClaimQueued();
  if (claimed) rules.Write(2);
  Observe(claimed ? "queued" : "held");
  mover.Join();
  record->Unref();
}

MODEL_TEST("the last of three references deletes a token, after all uses", .preemptions = 2) {
  UseByThree(Token::Make(nullptr), [](const Token& token) { (void)token.reason(); });
}

// ---- completion queues, classes ----------------------------------------------------------------

MODEL_TEST("the last of three references deletes a completion queue, after all uses", .preemptions = 2) {
  UseByThree(CompletionQueue::Make(1), [](CompletionQueue& queue) {
    if (queue.BeginCallback()) queue.EndCallback();
  });
}

MODEL_TEST("who detaches a completion queue sees what its callbacks did, and none runs on return", .preemptions = 2,
           .outcomes = "after before") {
  CompletionQueue* queue = CompletionQueue::Make(1);
  Plain<int> seen{0};
  Thread other([&] {
    if (!queue->BeginCallback()) return;
    seen.Write(1);
    queue->EndCallback();
  });
  queue->Detach(0);
  Observe(seen.Read() == 1 ? "before" : "after");
  other.Join();
  queue->Unref();
}

MODEL_TEST("who polls a completion queue has what was pushed, and is woken for it, for a detach and for the end of its handle",
           .preemptions = 2) {
  CompletionQueue* queue = CompletionQueue::Make(1);
  Thread other([&] {
    MODEL_CHECK(queue->Reserve() == POOL_OK);
    pool_completion_t completion{};
    completion.code = 7;
    queue->Push(completion);
    queue->EndHandle();
  });
  pool_completion_t completion{};
  uint32_t count = 0;
  MODEL_CHECK(queue->Poll(&completion, 1, kNever, &count) == POOL_OK);
  MODEL_CHECK(count == 1 && completion.code == 7);
  MODEL_CHECK(queue->Poll(&completion, 1, kNever, &count) == POOL_E_BADHANDLE);
  other.Join();
  Thread third([&] { queue->Detach(0); });
  MODEL_CHECK(queue->Poll(&completion, 1, kNever, &count) < 0);
  third.Join();
  MODEL_CHECK(queue->Poll(&completion, 1, kNever, &count) == POOL_E_CLOSED);
  queue->Unref();
}

MODEL_TEST("who finds a class finds it whole", .preemptions = 2, .outcomes = "none whole") {
  Classes classes;
  Thread setter([&] { MODEL_CHECK(classes.Ensure(1) != nullptr); });
  TaskClass* found = classes.Find(1);
  if (found != nullptr) MODEL_CHECK(found->on_rate.load(kRelaxed) == 0 && !found->rate.limited());
  Observe(found != nullptr ? "whole" : "none");
  setter.Join();
}

// ---- groups ------------------------------------------------------------------------------------

void RunMember(TaskRecord& member, Plain<int>& result, int32_t code) {
  if (member.Claim()) {
    result.Write(1);
    member.details()->outcome = code == 0 ? POOL_DONE : POOL_FAILED;
    member.details()->code = code;
    member.details()->group->MemberOver(member);
    member.Finish();
  }
  member.Unref();
}

MODEL_TEST("a group's wait ends when two members are over, and sees what they did",
           .preemptions = 2) {
  auto* group = New<Group>(uint64_t{1});
  Plain<int> results[2];
  TaskRecord* members[2];
  for (TaskRecord*& member : members) {
    member = MakeRecord();
    MODEL_CHECK(group->Add(*member));
    MODEL_CHECK(group->members().Offer(member->details()->in_group));
  }
  Thread one([&] { RunMember(*members[0], results[0], 0); });
  Thread two([&] { RunMember(*members[1], results[1], -1000); });
  MODEL_CHECK(group->Await(kNever));
  for (Plain<int>& result : results) MODEL_CHECK(result.Read() == 1);
  MODEL_CHECK(group->FirstCode() == -1000);
  group->Unref();
  one.Join();
  two.Join();
}

MODEL_TEST("an empty group shows what its members did", .preemptions = 2) {
  auto* group = New<Group>(uint64_t{1});
  Plain<int> result;
  TaskRecord* member = MakeRecord();
  MODEL_CHECK(group->Add(*member));
  Thread worker([&] { RunMember(*member, result, -1000); });
  const int32_t code = group->FirstCode();
  MODEL_CHECK(code == 0 || code == -1000);
  if (group->Empty()) MODEL_CHECK(result.Read() == 1);
  worker.Join();
  group->Unref();
}

MODEL_TEST("a waiter that runs a group's members and a worker run each exactly once",
           .preemptions = 2) {
  auto* group = New<Group>(uint64_t{1});
  Plain<int> result;
  TaskRecord* member = MakeRecord();
  MODEL_CHECK(group->Add(*member));
  MODEL_CHECK(group->members().Offer(member->details()->in_group));
  Thread worker([&] { RunMember(*member, result, 0); });
  if (TaskRecord* claimed = group->members().ClaimOne(false, nullptr)) {
    result.Write(1);
    group->MemberOver(*claimed);
    claimed->Finish();
    claimed->Unref();
  }
  MODEL_CHECK(group->Await(kNever));
  MODEL_CHECK(result.Read() == 1);
  worker.Join();
  group->Unref();
}

// ---- queues ------------------------------------------------------------------------------------

int32_t NoRun(void*, pool_ctx_t*) { return 0; }

// Two submitters, one by the short way, and a taker: each task once, with what was written before.
void PushAndTake(uint64_t limit, uint32_t queues) {
  const IdleSet idle(1);
  Dispatcher dispatcher({.queue_limit = limit, .queues = queues, .exact = limit <= kQueueLimitExactMax}, idle);
  MODEL_CHECK(dispatcher.Allocate());
  Plain<int> payload[2];
  int accepted = 0;
  int taken = 0;
  const auto take = [&](uint32_t hint) {
    Slot slots[2];
    const uint32_t count = dispatcher.Take(slots, 2, hint, 1);
    for (uint32_t i = 0; i < count; ++i) {
      auto* item = static_cast<Plain<int>*>(slots[i].arg);
      MODEL_CHECK(item->Read() == 1);
      item->Write(2);
      ++taken;
      if (limit <= kQueueLimitExactMax) dispatcher.limit().Release(1);
    }
  };
  Thread submitter([&] {
    payload[0].Write(1);
    const Slot slot{&NoRun, &payload[0]};
    accepted += dispatcher.Push(&slot, 1, 0, Admission::kLimited, true).accepted;
  });
  Thread taker([&] { take(1); });
  payload[1].Write(1);
  const Slot slot{&NoRun, &payload[1]};
  const bool quick = limit > kQueueLimitExactMax && dispatcher.TryPushOne(slot, 0);
  accepted += quick ? 1 : dispatcher.Push(&slot, 1, 1, Admission::kLimited, true).accepted;
  submitter.Join();
  taker.Join();
  while (dispatcher.HasTasks()) take(0);
  MODEL_CHECK(taken == accepted);
  MODEL_CHECK(accepted == 2 || limit == 1);
  MODEL_CHECK(accepted >= 1);
}

MODEL_TEST("a task queued from outside is taken once, whole", .preemptions = 2) {
  PushAndTake(kQueueLimitDefault, 1);
}
MODEL_TEST("a task queued in one of two queues is taken once, whole", .preemptions = 2,
           .stale_reads = 1) {
  PushAndTake(POOL_UNLIMITED, 2);
}
MODEL_TEST("a limit of one admits one task at a time", .preemptions = 2) { PushAndTake(1, 1); }

MODEL_TEST("a queue's counts never show more taken than pushed", .preemptions = 2) {
  const IdleSet idle(1);
  Dispatcher dispatcher({}, idle);
  MODEL_CHECK(dispatcher.Allocate());
  Atomic<int> started{0};
  Thread worker([&] {
    const Slot slot{&NoRun, nullptr};
    MODEL_CHECK(dispatcher.Push(&slot, 1, 0, Admission::kLimited, true).accepted == 1);
    Slot out;
    if (dispatcher.Take(&out, 1, 0, 1) == 1) started.store(1, kRelease);
  });
  const int started_count = started.load(kAcquire);
  MODEL_CHECK(dispatcher.SubmittedCount() >= static_cast<uint64_t>(started_count));
  (void)dispatcher.HasTasks();
  worker.Join();
}

// ---- hooks -------------------------------------------------------------------------------------

struct HookUser {
  Plain<int> data{1};
  int starts = 0;
  int stops = 0;
  static void Start(void* user, pool_t, int32_t) {
    auto* self = static_cast<HookUser*>(user);
    MODEL_CHECK(self->data.Read() > 0);
    ++self->starts;
  }
  static void Stop(void* user, pool_t, int32_t) {
    auto* self = static_cast<HookUser*>(user);
    self->data.Write(2);
    ++self->stops;
  }
};

MODEL_TEST("a hook that is removed has stopped wherever it started, and is ordered after that",
           .preemptions = 2) {
  Hooks hooks;
  HookUser user;
  uint64_t id = 0;
  MODEL_CHECK(hooks.Add(&HookUser::Start, &HookUser::Stop, &user, &id) == POOL_OK);
  Thread worker([&] {
    Hooks::Started started;
    hooks.CatchUp(started, 0, 0);
    hooks.CatchUp(started, 0, 0);
    hooks.StopAll(started, 0, 0, false);
  });
  MODEL_CHECK(hooks.BeginRemove(id));
  hooks.FinishRemove(id);
  user.data.Write(-1);  // the user may free it now
  MODEL_CHECK(user.starts == user.stops);
  worker.Join();
  MODEL_CHECK(user.starts == user.stops);
}

MODEL_TEST("a worker that sees the new epoch of hooks sees the new hook") {
  Hooks hooks;
  HookUser user;
  Thread adder([&] {
    user.data.Write(3);
    uint64_t id = 0;
    MODEL_CHECK(hooks.Add(&HookUser::Start, &HookUser::Stop, &user, &id) == POOL_OK);
  });
  if (hooks.epoch() == 1) {
    Hooks::Started started;
    MODEL_CHECK(user.data.Read() == 3);
    hooks.CatchUp(started, 0, 0);
    MODEL_CHECK(user.starts == 1);
    hooks.StopAll(started, 0, 0, false);
  }
  adder.Join();
}

}  // namespace
}  // namespace workpool::model
