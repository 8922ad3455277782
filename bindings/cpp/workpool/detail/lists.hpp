// SPDX-License-Identifier: Apache-2.0
//
// Lists and texts of a pool, whose length is not known before.
#ifndef WORKPOOL_DETAIL_LISTS_HPP_
#define WORKPOOL_DETAIL_LISTS_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>
#include <workpool/error.hpp>
#include <workpool/policy.hpp>
#include <workpool/result.hpp>

namespace workpool {
namespace detail {

inline std::vector<running_task> list_running(pool_t pool, std::chrono::nanoseconds longer_than) {
  std::vector<running_task> found(64);
  for (;;) {
    std::uint32_t n = 0;
    check(pool_running(pool, longer_than.count(), found.data(), sizeof(running_task),
                       static_cast<std::uint32_t>(found.size()), &n));
    const bool all = n < found.size();
    found.resize(all ? n : 2 * found.size());
    if (all) return found;
  }
}

inline std::vector<decision> list_decisions(pool_t pool, std::uint64_t after) {
  std::vector<decision> found(256);  // as many as are kept
  std::uint32_t n = 0;
  check(pool_decisions(pool, after, found.data(), sizeof(decision),
                       static_cast<std::uint32_t>(found.size()), &n));
  found.resize(n);
  return found;
}

inline std::string get_option(pool_t pool, const std::string& name) {
  std::string value(32, '\0');
  std::size_t needed = 0;
  for (;;) {
    check(pool_get(pool, name.c_str(), &value[0], value.size(), &needed));
    const bool all = needed <= value.size();
    value.resize(all ? needed - 1 : needed);
    if (all) return value;
  }
}

inline std::vector<pool_dead_letter_t> take_dead_letters(pool_t pool, std::uint64_t* lost) {
  constexpr std::uint32_t kStep = 16;
  std::vector<pool_dead_letter_t> taken;
  std::uint64_t lost_in_all = 0;
  for (std::uint32_t n = kStep; n == kStep;) {
    const std::size_t before = taken.size();
    taken.resize(before + kStep);
    std::uint64_t lost_now = 0;
    check(pool_dead_letters(pool, taken.data() + before, sizeof(pool_dead_letter_t), kStep, &n,
                            lost != nullptr ? &lost_now : nullptr));
    taken.resize(before + n);
    lost_in_all += lost_now;
  }
  if (lost != nullptr) *lost = lost_in_all;
  return taken;
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_LISTS_HPP_
