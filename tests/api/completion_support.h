// What the tests of completion queues share.
#pragma once

#include <poll.h>

#include <utility>
#include <vector>

#include "test_support.h"

namespace workpool_test {

inline constexpr int64_t kMillisecondNs = 1'000'000;

class ScopedQueue {
 public:
  explicit ScopedQueue(uint32_t capacity = 1'024) { Must(pool_cq_create(capacity, &cq_), "pool_cq_create"); }
  ~ScopedQueue() {
    if (cq_ != 0) Must(pool_cq_release(cq_), "pool_cq_release");
  }
  ScopedQueue(const ScopedQueue&) = delete;
  ScopedQueue& operator=(const ScopedQueue&) = delete;
  operator pool_cq_t() const { return cq_; }
  pool_cq_t GiveUp() { return std::exchange(cq_, 0); }

 private:
  pool_cq_t cq_ = 0;
};

inline pool_task_t QueueTask(pool_cq_t cq, pool_run_fn run, void* arg) {
  pool_task_t task = Task(run, arg);
  task.cq = cq;
  return task;
}

inline pool_task_t QueueTask(pool_cq_t cq, Tally& tally) {
  pool_task_t task = TallyTask(tally);
  task.cq = cq;
  return task;
}

// At most cap completions, waiting for the first one; empty: none came.
inline std::vector<pool_completion_t> Poll(pool_cq_t cq, uint32_t cap, int64_t timeout_ns = kBoundNs) {
  std::vector<pool_completion_t> batch(cap);
  uint32_t n = 77;
  const pool_status_t status = pool_cq_poll(cq, batch.data(), sizeof(pool_completion_t), cap, timeout_ns, &n);
  if (status != POOL_E_TIMEOUT) Must(status, "pool_cq_poll");
  batch.resize(n);
  return batch;
}

inline pool_completion_t PollOne(pool_cq_t cq) {
  const std::vector<pool_completion_t> batch = Poll(cq, 1);
  if (batch.empty()) Must(POOL_E_TIMEOUT, "a completion");
  return batch[0];
}

inline bool Readable(int fd, int timeout_ms = 0) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, timeout_ms) == 1 && (entry.revents & POLLIN) != 0;
}

}  // namespace workpool_test
