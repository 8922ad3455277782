// Presets: a few options under one name, by the table of all options (option_table.h).
#pragma once

#include "base/api.h"

namespace workpool {

// Sets those of a preset in a struct of struct_size bytes. NOTFOUND, TOOBIG (it ends before one of them); then nothing
// has changed.
[[nodiscard]] Status SetPreset(const char* preset, uint32_t struct_size, pool_options_t* options);

}  // namespace workpool
