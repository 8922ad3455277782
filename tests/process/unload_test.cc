// D7: dlclose while threads of the library run is harmless: its code stays. This program is not
// linked to the library; it loads it as a plug-in would.
#include <dlfcn.h>

#include <catch2/catch.hpp>

#include "child.h"

namespace workpool_test {

// child.h asks for the last error's text; without the library there is none.
extern "C" pool_status_t pool_last_error(int32_t*, char* buf, size_t cap, size_t*) {
  if (cap > 0) buf[0] = 0;
  return POOL_OK;
}

namespace {

struct Library {
  void* handle = dlopen(WORKPOOL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

  template <typename F>
  [[nodiscard]] F* Find(const char* name) const {
    return reinterpret_cast<F*>(dlsym(handle, name));
  }
};

#define FIND(library, name) (library).Find<decltype(name)>(#name)

std::atomic<bool> g_spin{true};
std::atomic<uint64_t> g_runs{0};

int32_t Spin(void*, pool_ctx_t*) {
  while (g_spin.load(std::memory_order_relaxed)) {
  }
  ++g_runs;
  return 0;
}

int32_t Count(void*, pool_ctx_t*) {
  ++g_runs;
  return 0;
}

TEST_CASE("D7: dlclose while tasks run is harmless, and handles stay good for the next dlopen",
          "[unload]") {
  const ChildEnd end = RunChild([] {
    Library first;
    EXPECT(first.handle != nullptr);
    pool_t pool = 0;
    EXPECT(FIND(first, pool_create)(nullptr, &pool) == POOL_OK);
    for (int i = 0; i < 2; ++i) EXPECT(FIND(first, pool_submit)(pool, Spin, nullptr) == POOL_OK);
    for (int i = 0; i < 100; ++i) EXPECT(FIND(first, pool_submit)(pool, Count, nullptr) == POOL_OK);
    EXPECT(dlclose(first.handle) == 0);

    void* still = dlopen(WORKPOOL_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    EXPECT(still != nullptr);
    EXPECT(dlclose(still) == 0);
    g_spin = false;
    EXPECT(PollUntil([] { return g_runs == 102; }));  // its workers go on without it

    Library second;
    EXPECT(second.handle != nullptr);
    EXPECT(FIND(second, pool_submit)(pool, Count, nullptr) == POOL_OK);
    EXPECT(FIND(second, pool_destroy)(pool) == POOL_OK);
    EXPECT(g_runs == 103);
    EXPECT(dlclose(second.handle) == 0);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("D7: loading, using and unloading a hundred times leaks no thread and no descriptor",
          "[unload]") {
  const size_t threads = ThreadCount();
  const auto descriptors = Descriptors();
  for (int i = 0; i < 100; ++i) {
    Library library;
    REQUIRE(library.handle != nullptr);
    pool_t pool = 0;
    REQUIRE(FIND(library, pool_create)(nullptr, &pool) == POOL_OK);
    REQUIRE(FIND(library, pool_submit)(pool, Count, nullptr) == POOL_OK);
    if (i % 2 == 0) {
      REQUIRE(FIND(library, pool_destroy)(pool) == POOL_OK);
    } else {
      REQUIRE(FIND(library, pool_release)(pool) == POOL_OK);  // its workers end after the dlclose
    }
    REQUIRE(dlclose(library.handle) == 0);
  }
  CHECK(AwaitThreadCount(threads));
  CHECK(Descriptors() == descriptors);
}

TEST_CASE("D7: a process that unloads the library with a busy pool exits cleanly", "[unload]") {
  const ChildEnd end = RunChild([] {
    Library library;
    pool_t pool = 0;
    EXPECT(FIND(library, pool_create)(nullptr, &pool) == POOL_OK);
    for (int i = 0; i < 4; ++i) EXPECT(FIND(library, pool_submit)(pool, Spin, nullptr) == POOL_OK);
    EXPECT(dlclose(library.handle) == 0);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

}  // namespace
}  // namespace workpool_test
