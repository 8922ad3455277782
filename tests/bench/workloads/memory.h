// memory: the resident set's growth for each task that waits behind a blocked worker, and what of
// it is left when all have run.
#pragma once

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/gate.h"
#include "bench/harness/resident.h"
#include "bench/harness/rounds.h"
#include "bench/harness/tally.h"
#include "bench/peers/subject.h"

namespace bench {

// With an argument it blocks the worker until the gate opens; without, it is one of the many.
struct MemoryTask {
  Gate entered, leave;

  template <class Context>
  static void Run(Context&, void* arg) {
    if (auto* task = static_cast<MemoryTask*>(arg)) {
      task->entered.Open();
      task->leave.Wait();
    }
    Tally::Add();
  }
};

template <class Pool>
void MemoryWorkload(const Arguments& arguments) {
  const uint64_t tasks = arguments.Number("tasks", 1'000'000);
  const uint64_t settle_ms = arguments.Number("settle_ms", 200);
  arguments.FailIfUnasked();

  Pool pool(Setup{.workers = 1, .queue_unlimited = true});
  typename Pool::Producer producer(pool);
  for (int warm_up = 0; warm_up < 2; ++warm_up) {
    const uint64_t target = Tally::Sum() + 1000;
    const uint64_t start_ns = NowNs();
    for (int i = 0; i < 1000; ++i) producer.template Submit<MemoryTask>(nullptr);
    Tally::WaitUntil(target, start_ns);
  }
  producer.Finish();

  MemoryTask block;
  const uint64_t target = Tally::Sum() + tasks + 1;
  producer.template Submit<MemoryTask>(&block);
  block.entered.Wait();
  const uint64_t before = ResidentBytes();
  for (uint64_t i = 0; i < tasks; ++i) producer.template Submit<MemoryTask>(nullptr);
  const uint64_t queued = ResidentBytes();
  const uint64_t start_ns = NowNs();
  block.leave.Open();
  Tally::WaitUntil(target, start_ns);
  producer.Finish();
  SleepNs(settle_ms * 1'000'000);
  const uint64_t after = ResidentBytes();

  const double n = static_cast<double>(tasks);
  Print("queued_bytes", (static_cast<double>(queued) - static_cast<double>(before)) / n);
  Print("kept_bytes", (static_cast<double>(after) - static_cast<double>(before)) / n);
}

}  // namespace bench
