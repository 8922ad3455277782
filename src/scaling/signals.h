// Signals: from a load sample to one number. A level counts workers: as many would be at work if all was as it is now. A
// ratio says how far each worker is loaded, so that its setpoint is met with workers * ratio / setpoint of them.
// Workers that wait inside a task do not count: others stand in for them, beyond the target.
// Threads: all, any thread. Pure.
#pragma once

#include <cstdint>

#include "scaling/load_sample.h"

namespace workpool {

enum class Signal : uint8_t {
  kDemand,       // level: arrivals a second * time of one, by Little's law
  kBacklog,      // level: at work, and what waits if it is to be at work within 30 ms
  kBusy,         // level: at work
  kUtilisation,  // ratio: share of the workers at work, and what waits for each of them
  kDepth,        // ratio: tasks waiting for each worker
  kWait,         // ratio: mean wait, s
  kWaitP99,      // ratio: the wait that one in a hundred exceeds, s
  kOwn,          // ratio: what the user measures (pool_policy_t.signal)
};
inline constexpr uint32_t kSignals = 8;

const char* SignalName(Signal signal);
// The names of all, in order, between blanks.
inline constexpr char kSignalWords[] = "demand backlog busy utilisation depth wait wait-p99 own";

struct SignalTraits {
  bool ratio;
  double setpoint;  // a good one
};
SignalTraits TraitsOf(Signal signal);

[[nodiscard]] double ReadSignal(Signal signal, const LoadSample& sample);

// Those that count against the target, and those of them at work.
inline uint32_t Counted(const LoadSample& sample) { return sample.live - std::min(sample.blocked, sample.live); }
inline uint32_t Active(const LoadSample& sample) {
  return std::min(sample.busy() - std::min(sample.blocked, sample.busy()), Counted(sample));
}

// A number of workers: rounded up (but for what is left of rounding before), not below 0, not beyond what fits.
[[nodiscard]] uint32_t WholeWorkers(double workers);

}  // namespace workpool
