// life: create a pool, run one task in it, destroy it. waiting: as many tasks as workers, none of
// which ends before all run, on a new pool (cold, its creation included) and again once its workers
// have gone to sleep (warm).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "bench/harness/arguments.h"
#include "bench/harness/gate.h"
#include "bench/harness/rounds.h"
#include "bench/peers/subject.h"

namespace bench {

struct OpenGateTask {
  template <class Context>
  static void Run(Context&, void* gate) {
    static_cast<Gate*>(gate)->Open();
  }
};

template <class Pool>
void LifeWorkload(const Arguments& arguments) {
  const Setup setup{.workers = static_cast<unsigned>(arguments.Number("workers", 2))};
  Figures us;
  ForEachRound(arguments, {.warmups = 3}, [&](bool counted) {
    const uint64_t start_ns = NowNs();
    {
      Gate ran;
      Pool pool(setup);
      typename Pool::Producer producer(pool);
      producer.template Submit<OpenGateTask>(&ran);
      ran.Wait();
      producer.Finish();
    }
    if (counted) us.Add(static_cast<double>(NowNs() - start_ns) / 1e3);
  });
  Print("us", us.Median());
}

struct WaitForAll {
  explicit WaitForAll(uint32_t n) : to_come(n), left(n) {}
  std::atomic<uint32_t> to_come;
  uint64_t all_here_ns = 0;
  Gate all_here;
  Countdown left;

  template <class Context>
  static void Run(Context&, void* arg) {
    auto* meeting = static_cast<WaitForAll*>(arg);
    if (meeting->to_come.fetch_sub(1) == 1) {
      meeting->all_here_ns = NowNs();
      meeting->all_here.Open();
    } else {
      meeting->all_here.Wait();
    }
    meeting->left.Count();
  }
};

template <class Pool>
void WaitingWorkload(const Arguments& arguments) {
  const auto workers = static_cast<uint32_t>(arguments.Number("workers", 64));
  const uint64_t gap_ns = arguments.Number("gap_ms", 5) * 1'000'000;
  Figures cold_ms, warm_ms;
  std::optional<Pool> pool;
  auto meet = [&] {
    WaitForAll meeting(workers);
    typename Pool::Producer producer(*pool);
    for (uint32_t i = 0; i < workers; ++i) producer.template Submit<WaitForAll>(&meeting);
    meeting.left.Wait();
    producer.Finish();
    return meeting.all_here_ns;
  };
  ForEachRound(arguments, {.warmups = 0}, [&](bool) {
    if (Pool::kCan.renewable || !pool.has_value()) {
      pool.reset();
      const uint64_t start_ns = NowNs();
      pool.emplace(Setup{.workers = workers, .workers_kept = true});
      cold_ms.Add(static_cast<double>(meet() - start_ns) / 1e6);
    }
    for (int i = 0; i < 4; ++i) {
      SleepNs(gap_ns);
      const uint64_t start_ns = NowNs();
      warm_ms.Add(static_cast<double>(meet() - start_ns) / 1e6);
    }
  });
  pool.reset();
  Print("cold_ms", cold_ms.Median());
  Print("warm_ms", warm_ms.Median());
}

}  // namespace bench
