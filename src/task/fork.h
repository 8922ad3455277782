// Fork: a child in its parent's stack frame, which the parent joins before it returns. It lies in the 64 bytes
// of a pool_fork_t. Whoever takes its slot from the deque, owner or thief, owns it; no claim is needed.
#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "task/entry.h"

namespace workpool {

struct Fork : Entry {
  enum State : uint32_t {
    kInline,   // was not queued: its join runs it
    kQueued,
    kAwaited,  // queued or running elsewhere, and the parent sleeps on it
    kOver,
  };

  RunFn run;
  void* arg;
  pool_ctx_t* parent;
  Atomic<uint32_t> state;
  int32_t code;  // valid when over
};
static_assert(sizeof(Fork) <= sizeof(pool_fork_t));

}  // namespace workpool
