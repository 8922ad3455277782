// How the members of a budget share its workers. Pure functions of plain values.
//
// ShareOut says what each is entitled to:
//   - A member gets what it wants, and no more: what it leaves is lent to the others, and comes back when it wants it.
//   - One that wants anything gets its floor, at least 1, as far as it wants so much. Floors that do not fit are scaled
//     down: 1 for each, and the rest by weight.
//   - Beyond that all get the same multiple of their weights. The floor is part of that, not on top of it.
//   - If there are fewer workers than members that want one, they take turns: those that wait come before those that
//     work, the longest wait first; and of those that work the one that has held longest makes room. One that has been
//     promised a worker and has not started it comes before all, or two could pass on the promise for ever.
// What results is whole workers, by largest remainder, equal ones in the order of the members.
//
// MayHold says how much of it a member may have now. What others still hold must come back first, so that the sum of
// what is held never grows beyond the cap. And what is free is kept for those that have nothing, the longest wait
// first.
#pragma once

#include <cstdint>
#include <span>

namespace workpool {

inline constexpr uint32_t kBudgetWeightMax = 1000;

struct BudgetShare {
  // ---- what is asked
  uint32_t floor = 0;
  uint32_t weight = 1;  // 0 counts as 1
  uint32_t wanted = 0;
  uint32_t up = 0;
  uint32_t held = 0;   // up or promised, at least up
  uint64_t since = 0;  // a number that rises: when it began to hold, or else to want
  // ---- the answer
  uint32_t granted = 0;
  // ---- in between
  bool open = false;  // its share is not settled yet
  uint32_t least = 0;
  uint32_t most = 0;
  uint64_t remainder = 0;
};

// Sets granted of all: together at most cap, and each at most what it wants. cap == 0: no cap.
void ShareOut(uint32_t cap, std::span<BudgetShare> members);

// How many of what it is granted the member may have up now, at most cap with what the others hold. It keeps what it
// holds of that. After ShareOut.
[[nodiscard]] uint32_t MayHold(uint32_t cap, std::span<const BudgetShare> members, uint32_t index);

}  // namespace workpool
