#include "dispatch/token_bucket.h"

#include <algorithm>

#include "base/futex.h"
#include "base/mul_div.h"

namespace workpool {
namespace {

Rate Usable(Rate rate) {
  rate.period_ns = std::max<uint64_t>(rate.period_ns, 1);
  rate.burst = std::max<uint64_t>(rate.burst, 1);
  return rate;
}

}  // namespace

TokenBucket::TokenBucket(Rate rate, uint64_t now_ns) : rate_(Usable(rate)), last_ns_(now_ns) {}

bool TokenBucket::TryTake(uint64_t now_ns) {
  if (unlimited()) return true;
  Earn(now_ns);
  if (missing_ >= rate_.burst) return false;
  ++missing_;
  return true;
}

uint64_t TokenBucket::Reserve(uint64_t now_ns) {
  if (unlimited()) return now_ns;
  Earn(now_ns);
  missing_ = AddSaturated(missing_, 1);
  return missing_ <= rate_.burst ? now_ns : EarnedNs(missing_ - rate_.burst);
}

void TokenBucket::GiveBack() {
  if (missing_ > 0) --missing_;
  if (missing_ == 0) part_ = 0;
}

uint64_t TokenBucket::NextNs(uint64_t now_ns) {
  if (unlimited()) return now_ns;
  Earn(now_ns);
  return missing_ < rate_.burst ? now_ns : EarnedNs(missing_ - rate_.burst + 1);
}

void TokenBucket::SetRate(Rate rate, uint64_t now_ns) {
  const Rate next = Usable(rate);
  Earn(now_ns);
  if (unlimited()) {
    missing_ = 0;
  } else if (missing_ > rate_.burst) {
    missing_ = AddSaturated(missing_ - rate_.burst, next.burst);
  } else {
    missing_ = next.burst - std::min(rate_.burst - missing_, next.burst);
  }
  part_ = missing_ == 0 ? 0 : MulDiv(part_, next.period_ns, rate_.period_ns).quotient;
  rate_ = next;
}

void TokenBucket::Earn(uint64_t now_ns) {
  if (now_ns <= last_ns_) return;
  const Quotient earned = MulDiv(now_ns - last_ns_, rate_.count, rate_.period_ns, part_);
  last_ns_ = now_ns;
  missing_ -= std::min(missing_, earned.quotient);
  part_ = missing_ == 0 ? 0 : earned.remainder;
}

uint64_t TokenBucket::EarnedNs(uint64_t tokens) const {
  // tokens * period - part, in an order that cannot overflow; rounded up, because a token counts when it is whole.
  const Quotient wait = MulDiv(tokens - 1, rate_.period_ns, rate_.count, rate_.period_ns - part_);
  const uint64_t wait_ns = AddSaturated(wait.quotient, wait.remainder != 0 ? 1 : 0);
  return std::min(AddSaturated(last_ns_, wait_ns), kNever - 1);
}

}  // namespace workpool
