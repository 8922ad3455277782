// idle: what a pool does when nobody asks anything of it. After some work and time for every
// expiry, the context switches and the CPU time of its threads are counted for watch_ms. A thread
// that starts or ends meanwhile counts as a switch. The calling thread, which does the counting, is
// left out.
#pragma once

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/other_threads.h"
#include "bench/harness/rounds.h"
#include "bench/harness/tally.h"
#include "bench/peers/subject.h"
#include "bench/workloads/submit.h"

namespace bench {

template <class Pool>
void IdleWorkload(const Arguments& arguments) {
  const uint64_t workers = arguments.Number("workers", 2);
  const uint64_t settle_ms = arguments.Number("settle_ms", 2500);
  const uint64_t watch_ms = arguments.Number("watch_ms", 5000);
  arguments.FailIfUnasked();

  Pool pool(Setup{.workers = static_cast<unsigned>(workers)});
  typename Pool::Producer producer(pool);
  const uint64_t target = Tally::Sum() + 10'000;
  const uint64_t start_ns = NowNs();
  SubmitTasks(producer, 10'000, 1, false);
  Tally::WaitUntil(target, start_ns);
  producer.Finish();

  SleepNs(settle_ms * 1'000'000);
  const auto before = UseOfOtherThreads();
  SleepNs(watch_ms * 1'000'000);
  const auto after = UseOfOtherThreads();

  uint64_t switches = 0, cpu_ns = 0;
  for (const auto& [id, use] : after) {
    const auto found = before.find(id);
    const ThreadUse old = found == before.end() ? ThreadUse{} : found->second;
    switches += use.switches - old.switches + (found == before.end() ? 1 : 0);
    cpu_ns += use.cpu_ns - old.cpu_ns;
  }
  for (const auto& entry : before) switches += after.count(entry.first) == 0 ? 1 : 0;
  Print("switches", static_cast<double>(switches));
  Print("cpu_ms_per_s", static_cast<double>(cpu_ns) / 1e3 / static_cast<double>(watch_ms));
  Print("threads_left", static_cast<double>(after.size()));
}

}  // namespace bench
