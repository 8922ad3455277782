#include "scaling/policy_table.h"

#include <cmath>
#include <iterator>

#include "base/limits.h"
#include "base/memory.h"
#include "scaling/aimd.h"
#include "scaling/busy_share.h"
#include "scaling/ewma.h"
#include "scaling/fixed.h"
#include "scaling/jobs_per_worker.h"
#include "scaling/multi_signal.h"
#include "scaling/pid.h"
#include "scaling/policy_text.h"
#include "scaling/presets.h"
#include "scaling/queue_fill.h"
#include "scaling/season.h"
#include "scaling/signals.h"
#include "scaling/wait_time.h"

namespace workpool {
namespace {

constexpr double kHourS = 3600;
constexpr double kMany = 1e9;

#define WORKPOOL_OF(type, title, field, form) {.name = title, .kind = OptionKind::form, .offset = offsetof(type, field)

#define WORKPOOL_GENERAL(title, field, form) WORKPOOL_OF(GeneralOptions, title, field, form)
constexpr PolicyOption kGeneral[] = {
    WORKPOOL_GENERAL("smooth", smooth, kDecimal), .min = 0.001, .max = 1,
     .doc = "Weight of the newest sample in what the policy sees; 1: it sees the samples themselves."},
    WORKPOOL_GENERAL("cooldown", cooldown_up_s, kTime), .max = 24 * kHourS,
     .second = offsetof(GeneralOptions, cooldown_down_s),
     .doc = "Both cooldown_up and cooldown_down."},
    WORKPOOL_GENERAL("cooldown_up", cooldown_up_s, kTime), .max = 24 * kHourS,
     .doc = "Shortest time from any step to one up."},
    WORKPOOL_GENERAL("cooldown_down", cooldown_down_s, kTime), .max = 24 * kHourS,
     .doc = "Shortest time from any step to one down."},
    WORKPOOL_GENERAL("step_up_max", step_up_max, kWhole), .max = kWorkersMax,
     .doc = "The most workers that one step adds; 0: any number."},
    WORKPOOL_GENERAL("tick", tick_s, kTime), .min = 0.001, .max = kHourS,
     .doc = "How often the policy is asked while there is something to decide."},
    WORKPOOL_GENERAL("patience", patience_s, kTime), .max = 60,
     .doc = "How long a task waits before the policy is asked."},
    WORKPOOL_GENERAL("keep_alive", keep_alive_s, kTime), .max = 24 * kHourS,
     .doc = "Idle time after which a worker is let go; 0: that of the pool."},
    {.name = "floor", .kind = OptionKind::kText, .offset = kTextFloor, .words = "",
     .doc = "Workers by the time of day that are kept whatever the load, as 'at' of the policy schedule."},
    {.name = "zone", .kind = OptionKind::kText, .offset = kTextZone, .words = "",
     .doc = "Time zone of 'floor' and 'at': a name, or a rule as in POSIX TZ, in quotes; empty: that of the process."},
};

constexpr FixedOptions kFixed;
constexpr PolicyOption kFixedRows[] = {
    WORKPOOL_OF(FixedOptions, "n", n, kWhole), .max = kWorkersMax, .doc = "Workers; 0: workers_max."},
};

constexpr BusyShareOptions kBusyShare;
constexpr PolicyOption kBusyShareRows[] = {
    WORKPOOL_OF(BusyShareOptions, "share", share, kDecimal), .max = 1,
     .doc = "This share of the workers must be at work."},
};

constexpr JobsPerWorkerOptions kJobsPerWorker;
constexpr PolicyOption kJobsPerWorkerRows[] = {
    WORKPOOL_OF(JobsPerWorkerOptions, "threshold", threshold, kDecimal), .max = kMany,
     .doc = "More tasks waiting for each worker than this: grow."},
    WORKPOOL_OF(JobsPerWorkerOptions, "factor", factor, kDecimal), .min = 1, .max = 100,
     .doc = "So many times the workers."},
};

constexpr QueueFillOptions kQueueDepth;
constexpr PolicyOption kQueueFillRows[] = {
    WORKPOOL_OF(QueueFillOptions, "capacity", capacity, kWhole), .max = kMany,
     .doc = "Tasks that count as a full queue, at most the queue limit; 0: the queue limit."},
    WORKPOOL_OF(QueueFillOptions, "high", high, kDecimal), .max = 1, .doc = "Fuller than this share: grow."},
    WORKPOOL_OF(QueueFillOptions, "low", low, kDecimal), .max = 1, .doc = "Emptier than this share: shrink."},
    WORKPOOL_OF(QueueFillOptions, "up", up, kWhole), .min = 1, .max = kWorkersMax, .doc = "Workers more."},
    WORKPOOL_OF(QueueFillOptions, "down", down, kWhole), .min = 1, .max = kWorkersMax, .doc = "Workers fewer."},
};

