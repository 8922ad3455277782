#include "park/idle_set.h"

#include <algorithm>

#include "base/clock.h"
#include "base/fence.h"

namespace workpool {

bool IdleSet::TryReserveStart(bool forced, uint32_t searchers) {
  uint64_t word = word_.load(kRelaxed);
  for (;;) {
    const Census census(word);
    const bool wanted = forced ? census.live() < census.ceiling()
                               : census.NeedsHelp(searchers) && census.MayAdd() && census.parked() == 0;
    if (!wanted) return false;
    if (word_.compare_exchange_weak(word, word + Census::kLiveOne + Census::kSearchingOne, kRelaxed,
                                    kRelaxed)) {
      return true;
    }
  }
}

bool IdleSet::TryBeginSearch() {
  uint64_t word = word_.load(kRelaxed);
  while (Census(word).searching() == 0) {
    if (word_.compare_exchange_weak(word, word + Census::kSearchingOne, kRelaxed, kRelaxed)) return true;
  }
  return false;
}

void IdleSet::Announce(Parker& worker, bool was_searching) {
  {
    MutexLock lock(mu_);
    // relaxed: ordered by the lock; only a waker that takes the worker from the list writes it.
    worker.token.store(0, kRelaxed);
    worker.older = newest_;
    worker.newer = nullptr;
    worker.listed = true;
    (newest_ != nullptr ? newest_->newer : oldest_) = &worker;
    newest_ = &worker;
    // release: as in EndSearch.
    word_.fetch_add(Census::kParkedOne - (was_searching ? Census::kSearchingOne : 0), kRelease);
  }
  // The announcement before the last look at the queues; partner: the fence after a task is queued.
  FullFence();
}

void IdleSet::Remove(Parker& worker) {
  (worker.newer != nullptr ? worker.newer->older : newest_) = worker.older;
  (worker.older != nullptr ? worker.older->newer : oldest_) = worker.newer;
  worker.listed = false;
}

bool IdleSet::Withdraw(Parker& worker) {
  MutexLock lock(mu_);
  if (!worker.listed) return false;
  Remove(worker);
  word_.fetch_add(Census::kSearchingOne - Census::kParkedOne, kRelaxed);
  return true;
}

SleepResult IdleSet::Sleep(Parker& worker, uint64_t deadline_ns, const Atomic<uint32_t>& keep) {
  // acquire: pairs with the release in Wake; what the waker queued is visible.
  while (worker.token.load(kAcquire) == 0) {
    if (FutexWait(worker.token, 0, deadline_ns) == FutexResult::kWoken) continue;
    MutexLock lock(mu_);
    if (!worker.listed) {
      deadline_ns = kNever;  // somebody is just waking us
      continue;
    }
    // The minimum may have been raised while we slept.
    if (Load().live() <= keep.load(kRelaxed)) {
      deadline_ns = kNever;
      continue;
    }
    Remove(worker);
    word_.fetch_sub(Census::kParkedOne + Census::kLiveOne, kRelaxed);
    return SleepResult::kExpired;
  }
  return SleepResult::kWoken;
}

void IdleSet::TakeToWake(Parker& worker) {
  Remove(worker);
  word_.fetch_add(Census::kSearchingOne - Census::kParkedOne, kRelaxed);
  wakes_.Add();
}

void IdleSet::Wake(Parker& worker) {
  // release: pairs with the acquire in Sleep.
  worker.token.store(1, kRelease);
  // The worker may have seen the token already and be at work; its parker lives as long as the set.
  FutexWake(worker.token, 1);
}

bool IdleSet::WakeOne(uint32_t searchers) {
  Parker* worker;
  {
    MutexLock lock(mu_);
    if (Load().searching() > searchers) return true;
    if (newest_ == nullptr) return false;
    worker = newest_;
    TakeToWake(*worker);
  }
  Wake(*worker);
  return true;
}

bool IdleSet::Recount(uint32_t working) {
  MutexLock lock(mu_);
  uint32_t parked = 0;
  for (const Parker* worker = newest_; worker != nullptr; worker = worker->older) ++parked;
  uint64_t word = word_.load(kRelaxed);
  for (;;) {
    const Census census(word);
    const uint32_t up = census.live() - std::min(census.live(), parked);
    const uint32_t searching = up - std::min(up, working);
    if (census.parked() == parked && census.searching() <= searching) return false;
    const uint64_t right = word - census.parked() * Census::kParkedOne - census.searching() * Census::kSearchingOne +
                           parked * Census::kParkedOne + std::min(searching, census.searching()) * Census::kSearchingOne;
    // release: as in EndSearch.
    if (word_.compare_exchange_weak(word, right, kRelease, kRelaxed)) return true;
  }
}

void IdleSet::WakeAll() {
  // Those that sleep now, oldest first. Whoever goes to sleep later sees what they are woken for; and the first to be
  // woken may be back before the last one's turn, so that without a count this would not end.
  uint32_t left;
  {
    MutexLock lock(mu_);
    left = Load().parked();
  }
  for (; left > 0; --left) {
    Parker* worker;
    {
      MutexLock lock(mu_);
      if (oldest_ == nullptr) return;
      worker = oldest_;
      TakeToWake(*worker);
    }
    Wake(*worker);
  }
}

}  // namespace workpool
