// G14: the maximum of workers where the user gives none, under limits on threads: half of what they leave.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <string>

#include "child.h"
#include "growth_support.h"
#include "own_cgroup.h"

namespace workpool_test {
namespace {

constexpr int kLeftOut = 98;

// The workers_max that a policy of a default pool is told.
uint32_t MaxOfDefaultPool() {
  std::atomic<uint32_t> max{0};
  ScopedPool pool(Options());
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  policy.flags = POOL_POLICY_SHADOW;
  policy.user = &max;
  policy.decide = [](void* user, const pool_load_t* load, double) {
    *static_cast<std::atomic<uint32_t>*>(user) = load->workers_max;
    return load->target;
  };
  const pool_status_t status = pool_set_policy(pool, &policy);
  if (status == POOL_E_THREAD && geteuid() != 0) {
    std::fprintf(stderr, "left out: other programs of this user have used up the limit\n");
    _exit(kLeftOut);
  }
  EXPECT(status == POOL_OK);
  EXPECT(PollUntil([&] { return max != 0; }));
  return max;
}

// More tasks block than there may be workers, and just so many are started.
void ExpectMost(uint32_t workers) {
  ScopedPool pool(Options());
  Gate gate;
  SubmitToGate(pool, gate, 2 * workers);
  EXPECT(gate.AwaitArrivals(workers));
  EXPECT(HoldsThroughout([&] { return gate.arrivals() == workers; }));
  EXPECT(Stats(pool).start_failures == 0);
  gate.Open();
  EXPECT(WaitIdle(pool));
}

TEST_CASE("G14: the automatic maximum is half of RLIMIT_NPROC", "[thread_limit][serial]") {
  const ChildEnd end = RunChild([] {
    // The superuser is not bound by it, but the pool keeps to it. Of another user's limit other programs take their part.
    const bool superuser = geteuid() == 0;
    rlimit limit;
    EXPECT(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, superuser ? 60 : 1'800);
    EXPECT(setrlimit(RLIMIT_NPROC, &limit) == 0);
    const auto half = static_cast<uint32_t>(limit.rlim_cur / 2);
    EXPECT(MaxOfDefaultPool() == half);
    if (superuser) ExpectMost(half);
  });
  INFO(end);
  if (!end.ExitedWith(kLeftOut)) CHECK(end.ExitedWith(0));
}

TEST_CASE("G14: the automatic maximum is half of what pids.max of the group leaves", "[thread_limit][serial]") {
  OwnCgroup group("pids", "pids.max", "pids.max");
  if (!group.why_not().empty()) {
    WARN("left out: " << group.why_not());
    return;
  }
  const ChildEnd end = RunChild([&] {
    EXPECT(group.Set("pids.max", "41"));
    EXPECT(group.Enter());
    EXPECT(group.Get("pids.current") == "1");
    g_cannot_look_for_leaks = true;  // that needs a thread of its own
    ExpectMost(20);
    // What the program itself starts still finds room.
    const ChildEnd inner = RunChild([] {});
    EXPECT(inner.ExitedWith(0));
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(group.Remove());
}

}  // namespace
}  // namespace workpool_test
