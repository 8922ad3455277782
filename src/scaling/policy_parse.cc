// Policy::Parse: "name,option=value,...". A value with commas stands in single or double quotes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file_text.h"
#include "base/memory.h"
#include "scaling/expiring.h"
#include "scaling/policy.h"
#include "scaling/policy_table.h"
#include "scaling/policy_text.h"
#include "scaling/schedule.h"
#include "scaling/season.h"

namespace workpool {
namespace {

constexpr size_t kSpecMax = 4096;
// Of what was given, so much is repeated.
constexpr size_t kShownMax = 40;

int Shown(std::string_view text) { return static_cast<int>(std::min(text.size(), kShownMax)); }

uint64_t Ns(double seconds) {
  return std::isinf(seconds) ? kNever : static_cast<uint64_t>(std::llround(seconds * 1e9));
}

// The options of one row, as its struct.
struct Values {
  explicit Values(const PolicyRow& of) : row(&of) { std::memcpy(bytes, of.defaults, of.bytes); }

  const PolicyRow* row;
  alignas(double) unsigned char bytes[kOptionsBytesMax];
};

class Spec {
 public:
  [[nodiscard]] Status Read(std::string_view text);
  // With what has been read.
  [[nodiscard]] Status MakeDecider(Decider** out) const;
  [[nodiscard]] Status MakeFloor(Floor** out) const;
  [[nodiscard]] const GeneralOptions& general() const { return general_; }

 private:
  [[nodiscard]] static Status FailUnknown(std::string_view name);
  [[nodiscard]] static Status TakeSetting(std::string_view* text, std::string_view* name, std::string_view* value);
  [[nodiscard]] static Status FindWith(std::string_view settings, const PolicyRow** out);
  [[nodiscard]] Status Set(std::string_view name, std::string_view value);
  [[nodiscard]] Status SetOne(const PolicyOption& option, std::string_view value, void* options);
  [[nodiscard]] Status FailOption(std::string_view name) const;

