// Sleep on a word until it changes; the one home of the futex system call. Process-private.
#pragma once

#include <cstdint>

#include "base/atomic.h"

namespace workpool {

inline constexpr uint64_t kNever = UINT64_MAX;

enum class FutexResult { kWoken, kTimeout };

// Sleeps while word == expected, at most until deadline_ns on CLOCK_MONOTONIC. kWoken also for a spurious
// wake-up or a word that differs: the caller looks again. The kernel checks the word under its own lock
// against FutexWake, so a change followed by a wake is never missed.
[[nodiscard]] FutexResult FutexWait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns);

// Wakes at most count sleepers.
void FutexWake(Atomic<uint32_t>& word, int count);
inline void FutexWakeAll(Atomic<uint32_t>& word) { FutexWake(word, INT32_MAX); }

}  // namespace workpool
