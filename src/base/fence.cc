#include "base/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

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
  if (!LightFenceIsFree() || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
  // Only a sandbox takes back what was granted at registration. The other threads have left their fences out for this call,
  // so going on would lose tasks, now and then and silently.
  std::fputs("workpool: membarrier(2) worked before and is refused now; a filter of system calls has to allow it,"
             " or to come before the first pool\n",
             stderr);
  std::abort();
}

}  // namespace workpool
