// HandleTable: numbers for objects. A handle is kind 3 | slot 24 | generation 26 bits, 53 in all, so that every
// language can hold it exactly, and 0 is never one. The word of a slot stays for ever: a stale, doubled or
// forged handle finds another generation there, also while the object is being destroyed.
//
//   word: generation 26 | alive 1 | doomed 1 | references 32
//
// Two ways to use an object: Protect, inside a LineSection that names the slot (two plain stores, nothing that blocks,
// no user code), and Acquire, a counted reference, for everything else.
// Threads:   all, any thread.
// Ownership: the table holds one reference to the slot from Insert to Remove; when the last one goes, dispose is
//            called and the slot is used again under the next generation, or retired before generations wrap.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/thread_line.h"

namespace workpool {

enum class HandleKind : uint64_t { kPool = 1, kTicket = 2, kGroup = 3, kToken = 4, kCompletions = 5, kBudget = 6 };

class HandleTable {
 public:
  using Dispose = void (*)(void* object);

  static constexpr uint32_t kSlotBits = 24;
  static constexpr uint32_t kGenerationBits = 26;
  static constexpr uint64_t kGenerationMax = (uint64_t{1} << kGenerationBits) - 1;

  HandleTable(HandleKind kind, Dispose dispose) : kind_(kind), dispose_(dispose) {}

  // The table of the parent process, after a fork: its slots are known as inherited and not used again.
  void Succeed(const HandleTable& parent);

  // A new handle for object, or 0: out of memory or slots.
  [[nodiscard]] uint64_t Insert(void* object);

  // The name of a handle's slot for a LineSection; never 0.
  static uint64_t LineSlot(uint64_t handle) { return handle; }

  // The short form of Protect, for a slot that is known to be the handle's: the object, or nullptr if it has ended.
  [[nodiscard]] static void* TryProtect(const void* slot_address, uint64_t handle) {
    return TryProtectAlive(slot_address, AliveWord(handle));
  }
  // What the upper bits of a slot's word are while it names the object of handle.
  [[nodiscard]] static uint64_t AliveWord(uint64_t handle) { return GenerationOf(handle) << 1 | 1; }
  // The same as TryProtect, with AliveWord(handle).
  [[nodiscard]] static void* TryProtectAlive(const void* slot_address, uint64_t alive_word) {
    const auto* slot = static_cast<const Slot*>(slot_address);
    // acquire: pairs with the release in Insert.
    if (slot->word.load(kAcquire) >> kAliveShift != alive_word) [[unlikely]] return nullptr;
    void* object = slot->object.load(kRelaxed);
    if (object == nullptr) __builtin_unreachable();  // alive, so Insert has stored it
    return object;
  }
  // Where a handle is checked; it stays for ever. nullptr: no such slot.
  [[nodiscard]] const void* SlotAddress(uint64_t handle) const { return Find(handle); }
  // OK and the object; BADHANDLE; FORKED. The caller is inside a LineSection of this handle.
  [[nodiscard]] Status Protect(uint64_t handle, void** object) const;
  // The same without a section: OK comes with a reference.
  [[nodiscard]] Status Acquire(uint64_t handle, void** object);
  void Release(uint64_t handle);

  // One caller gets OK and is to end the object; meanwhile the handle goes on working for others.
  [[nodiscard]] Status Doom(uint64_t handle, void** object);
  void Undoom(uint64_t handle);
  // The handle ends. OK for one caller; the table's reference goes over to him: Release.
  [[nodiscard]] Status Remove(uint64_t handle);
  // Waits until the caller's is the only reference.
  void AwaitOnlyReference(uint64_t handle);

  // A forked child drops a handle of its parent: OK for the first, BADHANDLE after.
  [[nodiscard]] Status DropInherited(uint64_t handle);
  [[nodiscard]] bool Inherited(uint64_t handle) const;

  // For tests: the next handle of the slot that handle names gets this generation.
  void PresetGeneration(uint64_t handle, uint64_t generation);

 private:
  struct Slot {
    Atomic<uint64_t> word{0};
    Atomic<void*> object{nullptr};
    uint32_t next_free = 0;
  };
  static constexpr uint32_t kPageBits = 12;
  static constexpr uint32_t kPages = 1u << (kSlotBits - kPageBits);
  static constexpr uint64_t kReferenceMask = UINT32_MAX;
  static constexpr uint64_t kDoomed = uint64_t{1} << 32;
  static constexpr int kAliveShift = 33;
  static constexpr uint64_t kAlive = uint64_t{1} << kAliveShift;
  static constexpr int kGenerationShift = 34;

  static_assert(sizeof(Slot) <= sizeof(kDeadSlot));

  struct Page {
    Slot slots[1u << kPageBits];
  };

  static uint32_t IndexOf(uint64_t handle) {
    return static_cast<uint32_t>(handle >> kGenerationBits) & ((1u << kSlotBits) - 1);
  }
  static uint64_t GenerationOf(uint64_t handle) { return handle & kGenerationMax; }
  bool KindMatches(uint64_t handle) const {
    return handle >> (kSlotBits + kGenerationBits) == static_cast<uint64_t>(kind_);
  }
  static bool Names(uint64_t word, uint64_t handle) {
    return word >> kAliveShift == AliveWord(handle);
  }
  Slot* Find(uint64_t handle) const {
    if (!KindMatches(handle)) return nullptr;
    const uint32_t index = IndexOf(handle);
    // acquire: pairs with the release that published the page.
    Page* page = pages_[index >> kPageBits].load(kAcquire);
    return page == nullptr ? nullptr : &page->slots[index & ((1u << kPageBits) - 1)];
  }
  Status BadHandle(uint64_t handle) const;
  uint64_t TakeSlot();
  void FreeSlot(uint32_t index);

  const HandleKind kind_;
  const Dispose dispose_;
  const HandleTable* parent_ = nullptr;  // constant after Succeed
  uint32_t first_ = 0;                   // slots below belong to the parents
  Atomic<Page*> pages_[kPages] = {};
  Atomic<uint32_t> used_{0};  // slots ever used, those of the parents included
  mutable Mutex mu_;
  uint32_t free_ ABSL_GUARDED_BY(mu_) = kNoSlot;  // a list through next_free

  static constexpr uint32_t kNoSlot = UINT32_MAX;
};

// The tables of this process.
struct Handles {
  Handles();
  void Succeed(const Handles* parent);

  HandleTable pools;
  HandleTable tickets;
  HandleTable groups;
  HandleTable tokens;
  HandleTable completions;
  HandleTable budgets;
};

// nullptr: out of memory, or for CurrentHandles: none made yet.
Handles* EnsureHandles();
Handles* CurrentHandles();

}  // namespace workpool
