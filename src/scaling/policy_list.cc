#include <cmath>

#include "scaling/policy_table.h"
#include "scaling/policy_text.h"

namespace workpool {
namespace {

double ValueAt(const void* options, uint32_t offset) {
  return *reinterpret_cast<const double*>(static_cast<const char*>(options) + offset);
}

void PutValue(const PolicyOption& option, double value, TextOut* out) {
  switch (option.kind) {
    case OptionKind::kWhole:
    case OptionKind::kDecimal:
      out->PutDecimal(value);
      break;
    case OptionKind::kTime:
      if (std::isinf(value)) {
        out->Put("never");
      } else {
        out->PutDuration(value);
      }
      break;
    case OptionKind::kWord:
      out->Put(WordAt(option.words, static_cast<uint32_t>(value)));
      break;
    case OptionKind::kText:
      out->Put(option.words);
      break;
  }
}

}  // namespace

const PolicyRow* FindPolicy(std::string_view name) {
  const PolicyRow* row;
  for (uint32_t i = 0; (row = PolicyAt(i)) != nullptr && row->name != name; ++i) {
  }
  return row;
}

const PolicyOption* FindPolicyOption(std::span<const PolicyOption> rows, std::string_view name) {
  for (const PolicyOption& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

void FormatPolicyRange(const PolicyOption& option, char* out, size_t room) {
  TextOut text(out, room);
  if (option.kind == OptionKind::kText) {
    text.Put("text");
  } else if (option.kind == OptionKind::kWord) {
    text.Put(option.words);
  } else {
    PutValue(option, option.min, &text);
    text.Put(" ... ");
    PutValue(option, option.max, &text);
  }
}

bool ListPolicies(uint32_t index, const char** name, const char** doc) {
  const PolicyRow* row = PolicyAt(index);
  if (row == nullptr) return false;
  *name = row->name;
  *doc = row->doc;
  return true;
}

bool ListPolicyOptions(const char* policy, uint32_t index, PolicyOptionInfo* out) {
  const PolicyRow* row = policy == nullptr ? nullptr : FindPolicy(policy);
  if (row == nullptr) return false;
  const PolicyOption* option = nullptr;
  const void* defaults = row->defaults;
  if (index < row->options.size()) {
    option = &row->options[index];
  } else {
    defaults = &row->general;
    // One that has the same name as one of the policy's own is that one.
    index -= static_cast<uint32_t>(row->options.size());
    for (const PolicyOption& general : GeneralOptionRows()) {
      if (FindPolicyOption(row->options, general.name) != nullptr) continue;
      if (row->floor != FloorKind::kNone && general.offset == kTextFloor && general.kind == OptionKind::kText) continue;
      if (index-- > 0) continue;
      option = &general;
      break;
    }
  }
  if (option == nullptr) return false;
  out->name = option->name;
  out->doc = option->doc;
  TextOut fallback(out->fallback, sizeof(out->fallback));
  PutValue(*option, option->kind == OptionKind::kText ? 0 : ValueAt(defaults, option->offset), &fallback);
  FormatPolicyRange(*option, out->range, sizeof(out->range));
  return true;
}

}  // namespace workpool
