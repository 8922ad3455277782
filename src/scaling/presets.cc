#include "scaling/presets.h"

#include <cstddef>

#include "base/limits.h"
#include "base/memory.h"
#include "scaling/idle_core.h"
#include "scaling/per_core.h"

namespace workpool {
namespace {

struct PresetOptions {
  IdleCoreOptions core;
  double per_core = 0;
};
static_assert(sizeof(PresetOptions) <= kOptionsBytesMax);

// The one place where it is made.
Decider* MakeIdleCore(const void* memory) {
  const auto& options = *static_cast<const PresetOptions*>(memory);
  Decider* core = New<IdleCore>(options.core);
  if (core == nullptr || options.per_core <= 0) return core;
  Decider* bounded = New<PerCore>(core, options.per_core);
  if (bounded == nullptr) Delete(core);
  return bounded;
}

#define WORKPOOL_CORE(title, field, type) \
  {.name = title, .kind = OptionKind::type, .offset = offsetof(PresetOptions, core.field)
constexpr PolicyOption kOptions[] = {
    WORKPOOL_CORE("patience", patience_s, kTime), .min = 0, .max = 60, .doc = "A task may wait so long."},
    WORKPOOL_CORE("free", free_workers, kWhole), .min = 0, .max = kWorkersMax,
     .doc = "Up to here, and to twice the CPUs, growth needs no proof."},
    WORKPOOL_CORE("reserve_share", reserve_share, kDecimal), .min = 0, .max = 1,
     .doc = "This share of the CPUs must be idle for growth."},
    WORKPOOL_CORE("reserve_cores", reserve_cores, kDecimal), .min = 0, .max = kWorkersMax,
     .doc = "And at least so many of them."},
    WORKPOOL_CORE("cpu_share_min", cpu_share_min, kDecimal), .min = 0.001, .max = 1,
     .doc = "The least share of a CPU that a new worker is expected to use."},
    WORKPOOL_CORE("growth", growth, kDecimal), .min = 1, .max = 100,
     .doc = "The most that one step may give, as a factor."},
    WORKPOOL_CORE("drain", drain_s, kTime), .min = 0.001, .max = 60,
     .doc = "What waits is to be at work within so long."},
    WORKPOOL_CORE("trim_at", trim_at, kDecimal), .min = 1, .max = 1000,
     .doc = "So many threads for each CPU that could run, and workers park."},
    WORKPOOL_CORE("trim_to", trim_to, kDecimal), .min = 1, .max = 1000, .doc = "Until there are so many."},
    WORKPOOL_CORE("trim_memory", trim_memory_s, kTime), .min = 0.001, .max = 60,
     .doc = "In the mean over about so long."},
    WORKPOOL_CORE("step", search.step, kDecimal), .min = 1.01, .max = 10,
     .doc = "Growth beyond the free level, as a factor."},
    WORKPOOL_CORE("elasticity", search.elasticity, kDecimal), .min = 0, .max = 1,
     .doc = "What a step must give: log(goodput) by log(workers)."},
    WORKPOOL_CORE("persist", search.persist_s, kTime), .min = 0.001, .max = 60,
     .doc = "A level is measured for at least so long."},
    WORKPOOL_CORE("ended_min", search.ended_min, kWhole), .min = 1, .max = 1'000'000,
     .doc = "And until so many runs have ended."},
    WORKPOOL_CORE("window_max", search.window_max_s, kTime), .min = 0.001, .max = 600,
     .doc = "But not longer than this."},
    WORKPOOL_CORE("known", search.known, kDecimal), .min = 1, .max = 1000,
     .doc = "Times the level that was enough lately: beyond it growth waits for what it does."},
    WORKPOOL_CORE("known_from", search.known_from, kDecimal), .min = 0, .max = 1000,
     .doc = "If that level is so many times the CPUs or more."},
    WORKPOOL_CORE("known_hold", search.known_hold_s, kTime), .min = 0, .max = 60,
     .doc = "But not for longer than this."},
    WORKPOOL_CORE("slack", search.slack, kDecimal), .min = 0, .max = 1,
     .doc = "The share of the usual goodput that must be there then."},
    WORKPOOL_CORE("healthy_memory", search.healthy_memory_s, kTime), .min = 0.001, .max = 600,
     .doc = "The level that was enough is known over so long."},
    WORKPOOL_CORE("cut", search.cut, kDecimal), .min = 0.1, .max = 1,
     .doc = "The limit after growth that did not pay, as a factor."},
    WORKPOOL_CORE("cut_on_errors", search.cut_on_errors, kDecimal), .min = 0.1, .max = 1,
     .doc = "The limit when tasks begin to fail, as a factor."},
    WORKPOOL_CORE("keep", search.keep, kDecimal), .min = 0, .max = 1,
     .doc = "The share of the goodput that fewer workers must still have."},
    WORKPOOL_CORE("probe_up", search.probe_up, kDecimal), .min = 1, .max = 10,
     .doc = "A trial of more workers, as a factor."},
    WORKPOOL_CORE("probe_down", search.probe_down, kDecimal), .min = 0.1, .max = 1,
     .doc = "A trial of fewer workers, as a factor."},
    WORKPOOL_CORE("probes_down_every", search.probes_down_every, kWhole), .min = 1, .max = 1000,
     .doc = "One trial in so many is of fewer workers."},
    WORKPOOL_CORE("gain", search.gain, kDecimal), .min = 0, .max = 1,
     .doc = "The share of its growth that a trial must give in goodput."},
    WORKPOOL_CORE("backoff_first", search.backoff_first_s, kTime), .min = 0.001, .max = 3600,
     .doc = "Between two trials at first."},
    WORKPOOL_CORE("backoff_max", search.backoff_max_s, kTime), .min = 0.001, .max = 3600, .doc = "And at last."},
    WORKPOOL_CORE("error_runs", search.error_runs, kWhole), .min = 1, .max = 1'000'000,
     .doc = "Failures are counted over about so many runs."},
    WORKPOOL_CORE("error_share", search.error_share, kDecimal), .min = 0, .max = 1,
     .doc = "So many failures make it look for a better level."},
    WORKPOOL_CORE("error_ratio", search.error_ratio, kDecimal), .min = 1, .max = 1000,
     .doc = "If that is so many times what is usual."},
    WORKPOOL_CORE("error_memory", search.error_memory_s, kTime), .min = 0.1, .max = 86'400,
     .doc = "What is usual, over so long."},
    WORKPOOL_CORE("relax", search.relax_s, kTime), .min = 0.001, .max = 3600,
     .doc = "When no task has waited too long for so long, the limit is let go."},
    {.name = "per_core", .kind = OptionKind::kDecimal, .offset = offsetof(PresetOptions, per_core),
     .min = 0, .max = kWorkersMax,
     .doc = "At most so many workers for each CPU; 0: no bound."},
};
#undef WORKPOOL_CORE

