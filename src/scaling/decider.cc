#include "scaling/decider.h"

namespace workpool {

const char* ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kHold:
      return "hold";
    case Reason::kStarved:
      return "starved";
    case Reason::kExpired:
      return "expired";
    case Reason::kTrimmed:
      return "trimmed";
    case Reason::kPaced:
      return "paced";
    case Reason::kSearchDown:
      return "search-down";
    case Reason::kSearchUp:
      return "search-up";
    case Reason::kLetGo:
      return "relaxed";
    case Reason::kCompensated:
      return "compensated";
    case Reason::kLoad:
      return "load";
    case Reason::kCooldown:
      return "cooldown";
    case Reason::kManual:
      return "manual";
    case Reason::kSchedule:
      return "schedule";
    case Reason::kBudget:
      return "budget";
    case Reason::kBounds:
      return "bounds";
  }
  return "unknown";
}

}  // namespace workpool
