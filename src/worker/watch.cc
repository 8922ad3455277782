#include "worker/watch.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/thread.h"
#include "task/task_details.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/worker.h"

namespace workpool {

RunWatch::Named RunWatch::Begin(const TaskRecord& record, uint64_t now_ns) {
  const TaskDetails* details = record.details();
  Named named{};
  if (details != nullptr) {
    std::strncpy(named.name, details->Name(), sizeof(named.name) - 1);
    named.ticket = details->ticket;
    named.attempt = details->attempts;
  } else {
    named.attempt = 1;
  }
  named.start_ns = now_ns;
  named.start_cpu_ns = OwnCpuNs();
  named.known = true;
  MutexLock lock(mu_);
  std::swap(named, named_);
  ++runs_;
  return named;
}

void RunWatch::End(const Named& around) {
  MutexLock lock(mu_);
  named_ = around;
  ++runs_;
}

void RunWatch::Passed() {
  MutexLock lock(mu_);
  ++runs_;
}

bool Watch::LookAt(uint32_t index, uint64_t now_ns, pool_running_t* out, bool* first) {
  Worker* worker = engine_.workers.at(index);
  if (worker == nullptr) return false;
  const bool busy = worker->busy();
  RunWatch& run = worker->run_watch;
  if (!busy) {
    MutexLock lock(run.mu_);
    run.seen_.busy = false;
    return false;
  }
  const int32_t tid = worker->tid();
  const uint64_t started = worker->counters.started.Read();
  const uint64_t cpu_ns = ThreadCpuNs(tid);
  MutexLock lock(run.mu_);
  RunWatch::Seen& seen = run.seen_;
  if (!seen.busy || seen.started != started || run.seen_runs_ != run.runs_) {
    seen = {.started = started, .since_ns = now_ns, .cpu_ns = cpu_ns, .busy = true, .told = false};
    run.seen_runs_ = run.runs_;
  }
  *out = pool_running_t{};
  out->struct_size = sizeof(*out);
  out->worker = static_cast<int32_t>(index);
  out->thread = tid;
  out->state = ThreadState(tid);
  RunWatch::Named& named = run.named_;
  const uint64_t since_ns = named.known ? named.start_ns : seen.since_ns;
  out->wall_ns = now_ns - std::min(now_ns, since_ns);  // it may have begun after the look did
  out->cpu_ns = cpu_ns - std::min(cpu_ns, named.known ? named.start_cpu_ns : seen.cpu_ns);
  out->attempt = named.known ? named.attempt : 1;
  if (named.known) {
    out->ticket = named.ticket;
    std::memcpy(out->name, named.name, sizeof(out->name));
  }
  if (first != nullptr) {
    bool& told = named.known ? named.told : seen.told;
    *first = !told && out->wall_ns >= options_.stuck_after_ns;
    told = told || *first;
  }
  return true;
}

bool Watch::Look() {
  const auto any_busy = [&] {
    for (uint32_t i = 0; i < engine_.workers.size(); ++i) {
      if (const Worker* worker = engine_.workers.at(i); worker != nullptr && worker->busy()) return true;
    }
    return false;
  };
  if (!any_busy()) {
    asleep_.store(true, kRelaxed);
    // Asleep before the look at the workers; partner: the fence in Worker::BeginWork.
    FullFence();
    if (!any_busy()) return false;
    if (!asleep_.exchange(false, kRelaxed)) return true;
  }
  const uint64_t now_ns = NowNs();
  for (uint32_t i = 0; i < engine_.workers.size(); ++i) {
    pool_running_t running;
    bool first = false;
    if (!LookAt(i, now_ns, &running, &first) || !first) continue;
    engine_.log.Write(POOL_LOG_WARN, "task \"%s\" on worker %u has run for %llu ms", running.name, i,
                      static_cast<unsigned long long>(running.wall_ns / 1'000'000));
    if (options_.stuck != nullptr) CallOut([&] { options_.stuck(options_.user, engine_.handle, &running); });
  }
  return true;
}

uint32_t Watch::List(uint64_t longer_than_ns, pool_running_t* out, uint32_t cap) {
  const uint64_t now_ns = NowNs();
  const auto longer = [](const pool_running_t& a, const pool_running_t& b) { return a.wall_ns > b.wall_ns; };
  uint32_t count = 0;
  for (uint32_t i = 0; i < engine_.workers.size() && cap > 0; ++i) {
    pool_running_t running;
    if (!LookAt(i, now_ns, &running, nullptr) || running.wall_ns < longer_than_ns) continue;
    if (count == cap) {
      if (!longer(running, out[cap - 1])) continue;
      --count;
    }
    pool_running_t* place = std::upper_bound(out, out + count, running, longer);
    std::copy_backward(place, out + count, out + count + 1);
    *place = running;
    ++count;
  }
  return count;
}

}  // namespace workpool
