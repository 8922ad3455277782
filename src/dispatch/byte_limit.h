// ByteLimit: how many bytes the tasks that wait may stand for, by what each says it costs.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/cache_line.h"

namespace workpool {

class ByteLimit {
 public:
  explicit ByteLimit(uint64_t limit) : limit_(limit) {}

  uint64_t limit() const { return limit_.load(kRelaxed); }
  // What waits already stays. Who raises it tells those that wait for room.
  void SetLimit(uint64_t limit) { limit_.store(limit, kRelaxed); }

  // A task that costs more than the whole limit is let in when nothing else waits.
  [[nodiscard]] bool TryAcquire(uint64_t bytes) {
    if (bytes == 0) return true;
    const uint64_t most = limit();
    uint64_t waiting = waiting_.load(kRelaxed);
    do {
      if (waiting != 0 && (bytes > most || waiting > most - bytes)) return false;
      if (bytes > UINT64_MAX - waiting) return false;
    } while (!waiting_.compare_exchange_weak(waiting, waiting + bytes, kRelaxed, kRelaxed));
    return true;
  }
  void AcquireExempt(uint64_t bytes) { waiting_.fetch_add(bytes, kRelaxed); }
  void Release(uint64_t bytes) { waiting_.fetch_sub(bytes, kRelaxed); }
  // Good for deciding whether to try.
  [[nodiscard]] bool HasRoom(uint64_t bytes) const {
    const uint64_t most = limit();
    const uint64_t waiting = waiting_.load(kRelaxed);
    return waiting == 0 || (bytes <= most && waiting <= most - bytes);
  }

 private:
  Atomic<uint64_t> limit_;
  alignas(kCacheLine) Atomic<uint64_t> waiting_{0};
};

}  // namespace workpool
