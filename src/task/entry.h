// An Entry is what a queue slot points to when a task is more than {function, argument}: a record, a fork, a
// helper of a parallel loop. Such a slot carries the address of EntryTag as its function, so that plain tasks
// pay one comparison for all of them together.
#pragma once

#include <cstdint>

#include "queue/slot.h"

namespace workpool {

class Worker;

struct Entry;

struct EntryKind {
  // Runs it; the worker has taken it from a queue. closing: what has not started is to be cancelled.
  void (*execute)(Entry& self, Worker& worker, bool closing);
  // Ends it without running it, on a thread that is not a worker. Only what lies in injection queues.
  void (*discard)(Entry& self, int32_t outcome, int32_t code);
  // If it is a tombstone, run or cancelled elsewhere, gives it up and returns true. Runs with a lock held. nullptr: never is.
  bool (*bury)(Entry& self);
};

struct Entry {
  const EntryKind* kind;
};

// Never called.
int32_t EntryTag(void* arg, pool_ctx_t* ctx);

// A fork's slot has the lowest bit of the address set: a thief has to know one before it may look at what it points to.
inline constexpr uintptr_t kForkBit = 1;

inline Slot SlotOf(Entry& entry) { return {&EntryTag, &entry}; }
inline Slot SlotOfFork(Entry& fork) { return {&EntryTag, reinterpret_cast<char*>(&fork) + kForkBit}; }
inline bool IsEntry(const Slot& slot) { return slot.run == &EntryTag; }
inline bool IsFork(const Slot& slot) {
  return IsEntry(slot) && (reinterpret_cast<uintptr_t>(slot.arg) & kForkBit) != 0;
}
inline Entry& EntryOf(const Slot& slot) {
  const uintptr_t fork_bit = reinterpret_cast<uintptr_t>(slot.arg) & kForkBit;
  return *reinterpret_cast<Entry*>(static_cast<char*>(slot.arg) - fork_bit);
}

}  // namespace workpool
