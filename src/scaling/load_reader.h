// LoadReader: reads the counters of one pool, and how busy its threads are, for the scaler. A look costs some ten
// nanoseconds a worker, and about as much as kSampled reads of files that are kept open for the threads that have worked since
// the last one; where there are more of them, or their files have to be opened, they are sampled in turn.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "base/usage_sampler.h"
#include "scaling/cpu_ledger.h"
#include "scaling/load_meter.h"
#include "worker/engine.h"

namespace workpool {

class LoadReader {
 public:
  explicit LoadReader(Engine& engine);
  ~LoadReader();
  LoadReader(const LoadReader&) = delete;
  LoadReader& operator=(const LoadReader&) = delete;

  // fresh: nobody has looked for a while. service_s: as measured so far.
  [[nodiscard]] LoadReading Read(bool fresh, double service_s);

 private:
  // A read costs 1 us, but 5 of a thread that has slept: what is known of it has left the caches.
  static constexpr uint32_t kSampled = 24;
  // A file that has to be opened and closed counts as so many.
  static constexpr uint32_t kOpenedAs = 6;
  // A task that runs for longer, and for longer than so many usual ones, hangs if its thread uses no CPU.
  static constexpr double kHungAfterS = 0.25;
  static constexpr double kHungAfterRuns = 10;
  static constexpr double kHungShare = 0.05;

  // What was seen of one worker.
  struct Seen {
    uint64_t runs = 0;       // tasks and forks begun, as counted then
    uint64_t since_ns = 0;   // when this count was seen first
    int32_t tid = 0;
    UsageMark mark;
    double share = 0;        // of the time that its thread ran or waited for a CPU
    bool share_known = false;  // it was looked at twice since it began to work
  };

  // Of the threads that seem to have slept all the time, so many are asked whether they wait for a CPU: that delay is
  // booked only when they get it.
  static constexpr uint32_t kAskedStates = 4;

  // Room for count workers. False: no memory.
  [[nodiscard]] bool Grow(uint32_t count);
  void ReadWorkers(bool fresh, double hung_after_s, LoadReading* reading);

  Engine& engine_;
  UsageSampler* sampler_ = nullptr;  // made by the first look: its self-test takes a while
  CpuLedger::Line line_;
  Seen* seen_ = nullptr;
  uint32_t room_ = 0;
  uint32_t turn_ = 0;        // where the sampling goes on
  uint64_t last_ns_ = 0;
};

}  // namespace workpool
