// Small files of /proc and /sys as text, in buffers of the caller: no heap, no stdio. Interrupted calls are made again,
// descriptors are close-on-exec, and a pending cancellation of the calling thread stays pending.
// Threads: any; a LineReader is one thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace workpool {

// A descriptor to read from, or -1.
[[nodiscard]] int OpenFile(const char* path);
void CloseFile(int fd);

// The beginning of an open file, up to bytes_max; what is in /proc and /sys is made anew for each call. False: there is
// nothing to read any more, as from a file of a thread that has ended.
[[nodiscard]] bool ReadOpenFile(int fd, char* buffer, size_t bytes_max, std::string_view* out);
// Open, read, close.
[[nodiscard]] bool ReadFile(const char* path, char* buffer, size_t bytes_max, std::string_view* out);

// A longer file, line by line.
class LineReader {
 public:
  explicit LineReader(const char* path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end, valid until the next call. One that does not fit into kLineMax bytes with its end is
  // left out, and so is one that is not there to its end: half of one could mean something else. False: at the end,
  // after kBytesMax, or if the file cannot be read.
  [[nodiscard]] bool Next(std::string_view* out);

  static constexpr size_t kLineMax = 4096;
  // /proc/self/mountinfo of a host with thousands of containers is of this order.
  static constexpr size_t kBytesMax = size_t{1} << 20;

 private:
  // Reads on behind what is left in the buffer. False: there is no more.
  bool Fill();

  int fd_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t bytes_ = 0;
  bool too_long_ = false;  // the line that is being read
  bool at_end_ = false;    // the file has been read, all of it
  char buffer_[kLineMax];
};

// ---- taking texts apart
// What stands before the first separator, or all; rest is what stands behind it.
[[nodiscard]] std::string_view TakeUntil(std::string_view* rest, char separator);
// All of text as a decimal number without a sign. False: it is none, or too large.
[[nodiscard]] bool ParseNumber(std::string_view text, uint64_t* out);

}  // namespace workpool
