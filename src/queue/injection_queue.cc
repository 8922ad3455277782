#include "queue/injection_queue.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace workpool {
namespace {

// The first block serves a pool that never has a backlog, the second one a small burst. Then blocks grow, so that a
// large backlog asks the kernel seldom (base/memory.h).
constexpr size_t kFirstBytes = 4096;
constexpr size_t kSecondBytes = 64 * 1024;
constexpr size_t kLargestBytes = 1024 * 1024;
constexpr size_t kGrowth = 4;

}  // namespace

struct InjectionQueue::Block {
  Block* next;
  uint32_t bytes;
  uint32_t capacity;
  Slot slots[1];  // capacity of them

  static Block* Make(size_t bytes) {
    auto* block = static_cast<Block*>(AllocateBytes(bytes, alignof(Block)));
    if (block == nullptr) return nullptr;
    block->next = nullptr;
    block->bytes = static_cast<uint32_t>(bytes);
    block->capacity = static_cast<uint32_t>((bytes - offsetof(Block, slots)) / sizeof(Slot));
    return block;
  }
};

InjectionQueue::~InjectionQueue() {
  FreeBlocks(head_);
  FreeBlocks(spare_);
}

void InjectionQueue::FreeBlocks(Block* blocks) {
  while (blocks != nullptr) {
    Block* next = blocks->next;
    FreeBytes(blocks, blocks->bytes);
    blocks = next;
  }
}

InjectionQueue::Block* InjectionQueue::DetachSpares(uint32_t keep) {
  uint32_t spares = spares_.load(kRelaxed);
  if (spares <= keep) return nullptr;
  // The newest, which are the largest.
  Block* surplus = nullptr;
  for (; spares > keep; --spares) {
    Block* block = spare_;
    spare_ = block->next;
    block->next = surplus;
    surplus = block;
  }
  spares_.store(spares, kRelaxed);
  return surplus;
}

InjectionQueue::Block* InjectionQueue::DetachBacklog() {
  if (Size() != 0) return nullptr;
  if (head_ != nullptr) Retire(head_);
  head_ = tail_ = nullptr;
  tail_index_ = tail_capacity_ = 0;
  return DetachSpares(kSparesIdle);
}

void InjectionQueue::Retire(Block* block) {
  block->next = spare_;
  spare_ = block;
  spares_.store(spares_.load(kRelaxed) + 1, kRelaxed);
  --used_;
}

bool InjectionQueue::AddBlock() {
  Block* block = spare_;
  if (block != nullptr) {
    spare_ = block->next;
    spares_.store(spares_.load(kRelaxed) - 1, kRelaxed);
  } else {
    block = Block::Make(tail_ == nullptr ? kFirstBytes
                                         : std::clamp(kGrowth * tail_->bytes, kSecondBytes, kLargestBytes));
    if (block == nullptr) return false;
  }
  ++used_;
  block->next = nullptr;
  if (tail_ == nullptr) {
    head_ = block;
    head_index_ = 0;
  } else {
    tail_->next = block;
  }
  tail_ = block;
  tail_index_ = 0;
  tail_capacity_ = block->capacity;
  tail_slots_ = block->slots;
  return true;
}

uint32_t InjectionQueue::Push(const Slot* slots, uint32_t count, bool counted) {
  uint32_t pushed = 0;
  while (pushed < count) {
    if (tail_index_ == tail_capacity_ && !AddBlock()) break;
    const uint32_t n = std::min(count - pushed, tail_capacity_ - tail_index_);
    std::memcpy(&tail_slots_[tail_index_], &slots[pushed], n * sizeof(Slot));
    tail_index_ += n;
    pushed += n;
  }
  // In this order: a reader in between sees too many submitted, never too few, so an idle pool is never seen too soon.
  pushed_.Add(pushed);
  if (!counted) uncounted_.Add(pushed);
  return pushed;
}

uint32_t InjectionQueue::Take(Slot* out, uint32_t max) {
  const uint64_t size = Size();
  const uint32_t wanted = static_cast<uint32_t>(std::min<uint64_t>(max, size));
  uint32_t taken = 0;
  while (taken < wanted) {
    if (head_index_ == head_->capacity) {
      Block* empty = head_;
      head_ = head_->next;
      head_index_ = 0;
      Retire(empty);
    }
    const uint32_t end = head_ == tail_ ? tail_index_ : head_->capacity;
    const uint32_t n = std::min(wanted - taken, end - head_index_);
    std::memcpy(&out[taken], &head_->slots[head_index_], n * sizeof(Slot));
    head_index_ += n;
    taken += n;
  }
  taken_.Add(taken);
  // An empty queue starts its block again, so that light traffic stays in the same cache lines.
  if (taken == size && taken > 0) head_index_ = tail_index_ = 0;
  return taken;
}

}  // namespace workpool
