#include "queue/injection_queue.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace workpool {

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

InjectionQueue::Block* InjectionQueue::DetachSpares(size_t keep_bytes) {
  if (spare_bytes_.load(kRelaxed) <= keep_bytes) return nullptr;
  Block* kept = nullptr;
  Block* surplus = nullptr;
  size_t bytes = 0;
  while (spare_ != nullptr) {
    Block* block = spare_;
    spare_ = block->next;
    const bool keep = bytes + block->bytes <= keep_bytes;
    if (keep) bytes += block->bytes;
    Block*& list = keep ? kept : surplus;
    block->next = list;
    list = block;
  }
  spare_ = kept;
  spare_bytes_.store(bytes, kRelaxed);
  return surplus;
}

InjectionQueue::Block* InjectionQueue::DetachBacklog(size_t keep_bytes) {
  if (Size() != 0) return nullptr;
  if (head_ != nullptr) Retire(head_);
  head_ = tail_ = nullptr;
  tail_index_ = tail_capacity_ = 0;
  return DetachSpares(keep_bytes);
}

void InjectionQueue::Retire(Block* block) {
  block->next = spare_;
  spare_ = block;
  spare_bytes_.store(spare_bytes_.load(kRelaxed) + block->bytes, kRelaxed);
  used_bytes_ -= block->bytes;
}

InjectionQueue::Block* InjectionQueue::TakeBlock(size_t bytes) {
  Block* block = spare_;
  if (block != nullptr) {
    spare_ = block->next;
    spare_bytes_.store(spare_bytes_.load(kRelaxed) - block->bytes, kRelaxed);
  } else {
    block = Block::Make(bytes);
    if (block == nullptr) return nullptr;
  }
  used_bytes_ += block->bytes;
  return block;
}

bool InjectionQueue::AddBlock() {
  Block* block = TakeBlock(tail_ == nullptr ? kFirstBytes
                                            : std::clamp(kGrowth * tail_->bytes, kSecondBytes, kLargestBytes));
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
  if (counted) {
    pushed_.Add(pushed);
  } else {
    moved_.Add(pushed);
    allowed_ -= pushed;
  }
  return pushed;
}

bool InjectionQueue::PutBack(Slot slot) {
  if (Size() == 0) return Push(&slot, 1, false) == 1;
  if (head_index_ == 0) {
    Block* block = TakeBlock(kFirstBytes);
    if (block == nullptr) return false;
    block->next = head_;
    head_ = block;
    head_index_ = block->capacity;
  }
  head_->slots[--head_index_] = slot;
  moved_.Add();
  --allowed_;
  return true;
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

uint32_t InjectionQueue::Purge(bool (*drop)(Slot slot)) {
  const uint64_t size = Size();
  if (size == 0) return 0;
  struct Place {
    Block* block;
    uint32_t index;
    Slot& Next() {
      if (index == block->capacity) {
        block = block->next;
        index = 0;
      }
      return block->slots[index++];
    }
  };
  Place from{head_, head_index_};
  Place to = from;
  uint32_t kept = 0;
  for (uint64_t i = 0; i < size; ++i) {
    const Slot slot = from.Next();
    if (drop(slot)) continue;
    to.Next() = slot;
    ++kept;
  }
  while (to.block->next != nullptr) {
    Block* empty = to.block->next;
    to.block->next = empty->next;
    Retire(empty);
  }
  tail_ = to.block;
  tail_index_ = to.index;
  tail_capacity_ = tail_->capacity;
  tail_slots_ = tail_->slots;
  if (kept == 0) head_index_ = tail_index_ = 0;
  const auto purged = static_cast<uint32_t>(size - kept);
  taken_.Add(purged);
  return purged;
}

}  // namespace workpool
