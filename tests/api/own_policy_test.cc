// Policies of one's own, and in the shadow: how they are asked, and how one takes the place of
// another.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "policy_support.h"

namespace workpool_test {
namespace {

// The policy is asked again and again until done says so. False: it took too long.
template <typename Done>
bool AskUntil(pool_t pool, const Done& done) {
  return PollUntil([&] {
    Must(pool_set(pool, "workers_min", "0"), "set");
    return done();
  });
}

TEST_CASE(
    "a policy of one's own is asked on a thread of the library's, signal first, with figures that "
    "make sense",
    "[policy][own]") {
  struct Seen {
    std::thread::id main = std::this_thread::get_id();
    std::atomic<uint64_t> signals{0}, decides{0}, cooldowns{0}, wrong{0}, watched{0}, waited{0};
    uint64_t last_ns = 0;
    void Expect(bool right) {
      if (!right) ++wrong;
    }
  } seen;
  pool_policy_t policy = NewPolicy();
  policy.user = &seen;
  policy.tick_ns = kMs;
  policy.signal = [](void* user, const pool_load_t* load) {
    auto& s = *static_cast<Seen*>(user);
    ++s.signals;
    s.Expect(std::this_thread::get_id() != s.main);
    s.Expect(load->struct_size == sizeof(*load));
    s.Expect(load->cores >= 1 && load->cores <= Cpus());
    s.Expect(load->target >= 1 && load->target <= load->workers_max);
    s.Expect(load->workers_min == 1 && load->workers_max == 64);
    s.Expect(load->workers_idle <= load->workers_live && load->workers_live <= 64);
    s.Expect(load->workers_hung <= load->workers_live && load->workers_blocked == 0);
    s.Expect(load->now_ns > s.last_ns && load->now_ns <= pool_now_ns());
    s.Expect(s.last_ns == 0 || load->dt_ns <= load->now_ns - s.last_ns);
    s.Expect(load->wall_s > 1'600'000'000);
    // A task on its way from one queue to another may be counted twice, one for each worker.
    s.Expect(load->queued + load->started <= 20 + load->workers_live);
    s.Expect(load->arrived <= 20 + load->workers_live && load->ended <= load->started + 64);
    s.Expect(load->failed <= load->ended);
    s.Expect(load->queue_limit >= 1'000'000);
    s.Expect(load->runnable >= 0 && load->others >= 0 && load->service_s >= 0 &&
             load->wait_mean_s >= 0);
    if (load->dt_ns != 0) ++s.watched;
    if (load->queued > 0 && load->head_age_ns > 0) ++s.waited;
    s.last_ns = load->now_ns;
    return static_cast<double>(load->queued) + 0.25;
  };
  policy.decide = [](void* user, const pool_load_t* load, double signal) {
    auto& s = *static_cast<Seen*>(user);
    s.Expect(++s.decides == s.signals);
    s.Expect(signal == static_cast<double>(load->queued) + 0.25);
    return 7u;
  };
  policy.cooldown = [](void* user, const pool_load_t* load, uint32_t workers) {
    auto& s = *static_cast<Seen*>(user);
    ++s.cooldowns;
    s.Expect(workers == 7 && load->target != 7);  // it is not asked where nothing changes
    return 1;
  };
  pool_options_t options = Options(64);
  options.workers_min = 1;
  ScopedPool pool(options);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 7));
  Gate gate;
  SubmitToGate(pool, gate, 20);
  CHECK(gate.AwaitArrivals(7));
  CHECK(PollUntil([&] { return seen.watched > 5 && seen.waited > 5; }));
  CHECK(gate.arrivals() == 7);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  const pool_policy_t standard = NewPolicy();
  REQUIRE(pool_set_policy(pool, &standard) == POOL_OK);
  CHECK(seen.signals == seen.decides);
  if (Cpus() != 7) CHECK(seen.cooldowns >= 1);
  CHECK(seen.wrong == 0);
}

TEST_CASE("the number of a policy of one's own is followed, within the bounds", "[policy][own]") {
  std::atomic<uint32_t> wanted{4};
  OwnPolicy own([&](const pool_load_t&) { return wanted.load(); });
  pool_options_t options = Options(12);
  options.workers_min = 2;
  ScopedPool pool(options);
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 4));
  Gate gate;
  SubmitToGate(pool, gate, 40);
  for (const auto& [asked, given] : {std::pair{4u, 4u}, {9u, 9u}, {1'000'000u, 12u}}) {
    wanted = asked;
    CHECK(gate.AwaitArrivals(given));
    CHECK(HoldsThroughout([&, n = given] { return gate.arrivals() == n; }));
  }
  // Fewer, at task boundaries: one at least, and the minimum.
  for (const uint32_t asked : {3u, 0u}) {
    wanted = asked;
    REQUIRE(PollUntil([&] { return Decisions(pool).back().workers == std::max(asked, 2u); }));
  }
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CheckRunsExactly(pool, 2);
  for (const pool_decision_t& decision : Decisions(pool)) {
    CHECK((decision.reason == POOL_REASON_LOAD || decision.reason == POOL_REASON_BOUNDS));
  }
}