constexpr WaitTimeOptions kWaitTime;
constexpr PolicyOption kWaitTimeRows[] = {
    WORKPOOL_OF(WaitTimeOptions, "high", high_s, kTime), .max = kHourS,
     .doc = "The wait that one task in a hundred exceeds; longer: grow."},
    WORKPOOL_OF(WaitTimeOptions, "low", low_s, kTime), .max = kHourS,
     .doc = "The mean wait; shorter, and a worker is idle: shrink."},
    WORKPOOL_OF(WaitTimeOptions, "grow", grow, kDecimal), .max = 10,
     .doc = "By this share of the workers, at least one."},
    WORKPOOL_OF(WaitTimeOptions, "shrink", shrink, kWhole), .min = 1, .max = kWorkersMax, .doc = "Workers fewer."},
};

constexpr AimdOptions kAimd;
constexpr PolicyOption kAimdRows[] = {
    WORKPOOL_OF(AimdOptions, "wait", wait_s, kTime), .max = kHourS,
     .doc = "The oldest task has waited longer: grow; not, and workers are idle: shrink."},
    WORKPOOL_OF(AimdOptions, "add", add, kWhole), .min = 1, .max = kWorkersMax, .doc = "Workers more."},
    WORKPOOL_OF(AimdOptions, "cut", cut, kDecimal), .max = 1,
     .doc = "Fewer by this share, at least one, of those that are idle."},
};

constexpr EwmaOptions kEwma;
constexpr PolicyOption kEwmaRows[] = {
    WORKPOOL_OF(EwmaOptions, "alpha", alpha, kDecimal), .min = 0.001, .max = 1,
     .doc = "Weight of the newest figure in the mean."},
    WORKPOOL_OF(EwmaOptions, "signal", signal, kWord), .words = kSignalWords,
     .doc = "The figure: demand (arrivals times duration), backlog, busy; or for each worker utilisation, depth, wait, "
            "wait-p99."},
    WORKPOOL_OF(EwmaOptions, "setpoint", setpoint, kDecimal), .max = kMany,
     .doc = "What it is to be: workers at work for each worker, or the figure, waits in seconds; 0: 0.8, of depth and "
            "backlog 1, of wait 0.02, of wait-p99 0.1."},
    WORKPOOL_OF(EwmaOptions, "band", band, kDecimal), .max = 1, .doc = "Fewer workers only by at least this share."},
};

constexpr MultiSignalOptions kMultiSignal;
constexpr PolicyOption kMultiSignalRows[] = {
    WORKPOOL_OF(MultiSignalOptions, "utilisation_high", utilisation_high, kDecimal), .max = 1,
     .doc = "A larger share of workers at work is a vote to grow."},
    WORKPOOL_OF(MultiSignalOptions, "utilisation_low", utilisation_low, kDecimal), .max = 1,
     .doc = "A smaller one is a vote to shrink."},
    WORKPOOL_OF(MultiSignalOptions, "wait_high", wait_high_s, kTime), .max = kHourS,
     .doc = "A longer mean wait is a vote to grow."},
    WORKPOOL_OF(MultiSignalOptions, "wait_low", wait_low_s, kTime), .max = kHourS,
     .doc = "A shorter one is a vote to shrink."},
    WORKPOOL_OF(MultiSignalOptions, "wait_urgent", wait_urgent_s, kTime), .max = kHourS,
     .doc = "A longer one is enough by itself."},
    WORKPOOL_OF(MultiSignalOptions, "depth_high", depth_high, kDecimal), .max = kMany,
     .doc = "More tasks waiting for each worker are a vote to grow."},
    WORKPOOL_OF(MultiSignalOptions, "depth_low", depth_low, kDecimal), .max = kMany,
     .doc = "Fewer are a vote to shrink."},
    WORKPOOL_OF(MultiSignalOptions, "errors_max", errors_max, kDecimal), .max = 1,
     .doc = "While a larger share of tasks fails it does not grow."},
    WORKPOOL_OF(MultiSignalOptions, "grow", grow, kDecimal), .max = 10,
     .doc = "By this share of the workers, at least one."},
    WORKPOOL_OF(MultiSignalOptions, "shrink", shrink, kWhole), .min = 1, .max = kWorkersMax, .doc = "Workers fewer."},
};

constexpr PidOptions kPid;
constexpr PolicyOption kPidRows[] = {
    WORKPOOL_OF(PidOptions, "setpoint", setpoint, kDecimal), .min = 0.01, .max = 1, .doc = "Share of workers at work."},
    WORKPOOL_OF(PidOptions, "kp", kp, kDecimal), .max = 1e6, .doc = "Workers for each unit of error."},
    WORKPOOL_OF(PidOptions, "ki", ki, kDecimal), .max = 1e6, .doc = "Workers for each unit of error and second."},
    WORKPOOL_OF(PidOptions, "kd", kd, kDecimal), .max = 1e6, .doc = "Workers for each unit of change in a second."},
    WORKPOOL_OF(PidOptions, "overload", overload, kDecimal), .max = 1000,
     .doc = "Tasks waiting for each worker count on top of the share, up to this."},
    WORKPOOL_OF(PidOptions, "filter", filter_s, kTime), .max = 60, .doc = "The share is smoothed over about so long."},
    WORKPOOL_OF(PidOptions, "band", band, kDecimal), .max = kWorkersMax,
     .doc = "Workers; a share that is nearer to the setpoint moves nothing."},
};

