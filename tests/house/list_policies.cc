// Prints docs/policies.md: every policy with its options, defaults and ranges, from the table that the parser reads.
#include <cstdio>
#include <cstring>

#include "scaling/policy_table.h"

using namespace workpool;

namespace {

constexpr const char* kAny = "busy-share";  // has what all have, and one of its own

// How many of the policy's options are its own: those that all have come after them.
uint32_t OwnCount(const char* policy) {
  PolicyOptionInfo option;
  uint32_t count = 0;
  while (ListPolicyOptions(policy, count, &option)) ++count;
  return count - static_cast<uint32_t>(GeneralOptionRows().size());
}

void PrintHead() { std::printf("\n| option | default | range | meaning |\n|---|---|---|---|\n"); }

void Print(const PolicyOptionInfo& option) {
  std::printf("| `%s` | `%s` | `%s` | %s |\n", option.name, option.fallback, option.range, option.doc);
}

// The policy's own options, and those that all have where its defaults are others.
void PrintPolicy(const char* policy) {
  const uint32_t own = OwnCount(policy);
  const uint32_t usual = OwnCount(kAny);
  PolicyOptionInfo option;
  PolicyOptionInfo other;
  bool any = false;
  for (uint32_t i = 0; ListPolicyOptions(policy, i, &option); ++i) {
    if (i >= own && ListPolicyOptions(kAny, usual + i - own, &other) && !std::strcmp(option.fallback, other.fallback)) continue;
    if (!any) PrintHead();
    any = true;
    Print(option);
  }
}

}  // namespace

int main() {
  std::printf(
      "# Policies and their options\n\n"
      "Written by `tests/house/list_policies.cc` from the library's own table; a test compares the two. When to use which:\n"
      "[scaling.md](scaling.md#policies).\n\n"
      "`\"name,option=value,...\"`; a value with commas or blanks stands in quotes. `schedule` and `seasonal` take the options of the\n"
      "policy `with` as well.\n\n## Every policy\n\nWhere a policy has another default it is told there.\n");
  PrintHead();
  PolicyOptionInfo option;
  for (uint32_t i = OwnCount(kAny); ListPolicyOptions(kAny, i, &option); ++i) Print(option);
  const char* name;
  const char* doc;
  for (uint32_t i = 0; ListPolicies(i, &name, &doc); ++i) {
    std::printf("\n## %s\n\n%s\n", name, doc);
    PrintPolicy(name);
  }
  return 0;
}
