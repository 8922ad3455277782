// Attempts: the last runs of one task that did not end well, for its dead letter.
// Threads: the one that has claimed the task.
#pragma once

#include <cstdint>

#include "base/api.h"

namespace workpool {

class Attempts {
 public:
  void Add(const pool_attempt_t& attempt) { last_[count_++ % POOL_HISTORY_MAX] = attempt; }
  // A periodic task has succeeded since.
  void Clear() { count_ = 0; }
  // Oldest first, to at most POOL_HISTORY_MAX places; returns how many.
  uint32_t CopyTo(pool_attempt_t* out) const {
    const uint64_t first = count_ > POOL_HISTORY_MAX ? count_ - POOL_HISTORY_MAX : 0;
    for (uint64_t i = first; i < count_; ++i) out[i - first] = last_[i % POOL_HISTORY_MAX];
    return static_cast<uint32_t>(count_ - first);
  }

 private:
  uint64_t count_ = 0;
  pool_attempt_t last_[POOL_HISTORY_MAX] = {};
};

}  // namespace workpool
