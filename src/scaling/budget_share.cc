#include "scaling/budget_share.h"

#include <algorithm>

namespace workpool {
namespace {

uint64_t WeightOf(const BudgetShare& member) { return std::max<uint32_t>(member.weight, 1); }

// What a member that wants something must get if that is possible.
uint32_t FloorOf(const BudgetShare& member) { return std::min(member.wanted, std::max<uint32_t>(member.floor, 1)); }

enum class Turn : uint8_t { kPromised, kWaits, kWorks };

Turn TurnOf(const BudgetShare& member) {
  if (member.held == 0) return Turn::kWaits;
  return member.up == 0 ? Turn::kPromised : Turn::kWorks;
}

// True: a has a better right to one of too few workers than b.
bool ComesBefore(const BudgetShare& a, const BudgetShare& b) {
  const Turn turn = TurnOf(a);
  if (turn != TurnOf(b)) return turn < TurnOf(b);
  if (a.since != b.since) return turn == Turn::kWorks ? a.since > b.since : a.since < b.since;
  return a.weight > b.weight;
}

void TakeTurns(uint32_t cap, std::span<BudgetShare> members) {
  for (uint32_t i = 0; i < cap; ++i) {
    BudgetShare* next = nullptr;
    for (BudgetShare& member : members) {
      if (member.wanted == 0 || member.granted != 0) continue;
      if (next == nullptr || ComesBefore(member, *next)) next = &member;
    }
    if (next == nullptr) return;
    next->granted = 1;
  }
}

// Each share is the same multiple of the weight, but not less than least and not more than most. Members whose bound
// lies on the wrong side of their share are settled at it, and the others share what is left. Those below their least
// and those above their most cannot be settled in one round: which of them stay there depends on which weigh more (the
// same is done for the lengths of boxes in CSS Flexible Box Layout, 9.7). Sums of products fit: cap and bounds have 32
// bits, weights 10, and there are at most 2^9 members.
void SettleBounds(uint64_t& rest, uint64_t& weights, std::span<BudgetShare> members) {
  for (;;) {
    uint64_t under = 0;
    uint64_t over = 0;
    for (const BudgetShare& member : members) {
      if (!member.open) continue;
      const uint64_t share = rest * WeightOf(member);
      if (share < member.least * weights) under += member.least * weights - share;
      if (share > member.most * weights) over += share - member.most * weights;
    }
    if (under == 0 && over == 0) return;
    const uint64_t all = rest;
    const uint64_t all_weights = weights;
    for (BudgetShare& member : members) {
      if (!member.open) continue;
      const uint64_t share = all * WeightOf(member);
      const uint32_t bound = under >= over ? member.least : member.most;
      if (under >= over ? share >= bound * all_weights : share <= bound * all_weights) continue;
      member.granted = bound;
      member.open = false;
      rest -= bound;
      weights -= WeightOf(member);
    }
  }
}

// The open ones share rest in the ratio of their weights.
void SettleByWeight(uint64_t rest, uint64_t weights, std::span<BudgetShare> members) {
  uint64_t left = rest;
  for (BudgetShare& member : members) {
    member.remainder = 0;
    if (!member.open) continue;
    const uint64_t share = rest * WeightOf(member);
    member.granted = static_cast<uint32_t>(share / weights);
    member.remainder = share % weights;
    left -= member.granted;
  }
  // The remainders make up left, so there are enough.
  for (; left > 0; --left) {
    BudgetShare* next = nullptr;
    for (BudgetShare& member : members) {
      if (member.remainder > (next == nullptr ? 0 : next->remainder)) next = &member;
    }
    if (next == nullptr) return;
    ++next->granted;
    next->remainder = 0;
  }
}

}  // namespace

void ShareOut(uint32_t cap, std::span<BudgetShare> members) {
  uint64_t wanted = 0;
  uint64_t floors = 0;
  uint64_t wanting = 0;
  uint64_t weights = 0;
  for (BudgetShare& member : members) {
    member.granted = 0;
    wanted += member.wanted;
    floors += FloorOf(member);
    wanting += member.wanted != 0 ? 1 : 0;
    weights += WeightOf(member);
  }
  if (cap == 0 || wanted <= cap) {
    for (BudgetShare& member : members) member.granted = member.wanted;
    return;
  }
  if (wanting > cap) {
    TakeTurns(cap, members);
    return;
  }
  const bool floors_fit = floors <= cap;
  for (BudgetShare& member : members) {
    member.least = floors_fit ? FloorOf(member) : std::min<uint32_t>(member.wanted, 1);
    member.most = floors_fit ? member.wanted : FloorOf(member);
    member.open = true;
  }
  uint64_t rest = cap;
  SettleBounds(rest, weights, members);
  SettleByWeight(rest, weights, members);
}

uint32_t MayHold(uint32_t cap, std::span<const BudgetShare> members, uint32_t index) {
  const BudgetShare& self = members[index];
  if (cap == 0 || self.granted <= self.held) return self.granted;
  // What the others hold, or are to have before it.
  uint64_t taken = 0;
  for (const BudgetShare& member : members) {
    if (&member == &self) continue;
    taken += member.held;
    const bool has_nothing = member.held == 0 && member.granted != 0;
    if (has_nothing && (self.held != 0 || ComesBefore(member, self))) ++taken;
  }
  const uint64_t room = cap - std::min<uint64_t>(cap, taken);
  return std::max(self.held, static_cast<uint32_t>(std::min<uint64_t>(self.granted, room)));
}

}  // namespace workpool
