// DecisionRing: the last decisions of one pool's scaler, with their figures.
// Threads: any.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"

namespace workpool {

class DecisionRing {
 public:
  static constexpr uint32_t kSize = 256;

  void Add(const pool_decision_t& decision);
  // At most cap of those after number `after`, oldest first; returns how many. Their numbers tell what was overwritten.
  [[nodiscard]] uint32_t CopyTo(uint64_t after, pool_decision_t* out, uint32_t cap) const;

 private:
  mutable Mutex mu_;
  uint64_t count_ ABSL_GUARDED_BY(mu_) = 0;  // ever added; the number of the last
  pool_decision_t ring_[kSize] ABSL_GUARDED_BY(mu_);
};

}  // namespace workpool
