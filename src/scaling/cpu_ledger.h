// CpuLedger: what the pools of one process use of its CPUs, so that two of them never count the same idle one: what is idle
// is shared equally among those whose tasks wait for it.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"

namespace workpool {

class CpuLedger {
 public:
  // One pool's line. Lies in its owner.
  struct Line {
   private:
    friend class CpuLedger;
    // ---- under the ledger's lock
    double runnable = 0;
    bool starved = false;
    uint64_t at_ns = 0;
    bool listed = false;
    Line* next = nullptr;
  };

  // The one of this process; nullptr: out of memory.
  [[nodiscard]] static CpuLedger* OfProcess();

  // The pool's threads use so many CPUs, and its tasks wait or not. Returns what of cores is not there for it: what others
  // use, and their share of what is idle.
  [[nodiscard]] double Report(Line& line, uint64_t now_ns, double cores, double runnable, bool starved);
  void Leave(Line& line);

 private:
  // A line that was written before that says nothing of now.
  static constexpr uint64_t kStaleNs = 1'000'000'000;

  Mutex mu_;
  Line* lines_ ABSL_GUARDED_BY(mu_) = nullptr;
};

}  // namespace workpool
