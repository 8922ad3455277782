// Which files the demo works on.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace workpool_cli {

struct FileEntry {
  std::string path;
  // How long the task blocks, as a call to a disk or a server would: 1 to 5 ms for one path in
  // three, chosen by a hash of the path, so that both runs block alike; 0 for the others.
  std::chrono::microseconds pause{0};
};

struct FileList {
  std::vector<FileEntry> files;
  uint64_t bytes = 0;
  bool limited = false;  // there were more, or bigger, files than the limits allow
};

// The regular files below directory, without following symbolic links, at most files_max with
// bytes_max in all. Directories that cannot be read are passed over. Throws
// std::filesystem::filesystem_error if directory itself cannot be read.
[[nodiscard]] FileList ListFiles(const std::string& directory, uint64_t files_max,
                                 uint64_t bytes_max);

}  // namespace workpool_cli
