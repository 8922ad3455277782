// submit: threads outside the pool submit empty tasks one by one (batch=1) or in arrays
// (batch=256). The figure is the time from the first submit to the last executed task, per task.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "bench/harness/arguments.h"
#include "bench/harness/gate.h"
#include "bench/harness/rounds.h"
#include "bench/harness/tally.h"
#include "bench/peers/subject.h"

namespace bench {

struct CountTask {
  template <class Context>
  static void Run(Context&, void*) {
    Tally::Add();
  }
};

template <class Producer>
void SubmitTasks(Producer& producer, uint64_t n, uint32_t batch, bool bulk) {
  if constexpr (requires { producer.template SubmitMany<CountTask>(nullptr, 0); }) {
    if (bulk) {
      std::vector<void*> args(batch, nullptr);
      for (uint64_t i = 0; i < n; i += batch) {
        producer.template SubmitMany<CountTask>(
            args.data(), static_cast<uint32_t>(std::min<uint64_t>(batch, n - i)));
      }
      return;
    }
  }
  for (uint64_t i = 0; i < n; ++i) producer.template Submit<CountTask>(nullptr);
}

template <class Pool>
void SubmitWorkload(const Arguments& arguments) {
  const uint64_t workers = arguments.Number("workers", 2);
  const uint64_t producers = arguments.Number("producers", 1);
  const uint64_t tasks = arguments.Number("tasks", 300'000) / producers * producers;
  const uint64_t batch = arguments.Number("batch", 1);
  Require(batch == 1 || Pool::kCan.bulk, "this subject has no bulk submit");

  Figures ns_per_task;
  uint64_t tasks_all = 0;
  uint64_t last_ns = 0;
  {
    Pool pool(Setup{.workers = static_cast<unsigned>(workers)});
    ForEachRound(arguments, {}, [&](bool counted) {
      const uint64_t target = Tally::Sum() + tasks;
      Countdown ready(static_cast<uint32_t>(producers));
      Countdown submitted(static_cast<uint32_t>(producers));
      Gate go;
      std::atomic<uint64_t> first_ns{UINT64_MAX};
      std::vector<std::thread> threads;
      for (uint64_t p = 0; p < producers; ++p) {
        threads.emplace_back([&] {
          typename Pool::Producer producer(pool);
          ready.Count();
          go.Wait();
          const uint64_t now_ns = NowNs();
          uint64_t seen_ns = first_ns.load();
          while (now_ns < seen_ns && !first_ns.compare_exchange_weak(seen_ns, now_ns)) {
          }
          SubmitTasks(producer, tasks / producers, static_cast<uint32_t>(batch), batch > 1);
          submitted.Count();
          producer.Finish();
        });
      }
      ready.Wait();
      go.Open();
      submitted.Wait();
      const uint64_t end_ns = Tally::WaitUntil(target, first_ns.load(), last_ns);
      for (std::thread& thread : threads) thread.join();
      last_ns = end_ns - first_ns.load();
      tasks_all += tasks;
      if (counted) ns_per_task.Add(static_cast<double>(last_ns) / static_cast<double>(tasks));
    });
    if constexpr (Pool::kCan.stats) pool.PrintStats(tasks_all);
  }
  Print("ns_per_task", ns_per_task.Median());
}

}  // namespace bench
