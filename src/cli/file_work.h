// The work on one file. The same function serves both runs; only how the pieces of a big file are
// gone through differs, so that a difference in the results can only come from how they were run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "digest.h"
#include "file_list.h"

namespace workpool_cli {

struct FileResult {
  int error = 0;  // errno, if the file could not be read
  uint64_t bytes = 0;
  uint64_t compressed_bytes = 0;
  Digest digest{};  // of the file; of its pieces' digests, if it was cut

  friend bool operator==(const FileResult&, const FileResult&) = default;
};

// Calls body(i) once for each i < count, in any order, and returns when all have returned.
using ForEachChunk = std::function<void(size_t count, const std::function<void(size_t)>& body)>;

// Blocks as file.pause says, then reads, hashes and compresses the file, cut into pieces if it is
// big. Threads: any. An unreadable file is a result; throws std::exception if a library fails.
[[nodiscard]] FileResult WorkOnFile(const FileEntry& file, const ForEachChunk& for_each);

}  // namespace workpool_cli
