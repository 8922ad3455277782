// WorkerSet: the workers of one pool: starts them, finds help for waiting tasks, knows where each is, sees them
// off. Threads are started lazily, one at a time: a started worker that finds more than one task sees to the next.
// Threads: all, any thread, unless said otherwise.
// Invariant: threads that run or are being started == threads_; each has a slot, and slots are given lowest first.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "park/event.h"

namespace workpool {

class Worker;
struct Engine;

class WorkerSet {
 public:
  // limit: of worker indices.
  WorkerSet(Engine& engine, uint32_t limit, uint32_t base, uint32_t min, uint32_t max);
  ~WorkerSet();
  WorkerSet(const WorkerSet&) = delete;
  WorkerSet& operator=(const WorkerSet&) = delete;

  [[nodiscard]] bool Allocate();

  // A task waits: wakes or starts one worker if the census says that this helps: no more than searchers search.
  void Help(uint32_t searchers = 0);
  // Tasks wait, and nobody can be woken or started for them: tells the scaler, if there is one and nobody has told it.
  // may_log: the user's log may be called here, and may end the thread.
  void CallScaler(bool may_log = true);
  // The caller no longer searches: sees to the tasks that still wait.
  void PassOn();

  enum class StartResult { kStarted, kNotWanted, kFailed };
  // forced: up to the ceiling, whether a task waits or not.
  StartResult StartOne(bool forced, uint32_t searchers = 0);
  // Starts workers until count live, with short pauses where the system refuses for the moment (100 ms in all).
  // False: fewer could be started.
  [[nodiscard]] bool StartUpTo(uint32_t count);

  // After a refused start, and not too soon: tries again what is still wanted.
  void StartAgain();

  // Manual target, or 0: the scaler goes on from the one that holds. True: as many live as wanted.
  [[nodiscard]] bool Tune(uint32_t count);
  // The scaler's: target workers may be up; of those above keep idle ones expire, or exact: end at once. Nothing while there
  // is a target by hand. The caller sees to the tasks that wait: they may have been queued when fewer might be up.
  void Aim(uint32_t target, uint32_t keep, bool exact);
  // So many may be up without being asked for; not more than the maximum.
  void SetBase(uint32_t base) { base_.store(base, kRelaxed); }
  uint32_t base() const { return base_.load(kRelaxed); }
  // Where the scaler may go; it is told to look again afterwards.
  void SetBounds(uint32_t min, uint32_t max);
  uint32_t min() const { return min_.load(kRelaxed); }
  uint32_t max() const { return max_.load(kRelaxed); }
  // Tasks wait: wakes or starts up to count workers.
  void HelpMany(uint32_t count);
  // A worker has expired: what was allowed for a load that is over is not allowed for the next one.
  void Relax();

  // A worker waits inside a task: one more may be up meanwhile, as far as the limit allows.
  void BeginBlocked();
  void EndBlocked();

  // The calling worker's place is free for another thread from now on.
  void FreeSlot(Worker& worker);
  // The calling thread, whose place is free, is about to end; the last use of the engine is that of its reference.
  void ThreadEnds();
  // Waits until every thread has ended and joins the last.
  void JoinAll();
  // Nobody will join: threads end detached from now on.
  void DetachAll();

  // Every worker looks at hooks and flags before its next task.
  void DisturbAll();

  // Workers above this number expire.
  const Atomic<uint32_t>& keep() const { return keep_; }
  uint32_t target() const { return target_.load(kRelaxed); }
  bool tuned() const { return tuned_.load(kRelaxed); }
  // Idle workers above keep end at once.
  bool exact() const { return exact_.load(kRelaxed); }
  uint32_t blocked() const { return blocked_.load(kRelaxed); }
  // How many workers the pool would like to have now: more than live while threads cannot be started.
  [[nodiscard]] uint32_t Wanted() const;

  // Workers by index, 0 ... size() - 1; some nullptr.
  uint32_t size() const { return size_.load(kRelaxed); }
  Worker* at(uint32_t index) const { return slots_[index].load(kAcquire); }

 private:
  Worker* TakeSlot();
  bool MayStartNow() const;
  // A thread was refused: counts it, and has workers try again.
  void NoteRefusal(int error);
  // Logs it, here or on a worker.
  void TellRefusal();
  void LogRefusal();
  void AdjustCeiling() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ceiling_mu_);

  Engine& engine_;
  const uint32_t limit_;
  Atomic<uint32_t> base_;
  Atomic<uint32_t> min_;
  Atomic<uint32_t> max_;
  Atomic<Worker*>* slots_ = nullptr;  // constant after Allocate
  Atomic<uint32_t> size_{0};          // only rises
  Atomic<uint32_t> target_;
  Atomic<uint32_t> keep_;
  Atomic<bool> tuned_{false};
  Atomic<bool> exact_{false};
  Atomic<uint32_t> blocked_{0};
  Atomic<uint32_t> threads_{0};
  Atomic<uint32_t> start_failures_in_a_row_{0};
  Atomic<uint64_t> start_again_ns_{0};
  Atomic<int> last_error_{0};
  Atomic<bool> refusal_to_log_{false};
  Atomic<bool> scaler_refused_{false};
  Event all_ended_;
  Mutex mu_;
  // The ceiling of the census is the target and the blocked workers, at most the limit.
  Mutex ceiling_mu_;
  uint32_t ceiling_ ABSL_GUARDED_BY(ceiling_mu_);
  bool detached_ ABSL_GUARDED_BY(mu_) = false;
  bool has_exited_ ABSL_GUARDED_BY(mu_) = false;
  ThreadHandle exited_ ABSL_GUARDED_BY(mu_) = 0;  // ended last, not yet joined; it has joined those before it
};

}  // namespace workpool
