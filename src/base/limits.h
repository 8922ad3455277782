// The bounds of the library, each with its reason. Public ones repeat what workpool.h promises.
#pragma once

#include <cstddef>
#include <cstdint>

namespace workpool {

inline constexpr uint32_t kWorkersMax = 4096;
inline constexpr uint32_t kParticipantsMax = 2 * kWorkersMax;
inline constexpr uint64_t kQueueLimitDefault = uint64_t{1} << 20;
// Up to here the limit is exact: one shared counter; above it stripes hold credits (dispatch/queue_limit.h).
inline constexpr uint64_t kQueueLimitExactMax = 4096;
inline constexpr int64_t kKeepAliveDefaultNs = 1'000'000'000;
inline constexpr uint32_t kLanesDefault = 3;
inline constexpr uint64_t kAgingDefaultNs = 100'000'000;
inline constexpr uint64_t kCodelIntervalDefaultNs = 100'000'000;  // RFC 8289, 4.3
inline constexpr int64_t kStuckAfterMinNs = 1'000'000;
inline constexpr uint64_t kStackDefaultBytes = uint64_t{1} << 20;
inline constexpr uint64_t kStackMinBytes = uint64_t{1} << 16;
inline constexpr uint64_t kStackMaxBytes = uint64_t{1} << 30;
// Below this much stack a wait parks instead of running what it waits for.
inline constexpr size_t kStackReserveBytes = 64 * 1024;
inline constexpr size_t kNameMax = 63;
inline constexpr uint32_t kStructSizeMax = 64 * 1024;
// One batch: what a worker takes from an injection queue or a victim in one go. And ready tasks in a worker's own queue,
// 4 KiB: deeper than any recursion that still gains from stealing.
#if defined(WORKPOOL_MODEL)
inline constexpr uint32_t kBatchMax = 4;
inline constexpr size_t kDequeCapacity = 4;
#else
inline constexpr uint32_t kBatchMax = 64;
inline constexpr size_t kDequeCapacity = 256;
#endif
// A worker looks at the injection queues first every 61st task (a prime, so that no period of the
// program's own locks onto it), and at its own oldest the task after.
inline constexpr uint32_t kFairnessPeriod = 61;
// Whenever so many more entries in the queues stand for tasks that were run or cancelled elsewhere, the pool thinks of
// taking them out.
#if defined(WORKPOOL_MODEL)
inline constexpr int64_t kTombstonesStep = 1;
#else
inline constexpr int64_t kTombstonesStep = 1024;
#endif
// One plain task in 64 carries time stamps.
inline constexpr uint32_t kSamplePeriod = 64;

}  // namespace workpool
