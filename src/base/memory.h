// The one home of allocation: nothing here throws, out of memory is nullptr.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include "base/cache_line.h"

namespace workpool {

// Aligned to max(alignof(max_align_t), align). Small sizes come from the heap, sizes from 64 KiB on from
// mmap, so that giving them back lowers the resident set at once.
[[nodiscard]] void* AllocateBytes(size_t bytes, size_t align);
void FreeBytes(void* memory, size_t bytes);

template <typename T, typename... Args>
[[nodiscard]] T* New(Args&&... args) {
  void* memory = AllocateBytes(sizeof(T), alignof(T));
  return memory == nullptr ? nullptr : new (memory) T(std::forward<Args>(args)...);
}

template <typename T>
void Delete(T* object) {
  if (object == nullptr) return;
  object->~T();
  FreeBytes(object, sizeof(T));
}

}  // namespace workpool
