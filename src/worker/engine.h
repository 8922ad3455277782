// Engine: what the workers of one pool share. The pool (pool/pool.h) makes it and decides when it ends.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "dispatch/dispatcher.h"
#include "dispatch/byte_limit.h"
#include "dispatch/rate_limiter.h"
#include "dispatch/shedder.h"
#include "dispatch/task_class.h"
#include "park/event.h"
#include "park/idle_set.h"
#include "park/quiet.h"
#include "stats/counters.h"
#include "stats/watermarks.h"
#include "task/dead_letters.h"
#include "task/gate.h"
#include "worker/hooks.h"
#include "worker/timers.h"
#include "worker/watch.h"
#include "worker/worker_set.h"

namespace workpool {

struct DeadLetterOptions {
  pool_dead_letter_fn fn = nullptr;  // or nullptr
  void* user = nullptr;
  uint32_t limit = 0;
};

struct EngineOptions {
  uint32_t workers_min;
  uint32_t workers_max;
  uint32_t workers_base;    // may be up before the scaler is asked
  uint32_t participants;    // in a parallel loop, with the caller
  uint32_t workers_limit;
  uint64_t keep_alive_ns;  // kNever: workers do not expire
  Dispatcher::Options dispatch;
  uint64_t queue_high;         // 0: no watermarks
  uint64_t queue_low;
  pool_watermark_fn watermark;
  void* watermark_user;
  Watch::Options watch;
  uint64_t queue_limit_bytes;  // POOL_UNLIMITED
  uint64_t codel_target_ns;    // 0: off
  uint64_t codel_interval_ns;
  uint32_t cpus;
  DropFn drop;
  DeadLetterOptions dead_letter;
  Rate rate;
  Rate retry_rate;         // retries of all its tasks together
  bool terminate_on_exception;
  int32_t task_isolation;
  ThreadOptions thread;
  char name[64];
};

// What a submit to a closing pool gets.
inline Status FailClosed() { return FailConst(POOL_E_CLOSED, "the pool is closing; it takes no more tasks"); }

struct Engine {
  explicit Engine(const EngineOptions& engine_options);

  // Tasks wait somewhere a worker could take them from.
  [[nodiscard]] bool HasTasks() const;
  // Every accepted task has ended and is settled. Consistent: true means that it held at one moment.
  [[nodiscard]] bool IsIdle() const;
  // From now on. Those who sleep count their idle time anew; who is about to sleep reads the new value: it comes into the list
  // of sleepers after WakeAll has looked there, under the same lock.
  void SetKeepAlive(uint64_t ns) {
    if (keep_alive_ns.exchange(ns, kRelaxed) != ns) idle.WakeAll();
  }
  // For whoever may have settled the last task.
  void TellIfIdle() {
    if (idle_event.HasWaiters()) idle_event.Notify();
  }

  // Entries that stay behind in the queues, because what they stand for is run or cancelled elsewhere; told before that
  // happens. When there are many, those in injection queues are taken out.
  void AddTombstones(uint32_t count) {
    const int64_t before = tombstones.fetch_add(count, kRelaxed);
    if ((before + count) / kTombstonesStep != before / kTombstonesStep) [[unlikely]] PurgeTombstones();
    if (dispatcher.lane_limit() == POOL_UNLIMITED) [[likely]] return;
    lane_tombstones.fetch_add(1, kRelaxed);
    space_event.Notify();
  }
  // Takes them out of a lane that they help to fill. True: there were any.
  [[nodiscard]] bool PurgeLane(int32_t priority);
  // The number of tasks that wait has changed. Cheap where there are no watermarks.
  void NoteWaiting() {
    if (watermarks.on() && watermarks.Note(dispatcher.limit().waiting())) [[unlikely]] timers.LookAtQueuesAt(0);
  }
  // A task waits in a lane that ages; the timers are started.
  void WatchLane(int32_t priority) {
    // When it is due already, the workers have been told.
    const uint64_t due_ns = dispatcher.LaneDueNs(priority);
    if (due_ns != kNever && due_ns > NowNs()) timers.LookAtQueuesAt(due_ns);
  }
  // What failed for good is told to somebody, or kept.
  bool wants_dead_letters() const { return options.dead_letter.fn != nullptr || dead_letters.on(); }
  // A task that cost so much waits no longer.
  void GiveBackBytes(uint64_t cost_bytes) {
    bytes.Release(cost_bytes);
    space_event.Notify();
  }
  // A record was claimed by somebody who has not taken it from a queue.
  void ClaimedElsewhere(bool was_held) {
    if (was_held) {
      dispatcher.LeaveHeld();
      if (dispatcher.bounded()) space_event.Notify();
    } else {
      AddTombstones(1);
    }
  }
  // A worker, or whoever empties the queues, has come to one.
  void TombstoneTaken() { tombstones.fetch_sub(1, kRelaxed); }

  // ---- constant after construction
  const EngineOptions options;
  const bool exact_limit;
  const bool own_queues;   // workers keep their own tasks to themselves: no order is promised
  // Tasks wait, and all that may be up are up: the census has just been marked as watched. False: no thread for the scaler
  // could be started, and the mark is gone.
  bool (*call_scaler)(Engine& engine) = nullptr;
  // workers_min or workers_max has changed. OK, THREAD, NOMEM.
  Status (*follow_bounds)(Engine& engine) = nullptr;
  // And, without a lock, that they have: before: the target until then.
  void (*tell_bounds)(Engine& engine, uint32_t before) = nullptr;
  pool_t handle = 0;       // the pool's public number, for callbacks
  uint64_t line_slot = 0;  // what threads name in their lines while they submit
  void* owner = nullptr;   // the pool, which lives while references are held
  void (*ref)(Engine& engine) = nullptr;
  bool (*try_ref)(Engine& engine) = nullptr;  // false: it is just going
  void (*unref)(Engine& engine) = nullptr;

  IdleSet idle;
  Quiet quiet;
  Dispatcher dispatcher;
  WorkerSet workers;
  Hooks hooks;
  Timers timers;
  KeyGates keys;
  Classes classes;
  ByteLimit bytes;
  Shedder shedder;
  Watermarks watermarks;
  Watch watch;
  DeadLetters dead_letters;
  RateLimiter rate;          // of the whole pool
  RateLimiter retry_budget;  // of all retries together
  Log log;
  OutsideCounters outside;
  // As in the options, until it is set anew.
  Atomic<uint64_t> keep_alive_ns;         // that holds: of the policy or of the options, whichever was set last
  Atomic<uint64_t> option_keep_alive_ns;  // of the options
  // Below zero for a moment if one is taken before it is told.
  Atomic<int64_t> tombstones{0};
  // Rises with each, where lanes are limited: one may lie in a full lane, and who waits for room there takes it out.
  Atomic<uint32_t> lane_tombstones{0};
  Atomic<bool> purging{false};
  SharedCounter settling;  // tasks with a record that are counted as ended; settled follows when their
  SharedCounter settled;   // result is visible
  Event idle_event;   // no task is queued or running
  Event space_event;  // the queue limit has room again

 private:
  void PurgeTombstones();
};

}  // namespace workpool
