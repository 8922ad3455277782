// InjectionQueue: a FIFO of tasks, fed from any thread and taken in batches. A pool has several ("stripes");
// a thread that finds one locked turns to the next, so the lock is seldom waited for.
// Threads:   all, any thread.
// Memory:    slots lie in blocks. Empty ones stay for reuse, at most about as much as is in use; when the pool runs out
//            of tasks, what is beyond a few is given back.
#pragma once

#include <cstdint>

#include "base/cache_line.h"
#include "base/spin_lock.h"
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

  // The same for one that counts, if the newest block has room: no call, so that a submit needs no frame.
  [[nodiscard]] bool TryPushOne(Slot slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (tail_index_ == tail_capacity_) [[unlikely]] return false;
    Slot& place = tail_slots_[tail_index_++];
    place.run = slot.run;
    place.arg = slot.arg;
    pushed_.Add();
    return true;
  }

  // To the front, uncounted: it was taken and cannot be run now. False: no memory.
  [[nodiscard]] bool PutBack(Slot slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Moves at most max of the oldest to out; returns how many.
  [[nodiscard]] uint32_t Take(Slot* out, uint32_t max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Takes out those that drop, which runs with the lock held, says it has dropped; the others keep their order. Returns
  // how many.
  uint32_t Purge(bool (*drop)(Slot slot)) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Empty blocks stay for reuse until somebody detaches them, and frees them after the unlock.
  struct Block;
  // While there is work: what is beyond a little and as much as is in use.
  [[nodiscard]] Block* DetachSurplus() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return DetachSpares(used_bytes_ + kSpareBytes);
  }
  // A burst is over: what is beyond keep_bytes.
  [[nodiscard]] Block* DetachBacklog(size_t keep_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void FreeBlocks(Block* blocks);
  // Bytes of empty blocks. Without the lock: good for deciding whether to lock.
  [[nodiscard]] size_t SpareBytes() const { return spare_bytes_.load(kRelaxed); }

  // Exact under the lock or when nobody is inside; otherwise good for deciding whether to lock.
  [[nodiscard]] uint64_t Size() const {
    // taken first: it never passes the other two.
    const uint64_t taken = taken_.Read();
    return pushed_.Read() + moved_.Read() - taken;
  }

  // Tasks accepted through this queue.
  [[nodiscard]] uint64_t SubmittedCount() const { return pushed_.Read(); }

  // How many more may be pushed under the queue limit, see dispatch/queue_limit.h: each push uses one up.
  [[nodiscard]] int64_t Credits() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return static_cast<int64_t>(allowed_ - pushed_.Read());
  }
  void AddCredits(int64_t credits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    allowed_ += static_cast<uint64_t>(credits);
  }

 private:
  // The first block serves a pool that never has a backlog, the second one a small burst. Then blocks grow, so that a
  // large backlog asks the kernel seldom (base/memory.h).
  static constexpr size_t kFirstBytes = 4096;
  static constexpr size_t kSecondBytes = 64 * 1024;
  static constexpr size_t kLargestBytes = 1024 * 1024;
  static constexpr size_t kGrowth = 4;
  static constexpr size_t kSpareBytes = 4 * kLargestBytes;

  void Retire(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Block* DetachSpares(size_t keep_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A spare one, or a new one of so many bytes; nullptr: no memory.
  [[nodiscard]] Block* TakeBlock(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AddBlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  SpinLock mu_;
  // Written under the lock. pushed_ counts what the statistics call submitted before a task can be taken, moved_ what
  // they count elsewhere, or not at all.
  Counter pushed_;
  Counter moved_;
  Counter taken_;
  uint64_t allowed_ ABSL_GUARDED_BY(mu_) = 0;
  Block* head_ ABSL_GUARDED_BY(mu_) = nullptr;  // oldest; taken from
  Block* tail_ ABSL_GUARDED_BY(mu_) = nullptr;  // newest; pushed to
  Block* spare_ ABSL_GUARDED_BY(mu_) = nullptr;  // empty ones
  Atomic<size_t> spare_bytes_{0};
  size_t used_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of blocks from head to tail
  uint32_t head_index_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t tail_index_ ABSL_GUARDED_BY(mu_) = 0;
  // Of the newest block.
  uint32_t tail_capacity_ ABSL_GUARDED_BY(mu_) = 0;
  Slot* tail_slots_ ABSL_GUARDED_BY(mu_) = nullptr;
};

}  // namespace workpool
