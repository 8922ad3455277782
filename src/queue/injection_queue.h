// InjectionQueue: a FIFO of tasks, fed from any thread and taken in batches. A pool has several ("stripes");
// a thread that finds one locked turns to the next, so the lock is seldom waited for.
// Threads:   all, any thread.
// Memory:    slots lie in blocks that are given back when the queue runs empty, all but two: the small first one
//            and one large one, so that a queue that fills and empties quickly does not allocate.
#pragma once

#include <cstdint>

#include "base/cache_line.h"
#include "base/mutex.h"
#include "queue/slot.h"
#include "stats/counters.h"

namespace workpool {

class alignas(kCacheLine) InjectionQueue {
 public:
  InjectionQueue() = default;
  ~InjectionQueue();
  InjectionQueue(const InjectionQueue&) = delete;
  InjectionQueue& operator=(const InjectionQueue&) = delete;

  [[nodiscard]] bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true, mu_) { return mu_.TryLock(); }
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION(mu_) { mu_.Lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION(mu_) { mu_.Unlock(); }

  // Appends as many as there is memory for; returns how many. counted: they count as submitted.
  [[nodiscard]] uint32_t Push(const Slot* slots, uint32_t count, bool counted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Moves at most max of the oldest to out; returns how many.
  [[nodiscard]] uint32_t Take(Slot* out, uint32_t max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  [[nodiscard]] uint64_t Size() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return size_.load(kRelaxed);
  }
  // Exact when nobody is inside; used to decide whether to lock.
  [[nodiscard]] uint64_t SizeApprox() const { return size_.load(kRelaxed); }

  // Tasks accepted through this queue; written under the lock.
  Counter submitted;
  // Credits of the queue limit that lie here, see dispatch/queue_limit.h.
  int64_t credits ABSL_GUARDED_BY(mu_) = 0;

 private:
  struct Block;

  bool AddBlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  Atomic<uint64_t> size_{0};  // written under the lock
  Block* head_ ABSL_GUARDED_BY(mu_) = nullptr;  // oldest; taken from
  Block* tail_ ABSL_GUARDED_BY(mu_) = nullptr;  // newest; pushed to
  Block* spare_ ABSL_GUARDED_BY(mu_) = nullptr;
  uint32_t head_index_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t tail_index_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace workpool
