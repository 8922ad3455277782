// What the tests of the handle table share: an object that knows how often it was disposed of, and
// a table of such.
#pragma once

#include <atomic>
#include <memory>

#include "capi/handle_table.h"

namespace workpool {

struct Thing {
  std::atomic<int> disposed{0};

  static void Dispose(void* object) { static_cast<Thing*>(object)->disposed.fetch_add(1); }
};

// A table is a large object.
inline std::unique_ptr<HandleTable> MakeTable(HandleKind kind = HandleKind::kTicket) {
  return std::make_unique<HandleTable>(kind, Thing::Dispose);
}

// The number of the slot in a handle, and its generation: kind 3 | slot 24 | generation 26 bits.
inline uint64_t SlotOf(uint64_t handle) {
  return handle >> HandleTable::kGenerationBits & ((uint64_t{1} << HandleTable::kSlotBits) - 1);
}
inline uint64_t GenerationOf(uint64_t handle) { return handle & HandleTable::kGenerationMax; }

// Ends a handle and with it, if nobody else holds it, its object.
inline Status End(HandleTable& table, uint64_t handle) {
  const Status status = table.Remove(handle);
  if (status == POOL_OK) table.Release(handle);
  return status;
}

}  // namespace workpool
