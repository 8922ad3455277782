#include "scaling/cooldown.h"

#include <algorithm>

#include "base/clock.h"

namespace workpool {

uint32_t Cooldown::Allow(uint64_t now_ns, uint32_t from, uint32_t to) const {
  if (to > from) {
    if (UpNs(now_ns) > now_ns) return from;
    return options_.step_up_max == 0 ? to : from + std::min(to - from, options_.step_up_max);
  }
  return to < from && DownNs(now_ns) > now_ns ? from : to;
}

uint64_t Cooldown::NextNs(uint64_t now_ns, uint64_t time_ns) const {
  if (!any_) return now_ns;
  return std::max(now_ns, TimeAfter(last_ns_, time_ns));
}

}  // namespace workpool
