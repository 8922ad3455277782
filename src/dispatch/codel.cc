#include "dispatch/codel.h"

#include <bit>

#include "base/mul_div.h"

namespace workpool {
namespace {

// So many intervals after the last shedding its pace is still a good guess (RFC 8289).
constexpr uint64_t kMemoryIntervals = 16;

// The integer square root, one bit at a time.
uint64_t SquareRoot(uint64_t value) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit != 0; bit >>= 1) {
    const uint64_t larger = root | bit;
    if (larger * larger <= value) root = larger;
  }
  return root;
}

}  // namespace

bool Codel::ShouldShed(uint64_t now_ns, uint64_t sojourn_ns, bool last) {
  if (!AboveForAnInterval(now_ns, sojourn_ns, last)) {
    shedding_ = false;
    return false;
  }
  if (shedding_) {
    if (now_ns < shed_next_ns_) return false;
    if (count_ < UINT32_MAX) ++count_;
    // From when it was due, not from now: a shed that comes late, because tasks are taken seldom, is made up for.
    shed_next_ns_ = AddSaturated(shed_next_ns_, StepNs());
    return true;
  }
  shedding_ = true;
  const uint32_t gained = count_ - count_at_start_;
  const uint64_t memory_ns = MulDiv(interval_ns_, kMemoryIntervals, 1).quotient;
  count_ = gained > 1 && now_ns < AddSaturated(shed_next_ns_, memory_ns) ? gained : 1;
  count_at_start_ = count_;
  shed_next_ns_ = AddSaturated(now_ns, StepNs());
  return true;
}

bool Codel::AboveForAnInterval(uint64_t now_ns, uint64_t sojourn_ns, bool last) {
  if (sojourn_ns < target_ns_ || last) {
    above_until_ns_ = kNever;
    return false;
  }
  if (above_until_ns_ == kNever) {
    above_until_ns_ = AddSaturated(now_ns, interval_ns_);
    return false;
  }
  return now_ns >= above_until_ns_;
}

uint64_t Codel::StepNs() const {
  // The root of count * 4^bits is that of count with so many bits after the point: 31 or 32 bits in all.
  const int bits = std::countl_zero(uint64_t{count_}) / 2;
  return MulDiv(interval_ns_, uint64_t{1} << bits, SquareRoot(uint64_t{count_} << (2 * bits)))
      .quotient;
}

}  // namespace workpool
