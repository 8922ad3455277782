#include "base/process.h"

#include <pthread.h>

#include "base/fence.h"
#include "base/thread_line.h"

namespace workpool {

constinit Atomic<uint32_t> g_fork_epoch{1};

uint32_t ForkEpoch() { return g_fork_epoch.load(kRelaxed); }

namespace {

constinit Atomic<bool> g_watching{false};

// Runs in the child, whose only thread this is: no lock, no allocation, no join.
void AfterForkInChild() {
  g_fork_epoch.fetch_add(1, kRelaxed);
  // The way without checks belongs to the parent's pools.
  Tls& tls = CurrentTls();
  tls.seen_handle = 0;
  tls.seen_slot = kDeadSlot;
  // And a worker that comes back from the task that forked must look, and find that it is none.
  if (tls.calm != nullptr) tls.calm->store(0, kRelaxed);
}

}  // namespace

void WatchFork() {
  // Every caller does this before it publishes or uses a shared object, so that no two threads ever
  // disagree on how the fences pair.
  InitFences();
  // Two handlers, of two threads at once, do no harm. relaxed: the store does not get ahead of the lock that
  // pthread_atfork takes, and a fork that comes then waits for that lock.
  if (g_watching.load(kRelaxed)) return;
  // The library is never unloaded (-z,nodelete), so the handler stays valid. If there is no memory for
  // it, forks go unnoticed, as without this library.
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
  g_watching.store(true, kRelaxed);
}

}  // namespace workpool
