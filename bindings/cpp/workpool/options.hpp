// SPDX-License-Identifier: Apache-2.0
//
// How a pool is made, and how that reaches the library.
#ifndef WORKPOOL_OPTIONS_HPP_
#define WORKPOOL_OPTIONS_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <workpool/budget.hpp>
#include <workpool/choices.hpp>
#include <workpool/detail/callbacks.hpp>
#include <workpool/error.hpp>
#include <workpool/result.hpp>

namespace workpool {

// How a pool is made. Zero is the library's default; workpool.h (pool_options_t) has limits and
// meanings.
struct options {
  std::uint32_t workers_min = 0;    // workers kept when idle
  std::uint32_t workers_max = 0;    // 0: automatic, up to 1024
  std::uint32_t workers_limit = 0;  // bound of worker_index()
  std::uint32_t prestart = 0;       // workers that the constructor starts and waits for
  std::chrono::nanoseconds keep_alive{0};
  std::uint64_t queue_limit = 0;  // POOL_UNLIMITED: none
  on_full when_full = on_full::inherit;
  std::chrono::nanoseconds submit_timeout{0};
  on_exception when_thrown = on_exception::capture;
  bool inherit_affinity = false;
  std::uint64_t stack_bytes = 0;
  std::string name = {};
  pool_log_fn log_fn = nullptr;  // must outlive the pool's threads
  void* log_user = nullptr;
  std::int32_t log_level = POOL_LOG_OFF;
  strategy queue_strategy = strategy::stealing;
  std::uint32_t lanes = 0;            // priorities with strategy::stealing; 0: 3
  std::chrono::nanoseconds aging{0};  // 0: 100 ms; forever: lanes do not age
  std::uint64_t lane_limit = 0;
  std::uint64_t queue_limit_bytes = 0;  // of the cost_bytes of waiting tasks
  rate_limit rate = {};
  on_rate when_rate = on_rate::inherit;
  std::chrono::nanoseconds codel_target{0};  // 0: queue time sheds nothing
  std::chrono::nanoseconds codel_interval{0};
  std::uint64_t retry_count = 0;  // the budget: retries in each retry_period; 0: no limit
  std::chrono::nanoseconds retry_period{0};
  // Callbacks may run several at once; what they throw is lost. This one is told of every task with
  // options, a ticket or a group that failed for good, on the thread that ran it.
  std::function<void(const failed_task&)> dead_letter = {};
  std::uint32_t dead_letter_limit = 0;  // the last so many are kept for pool::dead_letters()
  // Told when the tasks that wait reach queue_high, and when they have fallen to queue_low. These
  // two run on a thread that all pools share: be quick.
  std::function<void(bool above, std::uint64_t waiting)> watermark = {};
  std::uint64_t queue_high = 0;  // 0: off
  std::uint64_t queue_low = 0;
  // Told once of every run that lasts longer than stuck_after, 0: off.
  std::function<void(const running_task&)> stuck = {};
  std::chrono::nanoseconds stuck_after{0};
  isolation task_isolation = isolation::none;
  std::string policy = {};  // how the number of workers is found, see policy::name; empty: "auto"
  const budget* in_budget = nullptr;  // the pool's workers count against it
  std::uint32_t budget_floor = 0;     // so many are the pool's whenever its tasks wait
  std::uint32_t budget_weight = 0;    // its share of the rest, relative to the others; 0: 1
  // "cpu", "io" or "batch": what suits a kind of task. Fields that are not zero override it.
  std::string preset = {};
  // Options by name and value, as from a file of settings: {"aging_ms", "50"}; option_list() has
  // all names. They override preset and fields.
  std::vector<std::pair<std::string, std::string>> by_name = {};
};

// All options that have a name: type, default, range, a sentence or two, and whether pool::set may
// change it.
inline std::vector<pool_option_t> option_list() {
  std::vector<pool_option_t> all;
  pool_option_t option;
  while (pool_option_list(static_cast<std::uint32_t>(all.size()), &option, sizeof option) ==
         POOL_OK) {
    all.push_back(option);
  }
  return all;
}

namespace detail {

inline std::unique_ptr<pool_callbacks> callbacks_of(const options& o) {
  if (!o.dead_letter && !o.watermark && !o.stuck) return nullptr;
  auto callbacks = std::make_unique<pool_callbacks>();
  callbacks->dead_letter = o.dead_letter;
  callbacks->watermark = o.watermark;
  callbacks->stuck = o.stuck;
  return callbacks;
}

// A field that was chosen. The others keep what the preset or the library says.
template <class T, class Value>
void choose(T& field, const Value& value) {
  T chosen;
  if constexpr (std::is_same_v<Value, std::chrono::nanoseconds>) {
    chosen = value.count();
  } else {
    chosen = static_cast<T>(value);
  }
  if (chosen != T{}) field = chosen;
}

// The C form of o; it points into o and callbacks.
inline pool_options_t options_of(const options& o, pool_callbacks* callbacks) {
  pool_options_t c;
  check(pool_options_init(&c, sizeof c));
  if (!o.preset.empty()) check(pool_options_preset(&c, o.preset.c_str()));
  choose(c.workers_min, o.workers_min);
  choose(c.workers_max, o.workers_max);
  choose(c.workers_limit, o.workers_limit);
  choose(c.prestart, o.prestart);
  choose(c.keep_alive_ns, o.keep_alive);
  choose(c.queue_limit, o.queue_limit);
  choose(c.on_full, o.when_full);
  choose(c.submit_timeout_ns, o.submit_timeout);
  choose(c.on_exception, o.when_thrown);
  choose(c.inherit_affinity, o.inherit_affinity);
  choose(c.stack_bytes, o.stack_bytes);
  c.name = o.name.empty() ? nullptr : o.name.c_str();
  if (!o.policy.empty()) c.policy = o.policy.c_str();
  if (o.in_budget != nullptr) {
    c.budget = o.in_budget->native_handle();
    if (c.budget == 0) throw error(POOL_E_BADHANDLE, "options::in_budget was moved from");
  }
  c.budget_floor = o.budget_floor;
  c.budget_weight = o.budget_weight;
  c.log_fn = o.log_fn;
  c.log_user = o.log_user;
  choose(c.log_level, o.log_level);
  choose(c.strategy, o.queue_strategy);
  choose(c.lanes, o.lanes);
  choose(c.aging_ns, o.aging);
  choose(c.lane_limit, o.lane_limit);
  choose(c.queue_limit_bytes, o.queue_limit_bytes);
  choose(c.rate_count, o.rate.count);
  choose(c.rate_period_ns, o.rate.period);
  choose(c.rate_burst, o.rate.burst);
  choose(c.on_rate, o.when_rate);
  choose(c.codel_target_ns, o.codel_target);
  choose(c.codel_interval_ns, o.codel_interval);
  choose(c.retry_count, o.retry_count);
  choose(c.retry_period_ns, o.retry_period);
  choose(c.dead_letter_limit, o.dead_letter_limit);
  choose(c.queue_high, o.queue_high);
  choose(c.queue_low, o.queue_low);
  choose(c.stuck_after_ns, o.stuck_after);
  choose(c.task_isolation, o.task_isolation);
  c.dead_letter = o.dead_letter ? &pool_callbacks::on_dead_letter : nullptr;
  c.watermark = o.watermark ? &pool_callbacks::on_watermark : nullptr;
  c.stuck = o.stuck ? &pool_callbacks::on_stuck : nullptr;
  c.dead_letter_user = c.watermark_user = c.stuck_user = callbacks;
  for (const auto& [name, value] : o.by_name) {
    check(pool_options_set(&c, name.c_str(), value.c_str()));
  }
  return c;
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_OPTIONS_HPP_