constexpr PresetOptions kAuto = {};
constexpr PresetOptions kCpu = {.core = {}, .per_core = 1};
constexpr PresetOptions kIo = {.core = {.free_workers = 256, .search = {}}};
constexpr PresetOptions kSharedDownstream = {.core = {.free_workers = 16, .search = {}}};
constexpr PresetOptions kBatch = {.core = {.patience_s = 0.02, .search = {}}};

constexpr double kTickS = 0.005;

constexpr PolicyRow Row(const char* name, const PresetOptions& defaults, double keep_alive_s, const char* doc) {
  return {.name = name,
          .doc = doc,
          .options = kOptions,
          .defaults = &defaults,
          .bytes = sizeof(defaults),
          .make = MakeIdleCore,
          .general = {.tick_s = kTickS, .patience_s = defaults.core.patience_s, .keep_alive_s = keep_alive_s}};
}

constexpr PolicyRow kRows[kPresetRows] = {
    Row("auto", kAuto, 0,
        "More workers while tasks wait and CPUs are idle, fewer by idle expiry; many more only while that pays."),
    Row("cpu", kCpu, 10, "As auto, for tasks that compute: at most one worker for each CPU."),
    Row("io", kIo, 0, "As auto, for tasks that wait for others: free growth to 256 workers."),
    Row("shared-downstream", kSharedDownstream, 0,
        "As auto, for tasks that all call one service: beyond 16 workers each step must pay."),
    Row("batch", kBatch, 0.5, "As auto, for much at once and then nothing: later growth, and idle workers end sooner."),
};

}  // namespace

std::span<const PolicyRow, kPresetRows> PresetRows() { return kRows; }

}  // namespace workpool
