// A task's way through its worker: CPU, CPU under a mutex, a call, CPU.
#include "simulation.h"

namespace workpool::sim {

void Simulation::Begin(uint32_t worker) {
  Worker& w = workers_[worker];
  w.task = TakeTask();
  w.began_s = now_s_;
  w.fails = false;
  const Arrival& task = arrivals_[w.task];
  ++reading_.started;
  if (runs_[w.task]++ == 0) {
    const double wait_s = now_s_ - ArrivalS(w.task);
    if (options_.waits) all_waits_.push_back(static_cast<float>(wait_s));
    ++piece_.waits;
    piece_.wait_sum_s += wait_s;
    if (wait_s > piece_.wait_max_s) piece_.wait_max_s = wait_s;
  }
  w.at = At::kCpu;
  if (task.cpu_ns == 0) return AfterCpu(worker);
  machine_.Add(worker, static_cast<double>(task.cpu_ns) * 1e-9);
}

void Simulation::AfterCpu(uint32_t worker) {
  const Arrival& task = TaskOf(worker);
  if (task.locked_ns == 0) return BeginCall(worker);
  Shared& mutex = mutexes_[static_cast<size_t>(task.mutex)];
  if (mutex.in > 0) {
    workers_[worker].at = At::kLockQueue;
    mutex.queue.push_back(worker);
  } else {
    mutex.in = 1;
    TakeLock(worker);
  }
}

void Simulation::TakeLock(uint32_t worker) {
  workers_[worker].at = At::kLocked;
  machine_.Add(worker, static_cast<double>(TaskOf(worker).locked_ns) * 1e-9);
}

void Simulation::AfterLock(uint32_t worker) {
  Shared& mutex = mutexes_[static_cast<size_t>(TaskOf(worker).mutex)];
  if (mutex.queue.empty()) {
    mutex.in = 0;
  } else {
    const uint32_t next = mutex.queue.front();
    mutex.queue.pop_front();
    TakeLock(next);
  }
  BeginCall(worker);
}

void Simulation::BeginCall(uint32_t worker) {
  const Arrival& task = TaskOf(worker);
  if (task.blocked_ns == 0) return AfterCall(worker, false);
  if (task.downstream < 0) return Sleep(worker, At::kCall, static_cast<double>(task.blocked_ns) * 1e-9);
  const workpool_cli::Downstream& called = trace_.downstreams[static_cast<size_t>(task.downstream)];
  Shared& state = downstreams_[static_cast<size_t>(task.downstream)];
  workers_[worker].since_s = now_s_;
  if (called.connections == 0 || state.in < called.connections) return Call(worker);
  state.queue.push_back(worker);
  Sleep(worker, At::kConnection, called.timeout_s > 0 ? called.timeout_s : kNeverS);
}

void Simulation::Call(uint32_t worker) {
  const Arrival& task = TaskOf(worker);
  const workpool_cli::Downstream& called = trace_.downstreams[static_cast<size_t>(task.downstream)];
  Shared& state = downstreams_[static_cast<size_t>(task.downstream)];
  ++state.in;
  Worker& w = workers_[worker];
  double for_s = called.CallS(static_cast<double>(task.blocked_ns) * 1e-9, now_s_, state.in, &w.fails);
  const double left_s = called.timeout_s - (now_s_ - w.since_s);
  if (called.timeout_s > 0 && for_s > left_s) {
    for_s = left_s > 0 ? left_s : 0;
    w.fails = true;
  }
  Sleep(worker, At::kCall, for_s);
}

// connected: it was in a call, not only on the way to one.
void Simulation::AfterCall(uint32_t worker, bool connected) {
  const Arrival& task = TaskOf(worker);
  Worker& w = workers_[worker];
  if (task.downstream >= 0 && task.blocked_ns > 0) {
    Shared& state = downstreams_[static_cast<size_t>(task.downstream)];
    if (connected) {
      --state.in;
      if (!state.queue.empty()) {
        const uint32_t next = state.queue.front();
        state.queue.pop_front();
        Call(next);
      }
    } else {
      std::erase(state.queue, worker);
    }
  }
  w.at = At::kCpu2;
  if (task.cpu2_ns == 0) return EndRun(worker);
  machine_.Add(worker, static_cast<double>(task.cpu2_ns) * 1e-9);
}

void Simulation::EndRun(uint32_t worker) {
  const Worker& w = workers_[worker];
  const Arrival& task = arrivals_[w.task];
  ++reading_.ended;
  if (w.fails) ++reading_.failed;
  if (w.fails && runs_[w.task] <= task.retries) {
    const uint32_t again = w.task;
    Next(worker);
    return Submit(again);
  }
  if (w.fails) ++result_.cost.failed;
  const double sojourn_s = now_s_ - ArrivalS(w.task);
  const double delay_s = sojourn_s - static_cast<double>(task.nominal_ns()) * 1e-9;
  result_.sojourn_s += sojourn_s;
  if (delay_s > 0) result_.cost.delay_s += delay_s;
  ++completed_;
  Next(worker);
}

void Simulation::Sleep(uint32_t worker, At at, double for_s) {
  Worker& w = workers_[worker];
  w.at = at;
  ++w.tag;
  if (for_s < kNeverS) timers_.Push(now_s_ + for_s, worker, w.tag);
}

}  // namespace workpool::sim
