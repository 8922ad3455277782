#include "comparison.h"

#include <cstdio>
#include <cstring>
#include <string>

namespace workpool_cli {
namespace {

constexpr uint64_t kLinesMax = 10;

std::string Described(const FileResult& r) {
  if (r.error != 0) return std::string("unreadable: ") + std::strerror(r.error);
  char text[96];
  int used = 0;
  for (size_t i = 0; i < 8; ++i) used += std::snprintf(text + used, 3, "%02x", r.digest[i]);
  return std::string(text) + "... " + std::to_string(r.bytes) + " bytes, compressed " +
         std::to_string(r.compressed_bytes);
}

}  // namespace

Comparison CompareRuns(const FileList& list, const std::vector<FileResult>& pooled,
                       const std::vector<FileResult>& serial) {
  Comparison c;
  for (size_t i = 0; i < list.files.size(); ++i) {
    const char* const path = list.files[i].path.c_str();
    c.unreadable_pooled += pooled[i].error != 0;
    c.unreadable_serial += serial[i].error != 0;
    c.compressed_bytes += pooled[i].compressed_bytes;
    if (pooled[i] == serial[i]) {
      ++c.equal;
      if (pooled[i].error != 0 && c.unreadable_pooled <= kLinesMax) {
        std::printf("  %s: %s\n", path, Described(pooled[i]).c_str());
      }
    } else if (++c.different <= kLinesMax) {
      std::printf("  DIFFERENT %s\n    pooled: %s\n    serial: %s\n", path,
                  Described(pooled[i]).c_str(), Described(serial[i]).c_str());
    }
  }
  return c;
}

}  // namespace workpool_cli
