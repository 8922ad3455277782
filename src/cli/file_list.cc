#include "file_list.h"

#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace workpool_cli {
namespace {

namespace fs = std::filesystem;

// FNV-1a: the same on every run and machine, unlike std::hash.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

std::chrono::microseconds PauseOf(const std::string& path) {
  const uint64_t hash = HashOf(path);
  if (hash % 3 != 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(1000 + hash / 3 % 4001);
}

}  // namespace

FileList ListFiles(const std::string& directory, uint64_t files_max, uint64_t bytes_max) {
  FileList list;
  if (!fs::is_directory(directory)) throw std::runtime_error(directory + " is not a directory");
  fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied);
  std::error_code error;
  for (; it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (error) break;
    if (it->symlink_status(error).type() != fs::file_type::regular) continue;
    const uint64_t size = it->file_size(error);
    if (error) continue;
    if (size > bytes_max) {
      list.limited = true;
      continue;
    }
    if (list.files.size() == files_max || list.bytes + size > bytes_max) {
      list.limited = true;
      break;
    }
    list.files.push_back({it->path().string(), PauseOf(it->path().string())});
    list.bytes += size;
  }
  return list;
}

}  // namespace workpool_cli
