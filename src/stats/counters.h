// Counters with one writer each: the owner adds with a plain store, anyone reads. A line of them belongs to
// each worker and each injection queue; a reader sums the lines.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/cache_line.h"

namespace workpool {

class Counter {
 public:
  void Add(uint64_t amount = 1) {
    // release: a snapshot that reads this value also sees what was counted before it, which is what makes
    // started >= ended and submitted >= started + ended_unrun hold in every snapshot.
    value_.store(value_.load(kRelaxed) + amount, kRelease);
  }
  uint64_t Read() const { return value_.load(kAcquire); }

 private:
  Atomic<uint64_t> value_{0};
};

// For events of several writers that are rare enough for a shared line.
class SharedCounter {
 public:
  void Add(uint64_t amount = 1) { value_.fetch_add(amount, kRelease); }
  uint64_t Read() const { return value_.load(kAcquire); }

 private:
  Atomic<uint64_t> value_{0};
};

// What one worker counts. Every ended task is in exactly one outcome counter, here or among those of OutsideCounters, so
// that the sums agree in every snapshot; those that ran and those that did not are kept apart by the kind of counter.
struct alignas(kCacheLine) WorkerCounters {
  Counter submitted;  // children this worker's tasks put on its own queue
  Counter started;
  Counter done;       // ran
  Counter failed;     // ran
  Counter cancelled;  // never ran
  Counter steals;
  Counter parks;
};

// What other threads count, and what is rare.
struct alignas(kCacheLine) OutsideCounters {
  SharedCounter submitted;    // accepted, and held before they were queued
  SharedCounter started;      // run by a thread that is not a worker, inside a wait
  SharedCounter ended[2][5];  // by whether it ran, and outcome
  SharedCounter attempts_again;  // beyond the first
  SharedCounter ended_again;     // runs that ended and are followed by another one
  SharedCounter failed_again;    // of these, those that failed
  SharedCounter rejected;
  SharedCounter retired;
  SharedCounter start_failures;
};

}  // namespace workpool
