// Worker: one thread of a pool: takes tasks, runs them, looks for more, sleeps, ends.
// Threads: deque().TrySteal, SizeApprox, Disturb, counters and histograms (reading): any thread.
//          Everything else: the worker's own thread.
// The order in which it looks for its next task is its own, see RunOwn, then FindTask, find_task.cc; how it goes to sleep, GoIdle.
#pragma once

#include <cstdint>

#include "base/cache_line.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/thread_line.h"
#include "base/thread_settings.h"
#include "dispatch/lanes.h"
#include "park/idle_set.h"
#include "park/quiet.h"
#include "queue/work_deque.h"
#include "stats/counters.h"
#include "stats/histogram.h"
#include "task/entry.h"
#include "worker/frame.h"
#include "worker/hooks.h"
#include "worker/watch.h"

namespace workpool {

struct Engine;
enum class Admission;

class alignas(kCacheLine) Worker {
 public:
  using Deque = WorkDeque<kDequeCapacity>;

  Worker(Engine& engine, uint32_t index);

  static void ThreadMain(void* worker);

  Engine& engine() const { return engine_; }
  uint32_t index() const { return index_; }
  Deque& deque() { return deque_; }
  const Deque& deque() const { return deque_; }
  Tls& tls() { return *tls_; }
  Frame& frame() { return frame_; }
  int32_t tid() const { return tid_.load(kRelaxed); }
  bool busy() const { return busy_.load(kRelaxed); }

  // Queues a child of the running task here if nothing is special. False: nothing happened, use Submit.
  [[nodiscard, gnu::always_inline]] bool TrySubmit(Slot slot) {
    // Without room in the deque, with an exact limit, or closing, it is not so simple.
    if (!plain_submits_ || idle_.Load().has(Census::kRefuseAll) || !deque_.HasRoom()) [[unlikely]] return false;
    counters.submitted.Add();
    deque_.Push(slot);
    // The task before the look at the census; partners: the fence in IdleSet::Announce, and Quiet::Alert.
    if (!quiet_.Fence() && idle_.Load().NeedsHelp()) [[unlikely]] Help();
    return true;
  }
  // Queues a child of the running task here, or in an injection queue if there is no room. FULL, CLOSED, NOMEM.
  [[nodiscard]] Status Submit(Slot slot, Admission admission);
  // The same, but for everybody.
  [[nodiscard]] Status SubmitShared(Slot slot, Admission admission, int32_t priority);
  // Queues what the statistics do not count (a fork, a helper of a loop). False: no room.
  [[nodiscard]] bool TryPush(Slot slot);
  // The newest of its own tasks.
  [[nodiscard]] bool TryPop(Slot* out) {
    return deque_.TryPop(out, [this] { quiet_.Fence(); });
  }

  // Runs a task taken from a queue.
  void Execute(Slot slot);

  // The running task says that it blocks, and that it does no more: meanwhile another worker may be up. False: an end
  // without its begin. What it forgets to end ends with it.
  void BeginAnnouncedBlock();
  [[nodiscard]] bool EndAnnouncedBlock();

  // Makes the worker look at flags and hooks before it runs its next task.
  void Disturb() { calm_.store(0, kRelaxed); }

  WorkerCounters counters;
  Histogram wait_histogram;
  Histogram run_histogram;
  RunWatch run_watch;
  bool in_use = false;  // under WorkerSet's lock: a thread has this slot

 private:
  // How often a searcher goes round again before it sleeps. A round over a few empty queues is about 50 ns, so this is
  // two to three microseconds, the price of a futex wake-up.
  static constexpr int kSearchRounds = 32;

  void Help();
  void Spill(Admission admission);
  void Loop();
  [[nodiscard]] bool RunOwn();
  [[nodiscard]] bool RunTaken(Slot slot);
  void RunSimple(Slot slot);
  // One comparison for everything that is not the next task: hooks, pause, close, a lower ceiling. Asked after a task is
  // taken: what was changed before it was submitted is then seen before it runs.
  [[nodiscard]] bool Calm() const { return idle_.Load().word() == calm_.load(kRelaxed); }
  [[nodiscard]] bool Attend();
  // Not among its own.
  [[nodiscard]] bool FindTask(Slot* out);
  [[nodiscard]] bool FindTaskFairly(Slot* out);
  [[nodiscard]] bool TakeBatch(Slot* out);
  [[nodiscard]] bool TakeOne(Slot* out);
  bool GaveRoom();
  [[nodiscard]] bool Search(Slot* out);
  [[nodiscard]] bool StealRound(Slot* out);
  [[nodiscard]] bool GoIdle();
  void EndAnnouncedBlocks();
  void BeginSearch();
  void BeginWork();
  [[nodiscard]] bool Expired();
  [[nodiscard]] bool TakeFork(Slot* slot);
  void PreferLanes(Slot* slot);
  void PutBackSettings();
  void MoveOut(Slot slot, TaskPlace place);
  void End(bool unwound);
  void EndByUnwind();

  // ---- constant after construction
  Engine& engine_;
  const uint32_t index_;
  const IdleSet& idle_;
  const bool plain_submits_;  // no exact queue limit, and no order for all
  // ---- owner only
  Tls* tls_ = nullptr;
  ThreadSettings settings_;  // as they were when it started, if tasks are isolated
  Frame frame_{};          // what plain tasks, which never run nested, see as their context
  bool simple_ = false;    // neither limit, drop, closing nor exceptions ask for more than a call and two counts
  Random random_;
  bool counted_ = true;    // as live, in the census
  bool searching_ = false;
  int rounds_ = kSearchRounds;  // what a search may last, see GoIdle
  bool closing_ = false;   // what is taken is to be cancelled
  uint32_t announced_ = 0;  // blocks that the running task has begun and not ended
  QuietOwner quiet_;
  uint32_t until_fair_ = kFairnessPeriod;  // takes of its own newest tasks
  bool fair_to_own_ = false;               // the last fair take was from an injection queue
  uint32_t turn_ = 0;      // the injection queue whose turn it is
  TaskPlace place_;        // where the task that was taken last stood
  bool lanes_press_ = false;   // a task in a lane may go before its own
  bool lanes_asked_ = false;   // and they let the next one go first
  LaneTurn lane_turn_;
  uint64_t hooks_epoch_ = 0;
  Hooks::Started hooks_started_;
  // ---- atomic
  Atomic<uint64_t> calm_{0};  // a census at which nothing is to be done; 0: look
  Atomic<bool> busy_{false};
  Atomic<int32_t> tid_{0};    // of its thread

 public:
  IdleSet::Parker parker;

 private:
  Deque deque_;
};

}  // namespace workpool
