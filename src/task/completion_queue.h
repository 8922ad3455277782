// CompletionQueue: results of many tasks for one reader, who waits for a descriptor in a loop of his own. A task reserves
// its place when it is submitted, so no completion is ever lost and the queue never grows.
// Threads:   all, any thread.
// Ownership: counted: the handle, and each task that names it until it is over.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "park/event.h"

namespace workpool {

class CompletionQueue {
 public:
  // nullptr: out of memory.
  [[nodiscard]] static CompletionQueue* Make(uint32_t capacity);

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  // A place for one completion. OK, FULL, CLOSED (detached).
  [[nodiscard]] Status Reserve();
  // The task was not accepted after all.
  void GiveBack();
  // Fills a reserved place; nothing once it is detached.
  void Push(const pool_completion_t& completion);

  // A callback of one of its tasks is about to run. False: it was detached, and none may.
  [[nodiscard]] bool BeginCallback();
  void EndCallback();

  // At most cap of the oldest; waits for the first until deadline_ns. OK, TIMEOUT, CLOSED (detached), BADHANDLE (none lies
  // there, and the handle has ended).
  [[nodiscard]] Status Poll(pool_completion_t* out, uint32_t cap, uint64_t deadline_ns, uint32_t* count);
  // Readable while something lies in the queue. Below 0: SYSTEM or CLOSED.
  [[nodiscard]] int32_t Descriptor();
  // No callback runs on return, and none will. But for those that the caller itself runs inside, and, if there are any,
  // others that detach at the same time.
  void Detach(uint32_t own_callbacks);
  // The handle has ended: who waits is told.
  void EndHandle();

 private:
  friend CompletionQueue* New<CompletionQueue, pool_completion_t*&, uint32_t&>(pool_completion_t*&, uint32_t&);
  friend void Delete<CompletionQueue>(CompletionQueue*);
  CompletionQueue(pool_completion_t* ring, uint32_t capacity) : capacity_(capacity), ring_(ring) {}
  ~CompletionQueue();

  // Only whether to look, under the lock.
  [[nodiscard]] bool Ready() const {
    return size_.load(kRelaxed) != 0 || detached_.load(kRelaxed) || handle_over_.load(kRelaxed);
  }

  const uint32_t capacity_;
  Atomic<uint32_t> refs_{1};
  Atomic<uint32_t> size_{0};  // written under the lock
  Atomic<bool> detached_{false};
  Atomic<bool> handle_over_{false};
  Atomic<uint32_t> callbacks_{0};
  Atomic<uint32_t> detaching_{0};  // callbacks that wait in Detach
  Event ready_;
  Event quiet_;
  Mutex mu_;
  pool_completion_t* const ring_ ABSL_PT_GUARDED_BY(mu_);
  uint32_t first_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t reserved_ ABSL_GUARDED_BY(mu_) = 0;  // places given out, filled or not
  int fd_ ABSL_GUARDED_BY(mu_) = -1;
};

}  // namespace workpool
