// sleeps: many tasks that only sleep, on many threads. The figures are the time as a multiple of
// the ideal (as many sleeps after each other as there are tasks for a thread) and the CPU time it
// took.
#pragma once

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/rounds.h"
#include "bench/harness/tally.h"
#include "bench/peers/subject.h"

namespace bench {

struct SleepTask {
  // The argument is the nanoseconds.
  template <class Context>
  static void Run(Context&, void* arg) {
    SleepNs(reinterpret_cast<uintptr_t>(arg));
    Tally::Add();
  }
};

template <class Pool>
void SleepsWorkload(const Arguments& arguments) {
  const uint64_t workers = arguments.Number("workers", 64);
  const uint64_t tasks = arguments.Number("tasks", 10'000);
  const uint64_t sleep_ns = arguments.Number("sleep_us", 1000) * 1000;
  const uint64_t ideal_ns = (tasks + workers - 1) / workers * sleep_ns;

  Figures times_ideal, cpu_ms;
  {
    Pool pool(Setup{.workers = static_cast<unsigned>(workers)});
    typename Pool::Producer producer(pool);
    auto run = [&](uint64_t n, uint64_t expected_ns) {
      const uint64_t target = Tally::Sum() + n;
      const uint64_t start_ns = NowNs();
      for (uint64_t i = 0; i < n; ++i) {
        producer.template Submit<SleepTask>(reinterpret_cast<void*>(sleep_ns));
      }
      const uint64_t end_ns = Tally::WaitUntil(target, start_ns, expected_ns);
      producer.Finish();
      return end_ns - start_ns;
    };
    run(workers * 3, 0);
    ForEachRound(arguments, {.warmups = 0, .budget_ms = 300}, [&](bool counted) {
      const uint64_t cpu_start_ns = CpuNs();
      const uint64_t ns = run(tasks, ideal_ns);
      if (!counted) return;
      cpu_ms.Add(static_cast<double>(CpuNs() - cpu_start_ns) / 1e6);
      times_ideal.Add(static_cast<double>(ns) / static_cast<double>(ideal_ns));
    });
  }
  Print("times_ideal", times_ideal.Median());
  Print("cpu_ms", cpu_ms.Median());
}

}  // namespace bench
