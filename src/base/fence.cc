#include "base/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace workpool {
namespace internal {

constinit Atomic<bool> g_membarrier{false};
constinit Atomic<unsigned> g_fence_word{0};

}  // namespace internal

void InitFences() {
  // Registration outlives fork and is idempotent, so a second caller does no harm.
#if !defined(WORKPOOL_TSAN)  // which does not see what the barrier orders
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
    internal::g_membarrier.store(true, kRelaxed);
  }
#endif
}

void HeavyFence() {
  FullFence();
  if (LightFenceIsFree()) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

}  // namespace workpool
