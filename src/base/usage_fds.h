// The descriptors of /proc that this process keeps open to ask for its threads' usage, for all pools together: at most
// 64, and at most one in sixteen of those that the process may have (RLIMIT_NOFILE): they are the user's. Who gets none
// opens and closes its file each time.
// A forked child closes the copies of its parent's, which would tell of the parent's threads, when it first needs one.
// Threads: all, any thread; a slot is used by who has it.
#pragma once

#include <cstdint>

#include "base/atomic.h"

namespace workpool {

class UsageFds {
 public:
  static constexpr uint32_t kMax = 64;
  static constexpr uint32_t kShare = 16;
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  // The one of this process; nullptr: out of memory.
  [[nodiscard]] static UsageFds* OfProcess();

  // Takes the descriptor that open() returns. kNoSlot: there is no slot left, or it returned none (< 0).
  template <typename Open>
  [[nodiscard]] uint32_t Add(Open open) {
    const uint32_t slot = Take();
    if (slot == kNoSlot) return kNoSlot;
    const int fd = open();
    Put(slot, fd);
    return fd < 0 ? kNoSlot : slot;
  }
  // Closes it.
  void Remove(uint32_t slot);
  [[nodiscard]] int fd(uint32_t slot) const { return slots_[slot].fd.load(kRelaxed); }

  // How many may be open now, and are or are about to be.
  [[nodiscard]] static uint32_t Limit();
  [[nodiscard]] uint32_t Count() const;

  // As of PerProcess: closes the parent's.
  void Succeed(UsageFds* parents);

 private:
  static constexpr int kFree = -1;
  static constexpr int kTaken = -2;

  struct Slot {
    Atomic<int> fd{kFree};
    // Which file it is, so that a child closes no other.
    uint64_t device = 0;
    uint64_t file = 0;
  };

  [[nodiscard]] uint32_t Take();
  void Put(uint32_t slot, int fd);

  Slot slots_[kMax];
};

}  // namespace workpool
