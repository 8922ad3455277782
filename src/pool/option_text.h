// Values of options as text, both ways. Numbers are digits, times are milliseconds with at most six decimals, choices
// are words. No locale has a say.
// Threads: all, any thread.
#pragma once

#include <string_view>

#include "pool/option_table.h"

namespace workpool {

// Room for the text of any value, with its NUL.
inline constexpr size_t kOptionTextMax = 48;

// The field as text, in out, which has room for kOptionTextMax. A 0 that stands for the default is told as the default.
void FormatOption(const OptionRow& row, const pool_options_t& options, char* out);

// The struct, of struct_size bytes, has the field. OK, TOOBIG.
[[nodiscard]] Status CheckHasField(const OptionRow& row, uint32_t struct_size);
// Sets the field. INVALID, TOOBIG.
[[nodiscard]] Status SetOption(const OptionRow& row, const char* value, uint32_t struct_size, pool_options_t* options);

// ---- also while compiling, for the texts of ranges: each returns where the text ends

constexpr char* Append(char* at, std::string_view text) {
  for (const char c : text) *at++ = c;
  return at;
}

constexpr char* AppendNumber(char* at, uint64_t value) {
  char digits[20] = {};
  int n = 0;
  do digits[n++] = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  while (n > 0) *at++ = digits[--n];
  return at;
}

inline constexpr uint64_t kNsInMs = 1'000'000;

constexpr char* AppendValue(char* at, const OptionRow& row, uint64_t value) {
  if (row.type != POOL_OPTION_TIME) return AppendNumber(at, value);
  at = AppendNumber(at, value / kNsInMs);
  if (value % kNsInMs == 0) return at;
  *at++ = '.';
  for (uint64_t unit = kNsInMs / 10, rest = value % kNsInMs; rest != 0; rest %= unit, unit /= 10) {
    *at++ = static_cast<char>('0' + rest / unit);
  }
  return at;
}

}  // namespace workpool
