// Groups: waiting for a set of tasks, nesting, cancelling, the first failure.
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

class ScopedGroup {
 public:
  explicit ScopedGroup(pool_t pool) {
    Must(pool_group_create(pool, nullptr, &group_), "pool_group_create");
  }
  ~ScopedGroup() { Must(pool_group_release(group_), "pool_group_release"); }
  ScopedGroup(const ScopedGroup&) = delete;
  ScopedGroup& operator=(const ScopedGroup&) = delete;
  operator pool_group_t() const { return group_; }

 private:
  pool_group_t group_ = 0;
};

int32_t WaitFor(pool_group_t group) {
  int32_t first_code = 77;
  Must(pool_group_wait(group, kBoundNs, &first_code), "pool_group_wait");
  return first_code;
}

TEST_CASE("a group is waited for as one", "[groups]") {
  ScopedPool pool(2);
  ScopedGroup group(pool);
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 1'000; ++i) REQUIRE(pool_group_submit(group, CountRun, &runs) == POOL_OK);
  pool_task_t task = Task(CountRun, &runs);
  task.group = group;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(WaitFor(group) == 0);
  CHECK(runs == 1'001);
  // It may be filled and waited for again.
  REQUIRE(pool_group_submit(group, CountRun, &runs) == POOL_OK);
  CHECK(WaitFor(group) == 0);
  CHECK(runs == 1'002);
}

TEST_CASE("an empty group is waited for at once", "[groups]") {
  ScopedPool pool(1);
  ScopedGroup group(pool);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_OK);
  CHECK(pool_group_wait(group, POOL_FOREVER, nullptr) == POOL_OK);
}

TEST_CASE("a group waits only for its own members", "[groups]") {
  ScopedPool pool(2);
  ScopedGroup group(pool);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<uint64_t> runs{0};
  Must(pool_group_submit(group, CountRun, &runs), "submit");
  CHECK(WaitFor(group) == 0);
  CHECK(runs == 1);
  gate.Open();
}

TEST_CASE("the first failure's code is kept, also when others fail later", "[groups]") {
  ScopedPool pool(1);
  ScopedGroup group(pool);
  Tally fails[3];
  fails[0].code = 0;
  fails[1].code = -1111;
  fails[2].code = -2222;
  for (Tally& tally : fails) {
    Must(pool_group_submit(group, Tally::Run, &tally), "submit");
    REQUIRE(PollUntil([&] { return tally.runs == 1; }));
  }
  CHECK(WaitFor(group) == -1111);
}

TEST_CASE("members may add members", "[groups]") {
  struct Tree {
    pool_group_t group;
    std::atomic<uint64_t> runs{0};
    std::atomic<uint64_t> budget;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* tree = static_cast<Tree*>(arg);
      ++tree->runs;
      for (int child = 0; child < 2; ++child) {
        uint64_t left = tree->budget;
        while (left > 0 && !tree->budget.compare_exchange_weak(left, left - 1)) {
        }
        if (left > 0 && pool_group_submit(tree->group, Run, arg) != POOL_OK) return -1000;
      }
      return 0;
    }
  };
  ScopedPool pool(2);
  ScopedGroup group(pool);
  Tree tree{group, {0}, Rounds(100'000)};
  Must(pool_group_submit(group, Tree::Run, &tree), "submit");
  CHECK(WaitFor(group) == 0);
  CHECK(tree.runs == Rounds(100'000) + 1);
}

TEST_CASE("a cancelled group ends what has not started, asks the rest to stop, takes no more",
          "[groups]") {
  ScopedPool pool(1);
  ScopedGroup group(pool);
  std::atomic<bool> running{false}, asked{false};
  Body body([&](pool_ctx_t* ctx) {
    running = true;
    asked = PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; });
    return 0;
  });
  Must(pool_group_submit(group, Body::Run, &body), "submit");
  REQUIRE(PollUntil([&] { return running.load(); }));
  Tally queued, stranger;
  pool_task_t task = TallyTask(queued);
  task.group = group;
  for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  const pool_ticket_t other = Submit(pool, TallyTask(stranger));

  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(queued.dones == 5);
  CHECK(queued.drops == 5);
  CHECK(queued.drop_outcome == POOL_CANCELLED);
  CHECK(queued.done_code == POOL_E_CANCELLED);
  CHECK(pool_group_submit(group, DoNothing, nullptr) == POOL_E_CANCELLED);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CANCELLED);
  CHECK(WaitFor(group) == 0);  // to be cancelled is no failure
  CHECK(asked);
  CHECK(queued.runs == 0);
  CHECK(queued.drops == 5);
  CHECK(pool_wait(other, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(stranger.runs == 1);
  CHECK(pool_ticket_release(other) == POOL_OK);
}

TEST_CASE("a group cancel that races submits and starts loses and doubles nothing", "[groups]") {
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    Tally tally;
    ScopedPool pool(2);
    ScopedGroup group(pool);
    std::atomic<uint64_t> accepted{0}, bad{0};
    std::thread submitter([&] {
      pool_task_t task = TallyTask(tally);
      task.group = group;
      for (int i = 0; i < 100; ++i) {
        const pool_status_t status = pool_submit_task(pool, &task, nullptr);
        if (status == POOL_OK) ++accepted;
        if (status != POOL_OK && status != POOL_E_CANCELLED) ++bad;
      }
    });
    for (uint64_t spin = 0; spin < round * 10; ++spin) (void)pool_now_ns();
    REQUIRE(pool_group_cancel(group) == POOL_OK);
    submitter.join();
    WaitFor(group);
    REQUIRE(bad == 0);
    REQUIRE(tally.drops == accepted);
    REQUIRE(tally.dones == accepted);
    REQUIRE(tally.runs <= accepted);
    const pool_stats_t stats = Stats(pool);
    REQUIRE(stats.done == tally.runs);
    REQUIRE(stats.cancelled == accepted - tally.runs);
  }
}

TEST_CASE("waiting for a group from inside a member, or a fork of one, is a DEADLOCK", "[groups]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;  // so that the fork is run by the member's join
  ScopedPool pool(options);
  ScopedGroup group(pool);
  std::atomic<int32_t> direct{1}, forked{1};
  Body inner([&](pool_ctx_t*) {
    forked = pool_group_wait(group, POOL_FOREVER, nullptr);
    return 0;
  });
  Body member([&](pool_ctx_t* ctx) {
    direct = pool_group_wait(group, POOL_FOREVER, nullptr);
    pool_fork_t fork;
    pool_ctx_fork(ctx, &fork, Body::Run, &inner);
    return pool_ctx_join(ctx, &fork, nullptr);
  });
  Must(pool_group_submit(group, Body::Run, &member), "submit");
  CHECK(WaitFor(group) == 0);
  CHECK(direct == POOL_E_DEADLOCK);
  CHECK(forked == POOL_E_DEADLOCK);
}

TEST_CASE("waiting for a group from inside an inlined descendant of a member is a DEADLOCK",
          "[groups]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;  // so that the descendant is run by the member's own wait
  ScopedPool pool(options);
  ScopedGroup group(pool);
  std::atomic<int32_t> nested{1};
  Body inner([&](pool_ctx_t*) {
    nested = pool_group_wait(group, POOL_FOREVER, nullptr);
    return 0;
  });
  Body member([&](pool_ctx_t*) {
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &inner));
    const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
    pool_ticket_release(ticket);
    return status;
  });
  Must(pool_group_submit(group, Body::Run, &member), "submit");
  CHECK(WaitFor(group) == 0);
  CHECK(nested == POOL_E_DEADLOCK);
}

