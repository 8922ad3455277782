// Is the pool at work? A watchdog for what must not be: tasks that wait beside workers that could run them.
#include "base/clock.h"
#include "base/error.h"
#include "pool/pool.h"

namespace workpool {
namespace {

// Nothing at all has begun for so long.
constexpr uint64_t kStalledNs = 1'000'000'000;

}  // namespace

Status Pool::Health() {
  const WorkerSet& workers = engine_.workers;
  const Census census = engine_.idle.Load();
  uint64_t begun = engine_.outside.started.Read() + engine_.outside.attempts_again.Read();
  uint32_t working = 0;
  for (uint32_t i = 0; i < workers.size(); ++i) {
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    begun += worker->counters.started.Read();
    working += worker->busy() ? 1 : 0;
  }
  bool could_work = !census.has(Census::kPaused) && census.MayAdd() && engine_.HasTasks();
  if (could_work && census.has(Census::kStartFailed) && census.parked() == 0) {
    // The system has refused a thread: nobody could, unless it gives one now.
    engine_.workers.StartAgain();
    could_work = false;
  }
  const uint64_t now_ns = NowNs();
  {
    MutexLock lock(health_mu_);
    if (!could_work || begun != health_begun_ || health_ns_ == 0) {
      health_begun_ = begun;
      health_ns_ = could_work ? now_ns : 0;
      return POOL_OK;
    }
    if (now_ns - health_ns_ < kStalledNs) return POOL_OK;
    health_ns_ = 0;
  }
  const bool wrong = engine_.idle.Recount(working);
  engine_.log.Write(POOL_LOG_ERROR, "stalled: tasks wait, %u of %u workers work, and none has begun one for a second%s",
                    working, census.live(), wrong ? "; the census was wrong" : "");
  engine_.quiet.Alert();
  engine_.idle.WakeAll();
  if (engine_.HasTasks()) engine_.workers.Help();
  return FailConst(POOL_E_STALLED, "tasks wait beside workers that could run them; the workers have been woken");
}

}  // namespace workpool
