// Dispatcher: where tasks from outside wait for a worker. It prefers an idle worker: the caller wakes one when
// the census says that nobody is looking. If all are busy, the task stays in an injection queue, and the least loaded
// worker, the first to run out of its own, takes it. Threads spread over the queues by their line, workers begin at
// their own index, and nobody waits for a lock while another queue is free.
// Tasks with a priority other than 0 wait in a lane of their own (lanes.h), of one queue each. A pool with a strict order
// has one queue for all, from which tasks are taken one at a time.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "dispatch/lanes.h"
#include "dispatch/queue_limit.h"
#include "park/idle_set.h"
#include "queue/injection_queue.h"
#include "queue/ordered_queue.h"

namespace workpool {

enum class Admission { kLimited, kExempt };

class Dispatcher {
 public:
  struct Options {
    uint64_t queue_limit = POOL_UNLIMITED;
    uint32_t queues = 1;    // a power of two
    uint32_t lanes = 1;
    uint64_t aging_ns = kNever;
    uint64_t lane_limit = POOL_UNLIMITED;  // of each lane but 0
    bool exact = false;     // the limit is counted in one place: slower, and nothing takes the short way
    int32_t strategy = POOL_STRATEGY_STEALING;
  };
  // idle: while its census says paused, workers find nothing here.
  Dispatcher(const Options& options, const IdleSet& idle);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  [[nodiscard]] bool Allocate();

  struct PushResult {
    uint32_t accepted;
    Status status;  // OK, or why it is fewer: FULL, NOMEM
  };
  // Queues slots[0], slots[1], ... as far as limit and memory go. hint: spreads threads over the queues.
  // counted: they are tasks, not helpers of the library's own.
  // priority: within the lanes, or any where the order is by priority.
  PushResult Push(const Slot* slots, uint32_t count, uint32_t hint, Admission admission, bool counted,
                  int32_t priority = 0);
  // Back to its place, or to the front: it was taken, and cannot be run now. False: no memory.
  [[nodiscard]] bool PutBack(Slot slot, uint32_t hint, TaskPlace place);

  // One task is to wait elsewhere, but counts as one that waits here. FULL.
  [[nodiscard]] Status EnterHeld(Admission admission);
  // The same for one that was admitted before.
  void EnterHeldExempt();
  // It is queued now, or has ended.
  void LeaveHeld();

  // The same for one task of the limited kind, by the short way: false if that is not open (then Push tells why).
  [[nodiscard]] bool TryPushOne(Slot slot, uint32_t hint) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    InjectionQueue& queue = queues_[hint & mask_];
    if (!queue.TryLock()) return false;
    const bool pushed = limit_.MayEnterOne(queue) && queue.TryPushOne(slot);
    queue.Unlock();
    return pushed;
  }

  // Moves a batch to out: a fair share among sharers of what one queue holds, at most max. place: for PutBack, where the
  // order is strict. Not while the pool is paused: what is submitted then is not taken even for a moment, so that limits
  // are exact.
  [[nodiscard]] uint32_t Take(Slot* out, uint32_t max, uint32_t hint, uint32_t sharers, TaskPlace* place = nullptr);
  // What somebody who takes from the lanes knows of ordinary tasks.
  enum class Ordinary {
    kHere,     // it has one itself
    kPerhaps,  // others may have some
    kNone,     // it has just looked for them everywhere
  };
  // A task of a lane other than 0, if one is to go before ordinary tasks. Not while the pool is paused.
  [[nodiscard]] bool TakeFromLanes(Slot* out, Ordinary ordinary, LaneTurn& turn, TaskPlace* place);
  // Workers have to look at the lanes before their next task.
  [[nodiscard]] bool LanesPress() const;
  [[nodiscard]] bool lanes_used() const { return lanes_used_.load(kRelaxed); }
  const Lanes& lanes() const { return lanes_; }
  Lanes& lanes() { return lanes_; }
  // What waits already stays. Who raises it tells those that wait for room.
  void SetLaneLimit(uint64_t limit) { lane_limit_.store(limit, kRelaxed); }
  uint64_t lane_limit() const { return lane_limit_.load(kRelaxed); }
  // Its lane takes no more tasks of the limited kind.
  [[nodiscard]] bool LaneIsFull(int32_t priority) const {
    return priority != 0 && all_ > count_ && LaneAt(lanes_.IndexOf(priority)).Size() >= lane_limit();
  }
  // Something limits what may wait, so that somebody may wait for room.
  [[nodiscard]] bool bounded() const { return !limit_.unlimited() || lane_limit() != POOL_UNLIMITED; }
  // When the lane of this priority will be due, or kNever.
  [[nodiscard]] uint64_t LaneDueNs(int32_t priority) const;