TEST_CASE("a group wait inside a task runs its members and no stranger", "[groups]") {
  pool_options_t options = Options(1);
  options.workers_limit = 1;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0}, strangers{0}, strangers_inside{99};
  Body outer([&](pool_ctx_t*) {
    ScopedGroup group(pool);
    for (int i = 0; i < 100; ++i) {
      if (pool_group_submit(group, CountRun, &runs) != POOL_OK) return -1000;
      Must(pool_submit(pool, CountRun, &strangers), "submit");
    }
    const int32_t code = WaitFor(group);
    strangers_inside = strangers.load();
    return code;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &outer));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == 0);
  CHECK(runs == 100);
  CHECK(strangers_inside == 0);
  REQUIRE(WaitIdle(pool));
  CHECK(strangers == 100);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

struct Nest {
  pool_t pool;
  uint64_t left;
  std::atomic<uint64_t>* deepest;

  static int32_t Run(void* arg, pool_ctx_t*) {
    const auto* nest = static_cast<Nest*>(arg);
    ++*nest->deepest;
    if (nest->left == 0) return -4242;
    Nest next{nest->pool, nest->left - 1, nest->deepest};
    pool_group_t group = 0;
    pool_status_t status = pool_group_create(nest->pool, nullptr, &group);
    if (status != POOL_OK) return status;
    status = pool_group_submit(group, Run, &next);
    int32_t code = 0;
    if (status == POOL_OK) status = pool_group_wait(group, POOL_FOREVER, &code);
    pool_group_release(group);
    return status != POOL_OK ? status : code;
  }
};

