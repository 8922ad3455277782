#include "capi/handle_table.h"

#include "base/process.h"
#include "base/spin.h"
#include "base/thread.h"
#include "pool/pool.h"

namespace workpool {
namespace {

constinit PerProcess<Handles> g_handles;

constexpr uint64_t kReferencePauseNs = 100'000;

}  // namespace

Handles* EnsureHandles() { return g_handles.Ensure(); }
Handles* CurrentHandles() { return g_handles.Get(); }

Handles::Handles()
    : pools(HandleKind::kPool, [](void* object) { static_cast<Pool*>(object)->Unref(); }),
      tickets(HandleKind::kTicket, [](void* object) { static_cast<TaskRecord*>(object)->Unref(); }),
      groups(HandleKind::kGroup, [](void* object) { static_cast<Group*>(object)->Unref(); }),
      tokens(HandleKind::kToken, [](void* object) { static_cast<Token*>(object)->Unref(); }),
      completions(HandleKind::kCompletions, [](void* object) { static_cast<CompletionQueue*>(object)->Unref(); }),
      budgets(HandleKind::kBudget, [](void* object) { static_cast<Budget*>(object)->Unref(); }) {}

void Handles::Succeed(const Handles* parent) {
  pools.Succeed(parent->pools);
  tickets.Succeed(parent->tickets);
  groups.Succeed(parent->groups);
  tokens.Succeed(parent->tokens);
  completions.Succeed(parent->completions);
  budgets.Succeed(parent->budgets);
}

void HandleTable::Succeed(const HandleTable& parent) {
  parent_ = &parent;
  first_ = parent.used_.load(kRelaxed);
  used_.store(first_, kRelaxed);
}

uint64_t HandleTable::TakeSlot() {
  MutexLock lock(mu_);
  if (free_ != kNoSlot) {
    const uint32_t index = free_;
    Slot& slot = pages_[index >> kPageBits].load(kRelaxed)->slots[index & ((1u << kPageBits) - 1)];
    free_ = slot.next_free;
    return index;
  }
  const uint32_t index = used_.load(kRelaxed);
  if (index >> kSlotBits != 0) return kNoSlot;
  Atomic<Page*>& page = pages_[index >> kPageBits];
  if (page.load(kRelaxed) == nullptr) {
    Page* fresh = New<Page>();
    if (fresh == nullptr) return kNoSlot;
    page.store(fresh, kRelease);
  }
  used_.store(index + 1, kRelaxed);
  return index;
}

void HandleTable::FreeSlot(uint32_t index) {
  Slot& slot = pages_[index >> kPageBits].load(kRelaxed)->slots[index & ((1u << kPageBits) - 1)];
  // A slot whose generations are used up is retired: a handle never names two objects.
  if (slot.word.load(kRelaxed) >> kGenerationShift == kGenerationMax) return;
  MutexLock lock(mu_);
  slot.next_free = free_;
  free_ = index;
}

uint64_t HandleTable::Insert(void* object) {
  const uint64_t index = TakeSlot();
  if (index == kNoSlot) return 0;
  const uint64_t handle_base = static_cast<uint64_t>(kind_) << (kSlotBits + kGenerationBits) |
                               index << kGenerationBits;
  Slot& slot = *Find(handle_base);
  const uint64_t generation = (slot.word.load(kRelaxed) >> kGenerationShift) + 1;
  slot.object.store(object, kRelaxed);
  // release: whoever finds the generation finds the object.
  slot.word.store(generation << kGenerationShift | kAlive | 1, kRelease);
  return handle_base | generation;
}

bool HandleTable::Inherited(uint64_t handle) const {
  if (!KindMatches(handle) || IndexOf(handle) >= first_) return false;
  for (const HandleTable* table = parent_; table != nullptr; table = table->parent_) {
    const Slot* slot = table->Find(handle);
    if (slot != nullptr && Names(slot->word.load(kRelaxed), handle)) return true;
  }
  return false;
}

Status HandleTable::BadHandle(uint64_t handle) const {
  if (Inherited(handle)) {
    return FailConst(POOL_E_FORKED, "the handle belongs to the parent process; make a new one in this one");
  }
  return Fail(POOL_E_BADHANDLE, "handle %llu is not a live handle of this kind; was it destroyed?",
              static_cast<unsigned long long>(handle));
}

Status HandleTable::Protect(uint64_t handle, void** object) const {
  const Slot* slot = Find(handle);
  *object = slot == nullptr ? nullptr : TryProtect(slot, handle);
  return *object != nullptr ? POOL_OK : BadHandle(handle);
}

Status HandleTable::Acquire(uint64_t handle, void** object) {
  Slot* slot = Find(handle);
  if (slot == nullptr) return BadHandle(handle);
  uint64_t word = slot->word.load(kRelaxed);
  do {
    if (!Names(word, handle)) return BadHandle(handle);
    // acquire: as in Protect.
  } while (!slot->word.compare_exchange_weak(word, word + 1, kAcquire, kRelaxed));
  *object = slot->object.load(kRelaxed);
  return POOL_OK;
}

void HandleTable::Release(uint64_t handle) {
  Slot& slot = *Find(handle);
  void* object = slot.object.load(kRelaxed);
  // acq_rel: all uses happen before the end.
  const uint64_t before = slot.word.fetch_sub(1, kAcqRel);
  if ((before & kReferenceMask) != 1) return;
  // Threads that are inside a section of this handle may still look at the object. Only pools are protected so.
  if (kind_ == HandleKind::kPool) WaitUntilUnused(LineSlot(handle));
  dispose_(object);
  FreeSlot(IndexOf(handle));
}

Status HandleTable::Doom(uint64_t handle, void** object) {
  Slot* slot = Find(handle);
  if (slot == nullptr) return BadHandle(handle);
  uint64_t word = slot->word.load(kRelaxed);
  do {
    if (!Names(word, handle) || (word & kDoomed) != 0) return BadHandle(handle);
  } while (!slot->word.compare_exchange_weak(word, (word | kDoomed) + 1, kAcquire, kRelaxed));
  *object = slot->object.load(kRelaxed);
  return POOL_OK;
}

void HandleTable::Undoom(uint64_t handle) { Find(handle)->word.fetch_and(~kDoomed, kRelaxed); }

Status HandleTable::Remove(uint64_t handle) {
  Slot* slot = Find(handle);
  if (slot == nullptr) return BadHandle(handle);
  uint64_t word = slot->word.load(kRelaxed);
  do {
    if (!Names(word, handle)) return BadHandle(handle);
    // relaxed: the fence in WaitUntilUnused orders it before the look for sections.
  } while (!slot->word.compare_exchange_weak(word, word & ~kAlive, kRelaxed, kRelaxed));
  return POOL_OK;
}

void HandleTable::AwaitOnlyReference(uint64_t handle) {
  Slot& slot = *Find(handle);
  for (int spin = 0; (slot.word.load(kAcquire) & kReferenceMask) != 1; ++spin) {
    // The caller that has the other one may be inside for long: a loop, a wait.
    spin < 100 ? SpinPause() : spin < 200 ? YieldThread() : SleepNs(kReferencePauseNs);
  }
}

Status HandleTable::DropInherited(uint64_t handle) {
  for (const HandleTable* table = parent_; table != nullptr; table = table->parent_) {
    Slot* slot = table->Find(handle);
    if (slot == nullptr) continue;
    uint64_t word = slot->word.load(kRelaxed);
    // A copy of the parent's memory, and ours alone.
    if (Names(word, handle)) {
      slot->word.store(word & ~kAlive, kRelaxed);
      return POOL_OK;
    }
  }
  return BadHandle(handle);
}

void HandleTable::PresetGeneration(uint64_t handle, uint64_t generation) {
  Slot& slot = *Find(handle);
  const uint64_t low = slot.word.load(kRelaxed) & ((uint64_t{1} << kGenerationShift) - 1);
  slot.word.store(generation << kGenerationShift | low, kRelaxed);
}

}  // namespace workpool
