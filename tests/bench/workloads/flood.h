// flood: one task submits all the others from inside, so that the other workers live from what they
// can take from it. Bodies of body_ns of fixed work. The figures are the time per task and, for
// bodies with work, as a multiple of the ideal: the bodies alone, measured in the same round,
// divided by the smaller of cores and workers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/rounds.h"
#include "bench/harness/spin_work.h"
#include "bench/peers/subject.h"
#include "bench/workloads/run_root.h"

namespace bench {

struct FloodTask {
  // The argument of the one that submits the others.
  static constexpr uintptr_t kRoot = UINTPTR_MAX - 1;
  static inline uint64_t tasks = 0;
  static inline uint64_t steps = 0;

  static void Body() {
    if (steps != 0) SpinWork(steps);
    Tally::Add();
  }

  template <class Context>
  static void Run(Context& context, void* arg) {
    if (reinterpret_cast<uintptr_t>(arg) != kRoot) {
      Body();
      return;
    }
    for (uint64_t i = 0; i < tasks; ++i) context.template Spawn<FloodTask>(nullptr);
  }
};

template <class Pool>
void FloodWorkload(const Arguments& arguments) {
  const auto workers = static_cast<unsigned>(arguments.Number("workers", 2));
  const uint64_t body_ns = arguments.Number("body_ns", 0);
  FloodTask::tasks = arguments.Number("tasks", body_ns >= 1000 ? 50'000 : 300'000);
  FloodTask::steps = body_ns == 0 ? 0 : StepsFor(body_ns);
  const double share = std::min(workers, Cores());

  Figures ns_per_task, times_ideal;
  uint64_t last_ns = 0;
  {
    Pool pool(Setup{.workers = workers});
    ForEachRound(arguments, {}, [&](bool counted) {
      const uint64_t serial_tasks = FloodTask::tasks / 10;
      const uint64_t start_ns = NowNs();
      for (uint64_t i = 0; i < serial_tasks; ++i) FloodTask::Body();
      const double body_measured_ns =
          static_cast<double>(NowNs() - start_ns) / static_cast<double>(serial_tasks);
      last_ns = TimeRoot<FloodTask>(pool, reinterpret_cast<void*>(FloodTask::kRoot),
                                    FloodTask::tasks, last_ns);
      if (!counted) return;
      const double each_ns = static_cast<double>(last_ns) / static_cast<double>(FloodTask::tasks);
      ns_per_task.Add(each_ns);
      times_ideal.Add(each_ns / (body_measured_ns / share));
    });
  }
  Print("ns_per_task", ns_per_task.Median());
  if (body_ns != 0) Print("times_ideal", times_ideal.Median());
}

}  // namespace bench
