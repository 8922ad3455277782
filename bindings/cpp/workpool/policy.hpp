// SPDX-License-Identifier: Apache-2.0
//
// How a pool finds its number of workers: a policy of your own, what it sees, what was decided.
#ifndef WORKPOOL_POLICY_HPP_
#define WORKPOOL_POLICY_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace workpool {

// What a policy sees of a pool: the fields of pool_load_t, with its times as durations.
struct load_sample : pool_load_t {
  // Of the time since the sample before are the counts; 0: that was not watched.
  std::chrono::nanoseconds span() const noexcept { return std::chrono::nanoseconds(dt_ns); }
  // The oldest waiting task has waited at least so long.
  std::chrono::nanoseconds head_age() const noexcept {
    return std::chrono::nanoseconds(head_age_ns);
  }
};

// One change of the number of workers: the fields of pool_decision_t.
struct decision : pool_decision_t {
  // "starved", "expired", "manual", ...
  const char* reason_name() const noexcept { return pool_reason_name(reason); }
  // It is what a policy in the shadow would have done.
  bool shadow() const noexcept { return (flags & POOL_DECISION_SHADOW) != 0; }
  std::chrono::nanoseconds head_age() const noexcept {
    return std::chrono::nanoseconds(head_age_ns);
  }
};

// For pool::set_policy. The functions are called one at a time, on a thread that all pools share;
// workpool.h (pool_signal_fn) says how quick they have to be. What they throw is lost, and the
// number of workers stays.
struct policy {
  // One of the library's, with its options: "pid,setpoint=0.6". Or else decide. In the shadow also
  // "none": nobody is there any more.
  std::string name = {};
  // A figure for decide, or for a policy by name that reads it ("ewma,signal=own"); it is listed
  // with the decision.
  std::function<double(const load_sample&)> signal = {};
  // How many workers there should be; signal is 0 if there is none.
  std::function<std::uint32_t(const load_sample&, double signal)> decide = {};
  // Whether the number may change from load_sample::target to workers now.
  std::function<bool(const load_sample&, std::uint32_t workers)> cooldown = {};
  bool keep = false;    // with decide: exactly so many workers are kept, idle or not
  bool shadow = false;  // decides beside the policy that holds, only for pool::decisions
  std::chrono::nanoseconds tick{0};      // how often to look while tasks wait; 0: its own
  std::chrono::nanoseconds patience{0};  // how long a task waits before that; 0: its own
  std::chrono::nanoseconds call_max{0};  // the functions may take so long for a decision; 0: 10 ms
  std::string history = {};  // with "seasonal": what pool::policy_history returned
};

}  // namespace workpool
#endif  // WORKPOOL_POLICY_HPP_
