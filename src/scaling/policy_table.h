// The policies by name, and the options of each: one table, which the parser, the lists and the documentation read. An option
// of a policy is a double in the options of its decider or of its floor; times are in seconds. Its default is the value
// that it has in the policy's row of defaults, so it is written in one place.
// Threads: all, any thread. The table is constant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "scaling/decider.h"

namespace workpool {

enum class OptionKind : uint8_t {
  kWhole,
  kDecimal,
  kTime,
  kWord,  // the index of one of words
  kText,  // no number: a PolicyText
};

enum PolicyText : uint32_t { kTextAt, kTextZone, kTextFloor, kTextWith, kPolicyTexts };

struct PolicyOption {
  const char* name;
  OptionKind kind;
  uint32_t offset;  // of the double; of a text its PolicyText
  double min = 0;
  double max = 0;
  const char* words = nullptr;   // of a kWord; of a kText its default
  uint32_t second = UINT32_MAX;  // another double that is set to the same
  const char* doc;
};

// What every policy has.
struct GeneralOptions {
  double smooth = 1;
  double cooldown_up_s = 0;
  double cooldown_down_s = 0;
  double step_up_max = 0;
  double tick_s = 0.1;  // infinite: never
  double patience_s = 0.005;
  double keep_alive_s = 0;
};
std::span<const PolicyOption> GeneralOptionRows();

enum class FloorKind : uint8_t { kNone, kSchedule, kSeason };

struct PolicyRow {
  const char* name;
  const char* doc;
  std::span<const PolicyOption> options;
  const void* defaults;  // a struct of doubles
  size_t bytes;
  Decider* (*make)(const void* options) = nullptr;  // nullptr: the decider is that of the policy `with`
  GeneralOptions general = {};
  FloorKind floor = FloorKind::kNone;
};
inline constexpr size_t kOptionsBytesMax = 512;

// nullptr: there are no more.
const PolicyRow* PolicyAt(uint32_t index);
// nullptr: there is none.
const PolicyRow* FindPolicy(std::string_view name);
// One of the rows; nullptr: there is none.
const PolicyOption* FindPolicyOption(std::span<const PolicyOption> rows, std::string_view name);

// The range or the words, for people.
void FormatPolicyRange(const PolicyOption& option, char* out, size_t room);

// ---- lists, for tools and the documentation

// The policy with this index; false: there is none.
[[nodiscard]] bool ListPolicies(uint32_t index, const char** name, const char** doc);

struct PolicyOptionInfo {
  const char* name;
  const char* doc;
  char fallback[48];  // the default
  char range[80];
};
// The policy's option with this index, its own first, then those that every policy has; false: there is none, or no such
// policy.
[[nodiscard]] bool ListPolicyOptions(const char* policy, uint32_t index, PolicyOptionInfo* out);

}  // namespace workpool
