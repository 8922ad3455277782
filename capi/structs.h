// The size-first struct rule, as the kernel's openat2(2): a caller's struct that is smaller than ours counts as zero
// beyond its end; a larger one must be zero beyond ours.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/limits.h"

namespace workpool {

// Copies the caller's *in, whose size is its first field, to *out.
template <typename T>
Status CopyIn(const T* in, const char* name, T* out) {
  uint32_t size;
  std::memcpy(&size, in, sizeof(size));
  if (size < sizeof(size)) {
    return Fail(POOL_E_INVALID, "%s.struct_size = %u is too small; set it to sizeof, or use the _init function",
                name, size);
  }
  if (size > kStructSizeMax) {
    return Fail(POOL_E_TOOBIG, "%s.struct_size = %u is above the limit %u", name, size, kStructSizeMax);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(in);
  for (uint32_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] == 0) continue;
    return Fail(POOL_E_TOOBIG, "%s uses byte %u, beyond the %zu that this library knows; update the library",
                name, i, sizeof(T));
  }
  if (size < sizeof(T)) *out = T{};
  std::memcpy(static_cast<void*>(out), in, size < sizeof(T) ? size : sizeof(T));
  out->struct_size = sizeof(T);
  return POOL_OK;
}

// The caller's *in can be read as it is.
template <typename T>
bool HasOurLayout(const T* in) {
  uint32_t size;
  std::memcpy(&size, in, sizeof(size));
  return size == sizeof(T) && reinterpret_cast<uintptr_t>(in) % alignof(T) == 0;
}

// Checks the size the caller gives for an out-struct.
inline Status CheckOutSize(uint32_t size, const char* name) {
  if (size < sizeof(uint32_t)) {
    return Fail(POOL_E_INVALID, "size of %s = %u is too small; give sizeof", name, size);
  }
  if (size > kStructSizeMax) {
    return Fail(POOL_E_TOOBIG, "size of %s = %u is above the limit %u", name, size, kStructSizeMax);
  }
  return POOL_OK;
}

// Copies as much of ours as the caller has room for, clears the rest, and tells how much that was.
template <typename T>
void CopyOut(const T& ours, T* out, uint32_t size) {
  T copy = ours;
  const uint32_t common = size < sizeof(T) ? size : static_cast<uint32_t>(sizeof(T));
  copy.struct_size = common;
  std::memcpy(static_cast<void*>(out), &copy, common);
  if (size > common) std::memset(reinterpret_cast<unsigned char*>(out) + common, 0, size - common);
}

// Fills *out with zeros and its size.
template <typename T>
Status InitStruct(T* out, uint32_t size, const char* name) {
  if (out == nullptr) return Fail(POOL_E_INVALID, "%s is NULL", name);
  const Status status = CheckOutSize(size, name);
  if (status != POOL_OK) return status;
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &size, sizeof(size));
  return POOL_OK;
}

}  // namespace workpool
