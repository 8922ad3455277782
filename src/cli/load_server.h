// LoadServer: what tasks of a load wait for, as a TCP server of this process on 127.0.0.1, on a port of its own. A
// request is a line "delay_us N"; so long after it the answer is "ok". One request at a time on a connection; one that
// is no such line ends it.
// Threads: its own one serves all. All calls: the thread that made it; Hurry: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <unordered_map>

namespace workpool_cli {

class LoadServer {
 public:
  // More than connections_max at a time are closed at once. Throws std::system_error.
  explicit LoadServer(uint32_t connections_max);
  // Closes all connections.
  ~LoadServer();
  LoadServer(const LoadServer&) = delete;
  LoadServer& operator=(const LoadServer&) = delete;

  uint16_t port() const { return port_; }
  // Answers at once from now on, also what waits.
  void Hurry();
  // CPU time of its thread so far.
  [[nodiscard]] double CpuS() const;

 private:
  // A connection. generation: descriptors come again, and an answer is for the connection that asked.
  struct Peer {
    std::string text;  // of the request so far
    uint64_t generation = 0;
    bool waits = false;
  };
  struct Answer {
    int fd;
    uint64_t generation;
  };

  void CloseAll();
  void Serve();
  void Accept();
  void Read(int fd);
  // False: it is no request.
  bool Take(int fd, Peer& peer);
  void AnswerDue();
  void SetTimer();
  void Close(int fd);

  const uint32_t connections_max_;
  uint16_t port_ = 0;
  int listen_fd_ = -1;
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  int wake_fd_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<bool> hurry_{false};
  // Of its thread.
  std::unordered_map<int, Peer> peers_;
  std::multimap<uint64_t, Answer> answers_;  // by the time when they are due
  uint64_t generation_ = 0;
  std::thread thread_;
};

}  // namespace workpool_cli
