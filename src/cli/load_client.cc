#include "load_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

namespace workpool_cli {
namespace {

int Connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

bool Exchange(int fd, uint64_t delay_ns) {
  char text[64];
  const int size = std::snprintf(text, sizeof text, "delay_us %" PRIu64 "\n", (delay_ns + 500) / 1000);
  if (send(fd, text, static_cast<size_t>(size), MSG_NOSIGNAL) != size) return false;
  for (size_t have = 0; have < 3;) {
    const ssize_t got = recv(fd, text + have, 3 - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    have += static_cast<size_t>(got);
  }
  return text[0] == 'o';
}

}  // namespace

LoadClient::~LoadClient() {
  for (int fd : free_) close(fd);
}

bool LoadClient::Call(uint64_t delay_ns) {
  const int fd = Take();
  const bool ok = fd >= 0 && Exchange(fd, delay_ns);
  GiveBack(fd, ok);
  return ok;
}

uint32_t LoadClient::opened() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return opened_;
}

int LoadClient::Take() {
  std::unique_lock<std::mutex> lock(mu_);
  free_or_fewer_.wait(lock, [&] { return !free_.empty() || open_ < connections_max_; });
  if (!free_.empty()) {
    const int fd = free_.back();
    free_.pop_back();
    return fd;
  }
  opened_ = std::max(opened_, ++open_);
  lock.unlock();
  return Connect(port_);
}

void LoadClient::GiveBack(int fd, bool ok) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (ok) {
      free_.push_back(fd);
    } else {
      --open_;
    }
  }
  if (!ok && fd >= 0) close(fd);
  free_or_fewer_.notify_one();
}

}  // namespace workpool_cli
