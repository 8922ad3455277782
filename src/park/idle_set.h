// IdleSet knows which workers sleep and keeps the census. Sleepers are woken newest first (still warm; the
// oldest can expire), one at a time: whoever is woken wakes the next if there is more to do, or a few where many
// wait inside tasks. While a worker searches, submits wake nobody, because it promises to look everywhere once more
// before it sleeps.
//
// A worker goes to sleep in three steps, and a task that is queued before the last one is never missed:
//   Announce     it is in the set and no longer searching; then a fence;
//   (the caller looks at every queue once more; finds something: Withdraw)
//   Sleep        until Wake, or its deadline.
// Whoever queues a task does the mirror image: queue, fence, look at the census.
//
// Threads:   Announce, Withdraw, Sleep: the worker itself, with its parker.  All others: any thread.
// Invariant: parked in the census is the number of workers in the list; a worker that Wake takes from the list
//            counts as searching from that moment on.
// Orders:    a change of a flag or of the ceiling, and the end of a search, is a release: what came before is visible to
//            whoever loads the new census. The other changes of counts are relaxed: who goes from there to look at
//            queues or deques fences (Quiet::Alert), and they hand on what earlier changes released.
// Proof:     README.md.
#pragma once

#include <cstdint>

#include "base/cache_line.h"
#include "base/futex.h"
#include "base/mutex.h"
#include "park/census.h"
#include "stats/counters.h"

namespace workpool {

enum class SleepResult {
  kWoken,    // counted as searching by the waker
  kExpired,  // the deadline passed; the worker is out of the set and no longer live
};

class IdleSet {
 public:
  // Where one worker sleeps. Lives as long as the set.
  struct alignas(kCacheLine) Parker {
    Atomic<uint32_t> token{0};  // 1: woken
    // In the list, under the set's lock.
    Parker* older = nullptr;
    Parker* newer = nullptr;
    bool listed = false;
  };

  explicit IdleSet(uint32_t ceiling) : word_(ceiling * Census::kCeilingOne) {}
  IdleSet(const IdleSet&) = delete;
  IdleSet& operator=(const IdleSet&) = delete;

  // acquire: pairs with the releases below.
  [[nodiscard]] Census Load() const { return Census(word_.load(kAcquire)); }

  void SetFlags(uint64_t flags) { word_.fetch_or(flags, kRelease); }
  // Sets some and clears others at once.
  void ChangeFlags(uint64_t set, uint64_t clear) {
    uint64_t word = word_.load(kRelaxed);
    while (!word_.compare_exchange_weak(word, (word | set) & ~clear, kRelease, kRelaxed)) {
    }
  }
  // Sets flags unless one of unless is set.
  [[nodiscard]] bool TrySetFlags(uint64_t flags, uint64_t unless) {
    uint64_t word = word_.load(kRelaxed);
    do {
      if ((word & unless) != 0) return false;
    } while (!word_.compare_exchange_weak(word, word | flags, kRelease, kRelaxed));
    return true;
  }
  void ClearFlags(uint64_t flags) { (void)TryClearFlags(flags); }
  // False: none of them was set.
  bool TryClearFlags(uint64_t flags) { return (word_.fetch_and(~flags, kRelease) & flags) != 0; }
  // Moves the ceiling by delta workers.
  void MoveCeiling(int32_t delta) {
    word_.fetch_add(static_cast<uint64_t>(static_cast<int64_t>(delta)) * Census::kCeilingOne, kRelease);
  }

  // Counts one more live, searching worker, to be started by the caller, or given back by AbandonStart. Forced: if
  // fewer live than the ceiling; else only if a waiting task needs one and nobody can be woken.
  [[nodiscard]] bool TryReserveStart(bool forced, uint32_t searchers = 0);
  void AbandonStart() { word_.fetch_sub(Census::kLiveOne + Census::kSearchingOne, kRelaxed); }

  // A worker ends that is neither parked nor searching.
  void Leave() { word_.fetch_sub(Census::kLiveOne, kRelaxed); }
  // A worker that had expired found work after all.
  void Return() { word_.fetch_add(Census::kLiveOne + Census::kSearchingOne, kRelaxed); }

  // The calling worker, without a task, looks for work if nobody else does.
  [[nodiscard]] bool TryBeginSearch();
  // It found some. The caller fences before it looks at the queues again: whoever queued a task while it still counted
  // as searching relies on it.
  void EndSearch() {
    // release: it has looked at deques for the last time before a quiet owner sees the old census again (quiet.h).
    word_.fetch_sub(Census::kSearchingOne, kRelease);
  }

  void Announce(Parker& worker, bool was_searching);
  // True: the worker is out of the set again and searching. False: somebody has just woken it; Sleep returns
  // at once.
  [[nodiscard]] bool Withdraw(Parker& worker);
  // The worker expires at deadline_ns only while more than keep live.
  [[nodiscard]] SleepResult Sleep(Parker& worker, uint64_t deadline_ns, const Atomic<uint32_t>& keep);

  // Wakes the newest sleeper unless more than searchers search. False: there was neither.
  bool WakeOne(uint32_t searchers = 0);
  void WakeAll();

  // Nothing has moved for long though something should: sets the counts to what there is, given how many workers are at
  // work. True: they were wrong.
  [[nodiscard]] bool Recount(uint32_t working);

  [[nodiscard]] uint64_t Wakes() const { return wakes_.Read(); }

 private:
  void Remove(Parker& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Under the lock: from here on it counts as searching. Then Wake, without the lock.
  void TakeToWake(Parker& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void Wake(Parker& worker);

  alignas(kCacheLine) Atomic<uint64_t> word_;
  alignas(kCacheLine) Mutex mu_;
  Parker* newest_ ABSL_GUARDED_BY(mu_) = nullptr;
  Parker* oldest_ ABSL_GUARDED_BY(mu_) = nullptr;
  Counter wakes_;  // written under mu_
};

}  // namespace workpool