  Values own_{*PolicyAt(0)};
  // The one that decides: the policy itself, or of a floor the one that is named by `with`.
  Values decides_{*PolicyAt(0)};
  GeneralOptions general_;
  std::string_view texts_[kPolicyTexts];
};

Status Spec::FailUnknown(std::string_view name) {
  char known[256];
  TextOut text(known, sizeof(known));
  const PolicyRow* row;
  for (uint32_t i = 0; (row = PolicyAt(i)) != nullptr; ++i) text.Put(i == 0 ? "" : " ").Put(row->name);
  return Fail(POOL_E_INVALID, "there is no policy '%.*s'; there are: %s", Shown(name), name.data(), known);
}

Status Spec::FailOption(std::string_view name) const {
  char known[512];
  TextOut text(known, sizeof(known));
  for (const PolicyOption& option : own_.row->options) text.Put(option.name).Put(" ");
  if (decides_.row != own_.row) {
    for (const PolicyOption& option : decides_.row->options) text.Put(option.name).Put(" ");
  }
  for (const PolicyOption& option : GeneralOptionRows()) text.Put(option.name).Put(" ");
  known[std::min(text.length(), sizeof(known)) - 1] = 0;
  return Fail(POOL_E_INVALID, "policy %s has no option '%.*s'; it has: %s", own_.row->name, Shown(name), name.data(),
              known);
}

Status Spec::TakeSetting(std::string_view* text, std::string_view* name, std::string_view* value) {
  const std::string_view whole = *text;
  const size_t equals = text->find('=');
  if (equals == text->npos || text->find(',') < equals) {
    return Fail(POOL_E_INVALID, "'%.*s' in a policy is not option=value", Shown(whole), whole.data());
  }
  *name = text->substr(0, equals);
  text->remove_prefix(equals + 1);
  if (!text->starts_with('\'') && !text->starts_with('"')) {
    *value = TakeUntil(text, ',');
    return POOL_OK;
  }
  const char quote = text->front();
  text->remove_prefix(1);
  const size_t end = text->find(quote);
  if (end == text->npos || (end + 1 < text->size() && (*text)[end + 1] != ',')) {
    return Fail(POOL_E_INVALID, "a quote in a policy, '%.*s', does not end, or something follows it", Shown(whole),
                whole.data());
  }
  *value = text->substr(0, end);
  text->remove_prefix(std::min(end + 2, text->size()));
  return POOL_OK;
}

Status Spec::FindWith(std::string_view settings, const PolicyRow** out) {
  *out = PolicyAt(0);
  while (!settings.empty()) {
    std::string_view name, value;
    const Status status = TakeSetting(&settings, &name, &value);
    if (status != POOL_OK) return status;
    if (name != "with") continue;
    *out = FindPolicy(value);
    if (*out == nullptr) return FailUnknown(value);
    if ((*out)->make == nullptr)
      return Fail(POOL_E_INVALID, "policy %s is a floor too; name another one", (*out)->name);
  }
  return POOL_OK;
}

Status Spec::Read(std::string_view text) {
  if (text.size() > kSpecMax) return Fail(POOL_E_INVALID, "a policy has at most %zu characters", kSpecMax);
  const std::string_view name = TakeUntil(&text, ',');
  const PolicyRow* row = FindPolicy(name);
  if (row == nullptr) return FailUnknown(name);
  const PolicyRow* decides = row;
  if (row->make == nullptr) {
    const Status status = FindWith(text, &decides);
    if (status != POOL_OK) return status;
  }
  own_ = Values(*row);
  decides_ = Values(*decides);
  general_ = decides->general;
  while (!text.empty()) {
    std::string_view option, value;
    Status status = TakeSetting(&text, &option, &value);
    if (status == POOL_OK) status = Set(option, value);
    if (status != POOL_OK) return status;
  }
  return POOL_OK;
}

Status Spec::Set(std::string_view name, std::string_view value) {
  struct Place {
    std::span<const PolicyOption> rows;
    void* options;
  };
  const Place places[] = {
      {own_.row->options, own_.bytes}, {decides_.row->options, decides_.bytes}, {GeneralOptionRows(), &general_}};
  // One that several know by the same name is the same for all.
  bool known = false;
  for (const Place& place : places) {
    const PolicyOption* option = FindPolicyOption(place.rows, name);
    if (option == nullptr) continue;
    known = true;
    const Status status = SetOne(*option, value, place.options);
    if (status != POOL_OK) return status;
  }
  return known ? POOL_OK : FailOption(name);
}

Status Spec::SetOne(const PolicyOption& option, std::string_view value, void* options) {
  if (option.kind == OptionKind::kText) {
    texts_[option.offset] = value;
    return POOL_OK;
  }
  double number = 0;
  uint64_t whole = 0;
  uint32_t word = 0;
  bool ok = false;
  switch (option.kind) {
    case OptionKind::kWhole:
      ok = ReadWhole(value, &whole);
      number = static_cast<double>(whole);
      break;
    case OptionKind::kDecimal:
      ok = ReadDecimal(value, &number);
      break;
    case OptionKind::kTime:
      ok = ReadDuration(value, &number);
      break;
    case OptionKind::kWord:
      ok = FindWord(option.words, value, &word);
      number = word;
      break;
    case OptionKind::kText:
      break;
  }
  const bool in_range = option.kind == OptionKind::kWord || (number >= option.min && number <= option.max);
  if (!ok || !in_range) {
    char range[96];
    FormatPolicyRange(option, range, sizeof(range));
    const char* kind = option.kind == OptionKind::kTime    ? "time with its unit, us ms s m h,"
                       : option.kind == OptionKind::kWhole ? "whole number"
                       : option.kind == OptionKind::kWord  ? "word"
                                                           : "number";
    return Fail(POOL_E_INVALID, "%s=%.*s is no %s of %s", option.name, Shown(value), value.data(), kind, range);
  }
  for (const uint32_t offset : {option.offset, option.second}) {
    if (offset != UINT32_MAX) std::memcpy(static_cast<char*>(options) + offset, &number, sizeof(number));
  }
  return POOL_OK;
}

Status Spec::MakeFloor(Floor** out) const {
  *out = nullptr;
  const std::string_view zone = texts_[kTextZone], floor = texts_[kTextFloor];
  const bool scheduled = own_.row->floor == FloorKind::kSchedule;
  if (own_.row->floor != FloorKind::kNone && !floor.empty()) {
    return Fail(POOL_E_INVALID, "policy %s has a floor of its own", own_.row->name);
  }
  if (scheduled || !floor.empty()) return Schedule::Parse(scheduled ? texts_[kTextAt] : floor, zone, out);
  if (!zone.empty()) return FailConst(POOL_E_INVALID, "a zone is for a schedule: 'floor', or the policy schedule");
  if (own_.row->floor != FloorKind::kSeason) return POOL_OK;
  SeasonOptions options;
  std::memcpy(&options, own_.bytes, sizeof(options));
  *out = New<Season>(options);
  return *out == nullptr ? FailConst(POOL_E_NOMEM, "no memory for a season") : POOL_OK;
}

Status Spec::MakeDecider(Decider** out) const {
  *out = decides_.row->make(decides_.bytes);
  return *out == nullptr ? FailConst(POOL_E_NOMEM, "no memory for a policy") : POOL_OK;
}

}  // namespace

Status Policy::Parse(const char* text, Policy** out) {
  *out = nullptr;
  if (text == nullptr) return FailConst(POOL_E_INVALID, "a policy's text is missing");
  Spec spec;
  Status status = spec.Read({text, strnlen(text, kSpecMax + 1)});
  if (status != POOL_OK) return status;
  Decider* decider = nullptr;
  Floor* floor = nullptr;
  if ((status = spec.MakeFloor(&floor)) != POOL_OK) return status;
  if ((status = spec.MakeDecider(&decider)) != POOL_OK) {
    Delete(floor);
    return status;
  }
  const GeneralOptions& general = spec.general();
  if (floor != nullptr && !decider->keeps()) {
    Decider* keeping = New<Expiring>(decider, Ns(general.keep_alive_s));
    if (keeping == nullptr) Delete(decider);
    decider = keeping;
  }
  auto* policy = decider == nullptr ? nullptr : New<Policy>(decider);
  if (policy == nullptr) {
    Delete(decider);
    Delete(floor);
    return FailConst(POOL_E_NOMEM, "no memory for a policy");
  }
  policy->floor_ = floor;
  policy->smoothing_ = Smoothing(general.smooth);
  policy->cooldown_ =
      Cooldown({Ns(general.cooldown_up_s), Ns(general.cooldown_down_s), static_cast<uint32_t>(general.step_up_max)});
  policy->tick_ns_ = Ns(general.tick_s);
  policy->patience_ns_ = Ns(general.patience_s);
  policy->keep_alive_ns_ = Ns(general.keep_alive_s);
  *out = policy;
  return POOL_OK;
}

}  // namespace workpool