TEST_CASE(
    "a policy of one's own with KEEP keeps its workers, idle or not, and without it they expire",
    "[policy][own]") {
  std::atomic<uint32_t> wanted{5};
  OwnPolicy own([&](const pool_load_t&) { return wanted.load(); });
  pool_options_t options = Options();
  options.keep_alive_ns = 20 * kMs;
  ScopedPool pool(options);
  pool_policy_t policy = own.Policy(POOL_POLICY_KEEP);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  for (const uint32_t n : {5u, 8u, 2u}) {
    wanted = n;
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(AwaitLive(pool, n));
    CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == n; }));
  }
  wanted = 6;
  policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(AwaitLive(pool, 0));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CHECK(AwaitLive(pool, 0));
}

TEST_CASE("a cooldown that says no holds the number until it says yes", "[policy][own]") {
  struct Mine {
    const uint32_t wanted = Cpus() + 7;
    std::atomic<bool> may{false};
    std::atomic<uint64_t> refused{0};
  } mine;
  pool_policy_t policy = NewPolicy();
  policy.user = &mine;
  policy.tick_ns = kMs;
  policy.decide = [](void* user, const pool_load_t*, double signal) {
    return signal == 0 ? static_cast<Mine*>(user)->wanted : 1;  // it has no signal
  };
  policy.cooldown = [](void* user, const pool_load_t*, uint32_t) {
    auto& m = *static_cast<Mine*>(user);
    if (m.may) return 1;
    ++m.refused;
    return 0;
  };
  ScopedPool pool(Options());
  Gate gate;
  SubmitToGate(pool, gate, Cpus());
  REQUIRE(gate.AwaitArrivals(Cpus()));
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  const uint64_t last = LastNumber(pool);
  SubmitToGate(pool, gate, 30);
  REQUIRE(PollUntil([&] { return mine.refused > 20; }));
  CHECK(gate.arrivals() == Cpus());
  CHECK(Decisions(pool, last).empty());
  mine.may = true;
  CHECK(gate.AwaitArrivals(mine.wanted));
  CHECK(HighestTarget(pool, last) == mine.wanted);
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("no function of a policy runs once pool_set_policy has returned, whatever goes on",
          "[policy][own]") {
  struct Mine {
    std::atomic<bool> here{true};  // else its memory would be somebody else's
    std::atomic<uint64_t>* late;
    std::atomic<uint64_t>* calls;
    void Check() {
      ++*calls;
      if (!here) ++*late;
      SpinFor(std::chrono::microseconds(5));
      if (!here) ++*late;
    }
  };
  std::atomic<uint64_t> late{0}, calls{0}, runs{0}, submitted{0};
  std::vector<std::unique_ptr<Mine>> all;
  ScopedPool pool(Options());
  std::atomic<bool> stop{false};
  std::thread load([&] {
    while (!stop) {
      for (int i = 0; i < 100; ++i, ++submitted) Must(pool_submit(pool, CountRun, &runs), "submit");
      Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
    }
  });
  Mine* before[2] = {};
  for (uint64_t round = 0; round < Rounds(1'000); ++round) {
    const bool shadow = round % 4 == 3;
    all.push_back(std::make_unique<Mine>());
    Mine* mine = all.back().get();
    mine->late = &late;
    mine->calls = &calls;
    pool_policy_t policy = NewPolicy();
    policy.user = mine;
    policy.flags = shadow ? POOL_POLICY_SHADOW : round % 2 == 0 ? POOL_POLICY_KEEP : 0;
    policy.tick_ns = 1;
    policy.signal = [](void* user, const pool_load_t*) {
      static_cast<Mine*>(user)->Check();
      return 0.0;
    };
    policy.decide = [](void* user, const pool_load_t* sample, double) {
      static_cast<Mine*>(user)->Check();
      return 1 + static_cast<uint32_t>(sample->now_ns / 1'000 % 6);
    };
    policy.cooldown = [](void* user, const pool_load_t*, uint32_t) {
      static_cast<Mine*>(user)->Check();
      return 1;
    };
    Must(pool_set_policy(pool, &policy), "set_policy");
    if (before[shadow] != nullptr) before[shadow]->here = false;
    before[shadow] = mine;
    if (round % 3 == 0) {
      const uint64_t seen = calls;
      REQUIRE(PollUntil([&] { return calls > seen; }));
    }
  }
  for (const uint32_t flags : {0u, POOL_POLICY_SHADOW}) {
    const pool_policy_t policy = Named("auto", flags);
    Must(pool_set_policy(pool, &policy), "set_policy");
    before[flags != 0]->here = false;
  }
  stop = true;
  load.join();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == submitted);
  CHECK(calls > 0);
  CHECK(late == 0);
}

TEST_CASE("a policy of one's own is not asked any more once its pool is gone", "[policy][own]") {
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    std::atomic<bool> here{true};
    std::atomic<uint64_t> late{0};
    OwnPolicy own([&](const pool_load_t& load) {
      if (!here) ++late;
      return 1 + static_cast<uint32_t>(load.now_ns / 1'000 % 4);
    });
    {
      ScopedPool pool(Options());
      pool_policy_t policy = own.Policy(POOL_POLICY_KEEP);
      policy.tick_ns = 1;
      Must(pool_set_policy(pool, &policy), "set_policy");
      for (int i = 0; i < 20; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
    }
    here = false;
    REQUIRE(late == 0);
  }
}

TEST_CASE("a policy may put another one in its own place", "[policy][own]") {
  ScopedPool pool(Options());
  std::atomic<int32_t> replaced{1};
  std::atomic<uint64_t> after{0};
  OwnPolicy own([&](const pool_load_t&) {
    if (replaced <= 0) ++after;
    const pool_policy_t next = Named("fixed,n=4");
    replaced = pool_set_policy(pool, &next);
    return 9u;  // nobody follows it any more, or not for long
  });
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(PollUntil([&] { return replaced != 1; }));
  CHECK(replaced == POOL_OK);
  REQUIRE(AwaitTarget(pool, 4));
  CHECK(AwaitLive(pool, 4));
  CheckRunsExactly(pool, 4);
  CHECK(own.calls == 1);
  CHECK(after == 0);
}

TEST_CASE("after a policy has put another one in its own place none of its functions is called",
          "[policy][own]") {
  struct Mine {
    pool_t pool = 0;
    char replaces = 's';  // which of them does
    std::atomic<uint64_t> signals{0}, decides{0}, cooldowns{0};
    void Called(char one, std::atomic<uint64_t>& calls) {
      ++calls;
      if (one != replaces) return;
      const pool_policy_t next = Named("fixed,n=4");
      Must(pool_set_policy(pool, &next), "set_policy");
    }
  };
  for (const char replaces : {'s', 'd', 'c'}) {
    ScopedPool pool(Options());
    Mine mine;
    mine.pool = pool;
    mine.replaces = replaces;
    pool_policy_t policy = NewPolicy();
    policy.user = &mine;
    policy.signal = [](void* user, const pool_load_t*) {
      auto& self = *static_cast<Mine*>(user);
      self.Called('s', self.signals);
      return 0.0;
    };
    policy.decide = [](void* user, const pool_load_t*, double) {
      auto& self = *static_cast<Mine*>(user);
      self.Called('d', self.decides);
      return 9u;
    };
    policy.cooldown = [](void* user, const pool_load_t*, uint32_t) {
      auto& self = *static_cast<Mine*>(user);
      self.Called('c', self.cooldowns);
      return 1;
    };
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    REQUIRE(AwaitTarget(pool, 4));
    CHECK(mine.signals == 1);
    CHECK(mine.decides == (replaces == 's' ? 0 : 1));
    CHECK(mine.cooldowns == (replaces == 'c' ? 1 : 0));
    CHECK(HighestTarget(pool, 0) <= std::max(4u, Cpus()));  // nobody follows it any more
  }
}

TEST_CASE(
    "policies that take turns by themselves, while others are set from outside, are each asked "
    "only in their time",
    "[policy][own]") {
  ScopedPool pool(Options());
  struct Player {
    Player* next = nullptr;
    pool_t pool = 0;
    std::atomic<uint64_t> turns{0};
    std::atomic<bool> over{false};
    pool_policy_t Policy() {
      pool_policy_t policy = NewPolicy();
      policy.user = this;
      policy.tick_ns = 1;
      policy.decide = [](void* user, const pool_load_t*, double) {
        auto* self = static_cast<Player*>(user);
        ++self->turns;
        const pool_policy_t after = self->next->Policy();
        if (!self->over) Must(pool_set_policy(self->pool, &after), "set_policy");
        return 3u;
      };
      return policy;
    }
  } a, b;
  a.next = &b;
  b.next = &a;
  a.pool = b.pool = pool;
  std::atomic<uint64_t> runs{0};
  uint64_t submitted = 0;
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    for (int i = 0; i < 20; ++i, ++submitted) Must(pool_submit(pool, CountRun, &runs), "submit");
    const pool_policy_t policy = round % 3 == 0   ? a.Policy()
                                 : round % 3 == 1 ? b.Policy()
                                                  : Named("auto");
    const uint64_t turns = a.turns + b.turns;
    Must(pool_set_policy(pool, &policy), "set_policy");
    CAPTURE(round, a.turns, b.turns, turns);
    if (round % 3 != 2) REQUIRE(PollUntil([&] { return a.turns + b.turns > turns + 3; }));
  }
  a.over = b.over = true;  // one that is in its turn may have set the other a moment later
  const pool_policy_t policy = Named("auto");
  Must(pool_set_policy(pool, &policy), "set_policy");
  Must(pool_set_policy(pool, &policy), "set_policy");
  const uint64_t turns = a.turns + b.turns;
  CHECK(HoldsThroughout([&] { return a.turns + b.turns == turns; }));
  REQUIRE(WaitIdle(pool));
  CHECK(runs == submitted);
}

TEST_CASE("a policy that is set while another one is being asked is asked itself",
          "[policy][own]") {
  for (uint64_t round = 0; round < Rounds(20); ++round) {
    ScopedPool pool(Options());
    OwnPolicy next([&](const pool_load_t&) { return 5u; });
    // At its first look, or at a later one: the last before it would sleep is the one after which
    // nobody looks.
    std::atomic<uint64_t> left{1 + round % 8};
    OwnPolicy own([&](const pool_load_t&) {
      if (--left > 0) return 3u;
      // The call may wait, so that time goes on without it on another thread; which finds nothing
      // to do here.
      const pool_policy_t aside = Named("auto", POOL_POLICY_SHADOW);
      Must(pool_set_policy(pool, &aside), "set_policy");
      SpinFor(std::chrono::microseconds(2'000));
      const pool_policy_t policy = next.Policy();
      Must(pool_set_policy(pool, &policy), "set_policy");
      SpinFor(std::chrono::microseconds(2'000));
      return 3u;
    });
    const pool_policy_t policy = own.Policy();
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    REQUIRE(PollUntil([&] {
      // It may sleep already; a change of the bounds makes it look once more.
      const uint64_t calls = own.calls;
      if (HoldsThroughout([&] { return left > 0 && own.calls == calls; },
                          std::chrono::milliseconds(20))) {
        Must(pool_set(pool, "workers_min", "0"), "set");
      }
      return left == 0;
    }));
    REQUIRE(PollUntil([&] { return next.calls > 0; }));
    REQUIRE(AwaitTarget(pool, 5));
  }
}

TEST_CASE("a policy may release the last reference to its pool", "[policy][own]") {
  static std::atomic<uint64_t> drops;
  drops = 0;
  const size_t threads = ThreadCount();
  pool_options_t options = Options();
  options.drop = [](void*, int32_t) { ++drops; };
  pool_t pool = 0;
  Must(pool_create(&options, &pool), "create");
  std::atomic<int32_t> released{1};
  OwnPolicy own([&](const pool_load_t&) {
    released = pool_release(pool);
    return 2u;
  });
  for (int i = 0; i < 100; ++i) Must(pool_submit(pool, DoNothing, nullptr), "submit");
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(PollUntil([&] { return released != 1 && drops == 100; }));
  CHECK(released == POOL_OK);
  CHECK(AwaitThreadCount(threads));
  CHECK(own.calls == 1);
}

TEST_CASE("a policy that takes too long is gone, auto takes its place, and the log tells",
          "[policy][own]") {
  Log log;
  OwnPolicy own([&](const pool_load_t&) {
    SleepNs(30 * kMs);
    return 1u;
  });
  pool_options_t options = Options();
  log.Attach(&options, POOL_LOG_WARN);
  {
    ScopedPool pool(options);
    const pool_policy_t policy = own.Policy();
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    CHECK(AskUntil(pool, [&] { return log.Has("auto takes its place"); }));
    CHECK(own.calls == 3);
    GrowTo(pool, 30);
    CHECK(own.calls == 3);
  }
  CHECK(log.Has("took longer than 10 ms"));
}

TEST_CASE("a policy that takes too long now and then, but not three times in a row, stays",
          "[policy][own]") {
  Log log;
  OwnPolicy* self = nullptr;
  OwnPolicy own([&](const pool_load_t&) {
    if (self->calls % 3 != 0) SleepNs(15 * kMs);
    return 1u;
  });
  self = &own;
  pool_options_t options = Options();
  log.Attach(&options, POOL_LOG_WARN);
  ScopedPool pool(options);
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(AskUntil(pool, [&] { return own.calls >= 12; }));
  CHECK_FALSE(log.Has("took longer"));
}

TEST_CASE("call_max_ns is the time that a policy may take", "[policy][own]") {
  Log log;
  OwnPolicy own([&](const pool_load_t&) {
    SleepNs(20 * kMs);
    return 1u;
  });
  pool_options_t options = Options();
  log.Attach(&options, POOL_LOG_WARN);
  ScopedPool pool(options);
  pool_policy_t policy = own.Policy();
  policy.call_max_ns = kBoundNs;
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(AskUntil(pool, [&] { return own.calls >= 6; }));
  CHECK_FALSE(log.Has("took longer"));
  policy.call_max_ns = 1;
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  CHECK(AskUntil(pool, [&] { return log.Has("took longer than 1e-06 ms"); }));
}

TEST_CASE("a policy in the shadow that takes too long is gone, and the one that holds stays",
          "[policy][own][shadow]") {
  Log log;
  OwnPolicy slow([&](const pool_load_t&) {
    SleepNs(30 * kMs);
    return 1u;
  });
  OwnPolicy own([&](const pool_load_t&) { return 6u; });
  pool_options_t options = Options();
  log.Attach(&options, POOL_LOG_WARN);
  ScopedPool pool(options);
  pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  policy = slow.Policy(POOL_POLICY_SHADOW);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 6));
  CheckRunsExactly(pool, 6);
  CHECK(AskUntil(pool, [&] { return log.Has("it is gone"); }));
  const uint64_t calls = own.calls;
  CheckRunsExactly(pool, 6);
  CHECK(own.calls > calls);
  CHECK(slow.calls == 3);
}

TEST_CASE("a policy that ends its thread does not stop the pool, nor the policy", "[policy][own]") {
  std::atomic<int> exits{5};
  OwnPolicy own([&](const pool_load_t&) {
    if (exits.fetch_sub(1) > 0) pthread_exit(nullptr);
    return 7u;
  });
  ScopedPool pool(Options());
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, 7);
  CHECK(gate.AwaitArrivals(7));
  CHECK(own.calls >= 6);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  // What else the thread does goes on too.
  std::atomic<uint64_t> runs{0};
  pool_task_t task = Task(CountRun, &runs);
  task.delay_ns = kMs;
  const pool_ticket_t ticket = Submit(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("what a policy throws is nobody's: the number stays, and the next call is made",
          "[policy][own]") {
  std::atomic<int> throws{5};
  OwnPolicy own([&](const pool_load_t&) -> uint32_t {
    if (throws.fetch_sub(1) > 0) throw std::runtime_error("no idea");
    return 7u;
  });
  ScopedPool pool(Options());
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, 7);
  CHECK(gate.AwaitArrivals(7));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("a policy in the shadow is listed, and changes nothing", "[policy][shadow]") {
  OwnPolicy own([&](const pool_load_t&) { return 6u; });
  std::atomic<uint64_t> wrong{0};
  OwnPolicy aside([&](const pool_load_t& load) {
    if (load.target == 0 || (load.target != 6 && load.target != Cpus() && load.target < 40))
      ++wrong;  // its own
    return load.queued > 0 ? 50u : 40u;
  });
  ScopedPool pool(Options());
  pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  policy = aside.Policy(POOL_POLICY_SHADOW | POOL_POLICY_KEEP);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AwaitTarget(pool, 6));
  CheckRunsExactly(pool, 6);
  CHECK(PollUntil([&] { return aside.calls > 3; }));
  uint32_t shadows = 0, target = 0, shadow_target = 0;
  for (const pool_decision_t& decision : Decisions(pool)) {
    CAPTURE(decision.number, decision.flags, decision.workers_before, decision.workers);
    const bool shadow = (decision.flags & POOL_DECISION_SHADOW) != 0;
    shadows += shadow ? 1 : 0;
    uint32_t& its = shadow ? shadow_target : target;
    if (its != 0) CHECK(decision.workers_before == its);
    its = decision.workers;
    if (shadow) {
      CHECK((decision.workers == 40 || decision.workers == 50));
    } else {
      CHECK(decision.workers <= 6);
    }
  }
  CHECK(shadows > 0);
  CHECK(wrong == 0);
  CHECK(Stats(pool).workers_live <= 6);
}

TEST_CASE("a cooldown of one's own holds a policy by name too", "[policy][own]") {
  struct Mine {
    std::atomic<bool> may{false};
    std::atomic<uint64_t> refused{0};
  } mine;
  pool_policy_t policy = Named("busy-share");
  policy.user = &mine;
  policy.tick_ns = kMs;
  policy.cooldown = [](void* user, const pool_load_t*, uint32_t) {
    auto& m = *static_cast<Mine*>(user);
    if (m.may) return 1;
    ++m.refused;
    return 0;
  };
  ScopedPool pool(Options());
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, Cpus() + 20);
  REQUIRE(PollUntil([&] { return mine.refused > 20; }));
  CHECK(gate.arrivals() == Cpus());
  mine.may = true;
  CHECK(gate.AwaitArrivals(Cpus() + 20));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

TEST_CASE("a signal of one's own leads a policy by name, and is listed", "[policy][own]") {
  std::atomic<uint32_t> load{200};  // per cent
  pool_policy_t policy = Named("ewma,signal=own,alpha=1,cooldown=0ms");
  policy.user = &load;
  policy.tick_ns = kMs;
  policy.signal = [](void* user, const pool_load_t*) {
    return static_cast<std::atomic<uint32_t>*>(user)->load() / 100.0;
  };
  ScopedPool pool(Options(40));
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, 60);
  // Twice too much for each worker, until there is room for no more.
  CHECK(gate.AwaitArrivals(40));
  const std::vector<pool_decision_t> decisions = Decisions(pool);
  REQUIRE_FALSE(decisions.empty());
  CHECK(decisions.back().signal == 2);
  load = 100;
  gate.Open();
  REQUIRE(WaitIdle(pool));
  for (const char* without : {"ewma,signal=own", "schedule,at='00:00=1',with=ewma,signal=own"}) {
    policy = Named(without);
    CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
    CHECK(LastErrorText().find("policy.signal") != std::string::npos);
    pool_options_t options = Options();
    options.policy = without;
    pool_t none = 0;
    CHECK(pool_create(&options, &none) == POOL_E_INVALID);
  }
}

TEST_CASE("one in the shadow is asked beside a policy that is not, and can be taken away",
          "[policy][shadow]") {
  OwnPolicy aside([&](const pool_load_t&) { return 50u; });
  ScopedPool pool(Options());
  const pool_policy_t none = Named("none", POOL_POLICY_SHADOW);
  REQUIRE(pool_set_policy(pool, &none) == POOL_OK);  // nobody is there
  pool_policy_t policy = Named("fixed,n=2");
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  policy = aside.Policy(POOL_POLICY_SHADOW);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  Gate gate;
  SubmitToGate(pool, gate, 9);
  CHECK(PollUntil([&] { return aside.calls > 20; }));
  CHECK(gate.arrivals() == 2);
  REQUIRE(pool_set_policy(pool, &none) == POOL_OK);
  const uint64_t calls = aside.calls;
  CHECK(HoldsThroughout([&] { return aside.calls == calls; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  policy = Named("none");
  CHECK(pool_set_policy(pool, &policy) == POOL_E_INVALID);
}

TEST_CASE("a policy that is set while a slow one is about to be replaced for its slowness stays",
          "[policy][own]") {
  ScopedPool pool(Options());
  std::atomic<uint64_t> calls{0};
  std::atomic<bool> hold{true};
  OwnPolicy slow([&](const pool_load_t&) {
    SleepNs(15 * kMs);
    if (++calls == 3) (void)PollUntil([&] { return !hold; });
    return 1u;
  });
  pool_policy_t policy = slow.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(AskUntil(pool, [&] { return calls == 3; }));
  std::thread setter([&] {
    const pool_policy_t next = Named("fixed,n=4");
    Must(pool_set_policy(pool, &next), "set_policy");
  });
  SleepNs(20 * kMs);  // it waits for the slow one by now
  hold = false;
  setter.join();
  CHECK(AwaitLive(pool, 4));
  CheckRunsExactly(pool, 4);
}

TEST_CASE("a policy that makes calls which may wait is not asked for ever because of them",
          "[policy][own]") {
  ScopedPool pool(Options()), other(Options());
  OwnPolicy own([&](const pool_load_t&) {
    const pool_policy_t policy = Named("auto");
    Must(pool_set_policy(other, &policy), "set_policy");
    return 2u;
  });
  const pool_policy_t policy = own.Policy();
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(PollUntil([&] { return own.calls > 0; }));
  REQUIRE(PollUntil([&] {
    const uint64_t calls = own.calls;
    return HoldsThroughout([&] { return own.calls == calls; });
  }));
}

TEST_CASE("a policy sees runs that fail as failed, also when they are tried again, but not those that ask for it",
          "[policy][own]") {
  for (const int32_t code : {7, POOL_RETRY}) {
    std::atomic<uint64_t> failed{0}, ended{0};
    OwnPolicy own([&](const pool_load_t& load) {
      failed += load.failed;
      ended += load.ended;
      return 2u;
    });
    ScopedPool pool(Options());
    const pool_policy_t policy = own.Policy();
    REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
    struct Mine {
      int32_t code;
      std::atomic<uint64_t> runs{0};
    } mine;
    mine.code = code;
    // Three runs each that are followed by another one; the last is done. So many that it looks at most of them.
    pool_task_t task = Task(
        [](void* arg, pool_ctx_t* ctx) -> int32_t {
          auto& self = *static_cast<Mine*>(arg);
          ++self.runs;
          SpinFor(std::chrono::microseconds(50));
          return pool_ctx_attempt(ctx) < 4 ? self.code : 0;
        },
        &mine);
    task.retries_max = 3;
    task.retry_on = POOL_RETRY_ON_FAILURE;
    task.backoff_first_ns = 1;
    task.backoff_max_ns = 1;
    for (int i = 0; i < 1'000; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
    CAPTURE(code, failed, ended, mine.runs);
    CHECK(mine.runs == 4'000);
    CHECK(ended <= mine.runs);
    CHECK(ended > 1'000);
    if (code == POOL_RETRY) {
      CHECK(failed == 0);
    } else {
      CHECK(failed <= 3'000);
      CHECK(failed > ended / 2);
    }
  }
}

TEST_CASE("a tick below the shortest counts as that", "[policy]") {
  ScopedPool pool(Options());
  pool_policy_t policy = Named("auto");
  policy.tick_ns = 50'000;
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  GrowTo(pool, Cpus() + 20);
}

TEST_CASE("a named policy can be in the shadow too", "[policy][shadow]") {
  ScopedPool pool(Options());
  const pool_policy_t policy = Named("fixed,n=33", POOL_POLICY_SHADOW);
  REQUIRE(pool_set_policy(pool, &policy) == POOL_OK);
  REQUIRE(PollUntil([&] { return !Decisions(pool).empty(); }));
  const pool_decision_t decision = Decisions(pool)[0];
  CHECK(decision.flags == POOL_DECISION_SHADOW);
  CHECK(decision.workers == 33);
  CHECK(decision.workers_before == Cpus());  // as that of the one that holds
  CHECK(Stats(pool).workers_live == 0);
}

}  // namespace
}  // namespace workpool_test
