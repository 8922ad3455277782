// Pool: wires the floors together and decides when things begin and end. The C interface (capi) is a thin skin
// over it.
// Threads:   all, any thread. "In section" means: the caller names line_slot in its thread line
//            (base/thread_line.h), so that the pool cannot go away and its last worker cannot leave unseen.
// Ownership: counted: the handle, and each worker thread. The last one deletes it.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/clock.h"
#include "pool/live_options.h"
#include "pool/options.h"
#include "pool/task_rules.h"
#include "scaling/scaler.h"
#include "task/completion_queue.h"
#include "task/group.h"
#include "task/task_record.h"
#include "task/token.h"
#include "worker/engine.h"
#include "worker/forking.h"
#include "worker/frame.h"
#include "worker/run_task.h"
#include "worker/settle.h"
#include "worker/waiting.h"
#include "worker/worker.h"

namespace workpool {

class Pool {
 public:
  // OK, INVALID, NOMEM. No thread runs yet.
  // budget: of the options, or nullptr.
  [[nodiscard]] static Status Create(const pool_options_t& options, Budget* budget, Pool** out);

  // Before anything else: its public number, and what threads name while they are inside.
  void SetHandle(pool_t handle, uint64_t line_slot);
  // Starts options.prestart workers, and what watches the pool: OK, THREAD, NOMEM.
  [[nodiscard]] Status Prestart();

  Engine& engine() { return engine_; }
  // The pool whose worker this thread is, if handle names it and it takes tasks of its own, or nullptr. It cannot go while
  // this worker runs.
  [[nodiscard]] static Pool* OfWorker(Tls& tls, uint64_t handle);
  const AdmissionPolicy& policy() const { return policy_; }
  LiveOptions& live_options() { return live_options_; }

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  // ---- submit (submit.cc)
  // The shortest way, for one plain task when nothing is special: queues it and tells whether somebody has to be
  // found for it: then HelpInSection. Refused: nothing happened, take the long way.
  enum class Quick { kRefused, kQueued, kNeedsHelp };
  [[nodiscard]] Quick TryQueueInSection(const ThreadLine& line, Slot slot) {
    const Census before = engine_.idle.Load();
    if (before.has(Census::kRefuseOutside | Census::kRefuseAll) || before.live() == 0 ||
        !engine_.dispatcher.TryPushOne(slot, line.index)) [[unlikely]] {
      return Quick::kRefused;
    }
    // The task before the look at the census; partner: the fence in IdleSet::Announce. Either the worker that
    // goes to sleep sees the task, or we see it sleeping.
    FullFence();
    return engine_.idle.Load().NeedsHelp() ? Quick::kNeedsHelp : Quick::kQueued;
  }
  void HelpInSection() { engine_.workers.Help(); }
  // One plain task, stamped if it is one of the sampled ones. FULL: by the long way.
  [[nodiscard]] Status SubmitPlainInSection(Tls& tls, ThreadLine& line, Slot slot, int32_t priority = 0);
  // The same for one of pool_submit_task, if it is plain.
  [[nodiscard]] Status SubmitTaskInSection(Tls& tls, ThreadLine& line, const pool_task_t& task);
  // From a worker of this pool.
  [[nodiscard]] Status SubmitPlainLocal(Tls& tls, Worker& worker, Slot slot, Admission admission);
  // Any number of plain tasks, from any thread, blocking until deadline_ns if the policy says so. Not in section; the
  // caller holds a reference. *accepted is a prefix.
  [[nodiscard]] Status Submit(const Slot* slots, uint32_t count, Admission admission, const AdmissionPolicy& policy,
                              uint64_t deadline_ns, uint32_t* accepted);
  // The same for one, stamped if it is one of the sampled ones.
  [[nodiscard]] Status SubmitOne(Slot slot, Admission admission, uint64_t deadline_ns);
  // A task of pool_submit_task that has no rules of its own needs no record.
  [[nodiscard]] bool IsPlain(const pool_task_t& task) const;
  [[nodiscard]] Status SubmitPlainTask(const pool_task_t& task);
  [[nodiscard]] Status SubmitMany(RunFn run, void* const* args, uint32_t count, uint32_t* accepted);
  // Checks a task and makes its record, with one reference for the queue and a place in what it is linked to. nullptr:
  // *status is INVALID, NOMEM, NOTFOUND, CANCELLED, FULL or CLOSED (completion queue).
  [[nodiscard]] TaskRecord* MakeRecord(const pool_task_t& task, const TaskLinks& links, bool ticket,
                                       AdmissionPolicy* policy, Status* status);
  // Queues it, or holds it until its time comes. On failure it is gone, but for references that the caller has kept.
  [[nodiscard]] Status SubmitRecord(TaskRecord& record, Admission admission, const AdmissionPolicy& policy,
                                    uint64_t delay_ns, uint64_t queue_timeout_ns);
  // It was made, and is not to be submitted.
  void GiveUpRecord(TaskRecord& record);
  [[nodiscard]] Status SetClass(uint32_t id, const pool_class_options_t& options);

