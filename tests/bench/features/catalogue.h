// The features, each as two ways to submit the same tasks that differ in nothing but the feature.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/features/calls.h"

namespace bench {

// What tasks name; it all exists also where nobody names it, so that what is unused is there and unused.
struct Site {
  pool_t pool = 0;
  pool_group_t group = 0;
  pool_token_t token = 0;
  pool_cq_t cq = 0;
};

enum Class : uint32_t { kClassPlain = 1, kClassRateHigh = 2, kClassRateLow = 3 };

// A rate that tasks reach, and one that they do not.
constexpr uint64_t kRateLow = 500'000;
constexpr uint64_t kRateHigh = 1'000'000'000;

// How the tasks of one measurement are submitted.
struct Way {
  void (*options)(pool_options_t&) = nullptr;
  void (*task)(pool_task_t&, const Site&, uint64_t i) = nullptr;  // nullptr: pool_submit
  bool ticket = false;
  pool_status_t refused = POOL_OK;  // submits are refused with this
};

enum class Ends { kDone, kFailed, kShed };

// How a feature is measured.
struct Terms {
  bool cpu = false;     // tasks wait for a time, so that only CPU time tells what they cost
  bool paused = false;  // they are submitted while the pool is paused
  bool bytes = true;    // as many can wait, for as long, as it takes to weigh them
  Ends ends = Ends::kDone;  // of most of the tasks with the feature
  uint64_t runs = 1;    // of each task with it; one task then stands for so many
  uint64_t ns_min = 0;  // what a task with it takes at least: the limit is at work
};

struct Feature {
  const char* key;
  Way without, with;
  Terms terms = {};
};

constexpr int32_t kFailure = -1000;
constexpr uint64_t kPeriods = 10;
constexpr int64_t kMinuteNs = 60'000'000'000;

inline std::vector<Feature> Features() {
  using O = pool_options_t;
  using T = pool_task_t;
  using S = const Site&;
  constexpr auto as_it_is = [](T&, S, uint64_t) {};
  constexpr auto fails = [](T& t, S, uint64_t) {
    t.run = [](void*, pool_ctx_t*) -> int32_t { return Tally::Add(), kFailure; };
  };
  const Way plain, task{.task = as_it_is};
  return {
      {"submit_task", plain, task},
      // Of one task.
      {"done", task, {.task = [](T& t, S, uint64_t) { t.done = [](void*, const pool_result_t*) {}; }}},
      {"ticket", task, {.task = as_it_is, .ticket = true}},
      {"group", task, {.task = [](T& t, S s, uint64_t) { t.group = s.group; }}},
      {"token", task, {.task = [](T& t, S s, uint64_t) { t.token = s.token; }}},
      {"cq", task, {.task = [](T& t, S s, uint64_t) { t.cq = s.cq; }}},
      {"lane_high", task, {.task = [](T& t, S, uint64_t) { t.priority = 1; }}},
      {"lane_low", task, {.task = [](T& t, S, uint64_t) { t.priority = -1; }}},
      {"keys_different", task, {.task = [](T& t, S, uint64_t i) { t.key = i + 1; }}},
      {"keys_same", task, {.task = [](T& t, S, uint64_t) { t.key = 1; }}},
      {"class_concurrency", task, {.task = [](T& t, S, uint64_t) { t.class_id = kClassPlain; }}},
      {"class_rate", task, {.task = [](T& t, S, uint64_t) { t.class_id = kClassRateHigh; }}},
      {"class_rate_reached", task, {.task = [](T& t, S, uint64_t) { t.class_id = kClassRateLow; }},
       {.cpu = true, .ns_min = 1'000'000'000 / kRateLow}},
      {"cost", {.options = [](O& o) { o.queue_limit_bytes = UINT64_MAX / 2; }, .task = as_it_is},
       {.options = [](O& o) { o.queue_limit_bytes = UINT64_MAX / 2; },
        .task = [](T& t, S, uint64_t) { t.cost_bytes = 100; }}},
      {"queue_timeout", task, {.task = [](T& t, S, uint64_t) { t.queue_timeout_ns = kMinuteNs; }}},
      {"run_timeout", task, {.task = [](T& t, S, uint64_t) { t.run_timeout_ns = kMinuteNs; }}},
      {"retries_allowed", task, {.task = [](T& t, S, uint64_t) { t.retries_max = 3; }}},
      {"retry", task,
       {.task = [](T& t, S, uint64_t) {
         t.run = [](void*, pool_ctx_t* ctx) -> int32_t {
           return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : CountRun(nullptr, ctx);
         };
         t.retries_max = 1;
         t.backoff_first_ns = 1;
       }}, {.cpu = true}},
      {"delay", task, {.task = [](T& t, S, uint64_t) { t.delay_ns = 1'000'000; }},
       {.cpu = true, .bytes = false}},
      {"period", task,
       {.task = [](T& t, S, uint64_t) {
         t.run = [](void*, pool_ctx_t* ctx) -> int32_t {
           Tally::Add();
           return pool_ctx_attempt(ctx) < kPeriods ? 0 : kFailure;
         };
         t.period_ns = 1'000'000;
         t.period_mode = POOL_PERIOD_FIXED_DELAY;
       }}, {.cpu = true, .ends = Ends::kFailed, .runs = kPeriods}},
      // Of the pool.
      {"limit_exact", plain, {.options = [](O& o) { o.queue_limit = 4096, o.on_full = POOL_ON_FULL_BLOCK; }},
       {.bytes = false}},
      {"drop_oldest", plain, {.options = [](O& o) { o.queue_limit = 1024, o.on_full = POOL_ON_FULL_DROP_OLDEST; }},
       {.paused = true, .bytes = false, .ends = Ends::kShed}},
      {"drop_lowest",
       {.options = [](O& o) { o.strategy = POOL_STRATEGY_PRIORITY; },
        .task = [](T& t, S, uint64_t i) { t.priority = static_cast<int32_t>(i); }},
       {.options = [](O& o) {
          o.strategy = POOL_STRATEGY_PRIORITY, o.queue_limit = 1024, o.on_full = POOL_ON_FULL_DROP_LOWEST;
        },
        .task = [](T& t, S, uint64_t i) { t.priority = static_cast<int32_t>(i); }},
       {.paused = true, .bytes = false, .ends = Ends::kShed}},
      {"fifo", plain, {.options = [](O& o) { o.strategy = POOL_STRATEGY_FIFO; }}},
      {"lifo", plain, {.options = [](O& o) { o.strategy = POOL_STRATEGY_LIFO; }}},
      {"priority", plain, {.options = [](O& o) { o.strategy = POOL_STRATEGY_PRIORITY; }}},
      {"rate", plain, {.options = [](O& o) { o.rate_count = kRateHigh, o.rate_burst = UINT32_MAX; }}},
      {"rate_reached", plain, {.options = [](O& o) { o.rate_count = kRateLow; }},
       {.cpu = true, .ns_min = 1'000'000'000 / kRateLow}},
      {"rate_refused", plain,
       {.options = [](O& o) { o.rate_count = 1, o.rate_period_ns = kMinuteNs, o.on_rate = POOL_ON_RATE_REJECT; },
        .refused = POOL_E_RATE}, {.bytes = false}},
      {"codel", plain, {.options = [](O& o) { o.codel_target_ns = kMinuteNs; }}},
      {"codel_sheds", plain, {.options = [](O& o) { o.codel_target_ns = 1, o.codel_interval_ns = 1; }},
       {.paused = true, .ends = Ends::kShed}},
      {"watermarks", plain,
       {.options = [](O& o) {
         o.queue_high = UINT64_MAX;
         o.watermark = [](void*, pool_t, int32_t, uint64_t) {};
       }}},
      {"stuck", plain, {.options = [](O& o) { o.stuck_after_ns = 1'000'000'000; }}},
      {"dead_letter", {.task = fails},
       {.options = [](O& o) { o.dead_letter = [](void*, void*, const pool_result_t*, const pool_attempt_t*, uint32_t) {}; }, .task = fails},
       {.ends = Ends::kFailed}},
      {"isolation_fp", plain, {.options = [](O& o) { o.task_isolation = POOL_ISOLATION_FP; }}},
      {"isolation_full", plain, {.options = [](O& o) { o.task_isolation = POOL_ISOLATION_FULL; }}},
  };
}

}  // namespace bench
