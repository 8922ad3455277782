// SHA-256 by OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace workpool_cli {

using Digest = std::array<uint8_t, 32>;

// Threads: any. Throws std::runtime_error if OpenSSL fails.
[[nodiscard]] Digest DigestOf(std::span<const std::byte> data);

}  // namespace workpool_cli
