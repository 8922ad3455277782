#include "scaling/signals.h"

#include <cmath>

#include "base/limits.h"

namespace workpool {
namespace {

// As with the policy auto (idle_core.h).
constexpr double kDrainS = 0.03;

constexpr const char* kNames[kSignals] = {"demand", "backlog", "busy", "utilisation", "depth", "wait", "wait-p99", "own"};
constexpr SignalTraits kTraits[kSignals] = {
    {false, 0.8}, {false, 1}, {false, 0.8}, {true, 0.8}, {true, 1}, {true, 0.02}, {true, 0.1}, {true, 1},
};

double Queued(const LoadSample& sample) { return static_cast<double>(sample.queued); }

// Before the first task has ended nobody knows how long one takes: twice as many as are at work, if tasks wait.
double Unknown(const LoadSample& sample) {
  return Active(sample) + std::min(Queued(sample), static_cast<double>(std::max(Active(sample), 1u)));
}

}  // namespace

const char* SignalName(Signal signal) { return kNames[static_cast<uint32_t>(signal)]; }

SignalTraits TraitsOf(Signal signal) { return kTraits[static_cast<uint32_t>(signal)]; }

double ReadSignal(Signal signal, const LoadSample& sample) {
  const double each = std::max(Counted(sample), 1u);
  switch (signal) {
    case Signal::kDemand:
      if (sample.service_s <= 0 || sample.dt_ns == 0) return Unknown(sample);
      return static_cast<double>(sample.arrived) / sample.dt_s() * sample.service_s;
    case Signal::kBacklog:
      if (sample.service_s <= 0) return Unknown(sample);
      return Active(sample) + Queued(sample) * std::min(sample.service_s / kDrainS, 1.0);
    case Signal::kBusy:
      return Active(sample);
    case Signal::kUtilisation:
      return (Active(sample) + Queued(sample)) / each;
    case Signal::kDepth:
      return Queued(sample) / each;
    case Signal::kWait:
      return sample.wait_mean_s;
    case Signal::kWaitP99:
      return sample.wait_p99_s;
    case Signal::kOwn:
      return sample.own;
  }
  return 0;
}

uint32_t WholeWorkers(double workers) {
  // Not a number is no reason for workers.
  if (!(workers > 0)) return 0;
  return static_cast<uint32_t>(std::ceil(std::min(workers, double{kWorkersMax}) - 1e-9));
}

}  // namespace workpool
