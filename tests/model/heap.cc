#include "model/heap.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "model/memory_model.h"
#include "model/scheduler.h"

namespace workpool::model {

Heap g_heap;

namespace {

constexpr size_t kHeapBytes = size_t{1} << 30;  // of address space; used pages only cost
constexpr uint64_t kLive = 0x6576696C'6B6F6C62;
constexpr uint64_t kFreed = 0x64656572'66000000;

}  // namespace

Heap::Heap()
    : memory_(static_cast<char*>(mmap(nullptr, kHeapBytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {}

void Heap::BeginSchedule() {
  used_ = 0;
  blocks_.clear();
  fresh_ = fresh_end_ = nullptr;
}

void* Heap::Allocate(size_t bytes, size_t align) {
  align = std::max(align, alignof(Block));
  const size_t at = (used_ + sizeof(Block) + align - 1) / align * align;
  if (at + bytes > kHeapBytes) Fail("the heap of the schedule is used up");
  used_ = at + bytes;
  auto* block = reinterpret_cast<Block*>(memory_ + at) - 1;
  *block = {kLive, bytes, g_scheduler.current(), g_memory.CountAccess(), false};
  blocks_.push_back(block);
  std::memset(block + 1, 0xCD, bytes);
  fresh_ = block + 1;
  fresh_end_ = memory_ + used_;
  return block + 1;
}

void Heap::Free(void* memory, size_t bytes) {
  if (memory == nullptr) return;
  Block* block = static_cast<Block*>(memory) - 1;
  if (!Contains(memory) || block->state == kFreed) Fail("memory at %p is freed twice", memory);
  if (block->state != kLive) Fail("memory at %p was never allocated", memory);
  if (block->bytes != bytes) {
    Fail("memory of %zu bytes is freed as %zu bytes", block->bytes, bytes);
  }
  g_memory.DestroyRange(memory, bytes);
  MarkUsed(memory);
  block->state = kFreed;
  std::memset(memory, 0xDD, bytes);
}

Heap::Block* Heap::FindBlock(uint64_t address) const {
  const auto above = std::upper_bound(blocks_.begin(), blocks_.end(), address,
                                      [](uint64_t value, const Block* block) {
                                        return value < reinterpret_cast<uint64_t>(block + 1);
                                      });
  if (above == blocks_.begin()) return nullptr;
  Block* block = *(above - 1);
  return address < reinterpret_cast<uint64_t>(block + 1) + block->bytes ? block : nullptr;
}

bool Heap::FindMaker(const void* address, uint32_t* thread, uint32_t* time) const {
  const Block* block = FindBlock(reinterpret_cast<uint64_t>(address));
  if (block == nullptr || block->state != kLive) return false;
  *thread = block->thread;
  *time = block->time;
  return true;
}

size_t Heap::LeakedBytes() const {
  size_t leaked = 0;
  for (Block* block : blocks_) {
    block->reached = block->state != kLive;
    if (!block->reached) leaked += block->bytes;
  }
  if (leaked == 0) return 0;
  // Every word that could be an address is taken for one.
  std::vector<uint64_t> words;
  g_memory.AppendStaticValues(&words);
  while (!words.empty()) {
    Block* block = FindBlock(words.back());
    words.pop_back();
    if (block == nullptr || block->reached) continue;
    block->reached = true;
    leaked -= block->bytes;
    const char* begin = reinterpret_cast<const char*>(block + 1);
    for (size_t at = 0; at + 8 <= block->bytes; at += 8) {
      uint64_t value;
      std::memcpy(&value, begin + at, 8);
      if (Contains(reinterpret_cast<const void*>(value))) words.push_back(value);
    }
  }
  return leaked;
}

}  // namespace workpool::model
