// pool_close: what is refused, what still runs, what ends cancelled.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

// One worker that stands at a gate, so that whatever is submitted next stays queued.
struct HeldPool {
  Gate gate;
  ScopedPool pool{1};

  HeldPool() {
    Must(pool_submit(pool, PassGate, &gate), "submit");
    if (!gate.AwaitArrivals(1)) std::abort();
  }
};

TEST_CASE("after close outsiders are refused while stats and wait still work", "[close]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 100; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  const pool_ticket_t ticket = Submit(pool, Task(CountRun, &runs));
  REQUIRE(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(runs == 101);

  uint32_t accepted = 7;
  void* args[2] = {&runs, &runs};
  const pool_task_t task = Task(CountRun, &runs);
  pool_group_t group = 0;
  uint64_t hook = 0;
  const pool_hook_fn start = [](void*, pool_t, int32_t) {};
  CHECK(pool_submit(pool, CountRun, &runs) == POOL_E_CLOSED);
  CHECK(pool_submit_many(pool, CountRun, args, 2, &accepted) == POOL_E_CLOSED);
  CHECK(accepted == 0);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CLOSED);
  accepted = 7;
  CHECK(pool_submit_batch(pool, &task, sizeof(task), 1, nullptr, &accepted) == POOL_E_CLOSED);
  CHECK(accepted == 0);
  CHECK(pool_group_create(pool, nullptr, &group) == POOL_E_CLOSED);
  CHECK(pool_hook_add(pool, start, nullptr, nullptr, &hook) == POOL_E_CLOSED);
  CHECK(pool_tune(pool, 1) == POOL_E_CLOSED);
  CHECK(pool_pause(pool) == POOL_E_CLOSED);
  CHECK(pool_resume(pool) == POOL_E_CLOSED);

  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_wait_idle(pool, kBoundNs) == POOL_OK);
  CHECK(pool_close(pool, POOL_CANCEL_ALL, kBoundNs) == POOL_OK);
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.submitted == 101);
  CHECK(stats.done == 101);
  CHECK(runs == 101);
}

