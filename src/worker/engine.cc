#include "worker/engine.h"

#include <algorithm>

#include "task/entry.h"
#include "worker/worker.h"

namespace workpool {
namespace {

bool Bury(Slot slot) {
  if (!IsEntry(slot)) return false;
  Entry& entry = EntryOf(slot);
  return entry.kind->bury != nullptr && entry.kind->bury(entry);
}

}  // namespace

Engine::Engine(const EngineOptions& engine_options)
    : options(engine_options),
      exact_limit(engine_options.dispatch.exact),
      own_queues(engine_options.dispatch.strategy == POOL_STRATEGY_STEALING),
      idle(engine_options.workers_base),
      dispatcher(engine_options.dispatch, idle),
      workers(*this, engine_options.workers_limit, engine_options.workers_base, engine_options.workers_min,
              engine_options.workers_max),
      timers(*this),
      bytes(engine_options.queue_limit_bytes),
      shedder(engine_options.codel_target_ns, engine_options.codel_interval_ns),
      watermarks(engine_options.queue_high, engine_options.queue_low),
      watch(*this, engine_options.watch),
      dead_letters(engine_options.dead_letter.limit),
      rate(engine_options.rate),
      retry_budget(engine_options.retry_rate),
      keep_alive_ns(engine_options.keep_alive_ns),
      option_keep_alive_ns(engine_options.keep_alive_ns) {}

void Engine::PurgeTombstones() {
  // A purge looks at all that is queued: worth it if half of that is to go. With a limit that they count against, the
  // eighth of it that they may take up.
  const uint64_t enough = std::min(dispatcher.Size() / 2, exact_limit ? UINT64_MAX : options.dispatch.queue_limit / 8);
  if (tombstones.load(kRelaxed) < static_cast<int64_t>(enough) || purging.exchange(true, kRelaxed)) return;
  const uint32_t purged = dispatcher.Purge(&Bury);
  tombstones.fetch_sub(purged, kRelaxed);
  purging.store(false, kRelaxed);
  if (purged > 0 && !dispatcher.limit().unlimited()) space_event.Notify();
}

bool Engine::PurgeLane(int32_t priority) {
  if (tombstones.load(kRelaxed) <= 0) return false;
  const uint32_t purged = dispatcher.PurgeLane(priority, &Bury);
  tombstones.fetch_sub(purged, kRelaxed);
  return purged > 0;
}

bool Engine::HasTasks() const {
  if (dispatcher.HasTasks()) return true;
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker != nullptr && worker->deque().SizeApprox() > 0) return true;
  }
  return false;
}

bool Engine::IsIdle() const {
  // Ended is read first, submitted last; both only rise, and ended never passes submitted. If they agree,
  // they agreed at the moment of the first read.
  const uint64_t settled_count = settled.Read();
  uint64_t ended = 0;
  for (const auto& outcomes : outside.ended) {
    for (const SharedCounter& outcome : outcomes) ended += outcome.Read();
  }
  for (uint32_t i = 0; i < workers.size(); ++i) {
    if (const Worker* worker = workers.at(i)) {
      const WorkerCounters& counters = worker->counters;
      ended += counters.done.Read() + counters.failed.Read() + counters.cancelled.Read();
    }
  }
  const uint64_t settling_count = settling.Read();
  uint64_t submitted = dispatcher.SubmittedCount() + outside.submitted.Read();
  for (uint32_t i = 0; i < workers.size(); ++i) {
    if (const Worker* worker = workers.at(i)) submitted += worker->counters.submitted.Read();
  }
  return ended == submitted && settled_count == settling_count;
}

}  // namespace workpool
