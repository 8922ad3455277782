// Admission: the one place that decides what becomes of a submit for which there is no room.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "pool/pool.h"

namespace workpool {

// There was nothing to shed. That may be otherwise at once where all lie in one queue, or are shed without a choice.
inline bool Pool::MayHaveRoomInAMoment(const AdmissionPolicy& policy, bool lane_full) const {
  const bool empty = engine_.dispatcher.Size() == 0;
  return empty ? !engine_.own_queues : policy.on_full == POOL_ON_FULL_DROP_OLDEST && !lane_full;
}

template <typename Attempt, typename HasRoom>
Status Pool::Admit(const AdmissionPolicy& policy, uint64_t deadline_ns, int32_t priority, Attempt attempt,
                   HasRoom has_room) {
  // What a worker has just taken from the one queue of the pool counts until it starts, in a moment; and what another
  // submitter has room for is queued in a moment.
  constexpr uint64_t kMomentNs = 1'000'000;
  for (uint32_t moments = 0;;) {
    const uint32_t lane_tombstones = engine_.lane_tombstones.load(kRelaxed);
    const Status status = attempt();
    if (status != POOL_E_FULL) return status;
    const bool lane_full = engine_.dispatcher.LaneIsFull(priority);
    if (lane_full && engine_.PurgeLane(priority)) continue;
    switch (policy.on_full) {
      case POOL_ON_FULL_DROP_OLDEST:
      case POOL_ON_FULL_DROP_LOWEST:
        if (MakeRoom(policy, priority)) continue;
        if (moments < 8 && MayHaveRoomInAMoment(policy, lane_full)) {
          ++moments;
          (void)engine_.space_event.Await(NowNs() + kMomentNs, has_room);
          continue;
        }
        break;
      case POOL_ON_FULL_BLOCK: {
        const BlockedScope blocked(ForeignWorker());
        const bool room = engine_.space_event.Await(
            deadline_ns, [&] {
              return has_room() || engine_.idle.Load().has(Census::kRefuseOutside) ||
                     engine_.lane_tombstones.load(kRelaxed) != lane_tombstones;
            });
        if (room) continue;
        engine_.outside.rejected.Add();
        return FailConst(POOL_E_TIMEOUT, "the queue limit was reached for all of submit_timeout_ns");
      }
      default: break;
    }
    engine_.outside.rejected.Add();
    if (lane_full) {
      return FailAtLimit(POOL_E_FULL, "the lane of this priority is full; retry later, use ON_FULL_BLOCK or raise the limit",
                         "options.lane_limit", engine_.dispatcher.lane_limit());
    }
    return FailAtLimit(POOL_E_FULL, "the queue limit is reached; retry later, use ON_FULL_BLOCK or raise the limit",
                       "options.queue_limit", engine_.dispatcher.limit().limit());
  }
}

}  // namespace workpool
