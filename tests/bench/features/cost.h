// feature: what tasks cost with and without a feature, in ns from the first submit until the pool is idle, and in
// bytes of one that waits. One worker. Both ways are measured in turn in one process, the bytes each in a child.
#pragma once

#include <cstdint>

#include "bench/features/catalogue.h"
#include "bench/harness/child.h"
#include "bench/harness/resident.h"
#include "bench/harness/rounds.h"

namespace bench {

// A pool whose tasks are submitted in one way.
class Submitter {
 public:
  Submitter(const Feature& feature, const Way& way) : way_(way), paused_(feature.terms.paused) {
    pool_options_t options = PoolOptions(1);
    if (way.options) way.options(options);
    Must(pool_create(&options, &site_.pool), "pool_create");
    Must(pool_group_create(site_.pool, nullptr, &site_.group), "pool_group_create");
    Must(pool_token_create(0, &site_.token), "pool_token_create");
    Must(pool_cq_create(1 << 19, &site_.cq), "pool_cq_create");
    SetClass(kClassPlain, 1'000'000, 0);
    SetClass(kClassRateHigh, 0, kRateHigh);
    SetClass(kClassRateLow, 0, kRateLow);
  }
  ~Submitter() {
    (void)pool_group_release(site_.group);
    (void)pool_token_release(site_.token);
    (void)pool_cq_release(site_.cq);
    Must(pool_destroy(site_.pool), "pool_destroy");
  }
  Submitter(const Submitter&) = delete;
  Submitter& operator=(const Submitter&) = delete;

  void Submit(uint64_t count) {
    if (!way_.task) {
      for (uint64_t i = 0; i < count; ++i) Check(pool_submit(site_.pool, &CountRun, nullptr));
      return;
    }
    for (uint64_t i = 0; i < count; ++i) {
      way_.task(task_, site_, i);
      pool_ticket_t ticket = 0;
      Check(pool_submit_task(site_.pool, &task_, way_.ticket ? &ticket : nullptr));
      if (way_.ticket) Must(pool_ticket_release(ticket), "pool_ticket_release");
    }
  }

  void Drain() {
    Must(pool_wait_idle(site_.pool, POOL_FOREVER), "pool_wait_idle");
    pool_completion_t batch[256];
    uint32_t n = 1;
    while (n > 0 && pool_cq_poll(site_.cq, batch, sizeof(batch[0]), 256, 0, &n) == POOL_OK) {
    }
  }

  // Nanoseconds from the first submit until the pool is idle.
  uint64_t Time(uint64_t count, bool cpu) {
    if (paused_) Pause();
    const uint64_t start_ns = cpu ? CpuNs() : NowNs();
    Submit(count);
    if (paused_) Resume();
    Drain();
    return (cpu ? CpuNs() : NowNs()) - start_ns;
  }

  void Pause() { Must(pool_pause(site_.pool), "pool_pause"); }
  void Resume() { Must(pool_resume(site_.pool), "pool_resume"); }

  pool_stats_t Stats() const {
    pool_stats_t stats;
    Must(pool_stats(site_.pool, &stats, sizeof(stats)), "pool_stats");
    return stats;
  }

 private:
  void SetClass(uint32_t id, uint32_t concurrency_max, uint64_t rate_count) {
    pool_class_options_t options;
    Must(pool_class_options_init(&options, sizeof(options)), "pool_class_options_init");
    options.concurrency_max = concurrency_max;
    options.rate_count = rate_count;
    options.rate_burst = rate_count == kRateHigh ? UINT32_MAX : 0;
    Must(pool_class_set(site_.pool, id, &options), "pool_class_set");
  }
  void Check(pool_status_t status) {
    if (status != way_.refused || status == POOL_OK) Must(status, "submit");
  }

  const Way& way_;
  const bool paused_;
  Site site_;
  pool_task_t task_ = CountTaskOf();
};

// A feature that was not at work has not been measured.
inline void RequireEnds(const Feature& feature, const Way& way, const pool_stats_t& before, const pool_stats_t& after,
                        uint64_t tasks) {
  const uint64_t done = after.done - before.done, failed = after.failed - before.failed;
  const uint64_t shed = after.shed - before.shed, rejected = after.rejected - before.rejected;
  Require(done + failed + shed + rejected == tasks, "every task ended, or was refused");
  const bool with = &way == &feature.with;
  if (way.refused != POOL_OK) return Require(rejected > tasks * 9 / 10, "tasks were refused");
  if (with && feature.terms.ends == Ends::kShed) return Require(shed > tasks / 2, "tasks were shed");
  if (with && feature.terms.ends == Ends::kFailed) return Require(failed == tasks, "every task failed");
  Require(done + failed == tasks, "every task ran");
}

inline double BytesOf(const Feature& feature, const Way& way, uint64_t tasks) {
  Submitter submitter(feature, way);
  submitter.Submit(1000);
  submitter.Drain();
  submitter.Pause();
  const uint64_t before = ResidentBytes();
  submitter.Submit(tasks);
  const uint64_t after = ResidentBytes();
  submitter.Resume();
  submitter.Drain();
  return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(tasks);
}

inline void FeatureWorkload(const Feature& feature, const Arguments& arguments) {
  const uint64_t tasks = arguments.Number("tasks", 40'000);
  const uint64_t weighed = arguments.Number("weighed", 100'000);
  if (feature.terms.bytes) {
    Print("without_bytes", InChild([&] { return BytesOf(feature, feature.without, weighed); }));
    Print("with_bytes", InChild([&] { return BytesOf(feature, feature.with, weighed / feature.terms.runs); }));
  }
  Submitter without(feature, feature.without), with(feature, feature.with);
  // ns of one run of a task.
  const auto measure = [&](Submitter& submitter, const Way& way) {
    const uint64_t runs = &way == &feature.with ? feature.terms.runs : 1;
    const pool_stats_t before = submitter.Stats();
    const uint64_t start_ns = NowNs();
    const uint64_t ns = submitter.Time(tasks / runs, feature.terms.cpu);
    RequireEnds(feature, way, before, submitter.Stats(), tasks / runs);
    const uint64_t ns_min = &way == &feature.with ? feature.terms.ns_min * (tasks / runs) : 0;
    Require(NowNs() - start_ns >= ns_min / 10 * 9, "the rate limit held tasks back");
    return static_cast<double>(ns) / static_cast<double>(tasks);
  };
  Figures without_ns, with_ns, ratio;
  bool swapped = false;
  ForEachRound(arguments, {.budget_ms = 200}, [&](bool counted) {
    double ns[2];
    for (const bool second : {false, true}) {
      const bool is_with = second != swapped;
      ns[is_with] = is_with ? measure(with, feature.with) : measure(without, feature.without);
    }
    swapped = !swapped;
    if (!counted) return;
    without_ns.Add(ns[0]);
    with_ns.Add(ns[1]);
    ratio.Add(ns[1] / ns[0]);
  });
  Print("without_ns", without_ns.Median());
  Print("with_ns", with_ns.Median());
  Print("with_ratio", ratio.Median());
}

}  // namespace bench
