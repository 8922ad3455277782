// Tables of the deciders that are a rule or two. busy-share, pid and auto have files of their own.
#include <catch2/catch.hpp>

#include "scaling/aimd.h"
#include "scaling/busy_share.h"
#include "scaling/ewma.h"
#include "scaling/expiring.h"
#include "scaling/fixed.h"
#include "scaling/jobs_per_worker.h"
#include "scaling/multi_signal.h"
#include "scaling/per_core.h"
#include "scaling/queue_fill.h"
#include "scaling/wait_time.h"
#include "scaling_support.h"

namespace workpool {
namespace {

struct Row {
  const char* what;
  Load load;
  uint32_t workers;
  Reason reason;
};

template <typename D, size_t kRows, typename... Options>
void Check(const Row (&rows)[kRows], const Options&... options) {
  for (const Row& row : rows) {
    INFO(row.what);
    D decider(options...);
    const Decision decision = decider.Decide(row.load);
    CHECK(decision.workers == row.workers);
    CHECK(decision.reason == row.reason);
  }
}

TEST_CASE("fixed wants its number, or the maximum, whatever the load", "[scaling]") {
  Check<Fixed>({{"the maximum", {.live = 3, .queued = 9}, 1000, Reason::kLoad},
                {"there already", {.live = 3, .target = 1000}, 1000, Reason::kHold}});
  Check<Fixed>({{"its own", {.live = 3, .queued = 9}, 16, Reason::kLoad}}, FixedOptions{.n = 16});
  CHECK(Fixed().keeps());
}

TEST_CASE("jobs-per-worker doubles above its threshold only", "[scaling]") {
  Check<JobsPerWorker>({
      {"nobody, nothing", {.live = 0}, 0, Reason::kHold},
      {"nobody, one waits", {.live = 0, .queued = 1}, 1, Reason::kLoad},
      {"50 for each", {.live = 4, .active = 4, .queued = 200}, 4, Reason::kHold},
      {"more than 50", {.live = 4, .active = 4, .queued = 201}, 8, Reason::kLoad},
      {"idle or not", {.live = 4, .queued = 201}, 8, Reason::kLoad},
  });
  Check<JobsPerWorker>({{"one more at least", {.live = 4, .queued = 9}, 5, Reason::kLoad}},
                       JobsPerWorkerOptions{.threshold = 2, .factor = 1});
  CHECK_FALSE(JobsPerWorker().keeps());
}

TEST_CASE("queue-depth goes two up above three quarters and one down below a tenth", "[scaling]") {
  Check<QueueFill>({
      {"full enough", {.live = 5, .queued = 751}, 7, Reason::kLoad},
      {"three quarters", {.live = 5, .queued = 750}, 5, Reason::kHold},
      {"a tenth", {.live = 5, .queued = 100}, 5, Reason::kHold},
      {"empty enough", {.live = 5, .queued = 99}, 4, Reason::kLoad},
      {"nobody", {.live = 0}, 0, Reason::kHold},
  });
  CHECK(QueueFill().keeps());
}

TEST_CASE("queue-level goes one up above a half and one down below a quarter", "[scaling]") {
  Check<QueueFill>(
      {
          {"above", {.live = 5, .queued = 501}, 6, Reason::kLoad},
          {"a half", {.live = 5, .queued = 500}, 5, Reason::kHold},
          {"a quarter", {.live = 5, .queued = 250}, 5, Reason::kHold},
          {"below", {.live = 5, .queued = 249}, 4, Reason::kLoad},
      },
      kQueueLevelOptions);
}

TEST_CASE("the capacity that a queue is measured by is the option, at most the queue limit", "[scaling]") {
  LoadSample sample = Load{.live = 5, .queued = 80};
  CHECK(QueueFill().Decide(sample).workers == 4);
  sample.queue_limit = 100;
  CHECK(QueueFill().Decide(sample).workers == 7);
  sample.queue_limit = 100'000;
  sample.queued = 5000;
  CHECK(QueueFill().Decide(sample).workers == 7);
  CHECK(QueueFill({.capacity = 0}).Decide(sample).workers == 4);
}

TEST_CASE("wait-time grows by a quarter on a long p99 and shrinks on a short mean", "[scaling]") {
  Check<WaitTime>({
      {"long", {.live = 8, .active = 8, .wait_mean_s = 0.6, .wait_p99_s = 0.6}, 10, Reason::kLoad},
      {"one at least", {.live = 2, .active = 2, .wait_p99_s = 0.6}, 3, Reason::kLoad},
      {"from none", {.live = 0, .wait_p99_s = 0.6}, 1, Reason::kLoad},
      {"just not", {.live = 8, .active = 8, .wait_p99_s = 0.5}, 8, Reason::kHold},
      {"short, one idle", {.live = 8, .active = 7, .wait_mean_s = 0.019, .wait_p99_s = 0.1}, 7, Reason::kLoad},
      {"short, none idle", {.live = 8, .active = 8}, 8, Reason::kHold},
      {"not short", {.live = 8, .active = 7, .wait_mean_s = 0.02, .wait_p99_s = 0.1}, 8, Reason::kHold},
      {"nobody", {.live = 0}, 0, Reason::kHold},
  });
  CHECK(WaitTime().keeps());
}

TEST_CASE("aimd adds one while the head waits, and cuts a quarter of all, none of them at work", "[scaling]") {
  Check<Aimd>({
      {"waits", {.live = 8, .active = 8, .queued = 1, .head_s = 0.021}, 9, Reason::kLoad},
      {"not long", {.live = 8, .active = 8, .queued = 1, .head_s = 0.02}, 8, Reason::kHold},
      {"idle", {.live = 8}, 6, Reason::kLoad},
      {"one at least", {.live = 2}, 1, Reason::kLoad},
      {"to nothing", {.live = 1}, 0, Reason::kLoad},
      {"not below those at work", {.live = 8, .active = 7}, 7, Reason::kLoad},
      {"all at work", {.live = 8, .active = 8}, 8, Reason::kHold},
  });
  CHECK(Aimd().keeps());
}

TEST_CASE("multi-signal needs two votes or an urgent wait, and no errors, to grow", "[scaling]") {
  Check<MultiSignal>({
      {"busy, deep", {.live = 8, .active = 8, .queued = 9}, 10, Reason::kLoad},
      {"busy, slow", {.live = 8, .active = 8, .wait_mean_s = 0.06}, 10, Reason::kLoad},
      {"slow, deep", {.live = 8, .active = 1, .queued = 9, .wait_mean_s = 0.06}, 10, Reason::kLoad},
      {"busy alone", {.live = 8, .active = 8, .queued = 8}, 8, Reason::kHold},
      {"deep alone", {.live = 8, .active = 1, .queued = 9}, 8, Reason::kHold},
      {"slow alone", {.live = 8, .active = 1, .wait_mean_s = 0.06}, 8, Reason::kHold},
      {"urgent", {.live = 8, .active = 1, .wait_mean_s = 0.21}, 10, Reason::kLoad},
      {"all low", {.live = 8, .active = 3}, 7, Reason::kLoad},
      {"half at work", {.live = 8, .active = 4}, 8, Reason::kHold},
      {"some wait", {.live = 8, .active = 3, .queued = 1}, 8, Reason::kHold},
      {"some waited", {.live = 8, .active = 3, .wait_mean_s = 0.005}, 8, Reason::kHold},
      {"nobody", {.live = 0}, 0, Reason::kLoad},
      {"the first", {.live = 0, .queued = 2, .wait_mean_s = 0.06}, 1, Reason::kLoad},
  });
  CHECK(MultiSignal().keeps());
}

TEST_CASE("multi-signal does not grow while more than a tenth of the tasks fail, and shrinks all the same",
          "[scaling]") {
  MultiSignal decider;
  LoadSample high = Load{.live = 8, .active = 8, .queued = 99};
  high.ended = 100;
  high.failed = 11;
  CHECK(decider.Decide(high).reason == Reason::kPaced);
  CHECK(decider.Decide(high).workers == 8);
  LoadSample low = Load{.live = 8};
  CHECK(decider.Decide(low).workers == 7);
  // The last failures are forgotten among what goes well.
  high.failed = 0;
  uint32_t samples = 0;
  while (decider.Decide(high).reason == Reason::kPaced) ++samples;
  CHECK(samples < 3);
  high.failed = 10;
  MultiSignal at_the_limit;
  CHECK(at_the_limit.Decide(high).workers == 10);
}

TEST_CASE("ewma holds the demand by Little's law at its setpoint", "[scaling]") {
  LoadSample sample = Load{.live = 4, .active = 4};
  sample.service_s = 0.05;
  sample.arrived = 16;  // in 100 ms: 160/s * 50 ms = 8
  Ewma first;
  CHECK(first.Decide(sample).workers == 10);
  sample.arrived = 0;
  sample.target = 10;
  // 8, 5.6, 3.92 workers, each by 0.8.
  CHECK(first.Decide(sample).workers == 7);
  CHECK(first.Decide(sample).workers == 5);
  // One fewer of ten is a tenth; of more than ten it is not.
  Ewma second({.alpha = 1});
  sample.arrived = 16;
  sample.target = 11;
  CHECK(second.Decide(sample).reason == Reason::kHold);
  sample.target = 12;
  CHECK(second.Decide(sample).workers == 10);
}

TEST_CASE("ewma follows any signal: levels as they are, ratios by how many there are", "[scaling]") {
  LoadSample sample = Load{.live = 10, .active = 8, .queued = 12, .wait_mean_s = 0.03, .wait_p99_s = 0.2};
  sample.service_s = 0.015;
  const auto wants = [&](Signal signal, double setpoint) {
    Ewma ewma({.signal = static_cast<double>(signal), .setpoint = setpoint});
    sample.target = 0;
    return ewma.Decide(sample).workers;
  };
  CHECK(wants(Signal::kBusy, 0) == 10);
  CHECK(wants(Signal::kBusy, 0.5) == 16);
  CHECK(wants(Signal::kBacklog, 0) == 14);      // 8 + 12 * 15 ms / 30 ms
  CHECK(wants(Signal::kUtilisation, 0) == 20);  // (8 + 12) / 10 / 0.8 would be 25: twice at most
  CHECK(wants(Signal::kUtilisation, 1.6) == 13);
  CHECK(wants(Signal::kDepth, 0) == 12);
  CHECK(wants(Signal::kWait, 0) == 15);
  CHECK(wants(Signal::kWaitP99, 0.2) == 10);
  // Nobody knows yet how long a task takes.
  sample.service_s = 0;
  CHECK(wants(Signal::kDemand, 1) == 16);
  sample.live = sample.idle = 0;
  CHECK(wants(Signal::kDemand, 1) == 1);
}

TEST_CASE("ewma goes on from the target that it adopts", "[scaling]") {
  for (uint32_t signal = 0; signal < kSignals; ++signal) {
    INFO(SignalName(static_cast<Signal>(signal)));
    Ewma ewma({.alpha = 0.001, .signal = static_cast<double>(signal)});
    const LoadSample idle = Load{.live = 30, .target = 30};
    (void)ewma.Decide(Load{.live = 1});
    ewma.Adopt(idle);
    CHECK(ewma.Decide(idle).workers == 30);
  }
}

TEST_CASE("a bound for each CPU stands, and hung workers come on top", "[scaling]") {
  PerCore decider(New<Fixed>(FixedOptions{.n = 50}), 2);
  LoadSample sample = Load{.live = 4};
  sample.cores = 2.5;
  CHECK(decider.Decide(sample).workers == 5);
  CHECK(decider.Decide(sample).reason == Reason::kBounds);
  sample.hung = 3;
  CHECK(decider.Decide(sample).workers == 8);
  sample.workers_min = 9;
  CHECK(decider.Decide(sample).workers == 9);
  sample.cores = 100;
  CHECK(decider.Decide(sample).workers == 50);
  CHECK(decider.keeps());
}

TEST_CASE("expiry as a number keeps what was needed within the keep-alive, and lets it go then", "[scaling]") {
  Expiring decider(New<BusyShare>(), 700 * kMs);
  CHECK(decider.keeps());
  LoadSample sample = Load{.live = 2, .active = 2, .queued = 8};
  CHECK(decider.Decide(sample).workers == 10);
  sample = Load{.live = 10, .active = 10};
  CHECK(decider.Decide(sample).workers == 10);
  const uint64_t last_ns = sample.now_ns;
  sample = Load{.live = 10, .active = 3};
  for (uint64_t ms = 50; ms <= 700; ms += 50) {
    sample.now_ns = last_ns + ms * kMs;
    INFO(ms);
    REQUIRE(decider.Decide(sample).workers == 10);
  }
  sample.now_ns = last_ns + 800 * kMs;
  CHECK(decider.Decide(sample).workers == 3);
  CHECK(decider.Decide(sample).reason == Reason::kExpired);
  // A long time without a look is one in which nothing more was needed.
  sample = Load{.live = 3, .active = 1};
  sample.now_ns = last_ns + 3600 * kSecond;
  CHECK(decider.Decide(sample).workers == 1);
  // A higher bound alone is no reason.
  Expiring bound(New<Fixed>(FixedOptions{.n = 9}), 700 * kMs);
  CHECK(bound.Decide(Load{.live = 1}).workers == 1);
  CHECK(bound.Decide(Load{.live = 1, .active = 1, .queued = 1}).workers == 9);
  // What others have set stays for a keep-alive too.
  sample.target = 20;
  decider.Adopt(sample);
  CHECK(decider.Decide(sample).workers == 20);
}

}  // namespace
}  // namespace workpool
