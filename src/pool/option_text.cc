#include "pool/option_text.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace workpool {
namespace {

// The index-th of words, or "".
std::string_view WordAt(std::string_view words, uint64_t index) {
  for (; index > 0; --index) {
    const size_t gap = words.find(' ');
    if (gap == words.npos) return {};
    words.remove_prefix(gap + 1);
  }
  return words.substr(0, words.find(' '));
}

// Digits, and as many decimals; false: it is no such number, or too large for 64 bits.
bool ParseNumber(std::string_view text, uint32_t decimals, uint64_t* out) {
  uint64_t value = 0;
  const auto digit = [&](char c) {
    if (c < '0' || c > '9') return false;
    return !__builtin_mul_overflow(value, 10, &value) && !__builtin_add_overflow(value, c - '0', &value);
  };
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (whole.empty() || !std::all_of(whole.begin(), whole.end(), digit)) return false;
  std::string_view part;
  if (point != text.npos) {
    part = text.substr(point + 1);
    if (part.empty() || part.size() > decimals) return false;
  }
  if (!std::all_of(part.begin(), part.end(), digit)) return false;
  for (size_t i = part.size(); i < decimals; ++i) {
    if (!digit('0')) return false;
  }
  *out = value;
  return true;
}

bool ParseValue(const OptionRow& row, std::string_view text, uint64_t* out) {
  if (row.type == POOL_OPTION_CHOICE) {
    for (uint64_t value = row.min; value <= row.max; ++value) {
      if (text != WordAt(row.words, value - row.min)) continue;
      *out = value;
      return true;
    }
    return false;
  }
  if (row.words != nullptr && text == row.words) {
    *out = row.word_value;
    return true;
  }
  return ParseNumber(text, row.type == POOL_OPTION_TIME ? 6 : 0, out) && *out >= row.min && *out <= row.max;
}

uint64_t ReadField(const OptionRow& row, const pool_options_t& options) {
  const auto* at = reinterpret_cast<const unsigned char*>(&options) + row.offset;
  if (row.bytes == sizeof(uint64_t)) {
    uint64_t value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

void WriteField(const OptionRow& row, uint64_t value, pool_options_t* options) {
  auto* at = reinterpret_cast<unsigned char*>(options) + row.offset;
  const auto narrow = static_cast<uint32_t>(value);
  std::memcpy(at, row.bytes == sizeof(value) ? static_cast<const void*>(&value) : &narrow, row.bytes);
}

}  // namespace

void FormatOption(const OptionRow& row, const pool_options_t& options, char* out) {
  const uint64_t value = ReadField(row, options);
  char* end;
  if (row.type == POOL_OPTION_CHOICE) {
    end = Append(out, value < row.min ? row.fallback : WordAt(row.words, value - row.min));
  } else if (row.words != nullptr && value == row.word_value) {
    end = Append(out, row.words);
  } else if (value == 0 && row.min > 0) {
    end = Append(out, row.fallback);
  } else {
    end = AppendValue(out, row, value);
  }
  *end = 0;
}

Status CheckHasField(const OptionRow& row, uint32_t struct_size) {
  if (row.offset + row.bytes <= struct_size) return POOL_OK;
  return Fail(POOL_E_TOOBIG, "options.struct_size = %u ends before %s, at byte %u; build with a newer header",
              struct_size, row.name, row.offset);
}

Status SetOption(const OptionRow& row, const char* value, uint32_t struct_size, pool_options_t* options) {
  const Status status = CheckHasField(row, struct_size);
  if (status != POOL_OK) return status;
  uint64_t number = 0;
  if (!ParseValue(row, value, &number)) {
    const char* kind = row.type == POOL_OPTION_CHOICE ? "none of the words"
                       : row.type == POOL_OPTION_TIME ? "no number of milliseconds in"
                                                      : "no whole number in";
    return Fail(POOL_E_INVALID, "options.%s = '%.40s' is %s %s", row.name, value, kind, RangeText(row));
  }
  WriteField(row, number, options);
  return POOL_OK;
}

}  // namespace workpool
