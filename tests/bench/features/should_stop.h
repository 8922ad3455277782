// should_stop: what a task pays to ask whether it is to stop while nobody asked it to: a plain one, and one that a
// token, a group and a run timeout could ask.
#pragma once

#include <cstdint>

#include "bench/features/calls.h"
#include "bench/harness/arguments.h"
#include "bench/harness/clock.h"
#include "bench/harness/rounds.h"

namespace bench {

// The argument is where its nanoseconds a call go.
inline int32_t AskOften(void* arg, pool_ctx_t* ctx) {
  constexpr uint64_t kTimes = 2'000'000;
  int32_t stop = 0;
  const uint64_t start_ns = NowNs();
  for (uint64_t i = 0; i < kTimes; ++i) stop |= pool_ctx_should_stop(ctx);
  *static_cast<double*>(arg) = static_cast<double>(NowNs() - start_ns) / kTimes;
  Require(stop == 0, "nobody asked it to stop");
  return 0;
}

inline void ShouldStopWorkload(const Arguments& arguments) {
  const pool_options_t options = PoolOptions(1);
  pool_t pool = 0;
  pool_token_t token = 0;
  pool_group_t group = 0;
  Must(pool_create(&options, &pool), "pool_create");
  Must(pool_token_create(0, &token), "pool_token_create");
  Must(pool_group_create(pool, nullptr, &group), "pool_group_create");
  double ns = 0;
  pool_task_t task = CountTaskOf();
  task.run = &AskOften;
  task.arg = &ns;
  task.token = token;
  task.group = group;
  task.run_timeout_ns = 60'000'000'000;
  Figures plain_ns, asked_ns;
  ForEachRound(arguments, {.budget_ms = 100}, [&](bool counted) {
    for (const bool plain : {true, false}) {
      Must(plain ? pool_submit(pool, &AskOften, &ns) : pool_submit_task(pool, &task, nullptr), "submit");
      Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");
      if (counted) (plain ? plain_ns : asked_ns).Add(ns);
    }
  });
  Must(pool_group_release(group), "pool_group_release");
  Must(pool_token_release(token), "pool_token_release");
  Must(pool_destroy(pool), "pool_destroy");
  Print("plain_ns", plain_ns.Median());
  Print("stoppable_ns", asked_ns.Median());
}

}  // namespace bench
