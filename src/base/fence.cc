#include "base/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace workpool {
namespace internal {

constinit Atomic<bool> g_membarrier{false};
constinit Atomic<unsigned> g_fence_word{0};

}  // namespace internal

namespace {

bool Membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

void InitFences() {
  // Registration outlives fork and is idempotent, so a second caller does no harm.
#if !defined(WORKPOOL_TSAN)  // which does not see what the barrier orders
  if (Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) internal::g_membarrier.store(true, kRelaxed);
#endif
}

void HeavyFence() {
  FullFence();
  if (!LightFenceIsFree() || Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return;
  // The registration may have been lost: the process was restored from an image.
  if (Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return;
  // A sandbox takes back what was granted. The other threads have left their fences out for this call, so going on would
  // lose tasks, now and then and silently.
  std::fprintf(stderr,
               "workpool: membarrier(2) worked before and is refused now (errno %d); a filter of system calls has to"
               " allow it, or to come before the first pool\n",
               errno);
  std::abort();
}

}  // namespace workpool
