#include "base/thread_line.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/spin.h"
#include "base/thread.h"

namespace workpool {
namespace {

// All lines of this process, newest first. In a forked child the list starts anew: the parent's lines
// belong to threads that do not exist here.
struct LineList {
  Atomic<ThreadLine*> head{nullptr};
  Atomic<uint32_t> count{0};
};

PerProcess<LineList> g_lines;

constexpr uint64_t Owner(uint64_t count, int32_t tid) {
  return count << 32 | static_cast<uint32_t>(tid);
}

// How many lines of other threads a new thread looks at for a dead owner: enough that the list stays
// within a small factor of the threads alive at once, few enough that starting a thread stays cheap.
constexpr int kProbes = 8;

ThreadLine* TakeOver(LineList& list, int32_t tid) {
  int probes = 0;
  // acquire: pairs with the release that published the line.
  for (ThreadLine* line = list.head.load(kAcquire); line != nullptr; line = line->next) {
    uint64_t owner = line->owner.load(kRelaxed);
    const int32_t owner_tid = static_cast<int32_t>(owner & UINT32_MAX);
    // A line with our own id was left by a dead thread: ids are unique among the living.
    const bool dead = owner_tid == tid || (probes++ < kProbes && !ThreadAlive(owner_tid));
    if (!dead) continue;
    // The count makes two takers of one line disagree, so only one wins it. relaxed: the kernel orders all that its last
    // owner did before the end of that thread.
    if (line->owner.compare_exchange_strong(owner, Owner((owner >> 32) + 1, tid), kRelaxed, kRelaxed)) {
      // acquire: what the last owner did in its sections comes before what this one releases.
      line->active.exchange(0, kAcquire);
      return line;
    }
  }
  return nullptr;
}

}  // namespace

#if !defined(WORKPOOL_MODEL)
constinit thread_local Tls t_tls;
#endif

ThreadLine* RegisterThread(Tls& tls) {
  LineList* list = g_lines.Ensure();
  if (list == nullptr) return nullptr;
  const int32_t tid = CurrentTid();
  ThreadLine* line = TakeOver(*list, tid);
  if (line == nullptr) {
    line = New<ThreadLine>();
    if (line == nullptr) return nullptr;
    line->owner.store(Owner(1, tid), kRelaxed);
    line->index = list->count.fetch_add(1, kRelaxed);
    line->next = list->head.load(kRelaxed);
    // release: publishes the line's fields; seq_cst is not needed, because a thread that is not yet in
    // the list is not inside any slot, and its first LineSection has its own fence.
    while (!list->head.compare_exchange_weak(line->next, line, kRelease, kRelaxed)) {
    }
  }
  // In a forked child of a worker or of a running task: they belong to the parent.
  if (tls.epoch != 0) tls.worker = tls.frame = nullptr, tls.service = nullptr;
  tls.line = line;
  tls.epoch = g_fork_epoch.load(kRelaxed);
  return line;
}

void WaitUntilUnused(uint64_t slot) {
  WaitUntilUnused(slot, [] { return false; });
}

void WaitUntilUnused(uint64_t slot, absl::FunctionRef<bool()> enough) {
  LineList* list = g_lines.Get();
  if (list == nullptr) return;
  // Partner: LightFence in LineSection. After it, a thread either sees the slot unusable or is seen here.
  HeavyFence();
  for (ThreadLine* line = list->head.load(kAcquire); line != nullptr; line = line->next) {
    // acquire: pairs with the release store of 0 at the end of the section.
    for (int spin = 0; line->active.load(kAcquire) == slot; ++spin) {
      if (enough()) return;
      if (spin < 100) {
        SpinPause();
      } else {
        YieldThread();
      }
    }
  }
}

}  // namespace workpool
