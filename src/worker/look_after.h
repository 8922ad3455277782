// Somebody looks after what is queued: a worker, which is woken or started for it, or where there is none the timers, later.
// Threads: all, any thread; no lock held.
#pragma once

#include <cstdint>

namespace workpool {

struct Engine;

// Something was queued with that priority, and a full fence issued since: somebody lives who could take it, and looks.
void LookAfter(Engine& engine, int32_t priority);
// Workers look at all queues before their next task, and somebody is there who looks.
void LookAtQueues(Engine& engine);
// A worker could not be started, and while that was tried others relied on it: if tasks wait and all who live are blocked,
// the timers are to look after them, if they are started.
void LookAgainIfStranded(Engine& engine);

}  // namespace workpool
