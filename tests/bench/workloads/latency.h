// latency: one task at a time, submitted to a pool that has been idle for gap_us. Start: from
// before the submit to the task's first instruction. Trip: to when the submitter, asleep on a futex
// word that the task wakes, is back. Call: the submit itself, which contains the wake-up of the
// worker.
#pragma once

#include <sys/prctl.h>

#include <cstdint>

#include "bench/harness/arguments.h"
#include "bench/harness/gate.h"
#include "bench/harness/other_threads.h"
#include "bench/harness/rounds.h"
#include "bench/peers/subject.h"
#include "bench/workloads/life.h"

namespace bench {

struct Ping {
  uint64_t start_ns = 0;
  Gate done;

  template <class Context>
  static void Run(Context&, void* arg) {
    auto* ping = static_cast<Ping*>(arg);
    ping->start_ns = NowNs();
    ping->done.Open();
  }
};

template <class Pool>
void LatencyWorkload(const Arguments& arguments) {
  const uint64_t workers = arguments.Number("workers", 2);
  const uint64_t gap_ns = arguments.Number("gap_us", 100) * 1000;
  const bool apart = arguments.Number("apart", 0) != 0;

  Figures start_us, trip_us, call_us;
  {
    Pool pool(Setup{.workers = static_cast<unsigned>(workers)});
    typename Pool::Producer producer(pool);
    Ping ping;
    auto once = [&](bool counted) {
      SleepNs(gap_ns);
      ping.done.Close();
      const uint64_t submit_ns = NowNs();
      producer.template Submit<Ping>(&ping);
      const uint64_t back_ns = NowNs();
      ping.done.Wait();
      const uint64_t over_ns = NowNs();
      if (!counted) return;
      start_us.Add(static_cast<double>(ping.start_ns - submit_ns) / 1e3);
      call_us.Add(static_cast<double>(back_ns - submit_ns) / 1e3);
      trip_us.Add(static_cast<double>(over_ns - submit_ns) / 1e3);
    };
    for (int i = 0; i < 100; ++i) once(false);
    // All workers are there before they are bound, and none has to be started later.
    const auto at_once = static_cast<uint32_t>(Pool::kCan.one_at_a_time ? 1 : workers);
    WaitForAll meeting(at_once);
    for (uint32_t i = 0; i < at_once; ++i) producer.template Submit<WaitForAll>(&meeting);
    meeting.left.Wait();
    if (apart) BindOtherThreadsApart();
    // After the workers have started, so that it is the gap that is exact and not some wait of
    // theirs.
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    ForEachRound(arguments, {.rounds_min = 50, .rounds_max = 3000}, once);
    producer.Finish();
  }
  Print("start_p50_us", start_us.Median());
  Print("start_p99_us", start_us.Quantile(0.99));
  Print("trip_p50_us", trip_us.Median());
  Print("trip_p99_us", trip_us.Quantile(0.99));
  Print("call_p50_us", call_us.Median());
}

}  // namespace bench
