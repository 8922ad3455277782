#include "base/memory.h"

#include <cstdlib>
#include <sys/mman.h>

// From <sanitizer/lsan_interface.h>; null unless the program has a LeakSanitizer. It searches the heap for pointers by
// itself, mapped memory only where it is told to: what a queued task's argument leads to would be reported as lost.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the sanitizers' names
extern "C" {
[[gnu::weak, gnu::visibility("default")]] void __lsan_register_root_region(const void* begin, size_t bytes);
[[gnu::weak, gnu::visibility("default")]] void __lsan_unregister_root_region(const void* begin, size_t bytes);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

namespace workpool {
namespace {

constexpr size_t kMapMinBytes = 64 * 1024;

void* Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(memory, bytes);
  return memory;
}

void Unmap(void* memory, size_t bytes) {
  if (__lsan_unregister_root_region != nullptr) __lsan_unregister_root_region(memory, bytes);
  munmap(memory, bytes);
}

}  // namespace

void* AllocateBytes(size_t bytes, size_t align) {
  if (bytes >= kMapMinBytes) return Map(bytes);
  if (align <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(align, (bytes + align - 1) / align * align);
}

void FreeBytes(void* memory, size_t bytes) {
  if (bytes >= kMapMinBytes) {
    Unmap(memory, bytes);
  } else {
    std::free(memory);
  }
}

}  // namespace workpool
