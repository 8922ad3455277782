// WorkDeque holds one worker's ready tasks. Its owner pushes and pops at the bottom (newest first, still
// in cache); other workers steal at the top (oldest first, so work spreads).
// Threads:   TryPush, TryPushBatch, PushReversed, TryPop, TakeOldest: the owner.  TrySteal, SizeApprox: any thread.  No call blocks.
// Invariant: 0 <= bottom - top <= kCapacity, except inside TryPop, where bottom may be top - 1. Indices are
//            64 bits and never reused, so no index can come round while a thief looks at it.
// The ring does not grow: a full one refuses, and its older half goes to an injection queue, where whole batches
// can be claimed. So there is no buffer to swap under a thief, and none to reclaim.
// Origin:    Chase and Lev, SPAA 2005; orders after Le, Pop, Cohen and Zappa Nardelli, PPoPP 2013.
// Proof:     README.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/cache_line.h"
#include "base/fence.h"
#include "queue/slot.h"

namespace workpool {

enum class StealResult {
  kEmpty,
  kLost,  // another thread took it first; there may be more
  kTaken,
};

template <size_t kCapacity>
class WorkDeque {
  static_assert(kCapacity > 0 && (kCapacity & (kCapacity - 1)) == 0, "a power of two");

 public:
  static constexpr size_t kCapacityMax = kCapacity;

  // first_index: for tests of wrap-around.
  explicit WorkDeque(uint64_t first_index = 0)
      : bottom_(first_index), top_seen_(first_index), top_(first_index) {}
  WorkDeque(const WorkDeque&) = delete;
  WorkDeque& operator=(const WorkDeque&) = delete;

  [[nodiscard]] bool TryPush(Slot slot) {
    if (!HasRoom()) return false;
    const uint64_t bottom = bottom_.load(kRelaxed);
    Write(bottom, slot);
    bottom_.store(bottom + 1, kRelease);  // as in TryPushBatch
    return true;
  }

  // Pushes slots[0], slots[1], ... as far as there is room; thieves see all of them at once. Returns how
  // many.
  [[nodiscard]] size_t TryPushBatch(const Slot* slots, size_t count) {
    const uint64_t bottom = bottom_.load(kRelaxed);
    if (kCapacity - static_cast<size_t>(bottom - top_seen_) < count) {
      // acquire: pairs with the thief's compare-exchange of top_; a cell is written again only after
      // the thief that took it has read it.
      top_seen_ = top_.load(kAcquire);
      const size_t room = kCapacity - static_cast<size_t>(bottom - top_seen_);
      if (count > room) count = room;
    }
    for (size_t i = 0; i < count; ++i) Write(bottom + i, slots[i]);
    // release: pairs with the acquire of bottom_ in TrySteal; weaker, and a thief could read a cell before
    // it is filled.
    bottom_.store(bottom + count, kRelease);
    return count;
  }

  // The same with the last slot first, for an empty deque: the owner then pops slots[0] first.
  void PushReversed(const Slot* slots, size_t count) {
    const uint64_t bottom = bottom_.load(kRelaxed);
    top_seen_ = top_.load(kAcquire);  // as in TryPushBatch
    for (size_t i = 0; i < count; ++i) Write(bottom + i, slots[count - 1 - i]);
    bottom_.store(bottom + count, kRelease);  // as in TryPushBatch
  }

  // Owner. True: a TryPush would succeed now.
  [[nodiscard]] bool HasRoom() {
    const uint64_t bottom = bottom_.load(kRelaxed);
    if (bottom - top_seen_ < kCapacity) return true;
    top_seen_ = top_.load(kAcquire);  // as in TryPushBatch
    return bottom - top_seen_ < kCapacity;
  }

  [[nodiscard]] bool TryPop(Slot* out) {
    return TryPop(out, [] { FullFence(); });
  }

