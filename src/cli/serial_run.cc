#include "serial_run.h"

namespace workpool_cli {

std::vector<FileResult> RunSerially(const FileList& list,
                                    const std::function<void(uint64_t, uint64_t)>& progress) {
  const ForEachChunk one_by_one = [](size_t count, const std::function<void(size_t)>& body) {
    for (size_t i = 0; i < count; ++i) body(i);
  };
  std::vector<FileResult> results;
  results.reserve(list.files.size());
  uint64_t bytes = 0;
  for (const FileEntry& file : list.files) {
    results.push_back(WorkOnFile(file, one_by_one));
    bytes += results.back().bytes;
    progress(results.size(), bytes);
  }
  return results;
}

}  // namespace workpool_cli
