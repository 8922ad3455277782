// The one home of allocation: nothing here throws, out of memory is nullptr.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
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

// A base whose objects are deleted through a pointer to it: only they know how large they are.
class Deletable {
 public:
  virtual ~Deletable() = default;
  static void operator delete(void* memory, size_t bytes) { FreeBytes(memory, bytes); }
};

template <typename T>
void Delete(T* object) {
  if (object == nullptr) return;
  if constexpr (std::is_base_of_v<Deletable, T>) {
    delete object;
  } else {
    static_assert(!std::has_virtual_destructor_v<T>, "a base of others is Deletable");
    object->~T();
    FreeBytes(object, sizeof(T));
  }
}

}  // namespace workpool
