// What a season has learned, as text: "season 1 86400 288", which are the version, the period and the buckets, and on the
// next line hundredths of workers of each bucket, "-" for one that has never been; "150x12" stands for twelve of a kind.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file_text.h"
#include "base/limits.h"
#include "scaling/policy_text.h"
#include "scaling/season.h"

namespace workpool {
namespace {

constexpr std::string_view kName = "season";
constexpr std::string_view kVersion = "1";
constexpr float kUnit = 100;

uint64_t Hundredths(float workers) { return static_cast<uint64_t>(std::lround(workers * kUnit)); }

bool TakeExactly(std::string_view* text, uint64_t value) {
  uint64_t found = 0;
  return ReadWhole(TakeWord(text), &found) && found == value;
}

}  // namespace

size_t Season::Save(char* out, size_t room) const {
  TextOut text(out, room);
  text.Put(kName)
      .Put(" ")
      .Put(kVersion)
      .Put(" ")
      .PutWhole(static_cast<uint64_t>(period_s_))
      .Put(" ")
      .PutWhole(buckets_);
  char between = '\n';
  for (uint32_t i = 0, same; i < buckets_; i += same) {
    const bool known = learned_[i] >= 0;
    const auto alike = [&](float other) {
      return known ? other >= 0 && Hundredths(other) == Hundredths(learned_[i]) : other < 0;
    };
    same = 1;
    while (i + same < buckets_ && alike(learned_[i + same])) ++same;
    text.Put({&between, 1});
    between = ' ';
    if (known) {
      text.PutWhole(Hundredths(learned_[i]));
    } else {
      text.Put("-");
    }
    if (same > 1) text.Put("x").PutWhole(same);
  }
  text.Put("\n");
  return text.length();
}

Status Season::Load(const char* saved) {
  if (saved == nullptr) return FailConst(POOL_E_INVALID, "a season's text is missing");
  std::string_view text = saved;
  if (TakeWord(&text) != kName || TakeWord(&text) != kVersion) {
    return FailConst(POOL_E_INVALID, "a season's text begins with 'season 1'");
  }
  if (!TakeExactly(&text, static_cast<uint64_t>(period_s_)) || !TakeExactly(&text, buckets_)) {
    return Fail(POOL_E_INVALID, "the season that was saved has not a period of %lld s in %u buckets",
                static_cast<long long>(period_s_), buckets_);
  }
  float learned[kBucketsMax];
  uint32_t size = 0;
  for (std::string_view word; !(word = TakeWord(&text)).empty();) {
    const bool many = word.find('x') != word.npos;
    const std::string_view value = TakeUntil(&word, 'x');
    uint64_t hundredths = 0, count = 1;
    const bool known = value != "-";
    if ((known && (!ReadWhole(value, &hundredths) || hundredths > kWorkersMax * static_cast<uint64_t>(kUnit))) ||
        (many && !ReadWhole(word, &count)) || count == 0 || count > buckets_ - size) {
      return Fail(POOL_E_INVALID, "a season's text is damaged at bucket %u", size);
    }
    std::fill_n(learned + size, count, known ? static_cast<float>(hundredths) / kUnit : kUnknown);
    size += static_cast<uint32_t>(count);
  }
  if (size != buckets_) return Fail(POOL_E_INVALID, "a season's text ends after %u of %u buckets", size, buckets_);
  std::copy_n(learned, size, learned_);
  found_ = false;
  return POOL_OK;
}

}  // namespace workpool
