#include "chunk_work.h"

#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <stdexcept>
#include <vector>

namespace workpool_cli {
namespace {

constexpr int kCompressionLevel = 6;  // zlib's own default

// Kept per thread: fresh buffers of this size would be mapped and faulted in anew for every small
// file.
struct Buffers {
  std::vector<std::byte> data = std::vector<std::byte>(kChunkBytes);
  std::vector<Bytef> compressed = std::vector<Bytef>(compressBound(kChunkBytes));
};

Buffers& ThreadBuffers() {
  thread_local Buffers buffers;
  return buffers;
}

// Fills data from offset; returns the bytes read, or -1 with errno set.
ssize_t ReadAll(int fd, uint64_t offset, std::span<std::byte> data) {
  size_t got = 0;
  while (got < data.size()) {
    const ssize_t n =
        pread(fd, data.data() + got, data.size() - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(got);
}

uint64_t CompressedSize(std::span<const std::byte> data, std::span<Bytef> room) {
  uLongf size = room.size();
  const Bytef* const source = reinterpret_cast<const Bytef*>(data.data());
  if (compress2(room.data(), &size, source, data.size(), kCompressionLevel) != Z_OK) {
    throw std::runtime_error("zlib cannot compress");
  }
  return size;
}

}  // namespace

ChunkResult WorkOnChunk(int fd, uint64_t offset, uint64_t size) {
  Buffers& buffers = ThreadBuffers();
  ChunkResult result;
  const ssize_t got = ReadAll(fd, offset, std::span(buffers.data).first(size));
  if (got < 0) {
    result.error = errno;
    return result;
  }
  const std::span<const std::byte> data(buffers.data.data(), static_cast<size_t>(got));
  result.bytes = data.size();
  result.digest = DigestOf(data);
  result.compressed_bytes = CompressedSize(data, buffers.compressed);
  return result;
}

}  // namespace workpool_cli
