#include "scaling/load_reader.h"

#include <algorithm>
#include <new>

#include "base/allowance.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "worker/worker.h"

namespace workpool {

LoadReader::LoadReader(Engine& engine) : engine_(engine) {}

LoadReader::~LoadReader() {
  if (CpuLedger* ledger = CpuLedger::OfProcess()) ledger->Leave(line_);
  FreeBytes(seen_, room_ * sizeof(Seen));
  Delete(sampler_);
}

bool LoadReader::Grow(uint32_t count) {
  if (count <= room_) return true;
  const uint32_t room = std::max(count, 2 * room_);
  auto* seen = static_cast<Seen*>(AllocateBytes(room * sizeof(Seen), alignof(Seen)));
  if (seen == nullptr) return false;
  for (uint32_t i = 0; i < room; ++i) new (&seen[i]) Seen(i < room_ ? seen_[i] : Seen{});
  FreeBytes(seen_, room_ * sizeof(Seen));
  seen_ = seen;
  room_ = room;
  return true;
}

LoadReading LoadReader::Read(bool fresh, double service_s) {
  LoadReading reading;
  reading.now_ns = NowNs();
  reading.wall_s = WallSeconds();
  reading.cores = CurrentAllowance().cores;
  const ThreadOptions& thread = engine_.options.thread;
  if (thread.own_cpus) reading.cores = std::min<double>(reading.cores, thread.cpus.count());
  if (sampler_ == nullptr) sampler_ = New<UsageSampler>(UsageSourceOfProcess());
  const WorkerSet& workers = engine_.workers;
  const OutsideCounters& outside = engine_.outside;
  for (const SharedCounter& ended : outside.ended[1]) reading.ended += ended.Read();
  reading.failed = outside.ended[1][POOL_FAILED].Read() + outside.failed_again.Read();
  reading.started = outside.started.Read() + outside.attempts_again.Read();
  // A run that is followed by another one has ended too.
  reading.ended += outside.ended_again.Read();
  ReadWorkers(fresh, std::max(kHungAfterS, kHungAfterRuns * service_s), &reading);
  const int64_t tombstones = engine_.tombstones.load(kRelaxed);
  const uint64_t queued = engine_.dispatcher.Size() + reading.waiting;
  reading.waiting = queued - std::min(queued, static_cast<uint64_t>(std::max<int64_t>(tombstones, 0)));
  reading.queue_limit = engine_.options.dispatch.queue_limit;
  const Census census = engine_.idle.Load();
  reading.live = census.live();
  reading.idle = std::min(census.parked() + census.searching(), census.live());
  reading.blocked = workers.blocked();
  reading.workers_min = workers.min();
  reading.workers_max = workers.max();
  reading.target = workers.target();
  reading.keep_alive_ns = engine_.option_keep_alive_ns.load(kRelaxed);
  if (CpuLedger* ledger = CpuLedger::OfProcess(); ledger != nullptr && !fresh && reading.now_ns > last_ns_) {
    const double dt_s = static_cast<double>(reading.now_ns - last_ns_) * 1e-9;
    reading.others = ledger->Report(line_, reading.now_ns, reading.cores, reading.runnable_s / dt_s, reading.waiting > 0);
  }
  last_ns_ = reading.now_ns;
  return reading;
}

void LoadReader::ReadWorkers(bool fresh, double hung_after_s, LoadReading* reading) {
  const WorkerSet& workers = engine_.workers;
  const uint32_t count = workers.size();
  if (sampler_ == nullptr || !Grow(count)) return;
  const uint64_t now_ns = reading->now_ns;
  const double dt_s = static_cast<double>(now_ns - std::min(now_ns, last_ns_)) * 1e-9;
  uint32_t working = 0;
  uint32_t sampled = 0;
  uint32_t known = 0;
  uint32_t asked = 0;
  double shares = 0;
  const uint32_t first = count > 0 ? turn_ % count : 0;
  for (uint32_t n = 0; n < count; ++n) {
    const uint32_t i = first + n < count ? first + n : first + n - count;
    const Worker* worker = workers.at(i);
    if (worker == nullptr) continue;
    const WorkerCounters& counters = worker->counters;
    const uint64_t runs = counters.started.Read();
    reading->started += runs;
    reading->ended += counters.done.Read() + counters.failed.Read();
    reading->failed += counters.failed.Read();
    reading->waiting += worker->deque().SizeApprox();
    Seen& seen = seen_[i];
    const int32_t tid = worker->tid();
    if (tid != seen.tid) seen = {.runs = runs, .since_ns = now_ns, .tid = tid, .mark = {}, .share = 0, .share_known = false};
    const bool busy = worker->busy();
    const bool moved = runs != seen.runs;
    if (moved || !busy) {
      seen.runs = runs;
      seen.since_ns = now_ns;
    }
    if (!busy && !moved) {
      seen.mark.known = false;
      seen.share_known = false;
      continue;
    }
    ++working;
    if (sampled < kSampled) {
      const uint64_t before_ns = seen.mark.at_ns;
      const bool again = seen.mark.known && !fresh && now_ns > before_ns;
      const double ran_s = sampler_->RunnableSeconds(tid, now_ns, &seen.mark);
      if (again) {
        seen.share = ran_s / (static_cast<double>(now_ns - before_ns) * 1e-9);
        seen.share_known = true;
        if (ran_s == 0 && busy && asked < kAskedStates) {
          ++asked;
          if (ThreadState(tid) == 'R') seen.share = 1;
        }
      }
      sampled += seen.mark.kept ? 1 : kOpenedAs;
      // After a time in which nobody looked, the same ones again: only then is anything known.
      if (!fresh) turn_ = i + 1;
    }
    if (seen.share_known) {
      shares += seen.share;
      ++known;
    }
    const double age_s = static_cast<double>(now_ns - seen.since_ns) * 1e-9;
    if (!busy) continue;
    if (age_s > hung_after_s && seen.share_known && seen.share < kHungShare) {
      ++reading->hung;
    } else {
      reading->oldest_run_s = std::max(reading->oldest_run_s, age_s);
    }
  }
  // Who is looked at for the first time is taken to be as those that are known; if there are none, to compute.
  reading->runnable_s = (known > 0 ? shares / known : 1) * working * dt_s;
}

}  // namespace workpool