TEST_CASE("groups nest to depth 100000 with one worker", "[groups][serial]") {
  // 1 MiB of stack holds only part of it: the rest is carried by workers that stand in for those
  // that wait.
  const uint64_t depth = Rounds(100'000);
  pool_options_t options = Options(1);
  options.workers_limit = POOL_WORKERS_MAX;
  ScopedPool pool(options);
  std::atomic<uint64_t> deepest{0};
  Nest first{pool, depth, &deepest};
  const pool_ticket_t ticket = Submit(pool, Task(Nest::Run, &first));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, 0, 3 * kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == -4242);  // it came all the way up
  CHECK(deepest == depth + 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a group handle may be released while members are queued and running", "[groups]") {
  ScopedPool pool(1);
  Gate gate;
  std::atomic<uint64_t> runs{0};
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Must(pool_group_submit(group, PassGate, &gate), "submit");
  for (int i = 0; i < 10; ++i) Must(pool_group_submit(group, CountRun, &runs), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_E_BADHANDLE);
  CHECK(pool_group_submit(group, CountRun, &runs) == POOL_E_BADHANDLE);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 10);
}

TEST_CASE("a group of another pool is refused in submit_task", "[groups]") {
  ScopedPool first(1), second(1);
  ScopedGroup group(first);
  pool_task_t task = Task(DoNothing, nullptr);
  task.group = group;
  CHECK(pool_submit_task(second, &task, nullptr) == POOL_E_INVALID);
  CHECK(pool_submit_task(first, &task, nullptr) == POOL_OK);
  CHECK(WaitFor(group) == 0);
}

TEST_CASE("group options follow the struct rule", "[groups]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  pool_group_options_t options{sizeof(options), 0};
  CHECK(pool_group_create(pool, &options, &group) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  options.reserved = 1;
  CHECK(pool_group_create(pool, &options, &group) == POOL_E_INVALID);
  options = {3, 0};
  CHECK(pool_group_create(pool, &options, &group) == POOL_E_INVALID);
  struct Larger {
    pool_group_options_t known;
    uint64_t tail;
  } larger{{sizeof(Larger), 0}, 0};
  CHECK(pool_group_create(pool, &larger.known, &group) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  larger.tail = 1;
  CHECK(pool_group_create(pool, &larger.known, &group) == POOL_E_TOOBIG);
  CHECK(pool_group_create(pool, nullptr, nullptr) == POOL_E_INVALID);
}

TEST_CASE("many waiters, in tasks and outside, all leave a group", "[groups]") {
  for (uint64_t round = 0; round < Rounds(100); ++round) {
    ScopedPool pool(2);
    ScopedGroup group(pool);
    Gate gate;
    std::atomic<uint64_t> good{0};
    Must(pool_group_submit(group, PassGate, &gate), "submit");
    Body waiter([&](pool_ctx_t*) {
      if (pool_group_wait(group, kBoundNs, nullptr) == POOL_OK) ++good;
      return 0;
    });
    for (int i = 0; i < 3; ++i) Must(pool_submit(pool, Body::Run, &waiter), "submit");
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { Body::Run(&waiter, nullptr); });
    REQUIRE(gate.AwaitArrivals(1));
    gate.Open();
    for (auto& thread : threads) thread.join();
    REQUIRE(WaitIdle(pool));
    REQUIRE(good == 6);
  }
}

}  // namespace
}  // namespace workpool_test
