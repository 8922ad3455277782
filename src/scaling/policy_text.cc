#include "scaling/policy_text.h"

#include <algorithm>
#include <cmath>

#include "base/file_text.h"

namespace workpool {
namespace {

struct Unit {
  std::string_view name;
  double seconds;
};
// "s" last: the names of others end with it.
constexpr Unit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"h", 3600}, {"m", 60}, {"s", 1}};

// The largest whole number that a double counts up to.
constexpr uint64_t kDigitsMax = uint64_t{1} << 53;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool ReadWhole(std::string_view text, uint64_t* out) {
  uint64_t value = 0;
  for (const char c : text) {
    if (!IsDigit(c) || value >= kDigitsMax) return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  *out = value;
  return !text.empty();
}

bool ReadDecimal(std::string_view text, double* out) {
  const size_t point = text.find('.');
  uint64_t whole = 0, part = 0;
  if (!ReadWhole(text.substr(0, point), &whole)) return false;
  *out = static_cast<double>(whole);
  if (point == text.npos) return true;
  const std::string_view decimals = text.substr(point + 1);
  if (decimals.size() > 9 || !ReadWhole(decimals, &part)) return false;
  *out += static_cast<double>(part) / std::pow(10, static_cast<double>(decimals.size()));
  return true;
}

bool ReadDuration(std::string_view text, double* out_s) {
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    if (!ReadDecimal(text.substr(0, text.size() - unit.name.size()), out_s)) return false;
    *out_s *= unit.seconds;
    return true;
  }
  *out_s = 0;
  return text == "0";
}

bool ReadTimeOfDay(std::string_view text, uint32_t* out_s) {
  const size_t fields = (text.size() + 1) / 3;
  if (text.size() % 3 != 2 || fields < 2 || fields > 3) return false;
  uint32_t seconds = 0;
  for (size_t i = 0; i < fields; ++i) {
    const std::string_view field = text.substr(3 * i, 2);
    uint64_t value = 0;
    if (i > 0 && text[3 * i - 1] != ':') return false;
    if (!ReadWhole(field, &value) || value >= (i == 0 ? 24u : 60u)) return false;
    seconds = seconds * 60 + static_cast<uint32_t>(value);
  }
  *out_s = fields == 2 ? seconds * 60 : seconds;
  return true;
}

std::string_view TakeWord(std::string_view* text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  text->remove_prefix(std::min(text->find_first_not_of(kBlanks), text->size()));
  const std::string_view word = text->substr(0, text->find_first_of(kBlanks));
  text->remove_prefix(word.size());
  return word;
}

bool FindWord(std::string_view words, std::string_view word, uint32_t* out) {
  for (uint32_t i = 0; !words.empty(); ++i) {
    if (TakeUntil(&words, ' ') != word) continue;
    *out = i;
    return true;
  }
  return false;
}

std::string_view WordAt(std::string_view words, uint32_t index) {
  for (; index > 0 && !words.empty(); --index) (void)TakeUntil(&words, ' ');
  return TakeUntil(&words, ' ');
}

TextOut& TextOut::Put(std::string_view text) {
  for (const char c : text) {
    if (length_ + 1 < room_) {
      out_[length_] = c;
      out_[length_ + 1] = 0;
    }
    ++length_;
  }
  return *this;
}

TextOut& TextOut::PutWhole(uint64_t value) {
  char digits[20];
  size_t at = sizeof(digits);
  do digits[--at] = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  return Put({digits + at, sizeof(digits) - at});
}

TextOut& TextOut::PutDecimal(double value) {
  constexpr uint64_t kMillion = 1'000'000;
  const auto millionths = static_cast<uint64_t>(std::llround(value * static_cast<double>(kMillion)));
  PutWhole(millionths / kMillion);
  uint64_t rest = millionths % kMillion;
  if (rest > 0) Put(".");
  for (uint64_t unit = kMillion / 10; rest > 0; unit /= 10) {
    PutWhole(rest / unit);
    rest %= unit;
  }
  return *this;
}

TextOut& TextOut::PutDuration(double seconds) {
  if (seconds <= 0) return Put("0");
  const Unit* best = &kUnits[0];
  for (const Unit& unit : kUnits) {
    if (seconds >= unit.seconds * (1 - 1e-9) && unit.seconds > best->seconds) best = &unit;
  }
  return PutDecimal(seconds / best->seconds).Put(best->name);
}

}  // namespace workpool
