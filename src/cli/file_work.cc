#include "file_work.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "chunk_work.h"

namespace workpool_cli {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

FileResult Joined(const std::vector<ChunkResult>& chunks) {
  FileResult result;
  std::vector<std::byte> digests;
  for (const ChunkResult& chunk : chunks) {
    if (chunk.error != 0) {
      FileResult failed;
      failed.error = chunk.error;
      return failed;
    }
    result.bytes += chunk.bytes;
    result.compressed_bytes += chunk.compressed_bytes;
    const auto* const bytes = reinterpret_cast<const std::byte*>(chunk.digest.data());
    digests.insert(digests.end(), bytes, bytes + chunk.digest.size());
  }
  result.digest = chunks.size() == 1 ? chunks[0].digest : DigestOf(digests);
  return result;
}

}  // namespace

FileResult WorkOnFile(const FileEntry& file, const ForEachChunk& for_each) {
  if (file.pause.count() > 0) std::this_thread::sleep_for(file.pause);
  FileResult failed;
  const OpenFile open_file(file.path);
  struct stat status;
  if (open_file.fd() < 0 || fstat(open_file.fd(), &status) != 0) {
    failed.error = errno;
    return failed;
  }
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  std::vector<ChunkResult> chunks(std::max<uint64_t>(1, (size + kChunkBytes - 1) / kChunkBytes));
  for_each(chunks.size(), [&](size_t i) {
    const uint64_t offset = i * kChunkBytes;
    chunks[i] = WorkOnChunk(open_file.fd(), offset, std::min(kChunkBytes, size - offset));
  });
  return Joined(chunks);
}

}  // namespace workpool_cli
