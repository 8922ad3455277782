// The heap of the virtual machine: addresses repeat from schedule to schedule, memory that was
// given back is never given out again in the same one, fresh memory is junk, and what is left at
// the end is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace workpool::model {

class Heap {
 public:
  Heap();
  void BeginSchedule();

  void* Allocate(size_t bytes, size_t align);
  void Free(void* memory, size_t bytes);
  bool Contains(const void* address) const {
    return address >= memory_ && address < memory_ + used_;
  }
  // Fresh memory, in which no atomic was used yet: what is constructed there needs no record of its
  // own.
  bool IsFresh(const void* address) const { return address >= fresh_ && address < fresh_end_; }
  void MarkUsed(const void* address) {
    if (IsFresh(address)) fresh_ = fresh_end_ = nullptr;
  }
  // Who allocated the block of an address, and when by that thread's count. False: it was given
  // back.
  bool FindMaker(const void* address, uint32_t* thread, uint32_t* time) const;
  // Bytes in blocks that no static atomic leads to, over other blocks or directly.
  size_t LeakedBytes() const;

 private:
  struct alignas(16) Block {
    uint64_t state;
    size_t bytes;
    uint32_t thread;
    uint32_t time;
    bool reached;
  };

  Block* FindBlock(uint64_t address) const;

  char* memory_;
  size_t used_ = 0;
  std::vector<Block*> blocks_;  // in the order of their addresses
  const void* fresh_ = nullptr;
  const void* fresh_end_ = nullptr;
};

extern Heap g_heap;

}  // namespace workpool::model
