#include "load_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include "load_clock.h"

namespace workpool_cli {
namespace {

constexpr uint64_t kDelayMaxUs = 3'600'000'000;
constexpr size_t kRequestMax = 64;

int Must(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

void Watch(int epoll_fd, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  Must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "the load's server: epoll_ctl");
}

}  // namespace

LoadServer::LoadServer(uint32_t connections_max) : connections_max_(connections_max) {
  try {
    listen_fd_ = Must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "the load's server: socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    Must(bind(listen_fd_, reinterpret_cast<sockaddr*>(&address), size), "the load's server: bind");
    Must(listen(listen_fd_, SOMAXCONN), "the load's server: listen");
    Must(getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size), "the load's server: getsockname");
    port_ = ntohs(address.sin_port);
    epoll_fd_ = Must(epoll_create1(EPOLL_CLOEXEC), "the load's server: epoll_create1");
    timer_fd_ = Must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "the load's server: timerfd_create");
    wake_fd_ = Must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "the load's server: eventfd");
    for (int fd : {listen_fd_, timer_fd_, wake_fd_}) Watch(epoll_fd_, fd);
    thread_ = std::thread([this] { Serve(); });
  } catch (...) {
    CloseAll();
    throw;
  }
}

LoadServer::~LoadServer() {
  stop_ = true;
  Hurry();
  thread_.join();
  CloseAll();
}

void LoadServer::CloseAll() {
  for (const auto& [fd, peer] : peers_) close(fd);
  for (int fd : {listen_fd_, epoll_fd_, timer_fd_, wake_fd_}) {
    if (fd >= 0) close(fd);
  }
}

void LoadServer::Hurry() {
  hurry_ = true;
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
}

double LoadServer::CpuS() const {
  clockid_t clock;
  timespec used{};
  if (pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) != 0) return 0;
  clock_gettime(clock, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

void LoadServer::Serve() {
  epoll_event events[64];
  while (!stop_) {
    const int count = epoll_wait(epoll_fd_, events, std::size(events), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listen_fd_) {
        Accept();
      } else if (fd == timer_fd_ || fd == wake_fd_) {
        uint64_t ignored;
        (void)!read(fd, &ignored, sizeof ignored);
      } else {
        Read(fd);
      }
    }
    AnswerDue();
  }
}

void LoadServer::Accept() {
  for (;;) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (peers_.size() >= connections_max_ || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
      close(fd);
      continue;
    }
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    peers_[fd].generation = ++generation_;
  }
}

void LoadServer::Read(int fd) {
  const auto found = peers_.find(fd);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  char buffer[kRequestMax];
  const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return Close(fd);
  peer.text.append(buffer, static_cast<size_t>(got));
  if (!Take(fd, peer)) Close(fd);
}

bool LoadServer::Take(int fd, Peer& peer) {
  if (peer.waits || peer.text.size() > kRequestMax) return false;
  if (peer.text.back() != '\n') return true;
  constexpr std::string_view kVerb = "delay_us ";
  std::string_view line = peer.text;
  line.remove_suffix(1);
  if (line.substr(0, kVerb.size()) != kVerb) return false;
  line.remove_prefix(kVerb.size());
  uint64_t delay_us = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), delay_us);
  if (error != std::errc() || end != line.data() + line.size() || delay_us > kDelayMaxUs) return false;
  peer.text.clear();
  peer.waits = true;
  answers_.emplace(NowNs() + delay_us * 1000, Answer{fd, peer.generation});
  return true;
}

void LoadServer::AnswerDue() {
  const uint64_t now_ns = NowNs();
  while (!answers_.empty() && (hurry_ || answers_.begin()->first <= now_ns)) {
    const Answer answer = answers_.begin()->second;
    answers_.erase(answers_.begin());
    const auto found = peers_.find(answer.fd);
    if (found == peers_.end() || found->second.generation != answer.generation) continue;
    found->second.waits = false;
    // Three bytes where the last answer has been read always have room.
    if (send(answer.fd, "ok\n", 3, MSG_NOSIGNAL) != 3) Close(answer.fd);
  }
  SetTimer();
}

void LoadServer::SetTimer() {
  itimerspec timer{};
  if (!answers_.empty()) {
    timer.it_value.tv_sec = static_cast<time_t>(answers_.begin()->first / 1'000'000'000);
    timer.it_value.tv_nsec = static_cast<long>(answers_.begin()->first % 1'000'000'000);
  }
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &timer, nullptr);
}

void LoadServer::Close(int fd) {
  peers_.erase(fd);
  close(fd);
}

}  // namespace workpool_cli
