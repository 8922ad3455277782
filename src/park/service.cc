#include "park/service.h"

#include <cxxabi.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/finally.h"
#include "base/limits.h"
#include "base/memory.h"

namespace workpool {
namespace {

constinit PerProcess<Service> g_service;

}  // namespace

Service* Service::OfProcess() { return g_service.Ensure(); }

bool Service::OnServiceThread() const { return CurrentTls().service == this; }

bool Service::EnsureThread() {
  if (running_) return true;
  auto* start = New<Start>(Start{this, ++generation_});
  if (start == nullptr) return false;
  const ThreadOptions options{.stack_bytes = kStackDefaultBytes, .own_cpus = false, .cpus = {}};
  running_ = StartThread(options, &ThreadMain, start, &thread_) == 0;
  if (!running_) Delete(start);
  return running_;
}

Status Service::Add(ServiceClient& client) {
  MutexLock lock(mu_);
  if (!EnsureThread()) return FailConst(POOL_E_THREAD, "the service thread could not be started; nothing was accepted");
  if (client.added) return POOL_OK;
  client.added = true;
  client.due_ns = kNever;
  client.next = clients_;
  clients_ = &client;
  return POOL_OK;
}

void Service::Remove(ServiceClient& client, bool wait) {
  const bool inside = OnServiceThread();
  bool last = false;
  ThreadHandle thread = 0;
  {
    MutexLock lock(mu_);
    if (!client.added) return;
    client.added = false;
    ServiceClient** link = &clients_;
    while (*link != &client) link = &(*link)->next;
    *link = client.next;
    if (clients_ == nullptr && running_) {
      last = true;
      running_ = false;
      ++generation_;
      thread = thread_;
      disturbed_.store(true, kRelease);
    }
  }
  wake_.Notify();
  if (!inside) {
    (void)call_over_.Await(kNever, [&] {
      MutexLock lock(mu_);
      return calling_ != &client;
    });
  }
  if (!last) return;
  if (wait && !inside) {
    JoinThread(thread);
  } else {
    DetachThread(thread);
  }
}

void Service::CallAt(ServiceClient& client, uint64_t due_ns) {
  {
    MutexLock lock(mu_);
    if (!client.added || due_ns >= client.due_ns) return;
    client.due_ns = due_ns;
    (void)EnsureThread();  // user code may have ended the last one
    disturbed_.store(true, kRelease);
  }
  wake_.Notify();
}

void Service::ThreadMain(void* memory) {
  auto* start = static_cast<Start*>(memory);
  Service& service = *start->service;
  const uint32_t generation = start->generation;
  Delete(start);
  SetThreadName("pool-service");
  Tls& tls = CurrentTls();
  (void)CurrentLine(tls);
  tls.service = &service;
  try {
    service.Loop(generation);
  } catch (abi::__forced_unwind&) {
    tls.service = nullptr;
    MutexLock lock(service.mu_);
    if (generation == service.generation_ && service.running_) {
      // Nobody joins this one.
      DetachThread(service.thread_);
      service.running_ = false;
      (void)service.EnsureThread();  // else with the next client or call
    }
    throw;
  }
  tls.service = nullptr;
}

void Service::Loop(uint32_t generation) {
  for (;;) {
    ServiceClient* due = nullptr;
    uint64_t next_ns = kNever;
    {
      MutexLock lock(mu_);
      if (generation != generation_) return;
      disturbed_.store(false, kRelaxed);
      for (ServiceClient* client = clients_; client != nullptr; client = client->next) {
        if (client->due_ns < next_ns) {
          next_ns = client->due_ns;
          due = client;
        }
      }
      if (due != nullptr && next_ns <= NowNs()) {
        due->due_ns = kNever;
        calling_ = due;
      } else {
        due = nullptr;
      }
    }
    if (due != nullptr) {
      Call(*due);
    } else {
      (void)wake_.Await(next_ns, [this] { return disturbed_.load(kAcquire); });
    }
  }
}

void Service::Call(ServiceClient& client) {
  uint64_t next_ns = 0;  // at once, if the thread ends inside
  const Finally over([&] {
    {
      MutexLock lock(mu_);
      calling_ = nullptr;
      // Removed by its own call: it may be gone.
      for (ServiceClient* still = clients_; still != nullptr; still = still->next) {
        if (still == &client) client.due_ns = std::min(client.due_ns, next_ns);
      }
    }
    call_over_.Notify();
  });
  next_ns = client.call(client.owner);
}

}  // namespace workpool
