// Engine: what the workers of one pool share. The pool (pool/pool.h) makes it and decides when it ends.
#pragma once

#include <cstdint>

#include "base/log.h"
#include "base/thread.h"
#include "dispatch/dispatcher.h"
#include "park/event.h"
#include "park/idle_set.h"
#include "park/quiet.h"
#include "stats/counters.h"
#include "stats/load_sample.h"
#include "worker/hooks.h"
#include "worker/worker_set.h"

namespace workpool {

struct EngineOptions {
  uint32_t workers_min;
  uint32_t workers_max;
  uint32_t workers_limit;
  uint64_t keep_alive_ns;  // kNever: workers do not expire
  uint64_t queue_limit;
  uint32_t cpus;
  uint32_t queues;         // injection queues, a power of two
  DropFn drop;
  bool terminate_on_exception;
  ThreadOptions thread;
  char name[64];
};

struct Engine {
  explicit Engine(const EngineOptions& engine_options);

  // Tasks wait somewhere a worker could take them from.
  [[nodiscard]] bool HasTasks() const;
  // Every accepted task has ended and is settled. Consistent: true means that it held at one moment.
  [[nodiscard]] bool IsIdle() const;
  // For whoever may have settled the last task.
  void TellIfIdle() {
    if (idle_event.HasWaiters()) idle_event.Notify();
  }

  // Entries that stay behind in the queues, because what they stand for is run or cancelled elsewhere; told before that
  // happens. When there are many, those in injection queues are taken out.
  void AddTombstones(uint32_t count) {
    const int64_t before = tombstones.fetch_add(count, kRelaxed);
    if ((before + count) / kTombstonesStep != before / kTombstonesStep) [[unlikely]] PurgeTombstones();
  }
  // A worker, or whoever empties the queues, has come to one.
  void TombstoneTaken() { tombstones.fetch_sub(1, kRelaxed); }

  // ---- constant after construction
  const EngineOptions options;
  const bool exact_limit;
  Decider decider = nullptr;
  pool_t handle = 0;       // the pool's public number, for callbacks
  uint64_t line_slot = 0;  // what threads name in their lines while they submit
  void* owner = nullptr;   // the pool, which lives while references are held
  void (*ref)(Engine& engine) = nullptr;
  void (*unref)(Engine& engine) = nullptr;

  IdleSet idle;
  Quiet quiet;
  Dispatcher dispatcher;
  WorkerSet workers;
  Hooks hooks;
  Log log;
  OutsideCounters outside;
  // Below zero for a moment if one is taken before it is told.
  Atomic<int64_t> tombstones{0};
  Atomic<bool> purging{false};
  SharedCounter settling;  // tasks with a record that are counted as ended; settled follows when their
  SharedCounter settled;   // result is visible
  Event idle_event;   // no task is queued or running
  Event space_event;  // the queue limit has room again

 private:
  void PurgeTombstones();
};

}  // namespace workpool
