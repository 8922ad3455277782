#include "dispatch/lanes.h"

#include <bit>

namespace workpool {

uint64_t Lanes::DueNs(uint32_t lane, uint64_t since_ns) const {
  const uint64_t aging_ns = aging_ns_.load(kRelaxed);
  if (since_ns == 0 || lane == 0 || aging_ns == kNever) return kNever;
  return aging_ns >= (kNever - since_ns) / lane ? kNever : since_ns + aging_ns * lane;
}

bool Lanes::LowIsDue(uint32_t waits, uint64_t now_ns) const {
  for (uint32_t lane = normal() + 1; lane < count(); ++lane) {
    if ((waits >> lane & 1) != 0 && DueNs(lane) <= now_ns) return true;
  }
  return false;
}

uint32_t Lanes::Choose(uint32_t waits, uint64_t now_ns, LaneTurn& turn) {
  if (waits == 0) return count();
  const auto top = static_cast<uint32_t>(std::countr_zero(waits));
  if (top >= normal() || (waits >> normal() & 1) == 0) {
    turn.normal_since_ns = 0;
  } else if (turn.normal_since_ns == 0) {
    turn.normal_since_ns = now_ns;
  }
  const auto since_ns = [&](uint32_t lane) {
    return lane == normal() ? turn.normal_since_ns : since_ns_[lane].load(kRelaxed);
  };
  uint32_t due = 0;
  uint32_t fresh = 0;  // whose first task has not had its turn
  for (uint32_t lane = top + 1; lane < count(); ++lane) {
    if ((waits >> lane & 1) == 0 || DueNs(lane, since_ns(lane)) > now_ns) continue;
    due |= 1u << lane;
    if (since_ns(lane) > turn.turn_ns[lane]) fresh |= 1u << lane;
  }
  if (fresh == 0 && turn.since_due < kDueShare - 1) {
    ++turn.since_due;
    return top;
  }
  if (due == 0) return top;
  if (fresh != 0) due = fresh;
  // The one that has been due longest, but each once in a round: else one that is never empty would be it for ever.
  if ((due & ~turn.served) == 0) turn.served = 0;
  due &= ~turn.served;
  auto chosen = static_cast<uint32_t>(std::countr_zero(due));
  for (uint32_t lane = chosen + 1; lane < count(); ++lane) {
    if ((due >> lane & 1) != 0 && DueNs(lane, since_ns(lane)) < DueNs(chosen, since_ns(chosen))) chosen = lane;
  }
  turn.served |= 1u << chosen;
  turn.since_due = 0;
  turn.turn_ns[chosen] = now_ns;
  return chosen;
}

}  // namespace workpool
