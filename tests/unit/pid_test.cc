#include "scaling/pid.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "scaling_support.h"

namespace workpool {
namespace {

// Asks every 100 ms, and sets the target to what comes out.
class Loop {
 public:
  explicit Loop(const PidOptions& options, uint32_t target) : pid(options) {
    sample.now_ns = kSecond;
    sample.dt_ns = 100 * kMs;
    sample.workers_max = 50;
    sample.target = target;
  }

  // With so many tasks at work or waiting.
  uint32_t Ask(uint32_t tasks, uint32_t times = 1) {
    while (times-- > 0) {
      sample.now_ns += sample.dt_ns;
      sample.live = sample.target;
      const uint32_t active = std::min(tasks, sample.live);
      sample.idle = sample.live - active;
      sample.queued = tasks - active;
      sample.target = std::clamp(pid.Decide(sample).workers, sample.workers_min, sample.workers_max);
    }
    return sample.target;
  }

  Pid pid;
  LoadSample sample;
};

TEST_CASE("pid holds the utilisation at its setpoint", "[scaling]") {
  for (const double setpoint : {0.5, 0.7, 0.9}) {
    for (const uint32_t tasks : {3u, 7u, 20u}) {
      INFO(tasks << " at work, setpoint " << setpoint);
      Loop loop({.setpoint = setpoint}, 1);
      loop.Ask(tasks, 10'000);
      const double wanted = tasks / setpoint;
      CHECK(loop.sample.target >= std::floor(wanted - 1));
      CHECK(loop.sample.target <= std::ceil(wanted + 1));
      // And stays there.
      const uint32_t settled = loop.sample.target;
      for (int i = 0; i < 1000; ++i) {
        const uint32_t target = loop.Ask(tasks);
        REQUIRE(target + 1 >= settled);
        REQUIRE(target <= settled + 1);
      }
    }
  }
}

TEST_CASE("pid comes down promptly after a long time at the maximum", "[scaling]") {
  // How long the load has been too much makes no difference: nothing is wound up.
  Loop brief({}, 1), lasting({}, 1);
  REQUIRE(brief.Ask(10'000, 600) == 50);
  REQUIRE(lasting.Ask(10'000, 36'000) == 50);
  uint32_t samples = 0;
  while (brief.sample.target > 25) {
    REQUIRE(samples++ < 100);
    // To a worker: the integral stands still from where it was when the bound was met.
    const uint32_t target = brief.Ask(5);
    REQUIRE(std::abs(static_cast<int>(lasting.Ask(5)) - static_cast<int>(target)) <= 1);
  }
  // The smoothing, and no more.
  CHECK(samples <= 30);
}

TEST_CASE("pid grows promptly after a long time at the minimum", "[scaling]") {
  Loop brief({}, 20), lasting({}, 20);
  REQUIRE(brief.Ask(0, 600) == 0);
  REQUIRE(lasting.Ask(0, 36'000) == 0);
  CHECK(brief.Ask(100) >= 5);
  CHECK(lasting.Ask(100) == brief.sample.target);
}

TEST_CASE("pid does not wind up while its result is not followed", "[scaling]") {
  Loop brief({}, 10), lasting({}, 10);
  // Held at ten, as by a cooldown, for six seconds and for an hour.
  const auto hold = [](Loop& loop, uint32_t samples) {
    while (samples-- > 0) {
      loop.Ask(10'000);
      loop.sample.target = 10;
    }
  };
  hold(brief, 60);
  hold(lasting, 36'000);
  for (int i = 0; i < 30; ++i) {
    const uint32_t target = brief.Ask(0);
    REQUIRE(std::abs(static_cast<int>(lasting.Ask(0)) - static_cast<int>(target)) <= 1);
  }
  CHECK(lasting.sample.target < 10);
}

TEST_CASE("pid goes on from an adopted target without a jump, whatever it had learned", "[scaling]") {
  for (const uint32_t adopted : {0u, 3u, 30u, 50u}) {
    for (const uint32_t tasks : {0u, 2u, 40u, 1000u}) {
      INFO("target " << adopted << ", tasks " << tasks);
      Loop loop({}, 5);
      loop.Ask(1000, 500);
      loop.sample.target = loop.sample.live = adopted;
      const uint32_t active = std::min(tasks, adopted);
      loop.sample.idle = adopted - active;
      loop.sample.queued = tasks - active;
      loop.pid.Adopt(loop.sample);
      CHECK(loop.Ask(tasks) == adopted);
    }
  }
}

TEST_CASE("each term of pid does its part", "[scaling]") {
  const LoadSample full = Load{.live = 10, .active = 10};
  const LoadSample idle = Load{.live = 10};
  const auto first = [](const PidOptions& options, const LoadSample& sample) {
    return Pid(options).Decide(sample).workers;
  };
  // Proportional: 10 * 0.3 more, 10 * 0.7 fewer.
  CHECK(first({}, full) == 13);
  CHECK(first({}, idle) == 3);
  CHECK(first({.kp = 20}, full) == 16);
  CHECK(first({.setpoint = 0.9}, full) == 11);
  // Integral: 0.3 * 10 a second.
  Pid integral({.kp = 0, .ki = 10, .kd = 0, .filter_s = 0});
  CHECK(integral.Decide(full).workers == 10);
  for (int i = 0; i < 9; ++i) (void)integral.Decide(full);
  // Its results were not followed, but the first three were too near to count.
  CHECK(integral.Decide(full).workers == 11);
  // Derivative of the measurement: from 0 to 1 within 100 ms is 10 a second.
  Pid derivative({.kp = 0, .ki = 0, .kd = 2, .filter_s = 0});
  CHECK(derivative.Decide(idle).workers == 10);
  CHECK(derivative.Decide(full).workers == 30);
  CHECK(derivative.Decide(full).workers == 10);
  CHECK(derivative.Decide(idle).workers == 0);
  // Overload: what waits counts, up to a bound.
  const LoadSample deep = Load{.live = 10, .active = 10, .queued = 1000};
  CHECK(first({}, deep) == 33);
  CHECK(first({.overload = 0}, deep) == 13);
  // The filter: a second after the change 63 % of it are seen.
  Pid filtered({.kp = 10, .ki = 0, .kd = 0});
  CHECK(filtered.Decide(idle).workers == 3);
  for (int i = 0; i < 9; ++i) (void)filtered.Decide(full);
  LoadSample far = full;
  far.target = 20;
  CHECK(filtered.Decide(far).workers == 9);
  // What is nearer than the band moves nothing.
  const auto second = [&](const PidOptions& options) {
    Pid pid(options);
    (void)pid.Decide(full);
    return pid.Decide(full).workers;
  };
  CHECK(second({.setpoint = 0.95, .kp = 50}) == 10);
  CHECK(second({.setpoint = 0.95, .kp = 50, .band = 0.4}) == 13);
}

TEST_CASE("after a time that was not watched pid neither integrates nor derives", "[scaling]") {
  Pid pid({.kp = 0, .ki = 100, .kd = 100});
  LoadSample sample = Load{.live = 10};
  (void)pid.Decide(sample);
  sample.idle = 0;
  sample.dt_ns = 0;
  CHECK(pid.Decide(sample).workers == 10);
  // And a long one counts as a second.
  sample.dt_ns = 3600 * kSecond;
  CHECK(pid.Decide(sample).workers == 40);
}

}  // namespace
}  // namespace workpool