  // fence: a FullFence, or something that is as good for as long as no thief can be there (park/quiet.h).
  template <typename Fence>
  [[nodiscard]] bool TryPop(Slot* out, Fence fence) {
    const uint64_t bottom = bottom_.load(kRelaxed) - 1;
    // release: a thief that acquires this value must see the cells below it. An earlier release does not carry
    // over: since C++20 a relaxed store ends a release sequence even on the same thread.
    bottom_.store(bottom, kRelease);
    // The store of bottom_ before the load of top_; partner: the fence in TrySteal. Without it owner and
    // thief can each miss the other's claim on the last task, and both take it.
    fence();
    uint64_t top = top_.load(kRelaxed);
    const int64_t left = static_cast<int64_t>(bottom - top);
    if (left > 0) {
      *out = Read(bottom);
      return true;
    }
    bool taken = false;
    if (left == 0) {
      *out = Read(bottom);
      // seq_cst: the last task goes to whoever moves top_; it must be ordered with the thieves' fences.
      taken = top_.compare_exchange_strong(top, top + 1, kSeqCst, kRelaxed);
    }
    bottom_.store(bottom + 1, kRelease);  // as above
    return taken;
  }

  [[nodiscard]] StealResult TrySteal(Slot* out) {
    // acquire: pairs with the compare-exchange of other thieves, and keeps this load before the fence.
    uint64_t top = top_.load(kAcquire);
    // The load of top_ before the load of bottom_; partner: the fence in TryPop.
    FullFence();
    // acquire: pairs with the release in TryPushBatch.
    const uint64_t bottom = bottom_.load(kAcquire);
    if (static_cast<int64_t>(bottom - top) <= 0) return StealResult::kEmpty;
    // Read before the claim: after it the owner may write the cell again.
    const Slot slot = Read(top);
    // seq_cst, which includes release for the owner's acquire of top_ in TryPushBatch.
    if (!top_.compare_exchange_strong(top, top + 1, kSeqCst, kRelaxed)) return StealResult::kLost;
    *out = slot;
    return StealResult::kTaken;
  }

  // Owner. Moves its count oldest tasks, or what there is, to out, oldest first; returns how many. 0 also if a thief
  // came between, so that there is room.
  [[nodiscard]] size_t TakeOldest(Slot* out, size_t count) {
    // relaxed: if a thief has moved it the compare-exchange fails.
    uint64_t top = top_.load(kRelaxed);
    const auto size = static_cast<size_t>(bottom_.load(kRelaxed) - top);
    if (count > size) count = size;
    for (size_t i = 0; i < count; ++i) out[i] = Read(top + i);
    // seq_cst as in TrySteal. One claim for all of them is the owner's privilege: nobody else pops meanwhile.
    if (!top_.compare_exchange_strong(top, top + count, kSeqCst, kRelaxed)) return 0;
    return count;
  }

  [[nodiscard]] size_t SizeApprox() const {
    const int64_t size = static_cast<int64_t>(bottom_.load(kRelaxed) - top_.load(kRelaxed));
    return size > 0 ? static_cast<size_t>(size) : 0;
  }

 private:
  struct Cell {
    Atomic<RunFn> run{nullptr};
    Atomic<void*> arg{nullptr};
  };

  void Write(uint64_t index, Slot slot) {
    Cell& cell = cells_[index & (kCapacity - 1)];
    cell.run.store(slot.run, kRelaxed);
    cell.arg.store(slot.arg, kRelaxed);
  }

  Slot Read(uint64_t index) const {
    const Cell& cell = cells_[index & (kCapacity - 1)];
    return {cell.run.load(kRelaxed), cell.arg.load(kRelaxed)};
  }

  // Written by the owner.
  alignas(kCacheLine) Atomic<uint64_t> bottom_;
  uint64_t top_seen_;  // owner only: an old value of top_, which only rises
  // Written by thieves, and by the owner for the last task.
  alignas(kCacheLine) Atomic<uint64_t> top_;
  alignas(kCacheLine) Cell cells_[kCapacity];
};

}  // namespace workpool
