// What the tests of scaling share: the list of decisions, tasks that count how many run at once,
// work that computes.
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "time_support.h"

namespace workpool_test {

// CPUs that this process may use, as it sees them; a quota may leave it fewer.
inline uint32_t Cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<uint32_t>(CPU_COUNT(&set)) : 1;
}

inline std::vector<pool_decision_t> Decisions(pool_t pool, uint64_t after = 0) {
  std::vector<pool_decision_t> list(256);
  uint32_t n = 0;
  Must(pool_decisions(pool, after, list.data(), sizeof(list[0]), static_cast<uint32_t>(list.size()),
                      &n),
       "decisions");
  list.resize(n);
  return list;
}

// The highest target since decision number `after`, those in the shadow left out; 0: there was
// none.
inline uint32_t HighestTarget(pool_t pool, uint64_t after = 0) {
  uint32_t highest = 0;
  for (const pool_decision_t& decision : Decisions(pool, after)) {
    if ((decision.flags & POOL_DECISION_SHADOW) == 0) highest = std::max(highest, decision.workers);
  }
  return highest;
}

inline uint64_t LastNumber(pool_t pool) {
  const auto list = Decisions(pool);
  return list.empty() ? 0 : list.back().number;
}

// There is a decision after number `after` of this kind, for so many workers.
inline bool AwaitDecision(pool_t pool, uint64_t after, int32_t reason, uint32_t workers) {
  return PollUntil([&] {
    for (const pool_decision_t& decision : Decisions(pool, after)) {
      if (decision.reason == reason && decision.workers == workers) return true;
    }
    return false;
  });
}

// The target is `workers`: as of the last decision, or where there was none yet, as of the pool's
// creation.
inline bool AwaitTarget(pool_t pool, uint32_t workers) {
  return PollUntil([&] {
    uint32_t target = Cpus();
    for (const pool_decision_t& decision : Decisions(pool)) {
      if ((decision.flags & POOL_DECISION_SHADOW) == 0) target = decision.workers;
    }
    return target == workers;
  });
}

inline bool AwaitLive(pool_t pool, uint32_t workers) {
  return PollUntil([&] { return Stats(pool).workers_live == workers; });
}

// Counts those that are in a place at once.
class Crowd {
 public:
  void Enter() {
    const uint32_t inside = inside_.fetch_add(1) + 1;
    uint32_t most = most_;
    while (inside > most && !most_.compare_exchange_weak(most, inside)) {
    }
  }
  void Leave() { inside_.fetch_sub(1); }
  [[nodiscard]] uint32_t inside() const { return inside_; }
  [[nodiscard]] uint32_t most() const { return most_; }

 private:
  std::atomic<uint32_t> inside_{0}, most_{0};
};

// Computes for so long: time on the CPU, whatever else the machine does.
inline void Compute(int64_t cpu_ns) {
  const auto now_ns = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1'000'000'000) + now.tv_nsec;
  };
  for (const int64_t end_ns = now_ns() + cpu_ns; now_ns() < end_ns;) {
  }
}

// `count` tasks that wait at a gate, behind one another.
inline void SubmitToGate(pool_t pool, Gate& gate, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) Must(pool_submit(pool, PassGate, &gate), "submit a gate");
}

// The pool has had `count` workers, which are idle now.
inline void GrowTo(pool_t pool, uint32_t count) {
  Gate gate;
  SubmitToGate(pool, gate, count);
  if (!gate.AwaitArrivals(count)) Must(POOL_E_TIMEOUT, "grow");
  gate.Open();
  Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
}

}  // namespace workpool_test