  // One that waits, to make room: the oldest, or of those below `below` one of the lowest priority. False: there is none.
  [[nodiscard]] bool TakeOldest(Slot* out, uint32_t hint);
  [[nodiscard]] bool TakeLowest(Slot* out, int32_t below);
  // The same in one lane, not 0.
  [[nodiscard]] bool TakeOldestOf(int32_t priority, Slot* out) { return TakeHead(LaneOf(priority), out); }

  // A burst is over: gives back what is beyond kIdleBytes, or a little for each queue.
  void GiveBackMemory();

  // Takes out what drop says it has dropped, with a lock held; returns how many.
  uint32_t Purge(bool (*drop)(Slot slot));
  uint32_t PurgeLane(int32_t priority, bool (*drop)(Slot slot)) { return PurgeQueue(LaneOf(priority), drop); }

  [[nodiscard]] bool HasTasks() const;
  [[nodiscard]] uint64_t Size() const;
  [[nodiscard]] uint64_t SubmittedCount() const;
  [[nodiscard]] bool HasRoom() const;

  QueueLimit& limit() { return limit_; }

 private:
  // Bursts come again, and new pages are dear: as much stays for all queues together,
  static constexpr size_t kIdleBytes = 8 * 1024 * 1024;
  // and at least so much for each.
  static constexpr size_t kIdleBytesOfOne = 128 * 1024;

  InjectionQueue& LockOne(uint32_t hint);
  uint32_t Admit(InjectionQueue*& queue, uint32_t count, uint32_t hint, int32_t priority);
  PushResult PushOrdered(const Slot* slots, uint32_t count, bool counted, int32_t priority);
  InjectionQueue& LaneOf(int32_t priority) { return queues_[count_ + lanes_.IndexOf(priority)]; }
  const InjectionQueue& LaneAt(uint32_t lane) const { return queues_[count_ + lane]; }
  [[nodiscard]] uint32_t WaitingLanes() const;
  [[nodiscard]] bool NormalWaits() const;
  uint32_t PurgeQueue(InjectionQueue& queue, bool (*drop)(Slot slot));
  // Takes one from the head of a queue. to_run: not while the pool is paused.
  [[nodiscard]] bool TakeHead(InjectionQueue& queue, Slot* out, bool to_run = false);
  // Asked with the lock of a queue held: who pushed after a pause has released it since, so the pause is seen.
  [[nodiscard]] bool Paused() const { return idle_.Load().has(Census::kPaused); }

  const uint32_t count_;  // of queues for ordinary tasks, a power of two
  const uint32_t mask_;
  const uint32_t all_;    // with those of the lanes; the one of lane 0 stays empty
  Atomic<uint64_t> lane_limit_;
  InjectionQueue* queues_ = nullptr;
  QueueLimit limit_;
  Lanes lanes_;
  const IdleSet& idle_;
  const bool by_order_;
  OrderedQueue ordered_;
  Atomic<bool> lanes_used_{false};
  Atomic<int64_t> held_{0};
};

}  // namespace workpool
