// Admission: the one place that decides what becomes of a submit for which there is no room.
#pragma once

#include "base/error.h"
#include "pool/pool.h"

namespace workpool {

template <typename Attempt, typename HasRoom>
Status Pool::Admit(const AdmissionPolicy& policy, uint64_t deadline_ns, int32_t priority, Attempt attempt,
                   HasRoom has_room) {
  for (;;) {
    const Status status = attempt();
    if (status != POOL_E_FULL) return status;
    switch (policy.on_full) {
      case POOL_ON_FULL_DROP_OLDEST:
      case POOL_ON_FULL_DROP_LOWEST:
        if (MakeRoom(policy, priority)) continue;
        break;
      case POOL_ON_FULL_BLOCK: {
        const BlockedScope blocked(ForeignWorker());
        const bool room = engine_.space_event.Await(
            deadline_ns, [&] { return has_room() || engine_.idle.Load().has(Census::kRefuseOutside); });
        if (room) continue;
        engine_.outside.rejected.Add();
        return FailConst(POOL_E_TIMEOUT, "the queue limit was reached for all of submit_timeout_ns");
      }
      default: break;
    }
    engine_.outside.rejected.Add();
    return FailAtLimit(POOL_E_FULL, "the queue limit is reached; retry later, use ON_FULL_BLOCK or raise the limit",
                       "options.queue_limit", engine_.dispatcher.limit().limit());
  }
}

}  // namespace workpool
