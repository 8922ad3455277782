#include "scaling/jobserver_text.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <string_view>

namespace workpool {
namespace {

constexpr std::string_view kAuth = "--jobserver-auth=";
constexpr std::string_view kFds = "--jobserver-fds=";
constexpr std::string_view kFifo = "fifo:";

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// A word without its quotes. Of a longer one than can matter only the length is right.
struct Word {
  char text[kAuth.size() + kFifo.size() + kJobserverPathMax];
  size_t length = 0;

  void Append(char c) {
    if (length < sizeof(text)) text[length] = c;
    ++length;
  }
  [[nodiscard]] bool whole() const { return length <= sizeof(text); }
  [[nodiscard]] std::string_view view() const { return {text, std::min(length, sizeof(text))}; }
};

// Reads the next word; false: there is none.
bool NextWord(const char*& at, Word* word) {
  while (IsBlank(*at)) ++at;
  if (*at == '\0') return false;
  word->length = 0;
  for (; *at != '\0' && !IsBlank(*at); ++at) {
    if (*at == '\\' && at[1] != '\0') ++at;
    word->Append(*at);
  }
  return true;
}

// A decimal number at the start of text, which it takes off.
bool TakeNumber(std::string_view& text, int* out) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int64_t value = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    value = value * 10 + (text[digits] - '0');
    if (value > INT_MAX) return false;
  }
  if (digits == 0) return false;
  text.remove_prefix(digits);
  *out = static_cast<int>(negative ? -value : value);
  return true;
}

void ReadEnds(std::string_view value, JobserverText* out) {
  int read_fd = -1;
  int write_fd = -1;
  out->named = JobserverNamed::kMalformed;
  if (!TakeNumber(value, &read_fd) || !value.starts_with(',')) return;
  value.remove_prefix(1);
  if (!TakeNumber(value, &write_fd) || !value.empty()) return;
  if (read_fd < 0 || write_fd < 0) {
    out->named = JobserverNamed::kOff;
    return;
  }
  out->named = JobserverNamed::kEnds;
  out->read_fd = read_fd;
  out->write_fd = write_fd;
}

void ReadAuth(std::string_view value, JobserverText* out) {
  if (!value.starts_with(kFifo)) {
    ReadEnds(value, out);
    return;
  }
  value.remove_prefix(kFifo.size());
  if (value.empty()) {
    out->named = JobserverNamed::kMalformed;
    return;
  }
  out->named = JobserverNamed::kPath;
  std::memcpy(out->path, value.data(), value.size());
  out->path[value.size()] = '\0';
}

}  // namespace

void ReadMakeflags(const char* makeflags, JobserverText* out) {
  *out = JobserverText();
  if (makeflags == nullptr) return;
  Word word;
  while (NextWord(makeflags, &word)) {
    std::string_view text = word.view();
    if (text == "--") return;
    const bool auth = text.starts_with(kAuth);
    if (!auth && !text.starts_with(kFds)) continue;
    *out = JobserverText();
    text.remove_prefix(auth ? kAuth.size() : kFds.size());
    if (!word.whole()) {
      out->named = JobserverNamed::kMalformed;
    } else if (auth) {
      ReadAuth(text, out);
    } else {
      ReadEnds(text, out);
    }
  }
}

}  // namespace workpool