constexpr PolicyOption kWith = {.name = "with", .kind = OptionKind::kText, .offset = kTextWith, .words = "auto",
                                .doc = "The policy that may want more than the floor; its options can follow."};
struct NoOptions {
  double none = 0;
};
constexpr NoOptions kNoOptions;
constexpr PolicyOption kScheduleRows[] = {
    {.name = "at", .kind = OptionKind::kText, .offset = kTextAt, .words = "",
     .doc = "Times of day and workers: '09:00=50 18:00=5'."},
    kWith,
};

constexpr SeasonOptions kSeason;
constexpr PolicyOption kSeasonRows[] = {
    WORKPOOL_OF(SeasonOptions, "period", period_s, kTime), .min = 1, .max = 366 * 24 * kHourS,
     .doc = "What comes again after so long."},
    WORKPOOL_OF(SeasonOptions, "buckets", buckets, kWhole), .min = 1, .max = Season::kBucketsMax,
     .doc = "Parts of the period, of at least a second."},
    WORKPOOL_OF(SeasonOptions, "learn", learn, kDecimal), .min = 0.001, .max = 1,
     .doc = "Weight of the newest period."},
    WORKPOOL_OF(SeasonOptions, "lookahead", lookahead, kWhole), .max = 12, .doc = "So many buckets early."},
    kWith,
};
#undef WORKPOOL_GENERAL
#undef WORKPOOL_OF

template <typename D, typename Options>
Decider* Make(const void* options) {
  static_assert(sizeof(Options) <= kOptionsBytesMax);
  return New<D>(*static_cast<const Options*>(options));
}

template <typename D, typename Options, size_t kSize>
constexpr PolicyRow Row(const char* name, const PolicyOption (&options)[kSize], const Options& defaults,
                        const GeneralOptions& general, const char* doc) {
  return {.name = name, .doc = doc, .options = options, .defaults = &defaults, .bytes = sizeof(Options),
          .make = Make<D, Options>, .general = general};
}

// Steps of policies that keep their target are not taken back within a second or more.
constexpr PolicyRow kRows[] = {
    Row<Fixed>("fixed", kFixedRows, kFixed, {.tick_s = HUGE_VAL, .patience_s = HUGE_VAL},
               "Always the same number of workers."),
    Row<BusyShare>("busy-share", kBusyShareRows, kBusyShare, {},
                   "While tasks wait and nearly all workers are at work, one more for each task; fewer by idle "
                   "expiry."),
    Row<JobsPerWorker>("jobs-per-worker", kJobsPerWorkerRows, kJobsPerWorker, {},
                       "Twice the workers while many tasks wait for each; fewer by idle expiry."),
    Row<QueueFill>("queue-depth", kQueueFillRows, kQueueDepth, {.cooldown_up_s = 2, .cooldown_down_s = 30},
                   "Two workers more while the queue is three quarters full, one fewer while it is nearly empty."),
    Row<QueueFill>("queue-level", kQueueFillRows, kQueueLevelOptions, {.cooldown_up_s = 5, .cooldown_down_s = 10},
                   "One worker more while the queue is half full, one fewer below a quarter."),
    Row<WaitTime>("wait-time", kWaitTimeRows, kWaitTime, {.cooldown_up_s = 0.5, .cooldown_down_s = 2},
                  "More workers while some tasks wait long, fewer while the mean wait is short."),
    Row<Aimd>("aimd", kAimdRows, kAimd, {.cooldown_down_s = 1, .tick_s = 0.02},
              "One worker more each time while the oldest task waits long, a quarter fewer when it does not."),
    Row<Ewma>("ewma", kEwmaRows, kEwma, {.cooldown_down_s = 1},
              "A smoothed figure, by default the demand, is held at a setpoint."),
    Row<MultiSignal>("multi-signal", kMultiSignalRows, kMultiSignal, {.cooldown_up_s = 0.5, .cooldown_down_s = 2},
                     "Utilisation, wait and queue vote; while many tasks fail it does not grow."),
    Row<Pid>("pid", kPidRows, kPid, {.cooldown_down_s = 1}, "A PID controller holds the utilisation."),
    {.name = "schedule", .doc = "A floor by the time of day, and another policy for what the load wants above it.",
     .options = kScheduleRows, .defaults = &kNoOptions, .bytes = sizeof(kNoOptions), .floor = FloorKind::kSchedule},
    {.name = "seasonal",
     .doc = "A floor learned from the days before, and another policy for what the load wants above it.",
     .options = kSeasonRows, .defaults = &kSeason, .bytes = sizeof(kSeason), .floor = FloorKind::kSeason},
};

}  // namespace

std::span<const PolicyOption> GeneralOptionRows() { return kGeneral; }

// The presets come first: auto is what most want.
const PolicyRow* PolicyAt(uint32_t index) {
  if (index < kPresetRows) return &PresetRows()[index];
  index -= kPresetRows;
  return index < std::size(kRows) ? &kRows[index] : nullptr;
}

}  // namespace workpool
