// Service: the one thread of a process that acts when a time has come, for all pools. It exists while somebody may need
// it, and sleeps while nothing is due; that workers block does not matter to it.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"
#include "base/process.h"
#include "base/thread.h"
#include "park/event.h"

namespace workpool {

// Somebody who is called when his time has come. Lies in its owner.
struct ServiceClient {
  // Does what is due, on the service thread and without a lock of its own; returns when to be called next, or kNever. It
  // may run user code, which may end the thread: then it is called again at once, on another one.
  uint64_t (*call)(void* owner) = nullptr;
  void* owner = nullptr;

 private:
  friend class Service;
  // ---- under the service's lock
  uint64_t due_ns = kNever;
  bool added = false;
  ServiceClient* next = nullptr;
};

class Service {
 public:
  // The one of this process; nullptr: out of memory.
  [[nodiscard]] static Service* OfProcess();

  // OK, THREAD.
  [[nodiscard]] Status Add(ServiceClient& client);
  // The client is not being called on return, unless the caller runs inside that call, and will not be. The last one sees
  // off the thread: wait: it is gone on return.
  void Remove(ServiceClient& client, bool wait);

  // Not later than due_ns.
  void CallAt(ServiceClient& client, uint64_t due_ns);

 private:
  // What a thread is told when it starts.
  struct Start {
    Service* service;
    uint32_t generation;
  };

  static void ThreadMain(void* start);
  [[nodiscard]] bool EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Loop(uint32_t generation);
  void Call(ServiceClient& client);
  [[nodiscard]] bool OnServiceThread() const;

  Mutex mu_;
  ServiceClient* clients_ ABSL_GUARDED_BY(mu_) = nullptr;
  ServiceClient* calling_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t generation_ ABSL_GUARDED_BY(mu_) = 0;  // of the thread; an older one ends
  ThreadHandle thread_ ABSL_GUARDED_BY(mu_) = 0;
  Atomic<bool> disturbed_{false};  // look again
  Event wake_;
  Event call_over_;
};

}  // namespace workpool
