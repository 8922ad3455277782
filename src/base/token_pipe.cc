#include "base/token_pipe.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/no_cancellation.h"

namespace workpool {
namespace {

void CloseIfOpen(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

// Beyond those of standard streams: a program that has closed its own and prints all the same must not print into the
// pipe. Takes fd; below 0 if there is no other.
int AboveStandard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  close(fd);
  errno = error;
  return above;
}

bool IsOpenFor(int fd, int wanted_mode) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  const int mode = flags & O_ACCMODE;
  return mode == O_RDWR || mode == wanted_mode;
}

// What a call says that has brought no byte.
TokenPipe::Got Without(ssize_t got) {
  if (got < 0 && errno == EAGAIN) return TokenPipe::Got::kNone;
  if (got == 0) errno = EPIPE;  // its end, which cannot be while a writing end is ours
  return TokenPipe::Got::kBroken;
}

}  // namespace

TokenPipe::Opened TokenPipe::OpenNamed(const char* path) {
  const WithoutCancellation no_cancellation;
  // Both ends: so it is never at its end, and a write never meets a pipe without a reader, which would be a signal.
  const int fd = AboveStandard(open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? Opened::kNotOpen : Opened::kRefused;
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode)) {
    close(fd);
    return Opened::kNotPipe;
  }
  read_fd_ = fd;
  write_fd_ = fd;
  return Opened::kYes;
}

TokenPipe::Opened TokenPipe::OpenEnds(int read_fd, int write_fd) {
  struct stat read_info;
  struct stat write_info;
  if (fstat(read_fd, &read_info) != 0 || fstat(write_fd, &write_info) != 0) return Opened::kNotOpen;
  // A program may have the numbers from make without the descriptors, and by now stand with files of its own under
  // these numbers (rust-lang/jobserver-rs#27).
  const bool one_pipe = S_ISFIFO(read_info.st_mode) && S_ISFIFO(write_info.st_mode) &&
                        read_info.st_dev == write_info.st_dev && read_info.st_ino == write_info.st_ino;
  if (!one_pipe || !IsOpenFor(read_fd, O_RDONLY) || !IsOpenFor(write_fd, O_WRONLY)) return Opened::kNotPipe;
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", read_fd);
  if (OpenNamed(path) == Opened::kYes) return Opened::kYes;
  return OpenShared(read_fd, write_fd);
}

TokenPipe::Opened TokenPipe::OpenShared(int read_fd, int write_fd) {
  const WithoutCancellation no_cancellation;
  int side[2] = {-1, -1};
  read_fd_ = fcntl(read_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  write_fd_ = fcntl(write_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (read_fd_ >= 0 && write_fd_ >= 0 && pipe2(side, O_NONBLOCK | O_CLOEXEC) == 0) {
    side_read_fd_ = AboveStandard(side[0]);
    side_write_fd_ = AboveStandard(side[1]);
    if (side_read_fd_ >= 0 && side_write_fd_ >= 0) return Opened::kYes;
  }
  const int error = errno;
  Close();
  errno = error;
  return Opened::kRefused;
}

void TokenPipe::Close() {
  const WithoutCancellation no_cancellation;
  if (write_fd_ == read_fd_) write_fd_ = -1;
  CloseIfOpen(read_fd_);
  CloseIfOpen(write_fd_);
  CloseIfOpen(side_read_fd_);
  CloseIfOpen(side_write_fd_);
}

TokenPipe::Got TokenPipe::TryRead(uint8_t* byte_out) {
  const WithoutCancellation no_cancellation;
  int from = read_fd_;
  ssize_t got;
  if (side_read_fd_ >= 0) {
    do {
      got = splice(read_fd_, nullptr, side_write_fd_, nullptr, 1, SPLICE_F_NONBLOCK);
    } while (got < 0 && errno == EINTR);
    if (got != 1) return Without(got);
    from = side_read_fd_;
  }
  do {
    got = read(from, byte_out, 1);
  } while (got < 0 && errno == EINTR);
  return got == 1 ? Got::kByte : Without(got);
}

bool TokenPipe::Write(uint8_t byte) {
  const WithoutCancellation no_cancellation;
  ssize_t wrote;
  do {
    wrote = write(write_fd_, &byte, 1);
  } while (wrote < 0 && errno == EINTR);
  return wrote == 1;
}

}  // namespace workpool
