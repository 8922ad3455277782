// TokenPipe: a pipe of single bytes that other processes read and write as well, such as GNU make's jobserver. Reads
// never wait, and nothing is changed for the others.
//
// O_NONBLOCK belongs to the open file description, and an inherited descriptor shares that with make and all its
// children, some of which rely on reads that wait (POSIX Jobserver Interaction in the GNU make manual;
// ninja-build/ninja#2506, rust-lang/jobserver-rs#73). So the pipe is opened anew through /proc/self/fd, which makes a
// description of our own. Where that is refused (another user's pipe, no /proc) bytes are spliced into a pipe of our
// own: SPLICE_F_NONBLOCK is a flag of one call. To poll and then to read is no way: another process may be faster, and
// the read waits.
//
// All descriptors are our own and closed on exec; those of the caller stay as they are and may be closed.
// Threads: one at a time; Write also in a signal handler.
#pragma once

#include <cstdint>

namespace workpool {

class TokenPipe {
 public:
  enum class Opened : uint8_t {
    kYes,
    kNotOpen,  // one of the descriptors is closed, or there is no such path
    kNotPipe,  // something else, or not the two ends of one pipe
    kRefused,  // by the operating system: errno
  };
  enum class Got : uint8_t {
    kByte,
    kNone,    // the pipe is empty
    kBroken,  // it will give nothing any more
  };

  TokenPipe() = default;
  ~TokenPipe() { Close(); }
  TokenPipe(const TokenPipe&) = delete;
  TokenPipe& operator=(const TokenPipe&) = delete;

  // Once.
  [[nodiscard]] Opened OpenNamed(const char* path);
  [[nodiscard]] Opened OpenEnds(int read_fd, int write_fd);
  // The same without a description of our own.
  [[nodiscard]] Opened OpenShared(int read_fd, int write_fd);
  void Close();

  [[nodiscard]] Got TryRead(uint8_t* byte_out);
  // False: the pipe is full, or broken. Waits only if it is full, shared and blocking: then more bytes were written to
  // it than were read.
  [[nodiscard]] bool Write(uint8_t byte);

  // Readable when a byte may be there; -1: not open.
  [[nodiscard]] int fd() const { return read_fd_; }

 private:
  int read_fd_ = -1;
  int write_fd_ = -1;  // may be the same one
  // Through which a byte comes where the description is shared; else -1.
  int side_read_fd_ = -1;
  int side_write_fd_ = -1;
};

}  // namespace workpool
