// WorkDeque holds one worker's ready tasks. Its owner pushes and pops at the bottom (newest first, still
// in cache); other workers steal at the top (oldest first, so work spreads).
// Threads:   TryPush, Push, PushReversed, HasRoom, TryPop, TakeOldest: the owner.  TrySteal, SizeApprox: any thread.  No call blocks.
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
  kLeft,  // the thief does not want it
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
    Push(slot);
    return true;
  }

  // After HasRoom.
  void Push(Slot slot) {
    const uint64_t bottom = bottom_.load(kRelaxed);
    Write(bottom, slot);
    // release: pairs with the acquire of bottom_ in TrySteal; weaker, and a thief could read a cell before
    // it is filled.
    bottom_.store(bottom + 1, kRelease);
  }

  // Into an empty deque: at most kCapacity slots, the last one first, so that the owner pops slots[0] first.
  // Thieves see all of them at once.
  void PushReversed(const Slot* slots, size_t count) {
    const uint64_t bottom = bottom_.load(kRelaxed);
    top_seen_ = top_.load(kAcquire);  // as in HasRoom
    for (size_t i = 0; i < count; ++i) Write(bottom + i, slots[count - 1 - i]);
    bottom_.store(bottom + count, kRelease);  // as in Push
  }

  // Owner. True: a TryPush would succeed now.
  [[nodiscard]] bool HasRoom() {
    const uint64_t bottom = bottom_.load(kRelaxed);
    if (bottom - top_seen_ < kCapacity) return true;
    // acquire: pairs with the thief's compare-exchange of top_; a cell is written again only after the thief
    // that took it has read it.
    top_seen_ = top_.load(kAcquire);
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
      // relaxed: the last task goes to whoever moves top_. A thief that sees the new top_ also sees the bottom_
      // from before our fence, which its own fence pairs with.
      taken = top_.compare_exchange_strong(top, top + 1, kRelaxed, kRelaxed);
    }
    // relaxed: no cell below it is left to take.
    bottom_.store(bottom + 1, kRelaxed);
    return taken;
  }

  [[nodiscard]] StealResult TrySteal(Slot* out) {
    return TrySteal(out, [](const Slot&) { return false; });
  }

  // spare: kLeft, and nothing is taken, if the oldest task is such that the thief leaves it. It may look at the slot only:
  // another one may just be running what that points to.
  template <typename Spare>
  [[nodiscard]] StealResult TrySteal(Slot* out, Spare spare) {
    uint64_t top = top_.load(kRelaxed);
    // The load of top_ before the load of bottom_; partner: the fence in TryPop. It makes the load above an acquire,
    // too.
    FullFence();
    // acquire: pairs with the release in Push.
    const uint64_t bottom = bottom_.load(kAcquire);
    if (static_cast<int64_t>(bottom - top) <= 0) return StealResult::kEmpty;
    // Read before the claim: after it the owner may write the cell again.
    const Slot slot = Read(top);
    if (spare(slot)) return StealResult::kLeft;
    // release: pairs with the owner's acquire of top_ in HasRoom.
    if (!top_.compare_exchange_strong(top, top + 1, kRelease, kRelaxed)) return StealResult::kLost;
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
    // One claim for all of them is the owner's privilege: nobody else pops meanwhile. relaxed: the cells are its own.
    if (!top_.compare_exchange_strong(top, top + count, kRelaxed, kRelaxed)) return 0;
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
  // Written by thieves, and by the owner for the last task and the oldest ones.
  alignas(kCacheLine) Atomic<uint64_t> top_;
  alignas(kCacheLine) Cell cells_[kCapacity];
};

}  // namespace workpool
