// ThreadLedger: the threads of a pool under load: how many live, how long they have lived, how many were started, and
// how often their number turned from growing to shrinking or back, by more than a tenth (a flip).
// Threads: any.
#pragma once

#include <cstdint>
#include <mutex>

namespace workpool_cli {

class ThreadLedger {
 public:
  struct Figures {
    double thread_s = 0;
    uint32_t live = 0;
    uint32_t most = 0;
    uint64_t starts = 0;
    uint32_t flips = 0;
  };

  void Start(uint64_t now_ns);
  void Stop(uint64_t now_ns);
  // thread_s is of the time until now.
  [[nodiscard]] Figures Read(uint64_t now_ns) const;

 private:
  // now_ns may be before the last one: threads read the clock before they have the lock.
  void Advance(uint64_t now_ns);
  void NoteFlip();

  mutable std::mutex mu_;
  Figures figures_;
  uint64_t last_ns_ = 0;
  int direction_ = 0;
  double extreme_ = 0;
};

}  // namespace workpool_cli
