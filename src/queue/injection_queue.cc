#include "queue/injection_queue.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace workpool {
namespace {

// The first block serves a pool that never has a backlog; the large ones come straight from the kernel and
// go back to it (base/memory.h).
constexpr size_t kSmallBytes = 4096;
constexpr size_t kLargeBytes = 64 * 1024;

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
  static void Free(Block* block) {
    if (block != nullptr) FreeBytes(block, block->bytes);
  }
};

InjectionQueue::~InjectionQueue() {
  for (Block* block = head_; block != nullptr;) {
    Block* next = block->next;
    Block::Free(block);
    block = next;
  }
  Block::Free(spare_);
}

bool InjectionQueue::AddBlock() {
  Block* block = spare_;
  spare_ = nullptr;
  if (block == nullptr) block = Block::Make(tail_ == nullptr ? kSmallBytes : kLargeBytes);
  if (block == nullptr) return false;
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
      if (spare_ == nullptr && empty->bytes == kLargeBytes) {
        spare_ = empty;
      } else {
        Block::Free(empty);
      }
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
