#include "scaling/smoothing.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace workpool {
namespace {

LoadSample Sample() {
  LoadSample sample;
  sample.now_ns = 5;
  sample.wall_s = 6;
  sample.dt_ns = 100'000'000;
  sample.queued = 100;
  sample.head_age_ns = 1000;
  sample.arrived = 40;
  sample.started = 30;
  sample.ended = 20;
  sample.failed = 10;
  sample.wait_mean_s = 1;
  sample.wait_p99_s = 2;
  sample.live = 10;
  sample.idle = 0;
  sample.runnable = 4;
  sample.others = 2;
  sample.workers_max = 20;
  sample.target = 10;
  return sample;
}

TEST_CASE("with a weight of one a sample passes as it is", "[scaling]") {
  Smoothing smoothing;
  for (uint64_t queued : {5, 0, 700}) {
    LoadSample sample = Sample();
    sample.queued = queued;
    CHECK(smoothing.Smooth(sample).queued == queued);
    CHECK(smoothing.Smooth(sample).arrived == 40);
  }
}

TEST_CASE("every figure of the load follows by the weight, and nothing else does", "[scaling]") {
  Smoothing smoothing(0.5);
  const LoadSample first = smoothing.Smooth(Sample());
  CHECK(first.queued == 100);
  CHECK(first.arrived == 40);
  LoadSample zero = Sample();
  zero.now_ns = 7;
  zero.queued = zero.head_age_ns = zero.arrived = zero.started = zero.ended = zero.failed = 0;
  zero.wait_mean_s = zero.wait_p99_s = zero.runnable = zero.others = 0;
  zero.idle = 10;
  zero.target = 3;
  const LoadSample half = smoothing.Smooth(zero);
  CHECK(half.queued == 50);
  CHECK(half.head_age_ns == 500);
  CHECK(half.arrived == 20);
  CHECK(half.started == 15);
  CHECK(half.ended == 10);
  CHECK(half.failed == 5);
  CHECK(half.wait_mean_s == 0.5);
  CHECK(half.wait_p99_s == 1);
  CHECK(half.runnable == 2);
  CHECK(half.others == 1);
  CHECK(half.idle == 5);
  CHECK(half.now_ns == 7);
  CHECK(half.target == 3);
  CHECK(half.live == 10);
  CHECK(half.workers_max == 20);
}

TEST_CASE("a queue that is not empty never looks empty, and one that is does in the end", "[scaling]") {
  Smoothing smoothing(0.01);
  LoadSample sample = Sample();
  sample.queued = 0;
  CHECK(smoothing.Smooth(sample).queued == 0);
  sample.queued = 1;
  CHECK(smoothing.Smooth(sample).queued == 1);
  sample.queued = 0;
  CHECK(smoothing.Smooth(sample).queued == 0);
}

TEST_CASE("counts add up to what happened, however small each is", "[scaling]") {
  Smoothing smoothing(0.1);
  Random random(1);
  uint64_t in = 0, out = 0;
  for (int i = 0; i < 100'000; ++i) {
    LoadSample sample = Sample();
    sample.arrived = random.Below(10) == 0 ? 1 : 0;
    in += sample.arrived;
    out += smoothing.Smooth(sample).arrived;
  }
  // What is in the mean and not yet out: at most one arrival by ten.
  CHECK(out + 11 > in);
  CHECK(out < in + 11);
}

TEST_CASE("after a time that was not watched smoothing starts anew", "[scaling]") {
  Smoothing smoothing(0.01);
  (void)smoothing.Smooth(Sample());
  LoadSample sample = Sample();
  sample.dt_ns = 0;
  sample.queued = 7;
  CHECK(smoothing.Smooth(sample).queued == 7);
  sample.dt_ns = 100'000'000;
  sample.arrived = 3;
  CHECK(smoothing.Smooth(sample).arrived == 3);
}

}  // namespace
}  // namespace workpool
