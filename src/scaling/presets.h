// The rows of the policies that are the idle-core rule: `auto`, and presets of it.
// Threads: all, any thread.
#pragma once

#include <span>

#include "scaling/policy_table.h"

namespace workpool {

inline constexpr uint32_t kPresetRows = 5;
std::span<const PolicyRow, kPresetRows> PresetRows();

}  // namespace workpool
