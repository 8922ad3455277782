// OrderedQueue: the one queue of a pool with a strict order. Either the highest priority comes first and equals are
// FIFO, or the newest comes first and priorities are not heeded.
// Threads:   all, any thread. The lock is a mutex, for an operation may search, copy some hundred tasks and ask the
//            kernel for memory.
// Invariant: chunks lie in order, and so do the entries of each; no chunk is empty.
// Cost:      Push O(log n), Take and TakeLowest O(1), TakeOldest O(log n) for each distinct priority that waits, Purge
//            O(n). A chunk that comes or goes, once in some hundred tasks, moves the list of those behind it.
// Memory:    33 to 46 bytes a task where pointers have 64 bits, once there are some thousands. What tasks leave behind
//            is used again; it is given back when the queue is empty.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cache_line.h"
#include "base/mutex.h"
#include "queue/slot.h"
#include "stats/counters.h"

namespace workpool {

class alignas(kCacheLine) OrderedQueue {
 public:
  enum class Order { kPriority, kNewestFirst };

  explicit OrderedQueue(Order order) : order_(order) {}
  ~OrderedQueue();
  OrderedQueue(const OrderedQueue&) = delete;
  OrderedQueue& operator=(const OrderedQueue&) = delete;

  [[nodiscard]] bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true, mu_) { return mu_.TryLock(); }
  // Not with a spin, which made 2 producers and 2 workers three times slower: 600 ns a task, not 200.
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION(mu_) { mu_.Lock(0); }
  void Unlock() ABSL_UNLOCK_FUNCTION(mu_) { mu_.Unlock(); }

  // Adds as many as there is memory for, the first of them as the oldest; returns how many. counted: they count as
  // submitted.
  [[nodiscard]] uint32_t Push(const Slot* slots, uint32_t count, int32_t priority, bool counted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // It was taken, and cannot be run now: to its place again, or, without a sequence, first among its equals, uncounted.
  // False: no memory.
  [[nodiscard]] bool PutBack(Slot slot, TaskPlace place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // The first in order. This and the next two: false if there is none.
  [[nodiscard]] bool Take(Slot* out, TaskPlace* place = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // The one that has waited longest, whatever its priority.
  [[nodiscard]] bool TakeOldest(Slot* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Of the lowest priority that waits, if that is below `below`, the newest: who waits longest keeps its place. Newest
  // first knows no priorities, so there is none to take.
  [[nodiscard]] bool TakeLowest(int32_t below, Slot* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Takes out those that drop, which runs with the lock held, says it has dropped; the others keep their order. Returns
  // how many.
  uint32_t Purge(bool (*drop)(Slot slot)) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // A burst is over: gives back what is beyond keep_bytes, if the queue is empty and nobody holds its lock. The kernel
  // is asked after the unlock.
  void GiveBackMemory(size_t keep_bytes) ABSL_LOCKS_EXCLUDED(mu_);

  // Exact under the lock or when nobody is inside; otherwise good for deciding whether to lock.
  [[nodiscard]] uint64_t Size() const {
    // taken first: it never passes the other two.
    const uint64_t taken = taken_.Read();
    return pushed_.Read() + moved_.Read() - taken;
  }

  // Tasks accepted through this queue.
  [[nodiscard]] uint64_t SubmittedCount() const { return pushed_.Read(); }

  // Bytes of memory that it has. Without the lock: good for deciding whether to lock.
  [[nodiscard]] size_t HeldBytes() const { return held_bytes_.load(kRelaxed); }

 private:
  struct Key;
  struct Entry;
  struct Block;
  struct Chunk;
  struct Slab;
  // Of an entry, or behind the last one of a chunk, or behind all chunks.
  struct Place {
    size_t chunk;
    uint32_t index;
  };

  static constexpr size_t kFirstChunks = 16;

  [[nodiscard]] const Key& KeyAt(Place place) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Place Last() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Place Next(Place place) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Place PlaceAfter(const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] bool MakeRoom(const Key& key, Place* place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] bool AddChunk(size_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemoveChunks(size_t from, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeFrom(Place place, Slot* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Block* NewBlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] Slab* DetachSlabs(size_t keep_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void FreeSlabs(Slab* slabs);
  void AddHeld(size_t bytes) { held_bytes_.store(held_bytes_.load(kRelaxed) + bytes, kRelaxed); }

  const Order order_;
  Mutex mu_;
  // Written under the lock. pushed_ counts what the statistics call submitted before a task can be taken, moved_ what
  // they count elsewhere, or not at all.
  Counter pushed_;
  Counter moved_;
  Counter taken_;
  Atomic<size_t> held_bytes_{0};
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = uint64_t{1} << 63;
  uint64_t first_sequence_ ABSL_GUARDED_BY(mu_) = uint64_t{1} << 63;  // of what was put back
  Chunk* chunks_ ABSL_GUARDED_BY(mu_) = nullptr;
  size_t chunk_count_ ABSL_GUARDED_BY(mu_) = 0;
  size_t chunk_capacity_ ABSL_GUARDED_BY(mu_) = 0;
  Block* free_ ABSL_GUARDED_BY(mu_) = nullptr;  // blocks that tasks have left
  Slab* slabs_ ABSL_GUARDED_BY(mu_) = nullptr;  // newest first
  size_t slab_used_ ABSL_GUARDED_BY(mu_) = 0;   // blocks of the newest slab that were ever used
};

}  // namespace workpool
