#include "scaling/load_meter.h"

#include <catch2/catch.hpp>

namespace workpool {
namespace {

constexpr uint64_t kMs = 1'000'000;

// A pool that is read every 10 ms.
struct Pool {
  LoadMeter meter;
  LoadReading reading;
  LoadSample sample;

  Pool() {
    reading.now_ns = 1'000'000 * kMs;
    reading.live = 4;
    reading.target = 4;
    sample = meter.Measure(reading, true);
  }
  const LoadSample& Next(uint64_t started, uint64_t ended, uint64_t waiting,
                         uint64_t after_ms = 10) {
    reading.now_ns += after_ms * kMs;
    reading.started += started;
    reading.ended += ended;
    reading.waiting = waiting;
    sample = meter.Measure(reading, false);
    return sample;
  }
};

TEST_CASE(
    "the first sample, and one after a time that was not watched, say what is so and no rates",
    "[load_meter]") {
  Pool pool;
  pool.reading.failed = 3;
  for (int i = 0; i < 5; ++i) pool.Next(2, 2, 7);
  CHECK(pool.sample.dt_ns == 10 * kMs);
  CHECK(pool.sample.head_age_ns > 0);
  pool.reading.now_ns += 100'000 * kMs;
  pool.reading.started += 1'000'000;
  pool.reading.ended += 1'000'000;
  pool.reading.failed += 1'000'000;
  pool.reading.runnable_s = 1'000;
  pool.reading.idle = 1;
  for (const bool same_time : {false, true}) {
    // Two readings of the same moment have nothing between them either.
    const LoadSample fresh = pool.meter.Measure(pool.reading, !same_time);
    CHECK(fresh.now_ns == pool.reading.now_ns);
    CHECK(fresh.dt_ns == 0);
    CHECK(fresh.started == 0);
    CHECK(fresh.ended == 0);
    CHECK(fresh.failed == 0);
    CHECK(fresh.arrived == 0);
    CHECK(fresh.runnable == 0);
    CHECK(fresh.head_age_ns == 0);
    CHECK(fresh.wait_p99_s == 0);
    CHECK(fresh.queued == 7);
    CHECK(fresh.live == 4);
    CHECK(fresh.idle == 1);
  }
}

TEST_CASE("what is so now passes through", "[load_meter]") {
  LoadMeter meter;
  LoadReading reading;
  reading.now_ns = 77;
  reading.wall_s = 1'700'000'000;
  reading.waiting = 5;
  reading.queue_limit = 99;
  reading.others = 1.5;
  reading.cores = 7.5;
  reading.live = 20;
  reading.idle = 3;
  reading.blocked = 2;
  reading.hung = 1;
  reading.workers_min = 4;
  reading.workers_max = 40;
  reading.target = 18;
  const LoadSample sample = meter.Measure(reading, true);
  CHECK(sample.wall_s == 1'700'000'000);
  CHECK(sample.queued == 5);
  CHECK(sample.queue_limit == 99);
  CHECK(sample.others == 1.5);
  CHECK(sample.cores == 7.5);
  CHECK(sample.live == 20);
  CHECK(sample.idle == 3);
  CHECK(sample.blocked == 2);
  CHECK(sample.hung == 1);
  CHECK(sample.workers_min == 4);
  CHECK(sample.workers_max == 40);
  CHECK(sample.target == 18);
  CHECK(sample.busy() == 17);
}

TEST_CASE("counts are of the time since the reading before", "[load_meter]") {
  Pool pool;
  pool.reading.failed = 2;
  const LoadSample sample = pool.Next(30, 20, 5);
  CHECK(sample.dt_ns == 10 * kMs);
  CHECK(sample.started == 30);
  CHECK(sample.ended == 20);
  CHECK(sample.failed == 2);
  CHECK(sample.arrived == 35);
  pool.reading.failed += 1;
  CHECK(pool.Next(4, 4, 0).arrived ==
        0);  // five that waited: four were taken and one was cancelled
  CHECK(pool.sample.failed == 1);
  CHECK(pool.Next(4, 4, 0).arrived == 4);
}

TEST_CASE("runnable is the mean number of threads that could run", "[load_meter]") {
  Pool pool;
  pool.reading.runnable_s = 0.025;
  CHECK(pool.Next(0, 0, 0).runnable == Approx(2.5));
  CHECK(pool.Next(0, 0, 0, 100).runnable == Approx(0.25));
}

TEST_CASE("the time of a task is that of the workers at work by the tasks that end",
          "[load_meter]") {
  Pool pool;
  // Four at work, eight tasks end in 10 ms: 5 ms each.
  for (int i = 0; i < 500; ++i) pool.Next(8, 8, 100);
  CHECK(pool.sample.service_s == Approx(0.005));
  // Half of them idle: the same tasks took half the time.
  pool.reading.idle = 2;
  for (int i = 0; i < 500; ++i) pool.Next(8, 8, 0);
  CHECK(pool.sample.service_s == Approx(0.0025).epsilon(0.02));
}

TEST_CASE("the time of a task is not known before one has ended, and then remembered",
          "[load_meter]") {
  Pool pool;
  for (int i = 0; i < 100; ++i) {
    pool.Next(0, 0, 4);
    REQUIRE(pool.sample.service_s == 0);
  }
  pool.Next(4, 4, 4);
  CHECK(pool.sample.service_s > 0);
  // A second is not enough to forget tasks that take ten.
  Pool slow;
  for (int i = 0; i < 60; ++i) slow.Next(4, 4, 4, 10'000);
  CHECK(slow.sample.service_s == Approx(10).epsilon(0.01));
  for (int i = 0; i < 500; ++i) slow.Next(0, 0, 4);
  CHECK(slow.sample.service_s > 9);
  CHECK(slow.sample.service_s < 20);
}

TEST_CASE("a change of the time of a task is followed within some seconds", "[load_meter]") {
  Pool pool;
  for (int i = 0; i < 500; ++i) pool.Next(8, 8, 100);
  for (int i = 0; i < 100; ++i) pool.Next(2, 2, 100);  // 20 ms each from now on
  CHECK(pool.sample.service_s > 0.007);
  for (int i = 0; i < 400; ++i) pool.Next(2, 2, 100);
  CHECK(pool.sample.service_s == Approx(0.020).epsilon(0.1));
}

TEST_CASE("the mean wait is what Little's law says of the length of the queue", "[load_meter]") {
  Pool pool;
  // 1000 tasks a second, 50 of which wait at any time: 50 ms each.
  for (int i = 0; i < 500; ++i) pool.Next(10, 10, 50);
  CHECK(pool.sample.wait_mean_s == Approx(0.05).epsilon(0.01));
  // Nothing is taken any more: as long as the head waits, at least.
  Pool stuck;
  for (int i = 0; i < 50; ++i) stuck.Next(0, 0, 50);
  CHECK(stuck.sample.wait_mean_s == Approx(stuck.sample.head_age_s()));
  CHECK(stuck.sample.head_age_ns == 490 * kMs);
}

TEST_CASE("the wait that few exceed is the highest age of the head, and fades in about a second",
          "[load_meter]") {
  Pool pool;
  for (int i = 0; i < 51; ++i) pool.Next(0, 0, 5);
  CHECK(pool.sample.wait_p99_s == Approx(0.5));
  pool.Next(5, 5, 0);
  CHECK(pool.sample.head_age_ns == 0);
  CHECK(pool.sample.wait_p99_s == Approx(0.5).epsilon(0.05));
  for (int i = 0; i < 100; ++i) pool.Next(5, 5, 0);
  CHECK(pool.sample.wait_p99_s < 0.2);
  for (int i = 0; i < 400; ++i) pool.Next(5, 5, 0);
  CHECK(pool.sample.wait_p99_s < 0.01);
}

TEST_CASE("no figure depends on what the clock showed at the start", "[load_meter]") {
  const auto run = [](uint64_t start_ns) {
    LoadMeter meter;
    LoadReading reading;
    reading.live = 6;
    LoadSample sample;
    double sum = 0;
    for (uint64_t i = 0; i < 3'000; ++i) {
      reading.now_ns = start_ns + i * 5 * kMs;
      reading.started += i % 7;
      reading.ended += i % 5;
      reading.waiting = i % 50 < 30 ? i % 13 : 0;
      reading.idle = static_cast<uint32_t>(i % 3);
      sample = meter.Measure(reading, i % 1'000 == 0);
      sum += sample.service_s + sample.wait_mean_s + sample.wait_p99_s + sample.head_age_s();
      sum += static_cast<double>(sample.arrived);
    }
    return sum;
  };
  const double sum = run(0);
  CHECK(run((uint64_t{1} << 31) * 1'000'000'000 - 5'000'000'000) == sum);
  CHECK(run((uint64_t{1} << 32) * kMs - 5 * kMs) == sum);
  CHECK(run((uint64_t{1} << 63) - 1'000'000'000) == sum);
}

TEST_CASE("failed runs are never more than those that ended", "[load_meter]") {
  Pool pool;
  pool.reading.failed = 9;  // read a moment later than what ended
  CHECK(pool.Next(4, 4, 7).failed == 4);
}

TEST_CASE("the head is as old as tasks that wait, whatever was cancelled before them", "[load_meter]") {
  Pool pool;
  pool.Next(0, 0, 100'000);
  // All but a few are cancelled; a steady load goes on, in which each waits for one look.
  for (int i = 0; i < 200; ++i) pool.Next(10, 10, 10);
  CHECK(pool.sample.head_age_ns <= 20 * kMs);
}

}  // namespace
}  // namespace workpool
