// Service: the one thread of a process that acts when a time has come, for all pools. It exists while somebody may need
// it, and sleeps while nothing is due; that workers block does not matter to it. User code that it runs may wait for
// another time: then a second thread takes its place, and the first one ends after its call.
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
  // may run user code, which may end the thread: then it is called again at once, on another one. Or which may wait: then
  // it is called on another one meanwhile.
  uint64_t (*call)(void* owner) = nullptr;
  void* owner = nullptr;
  // It can do without a call that no thread can be started for. While all are like this and none has a time, there is no
  // thread.
  bool may_lapse = false;

 private:
  friend class Service;
  // ---- under the service's lock
  uint64_t due_ns = kNever;
  uint32_t calls = 0;  // that are going on
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

  // The thread is there, or starts now, if there is anybody for whom. OK, THREAD.
  [[nodiscard]] Status NeedThread();

  // Not later than due_ns. False: there is no thread that could, and none can be started now; only where the client may lapse.
  bool CallAt(ServiceClient& client, uint64_t due_ns);

  // The calling thread is about to sleep. If it is that of a service, inside a call, time goes on without it.
  static void StandIn();

 private:
  // What a thread of a service knows of itself.
  struct Self {
    Service* service;
    uint32_t generation;
    ServiceClient* client = nullptr;  // that it calls, unless that was removed by the call
  };
  // What a thread is told when it starts.
  struct Start {
    Service* service;
    uint32_t generation;
  };

  // How long a thread that nobody needs stays: a burst often follows another one.
  static constexpr uint64_t kLingerNs = 1'000'000'000;

  static void ThreadMain(void* start);
  [[nodiscard]] bool EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nobody needs the thread for now.
  [[nodiscard]] bool MayLapse() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The calling thread ends, because there has been nothing for it to do. False: now there is.
  [[nodiscard]] bool Lapse(const Self& self);
  void Loop(Self& self);
  void Call(Self& self);
  void HandOver(const Self& self);

  Mutex mu_;
  ServiceClient* clients_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t generation_ ABSL_GUARDED_BY(mu_) = 0;  // of the thread; an older one ends
  ThreadHandle thread_ ABSL_GUARDED_BY(mu_) = 0;
  bool lapsed_ ABSL_GUARDED_BY(mu_) = false;     // thread_ has ended by itself, and is to be joined
  bool disturbed_ ABSL_GUARDED_BY(mu_) = false;  // look again
  Event wake_;
  Event call_over_;
};

}  // namespace workpool
