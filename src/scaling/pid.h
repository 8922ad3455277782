// Pid: a controller that holds the utilisation, the share of workers at work, at a setpoint:
//
//   workers = kp * e + i + kd * dy/dt      i = integral of ki * e      e = y - setpoint
//
// The gains are in workers, for each unit of utilisation. All workers at work is all that the share can say, so what waits
// for each worker counts as overload beyond 1, up to a bound. One worker more or fewer changes y the more the smaller the
// pool is; so that a small pool does not swing, y is smoothed over about a second. The derivative is that of y, so
// that a new setpoint gives no kick.
// Anti-windup: the integral stands still while the result is out of bounds, or is not followed (a cooldown, a floor), and
// the error points further out. So the way back begins when the load goes.
// Bumpless: after Adopt the integral is what makes the next result the adopted target.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct PidOptions {
  double setpoint = 0.7;
  double kp = 10;
  double ki = 0.5;       // a second
  double kd = 1;         // seconds
  double overload = 2;   // utilisation is at most 1 and this
  double filter_s = 1;   // y is smoothed over about so long
  double band = 1;       // workers; what is nearer to the setpoint moves nothing
};

class Pid final : public Decider {
 public:
  explicit Pid(const PidOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  void Adopt(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }

 private:
  [[nodiscard]] double Measure(const LoadSample& sample) const;
  // The last result was above (1) or below (-1) what came of it; 0: it was followed.
  [[nodiscard]] int Held(const LoadSample& sample) const;

  const PidOptions options_;
  bool any_ = false;
  double integral_ = 0;
  double y_ = 0;
  uint32_t result_ = 0;
};

}  // namespace workpool
