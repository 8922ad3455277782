// Numbers of a policy's text, both ways, without a locale: digits and a point, no sign and no exponent. Every reader takes
// any bytes, and false says that they are no such number.
// Threads: all, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/file_text.h"

namespace workpool {

// "12".
[[nodiscard]] bool ReadWhole(std::string_view text, uint64_t* out);
// "12", "0.75".
[[nodiscard]] bool ReadDecimal(std::string_view text, double* out);
// "500us", "500ms", "2s", "1.5m", "24h", in seconds; a bare "0" too.
[[nodiscard]] bool ReadDuration(std::string_view text, double* out_s);
// "09:30", "09:30:15", in seconds since midnight.
[[nodiscard]] bool ReadTimeOfDay(std::string_view text, uint32_t* out_s);

// Takes the first word from text, words being between blanks; "": there is none.
std::string_view TakeWord(std::string_view* text);
// The index of a word among words between blanks; false: it is none of them.
[[nodiscard]] bool FindWord(std::string_view words, std::string_view word, uint32_t* out);
// The word with this index; "": there is none.
std::string_view WordAt(std::string_view words, uint32_t index);

// Writes as snprintf does: what does not fit is counted, and there is always a NUL, if there is room for one.
class TextOut {
 public:
  TextOut(char* out, size_t room) : out_(out), room_(room) {
    if (room_ > 0) *out_ = 0;
  }

  TextOut& Put(std::string_view text);
  TextOut& PutWhole(uint64_t value);
  // At most six decimals.
  TextOut& PutDecimal(double value);
  // In the largest unit in which it is at least 1.
  TextOut& PutDuration(double seconds);

  [[nodiscard]] size_t length() const { return length_; }

 private:
  char* const out_;
  const size_t room_;
  size_t length_ = 0;
};

}  // namespace workpool
