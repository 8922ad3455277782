#include "scaling/ewma.h"

#include <algorithm>

namespace workpool {
namespace {

Signal SignalOf(const EwmaOptions& options) { return static_cast<Signal>(static_cast<uint32_t>(options.signal)); }

}  // namespace

Ewma::Ewma(const EwmaOptions& options)
    : options_(options),
      signal_(SignalOf(options)),
      setpoint_(options.setpoint > 0 ? options.setpoint : TraitsOf(signal_).setpoint) {}

void Ewma::Adopt(const LoadSample& sample) {
  mean_ = TraitsOf(signal_).ratio ? setpoint_ : sample.target * setpoint_;
  any_ = true;
}

Decision Ewma::Decide(const LoadSample& sample) {
  const double value = ReadSignal(signal_, sample);
  mean_ = any_ ? mean_ + options_.alpha * (value - mean_) : value;
  any_ = true;
  double wanted = mean_ / setpoint_;
  if (TraitsOf(signal_).ratio) {
    const double workers = std::max(Counted(sample), 1u);
    wanted = std::min(workers * wanted, 2 * workers);
  }
  const uint32_t workers = WholeWorkers(wanted);
  const double least = std::max(1.0, sample.target * options_.band);
  const bool fewer = workers < sample.target && sample.target - workers >= least - 1e-9;
  if (workers > sample.target || fewer) return {workers, Reason::kLoad};
  return {sample.target, Reason::kHold};
}

}  // namespace workpool
