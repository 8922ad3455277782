// G14: the CPU quota of the process's group changes while pools are at work. A child moves into a group of its own, whose
// quota the test sets; where no such group can be had (own_cgroup.h) the tests are left out, with the reason.
#include <catch2/catch.hpp>
#include <string>

#include "child.h"
#include "growth_support.h"
#include "own_cgroup.h"

namespace workpool_test {
namespace {

constexpr int kLeftOut = 98;

// What the pool is told of the quota may be a second old, and it looks once in a tick of at most 10 ms. The thread that
// looks shares the quota with the workers: it may have to stand still with them for a period of 100 ms, and to wait for a
// CPU in the next one.
constexpr uint64_t kFollowsNs = 1'000'000'000 + 10'000'000 + 2 * 100'000'000;

class QuotaGroup : public OwnCgroup {
 public:
  QuotaGroup() : OwnCgroup("cpu", "cpu.cfs_quota_us", "cpu.max") {}

  // In percent of a CPU. Periods are of 100 ms.
  [[nodiscard]] bool SetQuota(uint32_t percent) const {
    const std::string quota_us = std::to_string(percent * 1'000);
    return Set(file(), file() == "cpu.max" ? quota_us + " 100000" : quota_us);
  }
  // In a child, before it has any thread.
  void EnterWithTwoCpus() const {
    if (Cpus() < 2) LeaveOut("there is only one CPU");
    EXPECT(Enter());
    if (!SetQuota(200)) LeaveOut("the groups above have a smaller quota");
  }

 private:
  [[noreturn]] static void LeaveOut(const char* reason) {
    std::fprintf(stderr, "left out: %s\n", reason);
    _exit(kLeftOut);
  }
};

// Runs body in a child inside the group.
template <typename F>
void CheckInGroup(F body) {
  QuotaGroup group;
  if (!group.why_not().empty()) {
    WARN("left out: " << group.why_not());
    return;
  }
  const ChildEnd end = RunChild([&] {
    group.EnterWithTwoCpus();
    body(group);
  });
  INFO(end);
  if (!end.ExitedWith(kLeftOut)) CHECK(end.ExitedWith(0));
  CHECK(group.Remove());
}

// A policy in the shadow that changes nothing and remembers the CPUs that the pool sees. It takes no lock: whoever held it
// might stand still for a while, and a policy that takes long is taken away.
class CoresSeen {
 public:
  [[nodiscard]] pool_policy_t Policy() {
    pool_policy_t policy;
    Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
    policy.flags = POOL_POLICY_SHADOW;
    policy.user = this;
    policy.decide = [](void* user, const pool_load_t* load, double) {
      auto* self = static_cast<CoresSeen*>(user);
      if (load->cores != self->cores_) self->since_ns_ = load->now_ns;
      self->cores_ = load->cores;
      return load->target;
    };
    return policy;
  }

  // The time of the first load that told so many, if that is what it tells now.
  [[nodiscard]] uint64_t Since(double cores) const {
    return cores_ == cores ? since_ns_.load() : 0;
  }

 private:
  std::atomic<double> cores_{0};
  std::atomic<uint64_t> since_ns_{0};
};

// Tasks that compute for 1 ms each and come again, so many that some always wait, until it goes out of scope.
class EndlessWork {
 public:
  EndlessWork(pool_t pool, uint32_t tasks) : pool_(pool) {
    for (uint32_t i = 0; i < tasks; ++i) Must(pool_submit(pool_, Run, this), "submit");
  }
  ~EndlessWork() {
    over_ = true;
    Must(pool_wait_idle(pool_, kBoundNs), "wait_idle");
  }
  EndlessWork(const EndlessWork&) = delete;
  EndlessWork& operator=(const EndlessWork&) = delete;

  [[nodiscard]] uint32_t running() const { return crowd_.inside(); }

 private:
  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* self = static_cast<EndlessWork*>(arg);
    self->crowd_.Enter();
    Compute(kMs);
    self->crowd_.Leave();
    if (!self->over_) Must(pool_submit(self->pool_, Run, self), "submit again");
    return 0;
  }

  const pool_t pool_;
  std::atomic<bool> over_{false};
  Crowd crowd_;
};

// What the policy that holds has decided last.
uint32_t Target(pool_t pool) {
  uint32_t target = 0;
  for (const pool_decision_t& decision : Decisions(pool)) {
    if ((decision.flags & POOL_DECISION_SHADOW) == 0) target = decision.workers;
  }
  return target;
}

TEST_CASE("G14: a pool at work sees another quota of its group within a second and a look", "[quota][serial]") {
  CheckInGroup([](const QuotaGroup& group) {
    ScopedPool pool(Options());
    CoresSeen seen;
    const pool_policy_t policy = seen.Policy();
    EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
    const EndlessWork work(pool, 64);
    EXPECT(PollUntil([&] { return seen.Since(2) != 0; }));
    struct Step {
      uint32_t percent;
      double cores;  // at least 1, though half a one is all there is
    };
    for (const Step step : {Step{50, 1}, Step{150, 1.5}, Step{200, 2}}) {
      // From a quota that is neither this one nor the one before.
      const bool followed = OneIsInTime([&] {
        EXPECT(group.SetQuota(175));
        EXPECT(PollUntil([&] { return seen.Since(1.75) != 0; }));
        const uint64_t set_ns = pool_now_ns();
        EXPECT(group.SetQuota(step.percent));
        EXPECT(PollUntil([&] { return seen.Since(step.cores) != 0; }));
        return seen.Since(step.cores) - set_ns <= kFollowsNs;
      });
      EXPECT(followed);
    }
  });
}

TEST_CASE("G14: when a quota falls, workers that compute are parked, and when it rises two compute", "[quota][serial]") {
  CheckInGroup([](const QuotaGroup& group) {
    ScopedPool pool(Options());
    // Few enough for two CPUs to be let be, too many for one.
    EXPECT(pool_tune(pool, 5) == POOL_OK);
    const EndlessWork work(pool, 64);
    EXPECT(PollUntil([&] { return work.running() == 5; }));
    EXPECT(group.SetQuota(50));
    EXPECT(Target(pool) == 5);
    EXPECT(pool_tune(pool, 0) == POOL_OK);
    EXPECT(PollUntil([&] { return Target(pool) <= 3; }));
    EXPECT(group.SetQuota(200));
    EXPECT(PollUntil([&] { return work.running() >= 2; }));
  });
}

TEST_CASE("G14: with the policy cpu as many tasks run at once as the quota gives CPUs", "[quota][serial]") {
  CheckInGroup([](const QuotaGroup& group) {
    pool_options_t options = Options();
    options.policy = "cpu";
    ScopedPool pool(options);
    CoresSeen seen;
    const pool_policy_t policy = seen.Policy();
    EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
    const EndlessWork work(pool, 64);
    // Longer than some periods of the quota. A worker that other programs keep from its CPU for long may be stood in for.
    const auto at_most = [&](uint32_t tasks) {
      EXPECT(PollUntil([&] { return seen.Since(tasks) != 0 && work.running() <= tasks; }));
      return HoldsThroughout([&] { return work.running() <= tasks; }, std::chrono::milliseconds(500));
    };
    for (int round = 0; round < 2; ++round) {
      EXPECT(PollUntil([&] { return work.running() == 2; }));
      EXPECT(OneIsInTime([&] { return at_most(2); }));
      EXPECT(group.SetQuota(50));
      EXPECT(OneIsInTime([&] { return at_most(1); }));
      EXPECT(group.SetQuota(200));
    }
  });
}

}  // namespace
}  // namespace workpool_test
