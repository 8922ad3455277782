// A program that shuts itself into a sandbox which refuses membarrier(2). Before the first pool: the library fences by
// other means. After it: nothing could order memory any more, and the process ends with a text instead of losing tasks.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>

#include "child.h"

namespace workpool_test {
namespace {

void RefuseMembarrier() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  // All threads: also those that a pool has started.
  EXPECT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
  EXPECT(syscall(SYS_membarrier, 0, 0, 0) == -1);
}

void UsePools() {
  std::atomic<uint64_t> runs{0};
  uint64_t wanted = 0;
  for (uint32_t workers = 1; workers <= 4; ++workers) {
    ScopedPool pool(workers);
    for (int i = 0; i < 10'000; ++i, ++wanted) EXPECT(pool_submit(pool, CountRun, &runs) == POOL_OK);
    EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
    EXPECT(runs == wanted);
  }
}

TEST_CASE("pools work in a process that was never allowed to use membarrier", "[seccomp]") {
  const ChildEnd end = RunChild([] {
    RefuseMembarrier();
    UsePools();
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("a process that may not use membarrier any more ends with a text", "[seccomp]") {
  const ChildTold told = RunChildThatTells([] {
    UsePools();
    RefuseMembarrier();
    UsePools();
  });
  INFO(told.end << ": " << told.printed);
  CHECK(told.end.KilledBy(SIGABRT));
  CHECK(told.printed.find("membarrier") != std::string::npos);
}

}  // namespace
}  // namespace workpool_test
