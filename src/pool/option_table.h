// The options of a pool by name: one row for each field of pool_options_t that is a number. The parser, what pool_get
// writes, pool_option_list and docs/options.md all read this table, and nothing else knows a name or a range.
// Functions, user pointers and options.name have no row.
// Threads: all, any thread. The table is constant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/api.h"

namespace workpool {

struct OptionRow {
  const char* name;     // of the field; _ms where the field is in nanoseconds
  int32_t type;         // POOL_OPTION_...
  uint32_t offset;      // of the field
  uint32_t bytes;       // 4 or 8
  const char* fallback; // what 0 in the field stands for, as text
  uint64_t min;         // as in the field: of a choice the number of its first word
  uint64_t max;
  const char* words = nullptr;  // of a choice, in order; of a number the one that is no number, or nullptr
  uint64_t word_value = 0;      // what that one stands for
  bool live = false;
  const char* doc;
};

std::span<const OptionRow> OptionRows();
const char* RangeText(const OptionRow& row);
// NOTFOUND, with the nearest name.
[[nodiscard]] Status FindOption(const char* name, const OptionRow** out);

}  // namespace workpool
