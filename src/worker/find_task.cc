// Where a worker looks for its next task, in this order.
#include "base/spin.h"
#include "worker/engine.h"
#include "worker/worker.h"

namespace workpool {

bool Worker::FindTask(Slot* out) {
  place_ = {};
  lanes_asked_ = false;
  using Ordinary = Dispatcher::Ordinary;
  if (engine_.dispatcher.lanes_used()) [[unlikely]] {
    const auto ordinary = deque_.SizeApprox() != 0 ? Ordinary::kHere : Ordinary::kPerhaps;
    if (engine_.dispatcher.TakeFromLanes(out, ordinary, lane_turn_, &place_)) {
      if (until_fair_ == 0) until_fair_ = 1;  // the turn to be fair is the next one
      return GaveRoom();
    }
    lanes_asked_ = lane_turn_.normal_first;
  }
  if (until_fair_ == 0 && FindTaskFairly(out)) return true;
  return TakeBatch(out) || Search(out);
}

// Every 61st task from an injection queue, from each in turn, and the one after it the oldest of its own: tasks that
// submit themselves for ever starve neither, though they fill one of those queues, too.
bool Worker::FindTaskFairly(Slot* out) {
  fair_to_own_ = !fair_to_own_;
  until_fair_ = fair_to_own_ ? 1 : kFairnessPeriod;
  if (fair_to_own_ ? TakeOne(out) : deque_.TrySteal(out) == StealResult::kTaken) return true;
  return TryPop(out);
}

bool Worker::TakeOne(Slot* out) {
  LeaveForkedChild(frame_);  // of the threads that share these queues one may be gone with a lock
  return engine_.dispatcher.Take(out, 1, turn_++, 1, &place_) != 0 && GaveRoom();
}

// A task was taken that counted against the queue limit.
bool Worker::GaveRoom() {
  if (engine_.dispatcher.bounded()) engine_.space_event.Notify();
  return true;
}

bool Worker::TakeBatch(Slot* out) {
  LeaveForkedChild(frame_);  // as in TakeOne
  Slot batch[kBatchMax];
  // Where an order is promised, one at a time: what lies in a deque behind a task that takes long would be late. Else from
  // each queue in turn, or the others would have only one take in kFairnessPeriod while one is never empty.
  const uint32_t taken = engine_.dispatcher.Take(batch, engine_.own_queues ? kBatchMax : 1, index_ + turn_++,
                                                 engine_.idle.Load().up(), &place_);
  if (taken == 0) return false;
  (void)GaveRoom();
  *out = batch[0];
  // The rest is stealable from this moment on. Pushed last first, so that this worker runs them in the order of
  // their arrival. There is room: the worker looks here when its deque is empty.
  static_assert(kBatchMax <= Deque::kCapacityMax);
  if (taken == 1) return true;
  deque_.PushReversed(batch + 1, taken - 1);
  // On their way they were in no queue, so a worker that looked may have gone to sleep: who moves tasks tells of them like
  // who submits them. A searcher does so when its search ends.
  if (!searching_ && !quiet_.Fence() && idle_.Load().NeedsHelp()) Help();
  return true;
}

bool Worker::Search(Slot* out) {
  if (!searching_) {
    if (!engine_.idle.TryBeginSearch()) return false;
    BeginSearch();
  }
  for (int round = 0;; ++round) {
    if (engine_.idle.Load().has(Census::kPaused)) return false;
    if (TakeBatch(out) || StealRound(out)) return true;
    if (engine_.dispatcher.TakeFromLanes(out, Dispatcher::Ordinary::kNone, lane_turn_, &place_)) return GaveRoom();
    if (round >= SpinRounds(rounds_)) return false;
    SpinPause();
  }
}

// Half of what a victim has, beginning with its oldest task. A fork is stolen only to be run at once: were it to wait here
// behind a task, and that for something which its parent does after the join, both would wait for ever.
bool Worker::StealRound(Slot* out) {
  const uint32_t count = engine_.workers.size();
  const uint32_t first = random_.Below(count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t victim_index = first + i < count ? first + i : first + i - count;
    Worker* victim = engine_.workers.at(victim_index);
    if (victim == nullptr || victim == this) continue;
    const size_t half = (victim->deque().SizeApprox() + 1) / 2;
    if (half == 0) continue;
    StealResult result;
    while ((result = victim->deque().TrySteal(out)) == StealResult::kLost) SpinPause();
    if (result == StealResult::kEmpty) continue;
    counters.steals.Add();
    for (size_t n = 1; n < half; ++n) {
      Slot more;
      if (victim->deque().TrySteal(&more, IsFork) != StealResult::kTaken) break;
      counters.steals.Add();
      (void)deque_.TryPush(more);
    }
    return true;
  }
  return false;
}

}  // namespace workpool
