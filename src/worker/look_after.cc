#include "worker/look_after.h"

#include "base/clock.h"
#include "worker/engine.h"

namespace workpool {
namespace {

// Where no worker could be started, before the next look.
constexpr uint64_t kLookAgainNs = 5'000'000;

}  // namespace

void LookAfter(Engine& engine, int32_t priority) {
  if (engine.idle.Load().live() == 0 && engine.workers.StartOne(true) == WorkerSet::StartResult::kFailed) {
    engine.idle_event.Notify();  // whoever waits for the pool looks after its tasks, too
  }
  if (engine.idle.Load().NeedsHelp()) engine.workers.Help();
  if (priority > 0) engine.workers.DisturbAll();
  if (priority < 0 && engine.timers.started()) engine.WatchLane(priority);
}

void LookAtQueues(Engine& engine) {
  engine.workers.DisturbAll();
  if (engine.HasTasks()) LookAfter(engine, 0);
}

void LookAgainIfStranded(Engine& engine) {
  if (engine.idle.Load().live() > engine.workers.blocked() || !engine.HasTasks() || !engine.timers.started()) return;
  engine.timers.LookAtQueuesAt(NowNs() + kLookAgainNs);
}

}  // namespace workpool
