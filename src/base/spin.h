// One step of a bounded busy wait.
#pragma once

#if defined(WORKPOOL_MODEL)
#include "base/atomic.h"
#endif

namespace workpool {

#if defined(WORKPOOL_MODEL)
using model::SpinPause;
#else
inline void SpinPause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
  asm volatile("yield");
#endif
}
#endif

}  // namespace workpool
