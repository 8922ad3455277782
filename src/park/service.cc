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

Status FailNoThread() {
  return FailConst(POOL_E_THREAD, "the service thread could not be started; nothing was accepted");
}

}  // namespace

Service* Service::OfProcess() { return g_service.Ensure(); }

bool Service::EnsureThread() {
  if (running_) return true;
  if (lapsed_) JoinThread(thread_);  // it is past its last use of the lock
  lapsed_ = false;
  auto* start = New<Start>(Start{this, generation_ + 1});
  if (start == nullptr) return false;
  const ThreadOptions options{.stack_bytes = kStackDefaultBytes, .own_cpus = false, .cpus = {}};
  running_ = StartThread(options, &ThreadMain, start, &thread_) == 0;
  if (running_) {
    ++generation_;
  } else {
    Delete(start);
  }
  return running_;
}

void Service::StandIn() {
  if (auto* self = static_cast<Self*>(CurrentTls().service)) self->service->HandOver(*self);
}

void Service::HandOver(const Self& self) {
  MutexLock lock(mu_);
  if (!running_ || self.generation != generation_) return;
  const ThreadHandle own = thread_;
  running_ = false;
  if (!EnsureThread()) {
    running_ = true;  // time stands still for as long as this one waits
    return;
  }
  DetachThread(own);
  // There may be more to do for it. One that may lapse is called by whoever needs it.
  if (self.client != nullptr && !self.client->may_lapse) self.client->due_ns = 0;
}

Status Service::NeedThread() {
  MutexLock lock(mu_);
  return clients_ == nullptr || EnsureThread() ? POOL_OK : FailNoThread();
}

Status Service::Add(ServiceClient& client) {
  MutexLock lock(mu_);
  if (!EnsureThread()) return FailNoThread();
  if (client.added) return POOL_OK;
  client.added = true;
  client.due_ns = kNever;
  client.next = clients_;
  clients_ = &client;
  return POOL_OK;
}

void Service::Remove(ServiceClient& client, bool wait) {
  auto* self = static_cast<Self*>(CurrentTls().service);
  if (self != nullptr && self->service != this) self = nullptr;
  bool last = false;
  bool own = false;
  ThreadHandle thread = 0;
  {
    MutexLock lock(mu_);
    if (!client.added) return;
    client.added = false;
    if (self != nullptr && self->client == &client) {
      self->client = nullptr;
      --client.calls;
    }
    ServiceClient** link = &clients_;
    while (*link != &client) link = &(*link)->next;
    *link = client.next;
    if (clients_ == nullptr && (running_ || lapsed_)) {
      last = true;
      own = self != nullptr && self->generation == generation_;
      running_ = false;
      lapsed_ = false;
      ++generation_;
      thread = thread_;
      disturbed_ = true;
    }
  }
  wake_.Notify();
  (void)call_over_.Await(kNever, [&] {
    MutexLock lock(mu_);
    return client.calls == 0;
  });
  if (!last) return;
  if (wait && !own) {
    JoinThread(thread);
  } else {
    DetachThread(thread);
  }
}

bool Service::CallAt(ServiceClient& client, uint64_t due_ns) {
  {
    MutexLock lock(mu_);
    if (!client.added) return true;
    // User code may have ended the last one, or it has lapsed. Without one it does not help that the client is due already.
    if (!EnsureThread() && client.may_lapse) return false;
    if (due_ns >= client.due_ns) return true;
    client.due_ns = due_ns;
    disturbed_ = true;
  }
  wake_.Notify();
  return true;
}

bool Service::MayLapse() const {
  for (const ServiceClient* client = clients_; client != nullptr; client = client->next) {
    if (!client->may_lapse || client->due_ns != kNever || client->calls != 0) return false;
  }
  return clients_ != nullptr;
}

bool Service::Lapse(const Self& self) {
  MutexLock lock(mu_);
  if (self.generation != generation_) return true;
  if (disturbed_ || !MayLapse()) return false;
  running_ = false;
  lapsed_ = true;
  ++generation_;
  return true;
}

void Service::ThreadMain(void* memory) {
  auto* start = static_cast<Start*>(memory);
  Self self{start->service, start->generation};
  Service& service = *self.service;
  Delete(start);
  SetThreadName("pool-service");
  Tls& tls = CurrentTls();
  (void)CurrentLine(tls);
  tls.service = &self;
  try {
    service.Loop(self);
  } catch (abi::__forced_unwind&) {
    tls.service = nullptr;
    MutexLock lock(service.mu_);
    if (self.generation == service.generation_ && service.running_) {
      // Nobody joins this one.
      DetachThread(service.thread_);
      service.running_ = false;
      (void)service.EnsureThread();  // else with the next client or call
    }
    throw;
  }
  tls.service = nullptr;
}

void Service::Loop(Self& self) {
  for (;;) {
    ServiceClient* due = nullptr;
    uint64_t next_ns = kNever;
    bool may_lapse = false;
    {
      MutexLock lock(mu_);
      if (self.generation != generation_) return;
      disturbed_ = false;
      for (ServiceClient* client = clients_; client != nullptr; client = client->next) {
        if (client->due_ns < next_ns) {
          next_ns = client->due_ns;
          due = client;
        }
      }
      if (due != nullptr && next_ns <= NowNs()) {
        due->due_ns = kNever;
        ++due->calls;
        self.client = due;
      } else {
        due = nullptr;
        may_lapse = MayLapse();
      }
    }
    if (due != nullptr) {
      Call(self);
    } else {
      // An older thread looks for itself: what disturbs both, the newer one may have taken for its own.
      const bool disturbed = wake_.Await(may_lapse ? NowNs() + kLingerNs : next_ns, [&] {
        MutexLock lock(mu_);
        return disturbed_ || self.generation != generation_;
      });
      if (may_lapse && !disturbed && Lapse(self)) return;
    }
  }
}

void Service::Call(Self& self) {
  ServiceClient& client = *self.client;
  uint64_t next_ns = 0;  // at once, if the thread ends inside
  const Finally over([&] {
    {
      MutexLock lock(mu_);
      if (self.client == nullptr) return;  // removed by its own call: it may be gone
      self.client = nullptr;
      --client.calls;
      if (client.added) client.due_ns = std::min(client.due_ns, next_ns);
      disturbed_ = true;  // this may not be the thread that waits for that time
    }
    call_over_.Notify();
    wake_.Notify();
  });
  next_ns = client.call(client.owner);
}

}  // namespace workpool