TEST_CASE("C2: a task may close its pool without waiting, not with waiting", "[close]") {
  ScopedPool pool(2);
  std::atomic<int32_t> forever{1}, bounded{1}, poll{1};
  std::atomic<bool> still_open{false};
  Body body([&](pool_ctx_t*) {
    forever = pool_close(pool, POOL_DRAIN, POOL_FOREVER);
    bounded = pool_close(pool, POOL_CANCEL_ALL, 1'000'000);
    still_open = pool_submit(pool, DoNothing, nullptr) == POOL_OK;
    poll = pool_close(pool, POOL_DRAIN, 0);
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(forever == POOL_E_DEADLOCK);
  CHECK(bounded == POOL_E_DEADLOCK);
  CHECK(still_open);
  CHECK(poll == POOL_E_TIMEOUT);  // its own task has not ended
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_CLOSED);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("close says TIMEOUT while tasks run, and a stronger mode may follow", "[close]") {
  ScopedPool pool(1);
  std::atomic<bool> running{false}, asked{false};
  Body body([&](pool_ctx_t* ctx) {
    running = true;
    asked = PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; });
    return 0;
  });
  Tally queued;
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(PollUntil([&] { return running.load(); }));
  const pool_ticket_t ticket = Submit(pool, TallyTask(queued));

  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  CHECK(pool_close(pool, POOL_DRAIN, 1'000'000) == POOL_E_TIMEOUT);
  CHECK(queued.drops == 0);
  CHECK(pool_close(pool, POOL_CANCEL_QUEUED, 0) == POOL_E_TIMEOUT);
  CHECK(queued.drops == 1);
  CHECK_FALSE(asked);
  CHECK(pool_close(pool, POOL_CANCEL_ALL, kBoundNs) == POOL_OK);
  CHECK(asked);
  CHECK(queued.runs == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("CANCEL_QUEUED ends what has not started as CANCELLED with code CLOSED", "[close]") {
  HeldPool held;
  Tally plain, group_member, with_ticket;
  const pool_task_t task = TallyTask(plain);
  for (int i = 0; i < 10; ++i) Must(pool_submit_task(held.pool, &task, nullptr), "submit");
  pool_group_t group = 0;
  REQUIRE(pool_group_create(held.pool, nullptr, &group) == POOL_OK);
  pool_task_t member = TallyTask(group_member);
  member.group = group;
  Must(pool_submit_task(held.pool, &member, nullptr), "submit");
  const pool_ticket_t ticket = Submit(held.pool, TallyTask(with_ticket));

  CHECK(pool_close(held.pool, POOL_CANCEL_QUEUED, 0) == POOL_E_TIMEOUT);
  CHECK(plain.drops == 10);
  CHECK(plain.dones == 10);
  CHECK(plain.drop_outcome == POOL_CANCELLED);
  CHECK(plain.done_outcome == POOL_CANCELLED);
  CHECK(plain.done_code == POOL_E_CLOSED);
  int32_t first_code = 77;
  CHECK(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
  CHECK(first_code == 0);  // to be cancelled is no failure
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.code == POOL_E_CLOSED);
  CHECK(result.attempts == 0);

  held.gate.Open();
  CHECK(pool_close(held.pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  const pool_stats_t stats = Stats(held.pool);
  CHECK(stats.cancelled == 12);
  CHECK(stats.ended_unrun == 12);
  CHECK(stats.done == 1);
  CHECK(plain.runs + group_member.runs + with_ticket.runs == 0);
  CHECK(group_member.drops == 1);
  CHECK(with_ticket.drops == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

// Wherever they wait: in the queue of an order, in a lane, for their time, behind a key.
TEST_CASE("what waits is cancelled at once, though no worker is free: by a close, a release, and in a task", "[close]") {
  enum class End { kClose, kRelease };
  const auto end_it = [](pool_t pool, End end) {
    return end == End::kRelease ? pool_release(pool) : pool_close(pool, POOL_CANCEL_QUEUED, 0);
  };
  for (const int32_t strategy :
       {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_PRIORITY}) {
    for (const End end : {End::kClose, End::kRelease}) {
      for (const bool in_task : {false, true}) {
        CAPTURE(strategy, in_task);
        const bool releases = end == End::kRelease;
        CAPTURE(releases);
        const bool ordered = strategy == POOL_STRATEGY_FIFO || strategy == POOL_STRATEGY_LIFO;
        pool_options_t options = Options(1);
        options.strategy = strategy;
        ScopedPool pool(options);
        Gate gate, over;
        struct Holder {
          std::function<void()> run;
          std::atomic<bool> gone{false};
        } holder;
        pool_status_t status = POOL_E_INTERNAL;
        holder.run = [&] {
          gate.Pass();
          if (in_task) status = end_it(pool, end);
          over.Pass();
        };
        pool_task_t holding = Task(
            [](void* arg, pool_ctx_t*) {
              static_cast<Holder*>(arg)->run();
              return int32_t{0};
            },
            &holder);
        holding.drop = [](void* arg, int32_t) { static_cast<Holder*>(arg)->gone = true; };
        Must(pool_submit_task(pool, &holding, nullptr), "submit");
        REQUIRE(gate.AwaitArrivals(1));
        Tally tallies[6];
        for (int32_t i = 0; i < 6; ++i) {
          pool_task_t task = TallyTask(tallies[i]);
          if (i < 3) task.priority = ordered ? 0 : i - 1;
          if (i == 3) task.delay_ns = 3'600'000'000'000;
          if (i >= 4) task.key = 9;
          Must(pool_submit_task(pool, &task, nullptr), "submit");
        }
        gate.Open();
        if (!in_task) {
          REQUIRE(over.AwaitArrivals(1));
          status = end_it(pool, end);
        }
        CHECK(PollUntil([&] {
          return std::all_of(std::begin(tallies), std::end(tallies), [](Tally& tally) { return tally.drops == 1; });
        }, kBoundNs / 4));
        for (Tally& tally : tallies) CHECK((tally.runs == 0 && tally.drop_outcome == POOL_CANCELLED));
        over.Open();
        CHECK(PollUntil([&] { return holder.gone.load(); }));
        if (releases) {
          (void)pool.GiveUp();
        } else {
          CheckSettled(pool);
        }
        CHECK((status == POOL_OK || status == POOL_E_TIMEOUT));
      }
    }
  }
}

TEST_CASE("CANCEL_QUEUED leaves running tasks alone, CANCEL_ALL asks them to stop", "[close]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    ScopedPool pool(1);
    Gate gate;
    std::atomic<int32_t> asked{-1};
    Body body([&](pool_ctx_t* ctx) {
      gate.Pass();
      asked = pool_ctx_should_stop(ctx);
      return 0;
    });
    Must(pool_submit(pool, Body::Run, &body), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
    gate.Open();
    CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
    CHECK(asked == (mode == POOL_CANCEL_ALL ? 1 : 0));
  }
}

// A chain of children, each submitted by the one before while the pool drains.
struct Chain {
  pool_t pool = 0;
  Gate gate;
  std::atomic<uint64_t> left{0}, runs{0};
  std::atomic<int32_t> refused{0};

  static int32_t First(void* arg, pool_ctx_t* ctx) {
    static_cast<Chain*>(arg)->gate.Pass();
    return Next(arg, ctx);
  }
  static int32_t Next(void* arg, pool_ctx_t* ctx) {
    auto* chain = static_cast<Chain*>(arg);
    ++chain->runs;
    if (chain->left == 0) return 0;
    --chain->left;
    const pool_status_t status = chain->left % 2 == 0 ? pool_ctx_submit(ctx, Next, arg)
                                                      : pool_submit(chain->pool, Next, arg);
    if (status != POOL_OK) chain->refused = status;
    return 0;
  }
};

TEST_CASE("C12: a draining pool runs the children that its tasks submit", "[close]") {
  Chain chain;
  ScopedPool pool(2);
  chain.pool = pool;
  chain.left = 10'000;
  Must(pool_submit(pool, Chain::First, &chain), "submit");
  REQUIRE(chain.gate.AwaitArrivals(1));
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_CLOSED);
  chain.gate.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(chain.refused == 0);
  CHECK(chain.runs == 10'001);
}

TEST_CASE("C12: a cancelling close refuses children with CLOSED", "[close]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    for (const uint64_t left : {1u, 2u}) {  // one way to submit a child each
      Chain chain;
      ScopedPool pool(2);
      chain.pool = pool;
      chain.left = left;
      Must(pool_submit(pool, Chain::First, &chain), "submit");
      REQUIRE(chain.gate.AwaitArrivals(1));
      CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
      chain.gate.Open();
      CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
      CHECK(chain.refused == POOL_E_CLOSED);
      CHECK(chain.runs == 1);
    }
  }
}

TEST_CASE("C12: destroy runs children submitted while it drains", "[close]") {
  Chain chain;
  ScopedPool pool(1);
  chain.pool = pool;
  chain.left = 1'000;
  Must(pool_submit(pool, Chain::First, &chain), "submit");
  chain.gate.Open();
  REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(chain.refused == 0);
  CHECK(chain.runs == 1'001);
}

TEST_CASE("forks, groups and loops still work inside a task of a draining pool", "[close]") {
  ScopedPool pool(2);
  Gate gate;
  std::atomic<uint64_t> runs{0}, bad{0};
  Body body([&](pool_ctx_t* ctx) {
    gate.Pass();
    pool_fork_t fork;
    if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
    pool_group_t group = 0;
    if (pool_group_create(pool, nullptr, &group) != POOL_OK) ++bad;
    if (pool_group_submit(group, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_group_wait(group, kBoundNs, nullptr) != POOL_OK) ++bad;
    if (pool_group_release(group) != POOL_OK) ++bad;
    const pool_range_fn range = [](void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
      *static_cast<std::atomic<uint64_t>*>(arg) += end - begin;
      return int32_t{0};
    };
    if (pool_parallel_for(pool, 0, 100, 10, 0, range, &runs, nullptr) != POOL_OK) ++bad;
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  gate.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(bad == 0);
  CHECK(runs == 102);
}

TEST_CASE("closing a paused pool resumes it", "[close]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  REQUIRE(pool_pause(pool) == POOL_OK);
  for (int i = 0; i < 50; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(runs == 50);
}

TEST_CASE("C4: a submit that races a close runs or is cancelled once, or is refused", "[close]") {
  constexpr int kThreads = 8, kEach = 200;
  for (uint64_t round = 0; round < Rounds(60); ++round) {
    const auto mode = static_cast<int32_t>(round % 3);
    auto tallies = std::make_unique<std::array<Tally, kThreads * kEach>>();
    std::array<std::atomic<int32_t>, kThreads * kEach> statuses{};
    ScopedPool pool(2);
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        ++ready;
        while (!go) std::this_thread::yield();
        for (int i = t * kEach; i < (t + 1) * kEach; ++i) {
          const pool_task_t task = TallyTask((*tallies)[i]);
          statuses[i] = pool_submit_task(pool, &task, nullptr);
        }
      });
    }
    REQUIRE(PollUntil([&] { return ready == kThreads; }));
    go = true;
    for (uint64_t spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    const pool_status_t closed = pool_close(pool, mode, kBoundNs);
    for (auto& thread : threads) thread.join();
    REQUIRE(closed == POOL_OK);
    uint64_t accepted = 0, ran = 0;
    for (int i = 0; i < kThreads * kEach; ++i) {
      const Tally& tally = (*tallies)[i];
      if (statuses[i] == POOL_OK) {
        ++accepted;
        ran += tally.runs;
        REQUIRE(tally.runs <= 1);
        REQUIRE(tally.dones == 1);
        REQUIRE(tally.drops == 1);
        REQUIRE(tally.drop_outcome == (tally.runs == 1 ? POOL_DONE : POOL_CANCELLED));
        if (mode == POOL_DRAIN) REQUIRE(tally.runs == 1);
      } else {
        REQUIRE(statuses[i] == POOL_E_CLOSED);
        REQUIRE(tally.runs + tally.dones + tally.drops == 0);
      }
    }
    const pool_stats_t stats = Stats(pool);
    REQUIRE(stats.submitted == accepted);
    REQUIRE(stats.done == ran);
    REQUIRE(stats.cancelled == accepted - ran);
    REQUIRE(stats.queued == 0);
  }
}

TEST_CASE("C4: a tune that races a destroy starts no worker that outlives it", "[close]") {
  const size_t threads = ThreadCount();
  std::atomic<bool> destroyed{false};
  std::atomic<uint64_t> late{0};
  struct User {
    std::atomic<bool>& destroyed;
    std::atomic<uint64_t>& late;
    static void Hook(void* user, pool_t, int32_t) {
      auto* self = static_cast<User*>(user);
      if (self->destroyed) ++self->late;
    }
  } user{destroyed, late};
  for (uint64_t round = 0; round < Rounds(600); ++round) {
    destroyed = false;
    const pool_t pool = ScopedPool(2).GiveUp();
    uint64_t id = 0;
    Must(pool_hook_add(pool, User::Hook, User::Hook, &user, &id), "hook_add");
    pool_status_t tuned = 1;
    std::thread tuner([&] { tuned = pool_tune(pool, round % 10 == 0 ? 200 : 8); });
    SpinFor(std::chrono::microseconds(round % 150));
    Must(pool_destroy(pool), "destroy");
    destroyed = true;
    tuner.join();
    REQUIRE((tuned == POOL_OK || tuned == POOL_E_CLOSED || tuned == POOL_E_BADHANDLE));
  }
  CHECK(late == 0);
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("C12: a task that runs inside an outsider's wait may submit while its pool drains", "[close]") {
  ScopedPool pool(1);
  Gate busy, draining;
  Must(pool_submit(pool, PassGate, &busy), "submit");
  REQUIRE(busy.AwaitArrivals(1));
  std::atomic<uint64_t> runs{0};
  Body parent([&](pool_ctx_t* ctx) {
    draining.Pass();
    return pool_ctx_submit(ctx, CountRun, &runs);
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &parent));
  pool_result_t result;
  std::thread helper(
      [&] { Must(pool_wait(ticket, POOL_WAIT_HELP, kBoundNs, &result, sizeof(result)), "wait"); });
  REQUIRE(draining.AwaitArrivals(1));
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  draining.Open();
  helper.join();
  CHECK(result.code == 0);
  busy.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("C4: a loop's body on a thread that is no worker is an outsider to a draining pool", "[close]") {
  ScopedPool pool(1);
  Gate busy;
  Must(pool_submit(pool, PassGate, &busy), "submit");
  REQUIRE(busy.AwaitArrivals(1));
  struct Attempt {
    pool_t pool;
    pool_status_t closed = 1, submitted = 1;
    static int32_t Run(void* arg, uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
      auto* self = static_cast<Attempt*>(arg);
      self->closed = pool_close(self->pool, POOL_DRAIN, 0);
      self->submitted = pool_submit(self->pool, DoNothing, nullptr);
      return 0;
    }
  } attempt{pool};
  CHECK(pool_parallel_for(pool, 0, 1, 1, 0, Attempt::Run, &attempt, nullptr) == POOL_OK);
  CHECK(attempt.closed == POOL_E_TIMEOUT);
  CHECK(attempt.submitted == POOL_E_CLOSED);
  busy.Open();
}

TEST_CASE("tickets and groups outlive their pool, settled", "[close]") {
  pool_group_t group = 0;
  pool_ticket_t ticket = 0;
  {
    ScopedPool pool(2);
    REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
    for (int i = 0; i < 10; ++i) Must(pool_group_submit(group, DoNothing, nullptr), "submit");
    Body body([](pool_ctx_t* ctx) {
      pool_ctx_set_value(ctx, 4711);
      return 0;
    });
    ticket = Submit(pool, Task(Body::Run, &body));
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  }
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, 0, &result, sizeof(result)) == POOL_OK);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.value == 4711);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CHECK(pool_ticket_release(ticket) == POOL_OK);

  CHECK(pool_group_wait(group, 0, nullptr) == POOL_OK);
  CHECK(pool_group_submit(group, DoNothing, nullptr) == POOL_E_CLOSED);
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_E_BADHANDLE);
}

TEST_CASE("a paused pool starts nothing until it is resumed, and accepts all the while",
          "[close][pause]") {
  ScopedPool pool(2);
  Gate gate;
  std::atomic<uint64_t> runs{0};
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(pool_pause(pool) == POOL_OK);
  REQUIRE(pool_pause(pool) == POOL_OK);
  for (int i = 0; i < 100; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  gate.Open();  // the running one goes on
  REQUIRE(PollUntil([&] { return Stats(pool).done == 1; }));
  CHECK(HoldsThroughout([&] { return runs == 0; }));
  CHECK(Stats(pool).queued == 100);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 100);
}

TEST_CASE("waits inside a task of a paused pool run what they wait for", "[close][pause]") {
  ScopedPool pool(1);
  std::atomic<uint64_t> runs{0}, bad{0};
  Gate gate;
  Body body([&](pool_ctx_t* ctx) {
    gate.Pass();
    const pool_task_t task = Task(CountRun, &runs);
    pool_ticket_t ticket = 0;
    if (pool_submit_task(pool, &task, &ticket) != POOL_OK) ++bad;
    if (pool_wait(ticket, 0, kBoundNs, nullptr, 0) != POOL_OK) ++bad;
    pool_ticket_release(ticket);
    pool_fork_t fork;
    pool_ctx_fork(ctx, &fork, CountRun, &runs);
    if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
    pool_group_t group = 0;
    if (pool_group_create(pool, nullptr, &group) != POOL_OK) ++bad;
    pool_group_submit(group, CountRun, &runs);
    if (pool_group_wait(group, kBoundNs, nullptr) != POOL_OK) ++bad;
    pool_group_release(group);
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(pool_pause(pool) == POOL_OK);
  gate.Open();
  CHECK(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(bad == 0);
  CHECK(runs == 3);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_resume(pool) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