  // ---- parallel_for.cc
  [[nodiscard]] Status ParallelFor(uint64_t begin, uint64_t end, uint64_t grain, uint32_t participants_max,
                                   RangeFn body, void* arg, int32_t* body_code);
  uint32_t participants() const { return engine_.options.participants; }

  // ---- life (pool.cc)
  [[nodiscard]] Status Close(int32_t mode, int64_t timeout_ns);
  // Runs body, which waits, with another worker up in the caller's place if it is one, of another pool.
  template <typename Body>
  void StoodInFor(Body&& body) {
    const BlockedScope blocked(ForeignWorker());
    body();
  }
  // After Close has drained it: no thread is left on return.
  void JoinWorkers();
  // Gives it up: cancels what is queued, lets its threads end by themselves.
  void Abandon();
  [[nodiscard]] Status Pause();   // OK, CLOSED
  [[nodiscard]] Status Resume();
  [[nodiscard]] Status WaitIdle(uint64_t deadline_ns);
  [[nodiscard]] Status AddHook(HookFn start, HookFn stop, void* user, uint64_t* id);
  [[nodiscard]] Status RemoveHook(uint64_t id);
  [[nodiscard]] Status Tune(uint32_t workers);

  // ---- scaling (scaling.cc)
  // OK, INVALID, NOMEM, THREAD.
  [[nodiscard]] Status SetPolicy(const pool_policy_t& own);
  // As Scaler::SaveHistory.
  [[nodiscard]] Status PolicyHistory(char* out, size_t room, size_t* needed);
  // The decisions after this number, at most cap; returns how many.
  [[nodiscard]] uint32_t Decisions(uint64_t after, pool_decision_t* out, uint32_t cap) const;
  [[nodiscard]] Worker* ForeignWorker() const;  // the caller, if it is another pool's worker
  [[nodiscard]] bool IsOwnThread() const;  // the caller is its worker or runs one of its tasks

  // ---- snapshot.cc
  void Snapshot(pool_stats_t* out) const;

  // ---- health.cc
  // OK, or STALLED, and then it has done what can be done. It compares with what the call before has seen.
  [[nodiscard]] Status Health();

 private:
  explicit Pool(const PoolOptions& options);
  ~Pool();
  friend void Delete<Pool>(Pool*);
  friend Pool* New<Pool, PoolOptions&>(PoolOptions&);

