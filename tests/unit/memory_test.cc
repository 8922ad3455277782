#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace workpool {
namespace {

constexpr size_t kMapBytes = 64 * 1024;

// Whether the page at memory belongs to the process at all.
bool IsMapped(const void* memory) {
  unsigned char resident = 0;
  return mincore(const_cast<void*>(memory), 1, &resident) == 0 || errno != ENOMEM;
}

TEST_CASE("memory is aligned as asked, and as the strictest plain type needs", "[base]") {
  for (size_t bytes : {size_t{1}, size_t{16}, size_t{100}, size_t{4096}, kMapBytes - 1, kMapBytes,
                       kMapBytes + 1, 16 * kMapBytes}) {
    for (size_t align : {1, 8, 16, 64, 128, 4096}) {
      INFO(bytes << " bytes aligned to " << align);
      void* memory = AllocateBytes(bytes, align);
      REQUIRE(memory != nullptr);
      const auto address = reinterpret_cast<uintptr_t>(memory);
      CHECK(address % align == 0);
      CHECK(address % alignof(std::max_align_t) == 0);
      std::memset(memory, 0xA5, bytes);
      FreeBytes(memory, bytes);
    }
  }
}

TEST_CASE("large memory comes zeroed from the kernel and goes back to it at once", "[base]") {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (size_t bytes : {kMapBytes, kMapBytes + 1, 5 * kMapBytes}) {
    INFO(bytes << " bytes");
    auto* memory = static_cast<unsigned char*>(AllocateBytes(bytes, 8));
    REQUIRE(memory != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(memory) % page == 0);
    size_t set = 0;
    for (size_t i = 0; i < bytes; ++i) set += memory[i] != 0 ? 1 : 0;
    CHECK(set == 0);
    std::memset(memory, 1, bytes);
    CHECK(IsMapped(memory));
    FreeBytes(memory, bytes);
    CHECK_FALSE(IsMapped(memory));
  }
}

TEST_CASE("what cannot be had is nullptr, not an exception", "[base]") {
  for (size_t bytes : {SIZE_MAX / 2, SIZE_MAX - 4096, SIZE_MAX}) {
    CHECK(AllocateBytes(bytes, 8) == nullptr);
    CHECK(AllocateBytes(bytes, 4096) == nullptr);
  }
}

struct Counted {
  Counted(int* alive_count, int start) : alive(alive_count), value(start) { ++*alive; }
  ~Counted() { --*alive; }
  int* alive;
  int value;
};

struct alignas(256) Strict {
  char bytes[256];
};

TEST_CASE("objects are made and ended once, with their own alignment", "[base]") {
  int alive = 0;
  auto* object = New<Counted>(&alive, 7);
  REQUIRE(object != nullptr);
  CHECK(alive == 1);
  CHECK(object->value == 7);
  Delete(object);
  CHECK(alive == 0);
  Delete(static_cast<Counted*>(nullptr));

  auto* strict = New<Strict>();
  REQUIRE(strict != nullptr);
  CHECK(reinterpret_cast<uintptr_t>(strict) % 256 == 0);
  Delete(strict);
}

}  // namespace
}  // namespace workpool
