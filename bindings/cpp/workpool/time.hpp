// SPDX-License-Identifier: Apache-2.0
//
// Times as options and waits take them.
#ifndef WORKPOOL_TIME_HPP_
#define WORKPOOL_TIME_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>

namespace workpool {

// A timeout without limit.
inline constexpr std::chrono::nanoseconds forever{POOL_FOREVER};

// A time on the steady clock, given as such or as a time from the submit.
class moment {
 public:
  moment() noexcept = default;  // never
  template <class D>
  moment(std::chrono::time_point<std::chrono::steady_clock, D> at)
      : ns_(std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count()),
        kind_(kind::absolute) {}
  template <class Rep, class Period>
  moment(std::chrono::duration<Rep, Period> from_submit)
      : ns_(std::chrono::duration_cast<std::chrono::nanoseconds>(from_submit).count()),
        kind_(kind::relative) {}

  // By pool_now_ns, which is the same clock, for a submit at now_ns. 0: never.
  std::uint64_t to_ns(std::uint64_t now_ns) const noexcept {
    if (kind_ == kind::never) return 0;
    if (ns_ <= 0) return 1;  // it has passed
    const std::uint64_t ns = static_cast<std::uint64_t>(ns_);
    return kind_ == kind::absolute ? ns : now_ns + ns;
  }

 private:
  enum class kind { never, absolute, relative };
  std::int64_t ns_ = 0;
  kind kind_ = kind::never;
};

}  // namespace workpool
#endif  // WORKPOOL_TIME_HPP_
