#include "load_task.h"

#include "load_clock.h"

namespace workpool_cli {

LoadWorld::LoadWorld(const Trace& trace, LoadClient* client, bool announce)
    : announce_(announce), calls_(trace, client, hurry_) {
  for (size_t i = 0; i < trace.mutexes.size(); ++i) mutexes_.push_back(std::make_unique<std::mutex>());
}

bool LoadWorld::Run(LoadTask& task, pool_ctx_t* ctx) {
  const Arrival& plan = *task.plan;
  if (task.runs++ == 0) {
    task.start_ns = NowNs();
    NoteWait(task.start_ns - task.submit_ns);
    ++started_;
  }
  bool all = Compute(plan.cpu_ns, hurry_);
  if (all && plan.locked_ns > 0) {
    const std::lock_guard<std::mutex> lock(*mutexes_[static_cast<size_t>(plan.mutex)]);
    all = Compute(plan.locked_ns, hurry_);
  }
  bool failed = false;
  if (all && plan.blocked_ns > 0) {
    const bool announced = announce_ && ctx != nullptr;
    if (announced) (void)pool_ctx_block_begin(ctx);
    const CallEnd end = calls_.Call(plan.downstream, plan.blocked_ns);
    if (announced) (void)pool_ctx_block_end(ctx);
    failed = end == CallEnd::kFailed;
    all = end != CallEnd::kCut;
  }
  all = all && Compute(plan.cpu2_ns, hurry_);
  if (all && failed && task.runs <= plan.retries) return false;
  Finish(task, !all ? LoadTask::End::kDropped : failed ? LoadTask::End::kFailed : LoadTask::End::kDone);
  return true;
}

void LoadWorld::GiveUp(LoadTask& task, bool failed) {
  Finish(task, failed ? LoadTask::End::kFailed : LoadTask::End::kDropped);
}

void LoadWorld::NoteWait(uint64_t wait_ns) {
  uint64_t most = wait_max_ns_.load(std::memory_order_relaxed);
  while (most < wait_ns && !wait_max_ns_.compare_exchange_weak(most, wait_ns)) {
  }
}

void LoadWorld::Finish(LoadTask& task, LoadTask::End end) {
  task.end_ns = NowNs();
  task.end = end;
  // Release: who sees the count may read the task.
  ended_.fetch_add(1, std::memory_order_release);
}

}  // namespace workpool_cli
