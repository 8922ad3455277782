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
  if (turn.since_due < kDueShare - 1) {
    ++turn.since_due;
    return top;
  }
  const auto due_ns = [&](uint32_t lane) { return lane == normal() ? DueNs(lane, turn.normal_since_ns) : DueNs(lane); };
  uint32_t due = 0;
  for (uint32_t lane = top + 1; lane < count(); ++lane) {
    if ((waits >> lane & 1) != 0 && due_ns(lane) <= now_ns) due |= 1u << lane;
  }
  if (due == 0) return top;
  // The one that has been due longest, but each once in a round: else one that is never empty would be it for ever.
  if ((due & ~turn.served) == 0) turn.served = 0;
  due &= ~turn.served;
  auto chosen = static_cast<uint32_t>(std::countr_zero(due));
  for (uint32_t lane = chosen + 1; lane < count(); ++lane) {
    if ((due >> lane & 1) != 0 && due_ns(lane) < due_ns(chosen)) chosen = lane;
  }
  turn.served |= 1u << chosen;
  turn.since_due = 0;
  return chosen;
}

}  // namespace workpool
