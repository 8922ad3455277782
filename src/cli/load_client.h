// LoadClient: connections to a LoadServer, kept and used again, newest first; at most so many, then callers wait for
// one.
// Threads: any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace workpool_cli {

class LoadClient {
 public:
  LoadClient(uint16_t port, uint32_t connections_max) : port_(port), connections_max_(connections_max) {}
  ~LoadClient();
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  // One request. False: no connection could be made, or it broke.
  [[nodiscard]] bool Call(uint64_t delay_ns);

  // The most connections that were open at a time.
  [[nodiscard]] uint32_t opened() const;

 private:
  // A connected socket, or -1.
  int Take();
  // ok: it may be used again.
  void GiveBack(int fd, bool ok);

  const uint16_t port_;
  const uint32_t connections_max_;
  mutable std::mutex mu_;
  std::condition_variable free_or_fewer_;
  std::vector<int> free_;
  uint32_t open_ = 0;
  uint32_t opened_ = 0;
};

}  // namespace workpool_cli
