// Dispatcher: where tasks from outside wait for a worker. It prefers an idle worker: the caller wakes one when
// the census says that nobody is looking. If all are busy, the task stays in an injection queue, and the least loaded
// worker, the first to run out of its own, takes it. Threads spread over the queues by their line, workers begin at
// their own index, and nobody waits for a lock while another queue is free.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "dispatch/queue_limit.h"
#include "queue/injection_queue.h"

namespace workpool {

enum class Admission { kLimited, kExempt };

class Dispatcher {
 public:
  explicit Dispatcher(uint64_t queue_limit, uint32_t queues);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  [[nodiscard]] bool Allocate();

  struct PushResult {
    uint32_t accepted;
    Status status;  // OK, or why it is fewer: FULL, NOMEM
  };
  // Queues slots[0], slots[1], ... as far as limit and memory go. hint: spreads threads over the queues.
  // counted: they are tasks, not helpers of the library's own.
  PushResult Push(const Slot* slots, uint32_t count, uint32_t hint, Admission admission, bool counted);

  // The same for one task of the limited kind, by the short way: false if that is not open (then Push tells why).
  [[nodiscard]] bool TryPushOne(Slot slot, uint32_t hint) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    InjectionQueue& queue = queues_[hint & mask_];
    if (!queue.TryLock()) return false;
    const bool pushed = limit_.MayEnterOne(queue) && queue.TryPushOne(slot);
    queue.Unlock();
    return pushed;
  }

  // Moves a batch to out: a fair share among sharers of what one queue holds, at most max.
  [[nodiscard]] uint32_t Take(Slot* out, uint32_t max, uint32_t hint, uint32_t sharers);
  // A burst is over: gives back what is beyond kIdleBytes, or a little for each queue.
  void GiveBackMemory();

  // Takes out what drop says it has dropped, with a lock held; returns how many.
  uint32_t Purge(bool (*drop)(Slot slot));

  [[nodiscard]] bool HasTasks() const;
  [[nodiscard]] uint64_t Size() const;
  [[nodiscard]] uint64_t SubmittedCount() const;
  [[nodiscard]] bool HasRoom() const;

  QueueLimit& limit() { return limit_; }

 private:
  // Bursts come again, and new pages are dear: as much stays for all queues together,
  static constexpr size_t kIdleBytes = 8 * 1024 * 1024;
  // and at least so much for each.
  static constexpr size_t kIdleBytesOfOne = 128 * 1024;

  InjectionQueue& LockOne(uint32_t hint);

  const uint32_t count_;  // a power of two
  const uint32_t mask_;
  InjectionQueue* queues_ = nullptr;
  QueueLimit limit_;
};

}  // namespace workpool
