#include "dispatch/lanes.h"

#include <bit>

namespace workpool {

uint64_t Lanes::DueNs(uint32_t lane) const {
  const uint64_t since_ns = since_ns_[lane].load(kRelaxed);
  if (since_ns == 0 || lane == 0 || aging_ns_ == kNever) return kNever;
  return aging_ns_ >= (kNever - since_ns) / lane ? kNever : since_ns + aging_ns_ * lane;
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
  // Ordinary tasks carry no time: they have waited since they were first passed over.
  if (top >= normal()) {
    Emptied(normal());
  } else if ((waits >> normal() & 1) != 0 && since_ns_[normal()].load(kRelaxed) == 0) {
    BeginsToWait(normal(), now_ns);
  }
  if (turn.since_due < kDueShare - 1) {
    ++turn.since_due;
    return top;
  }
  uint32_t chosen = top;
  uint64_t earliest_ns = kNever;
  for (uint32_t lane = top + 1; lane < count(); ++lane) {
    if ((waits >> lane & 1) == 0) continue;
    const uint64_t due_ns = DueNs(lane);
    if (due_ns > now_ns || due_ns >= earliest_ns) continue;
    earliest_ns = due_ns;
    chosen = lane;
  }
  if (chosen != top) turn.since_due = 0;
  return chosen;
}

}  // namespace workpool