  // May this thread submit now? OK, CLOSED.
  [[nodiscard]] Status CheckOpenInSection(Census census) const;
  [[nodiscard]] Status SubmitOutsideInSection(ThreadLine& line, const Slot* slots, uint32_t count,
                                              Admission admission, int32_t priority, uint32_t* accepted);
  [[nodiscard]] Status SubmitLocal(Worker& worker, const Slot* slots, uint32_t count, Admission admission,
                                   int32_t priority, uint32_t* accepted);
  // One attempt to queue slots, without waiting. FULL: no room.
  [[nodiscard]] Status TryQueue(const Slot* slots, uint32_t count, Admission admission, int32_t priority,
                                uint32_t* accepted);
  // One attempt to accept a record that is held first.
  [[nodiscard]] Status TryAccept(Admission admission);
  // Attempts until there is room, as the policy says. attempt: () -> Status.
  template <typename Attempt, typename HasRoom>
  [[nodiscard]] Status Admit(const AdmissionPolicy& policy, uint64_t deadline_ns, int32_t priority, Attempt attempt,
                             HasRoom has_room);
  [[nodiscard]] Status TakeRateTokens(TaskRecord& record, Admission admission, const AdmissionPolicy& policy,
                                      uint64_t deadline_ns);
  [[nodiscard]] Status TakeRateToken(RateLimiter& limiter, Atomic<bool>& token, const AdmissionPolicy& policy,
                                     uint64_t deadline_ns);
  [[nodiscard]] Status AwaitRateToken(RateLimiter& limiter, uint64_t deadline_ns);
  [[nodiscard]] bool IsRateLimited(const TaskRecord& record) const;
  [[nodiscard]] Status SubmitAsRecord(const Slot& slot, Admission admission, const AdmissionPolicy& policy);
  [[nodiscard]] Status RunOnCaller(TaskRecord& record);
  void AwaitOnCaller(TaskRecord& record);
  [[nodiscard]] Status CheckRecord(const pool_task_t& task, const TaskLinks& links, AdmissionPolicy* policy) const;
  // The policy of one task. OK, INVALID.
  [[nodiscard]] Status CheckPolicy(const pool_task_t& task, AdmissionPolicy* policy) const;
  [[nodiscard]] bool MayHaveRoomInAMoment(const AdmissionPolicy& policy, bool lane_full) const;
  [[nodiscard]] bool MakeRoom(const AdmissionPolicy& policy, int32_t priority);
  void OfferToMembers(TaskRecord& record);
  [[nodiscard]] Status SubmitOrRun(const Slot* slots, uint32_t count, const AdmissionPolicy& policy, uint32_t* accepted);
  [[nodiscard]] bool NextIsSample(Tls& tls, uint32_t count = 1) const;
  // A task of this priority waits in a lane that will be due.
  [[nodiscard]] bool Ages(int32_t priority) const {
    return priority < 0 && engine_.own_queues && engine_.dispatcher.lanes().ages();
  }
  [[nodiscard]] Worker* OwnWorker(const Tls& tls) const;
  [[nodiscard]] bool AwaitIdle(uint64_t deadline_ns);
  void Unpause();
  void DiscardInjected();
  // The pool is scaled from now on: with policy, or auto. OK, NOMEM.
  [[nodiscard]] Status EnsureScaler(Policy* policy);
  [[nodiscard]] Status SetPolicy(Policy* policy, bool shadow);
  [[nodiscard]] Status FollowBounds();
  // They have moved: without a lock.
  void TellBounds(uint32_t before);
  // As the options say. OK, INVALID, NOMEM.
  [[nodiscard]] Status BeginScaling(const pool_options_t& options, Budget* budget);
  void StopScaler(bool wait);
  void NoteTune(uint32_t before, uint32_t workers);

  Engine engine_;
  const AdmissionPolicy policy_;
  const uint32_t prestart_;
  LiveOptions live_options_;
  Mutex health_mu_;
  uint64_t health_begun_ ABSL_GUARDED_BY(health_mu_) = 0;  // runs begun, as of health_ns_
  uint64_t health_ns_ ABSL_GUARDED_BY(health_mu_) = 0;     // since when nothing has moved; 0: all is well
  bool in_budget_ = false;    // constant once created
  bool looks_first_ = false;  // the policy keeps workers from the beginning
  Mutex scaler_mu_;  // who makes it
  Atomic<Scaler*> scaler_{nullptr};  // nullptr: nothing to decide
  Atomic<uint32_t> refs_{1};
};

}  // namespace workpool
