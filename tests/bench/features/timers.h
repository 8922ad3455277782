// timers: many delayed tasks at once, due spread over one second: what each costs while it waits, and how late it
// starts.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "bench/features/calls.h"
#include "bench/harness/arguments.h"
#include "bench/harness/clock.h"
#include "bench/harness/resident.h"

namespace bench {

inline std::vector<uint64_t> g_late_ns;
inline std::atomic<uint64_t> g_late_count{0};

inline int32_t NoteLateness(void* arg, pool_ctx_t*) {
  const auto due_ns = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(arg));
  g_late_ns[g_late_count.fetch_add(1, std::memory_order_relaxed)] = pool_now_ns() - due_ns;
  return 0;
}

inline void TimersWorkload(const Arguments& arguments) {
  const uint64_t timers = arguments.Number("tasks", 1'000'000);
  const uint64_t head_start_ms = arguments.Number("head_start_ms", 1500);  // none may be due before all are there
  arguments.FailIfUnasked();

  const pool_options_t options = PoolOptions(1);
  pool_t pool = 0;
  Must(pool_create(&options, &pool), "pool_create");
  pool_task_t task = CountTaskOf();
  for (int warm_up = 0; warm_up < 1000; ++warm_up) {
    task.delay_ns = 1000;
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
  }
  Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");

  task.run = &NoteLateness;
  g_late_ns.assign(timers, 0);
  const uint64_t before = ResidentBytes();
  const uint64_t start_ns = NowNs();
  const uint64_t first_ns = pool_now_ns() + head_start_ms * 1'000'000;
  for (uint64_t i = 0; i < timers; ++i) {
    const uint64_t due_ns = first_ns + Scatter(i) * uint64_t{1'000'000'000} / (1u << 24);
    task.arg = reinterpret_cast<void*>(static_cast<uintptr_t>(due_ns));
    task.delay_ns = std::max<int64_t>(static_cast<int64_t>(due_ns - pool_now_ns()), 1);
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
  }
  const double submit_ns = static_cast<double>(NowNs() - start_ns) / static_cast<double>(timers);
  const uint64_t pending = ResidentBytes();
  Require(g_late_count.load() == 0, "all timers pend at once; a larger head_start_ms is needed");
  Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");
  Must(pool_destroy(pool), "pool_destroy");
  Require(g_late_count.load() == timers, "every timer came");
  std::sort(g_late_ns.begin(), g_late_ns.end());
  const auto late_us = [&](double q) {
    return static_cast<double>(g_late_ns[static_cast<size_t>(q * static_cast<double>(timers - 1))]) / 1e3;
  };
  Print("submit_ns", submit_ns);
  Print("pending_bytes", (static_cast<double>(pending) - static_cast<double>(before)) / static_cast<double>(timers));
  Print("late_p50_us", late_us(0.5));
  Print("late_p99_us", late_us(0.99));
  Print("late_p999_us", late_us(0.999));
}

}  // namespace bench
