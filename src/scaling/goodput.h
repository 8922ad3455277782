// Goodput: how many tasks a second end well while the number of workers stays the same. What ends soon after a change was
// begun under the number before: nothing counts until the oldest task that runs was begun after it, or settle_max_s.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "scaling/load_sample.h"

namespace workpool {

class Goodput {
 public:
  // The number of workers has changed now.
  void Restart() { *this = Goodput(); }

  void Note(const LoadSample& sample, double settle_max_s) {
    age_s_ += sample.dt_s();
    raw_ += static_cast<double>(sample.ended - sample.failed);
    any_ = any_ || sample.ended > 0;
    if (!settled_) {
      settled_ = age_s_ >= std::min(settle_max_s, std::max(sample.oldest_run_s, sample.service_s));
      return;
    }
    span_s_ += sample.dt_s();
    good_ += static_cast<double>(sample.ended - sample.failed);
    ended_ += static_cast<double>(sample.ended);
    starved_s_ += sample.queued > 0 ? sample.dt_s() : 0;
  }

  // Since the change.
  [[nodiscard]] double age_s() const { return age_s_; }
  // That counted.
  [[nodiscard]] double span_s() const { return span_s_; }
  [[nodiscard]] double ended() const { return ended_; }
  [[nodiscard]] double rate() const { return span_s_ > 0 ? good_ / span_s_ : 0; }
  // Something has ended, well or not, since the change.
  [[nodiscard]] bool any() const { return any_; }
  // With what was begun before the change.
  [[nodiscard]] double raw_rate() const { return age_s_ > 0 ? raw_ / age_s_ : 0; }
  [[nodiscard]] double error_share() const { return ended_ > 0 ? 1 - good_ / ended_ : 0; }
  // Tasks waited most of the time: the rate is what the workers can do, not what there was to do.
  [[nodiscard]] bool starved() const { return starved_s_ >= 0.8 * span_s_; }

 private:
  double age_s_ = 0;
  bool settled_ = false;
  bool any_ = false;
  double raw_ = 0;
  double span_s_ = 0;
  double good_ = 0;
  double ended_ = 0;
  double starved_s_ = 0;
};

}  // namespace workpool
