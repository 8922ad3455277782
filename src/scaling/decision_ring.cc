#include "scaling/decision_ring.h"

#include <algorithm>

namespace workpool {

void DecisionRing::Add(const pool_decision_t& decision) {
  MutexLock lock(mu_);
  pool_decision_t& place = ring_[count_ % kSize];
  place = decision;
  place.struct_size = sizeof(place);
  place.number = ++count_;
}

uint32_t DecisionRing::CopyTo(uint64_t after, pool_decision_t* out, uint32_t cap) const {
  MutexLock lock(mu_);
  uint64_t next = std::max(after, count_ - std::min<uint64_t>(count_, kSize));
  uint32_t copied = 0;
  for (; next < count_ && copied < cap; ++next) out[copied++] = ring_[next % kSize];
  return copied;
}

}  // namespace workpool
