// What lies in different cache lines does not slow each other down.
#pragma once

#include <cstddef>

namespace workpool {

// 64 on every target we build for; adjacent-line prefetch did not show in tests/bench.
inline constexpr size_t kCacheLine = 64;

}  // namespace workpool
