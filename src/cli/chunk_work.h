// The work on one piece of a file: read, hash, compress. The smallest unit of the demo.
#pragma once

#include <cstdint>

#include "digest.h"

namespace workpool_cli {

// Files above this size are cut into pieces of it, which are tasks of their own: small enough that
// a few big files do not keep one worker busy at the end, big enough that compression loses nothing
// to speak of.
inline constexpr uint64_t kChunkBytes = 256 * 1024;

struct ChunkResult {
  int error = 0;  // errno of the read; 0 if all went well
  uint64_t bytes = 0;
  uint64_t compressed_bytes = 0;
  Digest digest{};
};

// Reads [offset, offset + size) of fd, less at the end of the file, and hashes and compresses it.
// size is at most kChunkBytes. Threads: any. Throws std::runtime_error if OpenSSL or zlib fails.
[[nodiscard]] ChunkResult WorkOnChunk(int fd, uint64_t offset, uint64_t size);

}  // namespace workpool_cli
