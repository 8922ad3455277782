// Quiet: lets a worker leave out the store-load fences of its own deque, the dearest part of a fork and a join, while
// nobody looks for tasks and nobody could help. A census says when that is so: no searcher, and as many workers up as may
// be. A worker that has seen the same such census for long enough becomes quiet; from then on it only compares:
// as long as the census is still that one, it needs no fence.
//
// The other side pays: whoever changes the census so that somebody may look at deques (begins to search, is woken, parks
// from work, raises the ceiling, ends a pause, drops out) calls Alert before he looks. If anybody is quiet, Alert is a HeavyFence:
// after it each quiet worker either sees the new census, or what it did before is seen.
//
// Threads: Quiet: any thread.  QuietOwner: its worker.
// Proof:   README.md.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/fence.h"
#include "park/idle_set.h"

namespace workpool {

class Quiet {
 public:
  void Alert() {
    // The new census before the look at the count; partner: the fence in QuietOwner::Enter. Who is not seen here
    // will see the census.
    FullFence();
    // acquire: pairs with the release in Leave; what a worker did while it was quiet is seen.
    if (count_.load(kAcquire) != 0) HeavyFence();
  }

 private:
  friend class QuietOwner;
  Atomic<uint32_t> count_{0};  // quiet workers
};

class QuietOwner {
 public:
  QuietOwner(Quiet& quiet, const IdleSet& idle) : quiet_(quiet), idle_(idle) {}
  QuietOwner(const QuietOwner&) = delete;
  QuietOwner& operator=(const QuietOwner&) = delete;

  // Orders what the worker wrote to its deque before what it reads next. Returns true if that took no fence; then
  // nobody needs to be told of new tasks either.
  bool Fence() {
    // Partner: the HeavyFence in Alert. Who is not quiet fences below.
    FreeLightFence();
    const Census census = idle_.Load();
    if (census.word() == word_) [[likely]] return true;
    FenceLoud(census);
    return false;
  }

  // The worker is about to change the census itself.
  void Leave() {
    seen_ = 0;
    run_ = 0;
    if (word_ == 0) return;
    word_ = 0;
    // release: its unfenced time is over for whoever sees the smaller count.
    quiet_.count_.fetch_sub(1, kRelease);
  }

 private:
  // So many fences at one and the same census before the next is left out. A thief's alert costs about ten microseconds
  // on a virtual machine, a fence six nanoseconds: at 8192 the alerts stay below a fifth of the fences.
  static constexpr uint32_t kPatience = 8192;

  void FenceLoud(Census census) {
    FullFence();
    if (word_ != 0 || census.word() != seen_) {
      Leave();
      seen_ = census.word();
    } else if (++run_ >= kPatience && LightFenceIsFree() && census.searching() == 0 && !census.NeedsHelp()) {
      Enter(census.word());
    }
  }

  void Enter(uint64_t word) {
    run_ = 0;
    quiet_.count_.fetch_add(1, kRelaxed);
    // The count before the look at the census; partner: the fence in Alert.
    FullFence();
    if (idle_.Load().word() == word) {
      word_ = word;
    } else {
      // relaxed: it left no fence out.
      quiet_.count_.fetch_sub(1, kRelaxed);
    }
  }

  Quiet& quiet_;
  const IdleSet& idle_;
  uint64_t word_ = 0;  // the census at which the worker is quiet; 0: it is not
  uint64_t seen_ = 0;  // the census of the last fence
  uint32_t run_ = 0;   // fences since it changed
};

}  // namespace workpool
