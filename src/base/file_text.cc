#include "base/file_text.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "base/no_cancellation.h"

namespace workpool {

int OpenFile(const char* path) {
  const WithoutCancellation without_cancellation;
  int fd;
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

void CloseFile(int fd) {
  const WithoutCancellation without_cancellation;
  close(fd);  // interrupted or not, it is closed
}

bool ReadOpenFile(int fd, char* buffer, size_t bytes_max, std::string_view* out) {
  const WithoutCancellation without_cancellation;
  ssize_t bytes;
  do {
    bytes = pread(fd, buffer, bytes_max, 0);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return false;
  *out = {buffer, static_cast<size_t>(bytes)};
  return true;
}

bool ReadFile(const char* path, char* buffer, size_t bytes_max, std::string_view* out) {
  const int fd = OpenFile(path);
  if (fd < 0) return false;
  const bool read = ReadOpenFile(fd, buffer, bytes_max, out);
  CloseFile(fd);
  return read;
}

LineReader::LineReader(const char* path) : fd_(OpenFile(path)) {}

LineReader::~LineReader() {
  if (fd_ >= 0) CloseFile(fd_);
}

bool LineReader::Next(std::string_view* out) {
  for (;;) {
    const std::string_view unread(buffer_ + begin_, end_ - begin_);
    const size_t size = unread.find('\n');
    if (size != std::string_view::npos) {
      begin_ += size + 1;
      if (std::exchange(too_long_, false)) continue;
      *out = unread.substr(0, size);
      return true;
    }
    if (unread.size() == kLineMax) {
      too_long_ = true;
      begin_ = end_ = 0;
    }
    if (Fill()) continue;
    // Only the last line may lack its end.
    if (!at_end_ || too_long_ || begin_ == end_) return false;
    *out = {buffer_ + begin_, end_ - begin_};
    begin_ = end_;
    return true;
  }
}

bool LineReader::Fill() {
  if (fd_ < 0 || bytes_ >= kBytesMax) return false;
  std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const WithoutCancellation without_cancellation;
  ssize_t bytes;
  do {
    bytes = read(fd_, buffer_ + end_, std::min(kLineMax - end_, kBytesMax - bytes_));
  } while (bytes < 0 && errno == EINTR);
  at_end_ = bytes == 0;
  if (bytes <= 0) return false;
  end_ += static_cast<size_t>(bytes);
  bytes_ += static_cast<size_t>(bytes);
  return true;
}

std::string_view TakeUntil(std::string_view* rest, char separator) {
  const size_t size = rest->find(separator);
  const std::string_view taken = rest->substr(0, size);
  rest->remove_prefix(size == std::string_view::npos ? rest->size() : size + 1);
  return taken;
}

bool ParseNumber(std::string_view text, uint64_t* out) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  *out = number;
  return true;
}

}  // namespace workpool
