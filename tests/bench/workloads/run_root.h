// Starts a workload that grows from one task, in the way that the subject's users would.
#pragma once

#include <cstdint>

#include "bench/harness/clock.h"
#include "bench/harness/tally.h"

namespace bench {

// Runs Task(arg) and what it spawns, which adds `added` to the tally in all; returns the
// nanoseconds it took. A subject with run_to_end takes the caller as one of its threads; with the
// others the caller sleeps.
template <class Task, class Pool>
uint64_t TimeRoot(Pool& pool, void* arg, uint64_t added, uint64_t expected_ns) {
  const uint64_t target = Tally::Sum() + added;
  const uint64_t start_ns = NowNs();
  if constexpr (Pool::kCan.run_to_end) {
    pool.template RunToEnd<Task>(arg);
    const uint64_t end_ns = NowNs();
    Require(Tally::Sum() == target, "tasks executed");
    return end_ns - start_ns;
  } else {
    typename Pool::Producer producer(pool);
    producer.template Submit<Task>(arg);
    const uint64_t end_ns = Tally::WaitUntil(target, start_ns, expected_ns);
    producer.Finish();
    return end_ns - start_ns;
  }
}

}  // namespace bench
