#include "base/memory.h"

#include <cstdlib>
#include <sys/mman.h>

namespace workpool {
namespace {

constexpr size_t kMapMinBytes = 64 * 1024;

}  // namespace

void* AllocateBytes(size_t bytes, size_t align) {
  if (bytes >= kMapMinBytes) {
    void* memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  }
  if (align <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(align, (bytes + align - 1) / align * align);
}

void FreeBytes(void* memory, size_t bytes) {
  if (bytes >= kMapMinBytes) {
    munmap(memory, bytes);
  } else {
    std::free(memory);
  }
}

}  // namespace workpool
