// Whether two runs came to the same results, file by file.
#pragma once

#include <cstdint>
#include <vector>

#include "file_list.h"
#include "file_work.h"

namespace workpool_cli {

struct Comparison {
  uint64_t equal = 0;
  uint64_t different = 0;
  uint64_t unreadable_pooled = 0;
  uint64_t unreadable_serial = 0;
  uint64_t compressed_bytes = 0;  // of the pooled run
};

// Compares errors, sizes, digests and compressed sizes, and prints the first few that differ or
// could not be read. Both have one result a file.
[[nodiscard]] Comparison CompareRuns(const FileList& list, const std::vector<FileResult>& pooled,
                                     const std::vector<FileResult>& serial);

}  // namespace workpool_cli
