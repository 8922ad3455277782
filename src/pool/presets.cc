#include "pool/presets.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/error.h"
#include "pool/option_text.h"

namespace workpool {
namespace {

struct Setting {
  const char* name;
  const char* value;
};

// Tasks that compute.
constexpr Setting kCpu[] = {
    {"workers_max", "0"},         // auto stops by itself at as many as can compute at once
    {"keep_alive_ms", "10000"},   // they are few and cost nothing asleep, so a burst after a pause finds them
    {"strategy", "stealing"},     // what a task submits runs where its data is in the cache
};
// Tasks that wait for disks, networks and other programs.
constexpr Setting kIo[] = {
    {"workers_max", "256"},       // they sleep most of the time, so their number is not that of the CPUs
    {"keep_alive_ms", "10000"},   // threads are not started anew for every wave of requests
    {"queue_limit", "4096"},      // behind more than that a request is late in any case,
    {"on_full", "block"},         // and who submits is slowed down to what the other side can take
};
// Much work at once, and then none.
constexpr Setting kBatch[] = {
    {"workers_max", "0"},         // as many as help
    {"keep_alive_ms", "100"},     // threads go when the batch is done
    {"queue_limit", "unlimited"}, // who submits knows how large the batch is
    {"on_full", "block"},         // with a limit given after all, nothing of it gets lost
    {"strategy", "stealing"},     // the cheapest for many small tasks
};

struct Preset {
  const char* name;
  std::span<const Setting> settings;
};
constexpr Preset kPresets[] = {{"cpu", kCpu}, {"io", kIo}, {"batch", kBatch}};

}  // namespace

Status SetPreset(const char* preset, uint32_t struct_size, pool_options_t* options) {
  const auto* found = std::find_if(std::begin(kPresets), std::end(kPresets),
                                   [&](const Preset& row) { return std::strcmp(row.name, preset) == 0; });
  if (found == std::end(kPresets)) {
    return Fail(POOL_E_NOTFOUND, "no preset is named '%.40s'; use cpu, io or batch", preset);
  }
  const OptionRow* row = nullptr;
  for (const Setting& setting : found->settings) {
    Status status = FindOption(setting.name, &row);
    if (status == POOL_OK) status = CheckHasField(*row, struct_size);
    if (status != POOL_OK) return status;
  }
  for (const Setting& setting : found->settings) {
    Status status = FindOption(setting.name, &row);
    if (status == POOL_OK) status = SetOption(*row, setting.value, struct_size, options);
    if (status != POOL_OK) return status;
  }
  return POOL_OK;
}

}  // namespace workpool
