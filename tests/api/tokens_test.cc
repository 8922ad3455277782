// Tokens: one request to stop for many tasks, of any pools, wherever they wait.
#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;

class ScopedToken {
 public:
  explicit ScopedToken(pool_token_t parent = 0) {
    Must(pool_token_create(parent, &token_), "pool_token_create");
  }
  ~ScopedToken() {
    if (token_ != 0) Must(pool_token_release(token_), "pool_token_release");
  }
  ScopedToken(const ScopedToken&) = delete;
  ScopedToken& operator=(const ScopedToken&) = delete;
  operator pool_token_t() const { return token_; }
  pool_token_t handle() const { return token_; }
  pool_token_t GiveUp() { return std::exchange(token_, 0); }

 private:
  pool_token_t token_ = 0;
};

pool_task_t TokenTask(Tally& tally, pool_token_t token) {
  pool_task_t task = TallyTask(tally);
  task.token = token;
  return task;
}

pool_task_t TokenTask(Gate& gate, pool_token_t token = 0) {
  pool_task_t task = Task(PassGate, &gate);
  task.token = token;
  return task;
}

// Asks for another attempt each time, which is an hour away.
pool_task_t RetryingTask(Tally& tally, pool_token_t token) {
  pool_task_t task = TokenTask(tally, token);
  tally.code = POOL_RETRY;
  task.retries_max = 9;
  task.backoff_first_ns = task.backoff_max_ns = kHourNs;
  task.backoff_jitter = POOL_JITTER_NONE;
  return task;
}

// Its runs are over, and it waits for the next one.
bool AwaitBackoff(pool_t pool, Tally& tally, uint64_t runs) {
  return PollUntil([&] { return tally.runs == runs && Stats(pool).workers_busy == 0; });
}

void CheckCancelledOnce(const Tally& tally, int32_t code = POOL_E_CANCELLED) {
  CHECK(tally.dones == 1);
  CHECK(tally.drops == 1);
  CHECK(tally.done_before_drop);
  CHECK(tally.done_outcome == POOL_CANCELLED);
  CHECK(tally.drop_outcome == POOL_CANCELLED);
  CHECK(tally.done_code == code);
}

TEST_CASE("a token cancels at once its tasks of several pools, wherever they wait", "[tokens]") {
  ScopedPool paused(1), busy(1), timed(1);
  ScopedToken token;
  Tally queued, stranger, own_queue, behind_key, behind_class, delayed, retrying;

  REQUIRE(pool_pause(paused) == POOL_OK);
  Submit(paused, TokenTask(queued, token));
  Submit(paused, TallyTask(stranger));

  // The only worker of the second pool stands in a task of key 7 and class 3, which has put one more in its own queue.
  pool_class_options_t one_at_once;
  Must(pool_class_options_init(&one_at_once, sizeof(one_at_once)), "pool_class_options_init");
  one_at_once.concurrency_max = 1;
  Must(pool_class_set(busy, 3, &one_at_once), "pool_class_set");
  Gate gate;
  Body body([&](pool_ctx_t*) {
    Submit(busy, TokenTask(own_queue, token));
    gate.Pass();
    return 0;
  });
  pool_task_t first = Task(Body::Run, &body);
  first.key = 7;
  first.class_id = 3;
  Submit(busy, first);
  REQUIRE(gate.AwaitArrivals(1));
  pool_task_t task = TokenTask(behind_key, token);
  task.key = 7;
  Submit(busy, task);
  task = TokenTask(behind_class, token);
  task.class_id = 3;
  Submit(busy, task);

  task = TokenTask(delayed, token);
  task.delay_ns = kHourNs;
  Submit(timed, task);
  Submit(timed, RetryingTask(retrying, token));
  REQUIRE(AwaitBackoff(timed, retrying, 1));

  CHECK(pool_token_reason(token) == 0);
  CHECK(pool_token_cancel(token, 0) == POOL_OK);
  // Nobody else had to do anything for it.
  for (Tally* tally : {&queued, &own_queue, &behind_key, &behind_class, &delayed, &retrying}) {
    CheckCancelledOnce(*tally);
    CHECK(tally->runs == (tally == &retrying ? 1 : 0));
  }
  CHECK(stranger.dones == 0);
  gate.Open();
  REQUIRE(pool_resume(paused) == POOL_OK);
  CheckSettled(paused);
  CheckSettled(busy);
  CheckSettled(timed);
  CHECK(stranger.runs == 1);
  CHECK(Stats(busy).cancelled == 3);
  CHECK(Stats(timed).cancelled == 2);
}

TEST_CASE("running tasks, their forks and nobody else see that their token was cancelled", "[tokens]") {
  ScopedPool pool(3);
  ScopedToken token, other;
  Gate ready, open;
  std::atomic<int32_t> before{0}, seen{0}, seen_by_stranger{0};
  Body fork([&](pool_ctx_t* ctx) { return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? 0 : -1000; });
  Body body([&](pool_ctx_t* ctx) {
    before += pool_ctx_should_stop(ctx);
    ready.Pass();
    if (PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; })) ++seen;
    pool_fork_t mem;
    int32_t code = -1;
    pool_ctx_fork(ctx, &mem, Body::Run, &fork);
    pool_ctx_join(ctx, &mem, &code);
    if (code == 0) ++seen;
    return -1500;
  });
  Body stranger([&](pool_ctx_t* ctx) {
    ready.Pass();
    open.Pass();
    seen_by_stranger += pool_ctx_should_stop(ctx);
    return 0;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.token = token;
  const pool_ticket_t ticket = Submit(pool, task);
  task = Task(Body::Run, &stranger);
  Submit(pool, task);
  task.token = other;
  Submit(pool, task);
  REQUIRE(ready.AwaitArrivals(3));
  ready.Open();
  CHECK(pool_token_cancel(token, 0) == POOL_OK);
  const pool_result_t result = WaitForResult(ticket);
  open.Open();
  CHECK(before == 0);
  CHECK(seen == 2);
  CHECK(result.outcome == POOL_FAILED);  // how it ends is its own decision
  CHECK(result.code == -1500);
  CheckSettled(pool);
  CHECK(seen_by_stranger == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a cancelled token refuses new tasks, and nothing of them is called", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  REQUIRE(pool_token_cancel(token, -1234) == POOL_OK);
  Tally tally;
  pool_task_t tasks[3] = {TallyTask(tally), TokenTask(tally, token), TallyTask(tally)};
  pool_ticket_t ticket = 77;
  CHECK(pool_submit_task(pool, &tasks[1], &ticket) == POOL_E_CANCELLED);
  CHECK(ticket == 0);
  CHECK(LastErrorText().find("token") != std::string::npos);
  tasks[1].delay_ns = kHourNs;
  CHECK(pool_submit_task(pool, &tasks[1], nullptr) == POOL_E_CANCELLED);
  CHECK(tally.dones == 0);
  uint32_t accepted = 77;
  CHECK(pool_submit_batch(pool, tasks, sizeof(tasks[0]), 3, nullptr, &accepted) == POOL_E_CANCELLED);
  CHECK(accepted == 1);
  CheckSettled(pool);
  CHECK(Stats(pool).submitted == 1);
  CHECK(tally.runs == 1);
  CHECK(tally.drops == 1);
}

TEST_CASE("children and grandchildren are cancelled with their token; its parent and siblings are not", "[tokens]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedToken root, left(root.handle()), right(root.handle()), child(left.handle()),
      grandchild(child.handle());
  Tally of_root, of_left, of_right, of_child, of_grandchild;
  Submit(pool, TokenTask(of_root, root));
  Submit(pool, TokenTask(of_left, left));
  Submit(pool, TokenTask(of_right, right));
  Submit(pool, TokenTask(of_child, child));
  Submit(pool, TokenTask(of_grandchild, grandchild));

  CHECK(pool_token_cancel(left, -2000) == POOL_OK);
  for (Tally* tally : {&of_left, &of_child, &of_grandchild}) CheckCancelledOnce(*tally, -2000);
  for (pool_token_t token : {left.handle(), child.handle(), grandchild.handle()}) {
    CHECK(pool_token_reason(token) == -2000);
  }
  CHECK(pool_token_reason(root) == 0);
  CHECK(pool_token_reason(right) == 0);
  CHECK(of_root.dones == 0);
  CHECK(of_right.dones == 0);

  CHECK(pool_token_cancel(root, -3000) == POOL_OK);
  CheckCancelledOnce(of_root, -3000);
  CheckCancelledOnce(of_right, -3000);
  CHECK(pool_token_reason(left) == -2000);
  CHECK(pool_token_reason(grandchild) == -2000);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).started == 0);
}

TEST_CASE("a child made under a cancelled token is cancelled from the start, for the same reason", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken root;
  REQUIRE(pool_token_cancel(root, -1001) == POOL_OK);
  ScopedToken child(root.handle()), grandchild(child.handle());
  CHECK(pool_token_reason(child) == -1001);
  CHECK(pool_token_reason(grandchild) == -1001);
  Tally tally;
  const pool_task_t task = TokenTask(tally, grandchild);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CANCELLED);
  CheckSettled(pool);
}

TEST_CASE("the reason of a cancel is the caller's own code or the default, and the first one stays", "[tokens]") {
  ScopedToken token;
  for (int32_t bad : {1, INT32_MAX, -1, POOL_E_CLOSED, -999}) {
    INFO(bad);
    CHECK(pool_token_cancel(token, bad) == POOL_E_INVALID);
    CHECK(LastErrorText().find("reason") != std::string::npos);
    CHECK(pool_token_reason(token) == 0);
  }
  CHECK(pool_token_cancel(token, INT32_MIN) == POOL_OK);
  CHECK(pool_token_cancel(token, -1000) == POOL_OK);
  CHECK(pool_token_cancel(token, 0) == POOL_OK);
  CHECK(pool_token_reason(token) == INT32_MIN);
  ScopedToken plain;
  CHECK(pool_token_cancel(plain, 0) == POOL_OK);
  CHECK(pool_token_cancel(plain, -1000) == POOL_OK);
  CHECK(pool_token_reason(plain) == POOL_E_CANCELLED);
}

TEST_CASE("when several cancel a tree for different reasons, one reason holds for all of it", "[tokens]") {
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    ScopedToken root;
    std::deque<ScopedToken> children;
    for (int i = 0; i < 20; ++i) children.emplace_back(i % 3 == 2 ? children.back().handle() : root.handle());
    std::vector<std::thread> threads;
    Gate start;
    for (int32_t reason : {-1001, -1002, -1003}) {
      threads.emplace_back([&, reason] {
        start.Pass();
        Must(pool_token_cancel(root, reason), "cancel");
      });
    }
    REQUIRE(start.AwaitArrivals(3));
    start.Open();
    for (std::thread& thread : threads) thread.join();
    for (const ScopedToken& child : children) REQUIRE(pool_token_reason(child) == pool_token_reason(root));
  }
}

TEST_CASE("a task may cancel its own token: it is asked to stop, the others are cancelled", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  Tally others;
  std::atomic<int32_t> status{1}, asked{-1};
  std::atomic<uint64_t> drops_inside{99};
  Body body([&](pool_ctx_t* ctx) {
    for (int i = 0; i < 10; ++i) Submit(pool, TokenTask(others, token));
    status = pool_token_cancel(pool_ctx_token(ctx), -1700);
    drops_inside = others.drops.load();
    asked = pool_ctx_should_stop(ctx);
    return 0;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.token = token;
  const pool_ticket_t ticket = Submit(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(status == POOL_OK);
  CHECK(asked == 1);
  CHECK(drops_inside == 10);
  CHECK(others.runs == 0);
  CHECK(others.done_code == -1700);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("callbacks of the tasks that a token cancels may use the library, the token too", "[tokens]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedToken token;
  struct Context {
    pool_t pool;
    pool_token_t token;
    std::atomic<int> right{0};
    std::atomic<uint64_t> runs{0};
  } context{pool, token};
  pool_task_t task = Task(DoNothing, &context);
  task.token = token;
  task.done = [](void* arg, const pool_result_t*) {
    auto& c = *static_cast<Context*>(arg);
    c.right += pool_token_cancel(c.token, 0) == POOL_OK;
    c.right += pool_token_reason(c.token) == -1800;
    pool_task_t more = Task(DoNothing, nullptr);
    more.token = c.token;
    c.right += pool_submit_task(c.pool, &more, nullptr) == POOL_E_CANCELLED;
  };
  task.drop = [](void* arg, int32_t) {
    auto& c = *static_cast<Context*>(arg);
    c.right += pool_submit(c.pool, CountRun, &c.runs) == POOL_OK;
  };
  for (int i = 0; i < 3; ++i) Submit(pool, task);
  CHECK(pool_token_cancel(token, -1800) == POOL_OK);
  CHECK(context.right == 12);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(context.runs == 3);
}

TEST_CASE("H9: a task whose token is cancelled while it runs gets no further attempt, and the reason as its code",
          "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  Gate gate;
  std::atomic<uint64_t> runs{0};
  Body body([&](pool_ctx_t*) {
    ++runs;
    gate.Pass();
    return POOL_RETRY;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.token = token;
  task.retries_max = 5;
  task.backoff_first_ns = 1;
  const pool_ticket_t ticket = Submit(pool, task);
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_token_cancel(token, -1900) == POOL_OK);
  gate.Open();
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_CANCELLED);
  CHECK(result.code == -1900);
  CHECK(result.attempts == 1);
  CheckSettled(pool);
  CHECK(runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("H9: attempts that race the cancel of their token: none starts after it", "[tokens]") {
  ScopedPool pool(2);
  std::minstd_rand random(2);
  for (uint64_t round = 0; round < Rounds(3'000); ++round) {
    ScopedToken token;
    Tally tally;
    pool_task_t task = RetryingTask(tally, token);
    task.retries_max = 1'000'000;
    task.backoff_first_ns = task.backoff_max_ns = 1'000;
    const pool_ticket_t ticket = Submit(pool, task);
    for (auto spin = random() % 2'000; spin > 0; --spin) (void)pool_now_ns();
    REQUIRE(pool_token_cancel(token, 0) == POOL_OK);
    const pool_result_t result = WaitForResult(ticket);
    REQUIRE(result.outcome == POOL_CANCELLED);
    REQUIRE(result.attempts == tally.runs);
    REQUIRE(tally.dones == 1);
    REQUIRE(tally.drops == 1);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
  CheckSettled(pool);
}

TEST_CASE("a periodic task under a token ends with its last run when the token is cancelled", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  Tally tally;
  pool_task_t task = TokenTask(tally, token);
  task.period_ns = kHourNs;
  const pool_ticket_t ticket = Submit(pool, task);
  REQUIRE(AwaitBackoff(pool, tally, 1));
  CHECK(pool_token_cancel(token, 0) == POOL_OK);
  CHECK(tally.drops == 1);
  CHECK(tally.drop_outcome == POOL_DONE);
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a member of a group that its token cancels leaves the group, which goes on", "[tokens]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedToken token;
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "pool_group_create");
  Tally cancelled, kept;
  pool_task_t task = TokenTask(cancelled, token);
  task.group = group;
  Submit(pool, task);
  task = TallyTask(kept);
  task.group = group;
  Submit(pool, task);
  CHECK(pool_token_cancel(token, -1600) == POOL_OK);
  CheckCancelledOnce(cancelled, -1600);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  REQUIRE(pool_resume(pool) == POOL_OK);
  int32_t code = 77;
  CHECK(pool_group_wait(group, kBoundNs, &code) == POOL_OK);
  CHECK(code == 0);
  CHECK(kept.runs == 1);
  // The other way round: the group cancels, the token does not mind.
  ScopedToken second;
  REQUIRE(pool_pause(pool) == POOL_OK);
  Tally by_group;
  task = TokenTask(by_group, second);
  task.group = group;
  Submit(pool, task);
  CHECK(pool_group_cancel(group) == POOL_OK);
  CheckCancelledOnce(by_group);
  CHECK(pool_token_reason(second) == 0);
  CHECK(pool_token_cancel(second, 0) == POOL_OK);
  CHECK(by_group.drops == 1);
  CHECK(pool_group_release(group) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("handles of tokens are given back in any order; what they named goes on", "[tokens]") {
  ScopedPool pool(1);
  Gate gate;
  Submit(pool, TokenTask(gate));
  REQUIRE(gate.AwaitArrivals(1));
  ScopedToken root;
  Tally of_child, of_orphan, of_released;
  {
    // The child's handle goes first: its tasks are cancelled with the root all the same.
    ScopedToken child(root.handle());
    Submit(pool, TokenTask(of_child, child));
  }
  // The parent's handle goes first: nobody can cancel it any more, but its child can be.
  ScopedToken parent;
  ScopedToken orphan(parent.handle());
  CHECK(pool_token_release(parent.GiveUp()) == POOL_OK);
  Submit(pool, TokenTask(of_orphan, orphan));
  {
    ScopedToken released;
    Submit(pool, TokenTask(of_released, released));
  }
  CHECK(pool_token_cancel(root, 0) == POOL_OK);
  CheckCancelledOnce(of_child);
  CHECK(of_orphan.drops == 0);
  CHECK(pool_token_cancel(orphan, -1400) == POOL_OK);
  CheckCancelledOnce(of_orphan, -1400);
  gate.Open();
  CheckSettled(pool);
  CHECK(of_released.runs == 1);
  CHECK(of_released.drop_outcome == POOL_DONE);
}

TEST_CASE("a token outlives the pools of its tasks and serves others", "[tokens]") {
  ScopedToken token;
  Tally first, released, second;
  {
    ScopedPool pool(1);
    Submit(pool, TokenTask(first, token));
    CheckSettled(pool);
  }
  CHECK(first.runs == 1);
  {
    pool_t pool = 0;
    Must(pool_create(nullptr, &pool), "pool_create");
    REQUIRE(pool_pause(pool) == POOL_OK);
    Submit(pool, TokenTask(released, token));
    CHECK(pool_release(pool) == POOL_OK);
  }
  REQUIRE(PollUntil([&] { return released.drops == 1; }));
  CHECK(released.done_code == POOL_E_CLOSED);
  CHECK(pool_token_reason(token) == 0);
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Submit(pool, TokenTask(second, token));
  CHECK(pool_token_cancel(token, 0) == POOL_OK);
  CheckCancelledOnce(second);
  CHECK(first.drops == 1);
  CHECK(released.drops == 1);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("misuse of tokens is told", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  const uint64_t misuse = Misuse(pool);
  CHECK(pool_token_create(0, nullptr) == POOL_E_INVALID);
  pool_token_t out = 77;
  CHECK(pool_token_create(pool, &out) == POOL_E_BADHANDLE);
  CHECK(out == 0);
  ScopedToken gone;
  const pool_token_t stale = gone.GiveUp();
  CHECK(pool_token_release(stale) == POOL_OK);
  for (pool_token_t bad : {pool_token_t{0}, pool_token_t{pool}, stale, token.handle() + 1, UINT64_MAX}) {
    INFO(bad);
    CHECK(pool_token_cancel(bad, 0) == POOL_E_BADHANDLE);
    CHECK(pool_token_reason(bad) == POOL_E_BADHANDLE);
    CHECK(pool_token_release(bad) == POOL_E_BADHANDLE);
    if (bad == 0) continue;
    CHECK(pool_token_create(bad, &out) == POOL_E_BADHANDLE);
    Tally tally;
    const pool_task_t task = TokenTask(tally, bad);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_BADHANDLE);
    CHECK(tally.dones == 0);
    CHECK(tally.drops == 0);
  }
  CHECK(pool_group_wait(token, 0, nullptr) == POOL_E_BADHANDLE);
  CHECK(pool_destroy(token) == POOL_E_BADHANDLE);
  CHECK(Misuse(pool) == misuse + 2 + 5 * 3 + 4 * 2 + 2);
  CHECK(pool_token_reason(token) == 0);
  CheckSettled(pool);
}

TEST_CASE("a task is told its token", "[tokens]") {
  ScopedPool pool(1);
  ScopedToken token;
  std::atomic<pool_token_t> in_task{1}, in_fork{1}, without{1}, in_child{1}, helped{1};
  Body child([&](pool_ctx_t* ctx) {
    in_child = pool_ctx_token(ctx);
    return 0;
  });
  Body fork([&](pool_ctx_t* ctx) {
    in_fork = pool_ctx_token(ctx);
    return 0;
  });
  Body body([&](pool_ctx_t* ctx) {
    in_task = pool_ctx_token(ctx);
    pool_fork_t mem;
    pool_ctx_fork(ctx, &mem, Body::Run, &fork);
    pool_ctx_join(ctx, &mem, nullptr);
    return pool_ctx_submit(ctx, Body::Run, &child);
  });
  Body plain([&](pool_ctx_t* ctx) {
    without = pool_ctx_token(ctx);
    return 0;
  });
  Body outside([&](pool_ctx_t* ctx) {
    helped = pool_ctx_token(ctx);
    return 0;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.token = token;
  Submit(pool, task);
  Must(pool_submit(pool, Body::Run, &plain), "submit");
  REQUIRE(WaitIdle(pool));
  REQUIRE(pool_pause(pool) == POOL_OK);
  task = Task(Body::Run, &outside);
  task.token = token;
  const pool_ticket_t ticket = Submit(pool, task);
  CHECK(WaitForResult(ticket, POOL_WAIT_HELP).outcome == POOL_DONE);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CHECK(in_task == token);
  CHECK(in_fork == token);
  CHECK(without == 0);
  CHECK(in_child == 0);  // a child is a task of its own
  CHECK(helped == token);
  CHECK(pool_ctx_token(nullptr) == 0);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("H10: a token cancel that races starts: each task ran, or was cancelled and never did", "[tokens]") {
  ScopedPool pools[2]{ScopedPool(1), ScopedPool(2)};
  std::minstd_rand random(3);
  uint64_t ran = 0, cancelled = 0, refused = 0;
  for (uint64_t round = 0; round < Rounds(3'000); ++round) {
    std::array<Tally, 8> tallies;
    std::array<pool_ticket_t, 8> tickets{};
    std::array<pool_status_t, 8> statuses{};
    ScopedToken root, child(root.handle());
    const auto spins = random() % 3'000;
    std::thread submitter([&] {
      for (size_t i = 0; i < tallies.size(); ++i) {
        pool_task_t task = TokenTask(tallies[i], i % 2 == 0 ? root.handle() : child.handle());
        if (i % 3 == 0) task.key = 5;
        statuses[i] = pool_submit_task(pools[i % 2], &task, &tickets[i]);
      }
    });
    for (auto spin = spins; spin > 0; --spin) (void)pool_now_ns();
    REQUIRE(pool_token_cancel(root, -1300) == POOL_OK);
    submitter.join();
    for (size_t i = 0; i < tallies.size(); ++i) {
      const Tally& tally = tallies[i];
      if (statuses[i] != POOL_OK) {
        REQUIRE(statuses[i] == POOL_E_CANCELLED);
        REQUIRE(tally.dones + tally.drops + tally.runs == 0);
        ++refused;
        continue;
      }
      const pool_result_t result = WaitForResult(tickets[i]);
      if (result.outcome == POOL_CANCELLED) {
        REQUIRE(tally.runs == 0);
        REQUIRE(result.code == -1300);
        REQUIRE(result.attempts == 0);
        ++cancelled;
      } else {
        REQUIRE(result.outcome == POOL_DONE);
        REQUIRE(tally.runs == 1);
        ++ran;
      }
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.drops == 1);
      REQUIRE(pool_ticket_release(tickets[i]) == POOL_OK);
    }
  }
  CHECK(ran + cancelled + refused == Rounds(3'000) * 8);
  uint64_t counted = 0;
  for (pool_t pool : pools) {
    CheckSettled(pool);
    counted += Stats(pool).cancelled;
  }
  CHECK(counted == cancelled);
}

TEST_CASE("once a token cancel has returned, none of its tasks starts, also in a tree that still grows", "[tokens]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    ScopedToken root;
    std::atomic<bool> cancelled{false};
    std::atomic<uint64_t> late{0}, accepted{0}, drops{0}, bad{0};
    struct Shared {
      std::atomic<bool>* cancelled;
      std::atomic<uint64_t>* late;
      std::atomic<uint64_t>* drops;
    } shared{&cancelled, &late, &drops};
    pool_task_t task = Task(
        [](void* arg, pool_ctx_t* ctx) -> int32_t {
          // Asked to stop before the cancel returns, unless it began before.
          auto& s = *static_cast<Shared*>(arg);
          if (s.cancelled->load() && pool_ctx_should_stop(ctx) == 0) ++*s.late;
          return 0;
        },
        &shared);
    task.drop = [](void* arg, int32_t) { ++*static_cast<Shared*>(arg)->drops; };
    std::vector<std::thread> growers;
    for (int i = 0; i < 2; ++i) {
      growers.emplace_back([&] {
        pool_token_t parent = root;
        std::vector<pool_token_t> made;
        for (int depth = 0; depth < 30; ++depth) {
          pool_token_t child = 0;
          Must(pool_token_create(parent, &child), "create");
          made.push_back(parent = child);
          pool_task_t mine = task;
          mine.token = child;
          const pool_status_t status = pool_submit_task(pool, &mine, nullptr);
          if (status == POOL_OK) ++accepted;
          if (status != POOL_OK && status != POOL_E_CANCELLED) ++bad;
        }
        for (pool_token_t token : made) Must(pool_token_release(token), "release");
      });
    }
    for (uint64_t spin = 0; spin < round * 20; ++spin) (void)pool_now_ns();
    REQUIRE(pool_token_cancel(root, 0) == POOL_OK);
    cancelled = true;
    for (std::thread& grower : growers) grower.join();
    REQUIRE(WaitIdle(pool));
    REQUIRE(bad == 0);
    REQUIRE(late == 0);
    REQUIRE(drops == accepted);
  }
  CheckSettled(pool);
}

TEST_CASE("a token cancel that races the end of a pool loses no task", "[tokens]") {
  // How the pool ends: by a release, by a destroy, by a cancelling close.
  const int how = GENERATE(0, 1, 2);
  std::minstd_rand random(4);
  for (uint64_t round = 0; round < Rounds(600); ++round) {
    constexpr uint64_t kTasks = 50;
    Tally tally;
    ScopedToken token;
    pool_t pool = 0;
    const pool_options_t options = Options(1);
    Must(pool_create(&options, &pool), "pool_create");
    for (uint64_t i = 0; i < kTasks; ++i) {
      pool_task_t task = TokenTask(tally, token);
      if (i % 3 == 0) task.key = 1 + i % 4;
      if (i % 3 == 1) task.delay_ns = static_cast<int64_t>(1 + i * 1'000);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    Gate start;
    std::thread canceller([&, spins = random() % 2'000] {
      start.Pass();
      for (auto spin = spins; spin > 0; --spin) (void)pool_now_ns();
      Must(pool_token_cancel(token, 0), "cancel");
    });
    REQUIRE(start.AwaitArrivals(1));
    start.Open();
    if (how == 2) Must(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs), "close");
    Must(how == 0 ? pool_release(pool) : pool_destroy(pool), "end");
    canceller.join();
    INFO("round " << round << ", ended by way " << how);
    REQUIRE(PollUntil([&] { return tally.drops == kTasks; }));
    REQUIRE(tally.dones == kTasks);
    REQUIRE(tally.runs <= kTasks);
  }
}

TEST_CASE("a token cancel inside the drop of a pool that is being released loses no task", "[tokens]") {
  // The first task to be dropped cancels the token of the others, when the pool's handle has already ended.
  pool_t pool = 0;
  const pool_options_t options = Options(1);
  Must(pool_create(&options, &pool), "pool_create");
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedToken token;
  Tally tally;
  pool_task_t first = Task(DoNothing, nullptr);
  pool_token_t handle = token;
  first.arg = &handle;
  first.drop = [](void* arg, int32_t) { Must(pool_token_cancel(*static_cast<pool_token_t*>(arg), 0), "cancel"); };
  Submit(pool, first);
  for (int i = 0; i < 20; ++i) Submit(pool, TokenTask(tally, token));
  CHECK(pool_release(pool) == POOL_OK);
  CHECK(PollUntil([&] { return tally.drops == 20; }));
  CHECK(tally.dones == 20);
  CHECK(tally.runs == 0);
  CHECK(tally.drop_outcome == POOL_CANCELLED);
}

TEST_CASE("a chain of a hundred thousand tokens is cancelled and given back, also on a small stack", "[tokens]") {
  const uint64_t depth = Rounds(100'000);
  pool_options_t options = Options(1);
  options.stack_bytes = 65'536 * 4;
  ScopedPool pool(options);
  ScopedToken root;
  std::vector<pool_token_t> chain{root};
  for (uint64_t i = 0; i < depth; ++i) {
    pool_token_t child = 0;
    Must(pool_token_create(chain.back(), &child), "create");
    chain.push_back(child);
  }
  Body body([&](pool_ctx_t*) { return pool_token_cancel(root, -1100); });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(pool_token_reason(chain.back()) == -1100);
  for (size_t i = 1; i < chain.size(); ++i) REQUIRE(pool_token_release(chain[i]) == POOL_OK);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a token with a hundred thousand tasks and ten thousand children is cancelled at once", "[tokens]") {
  const uint64_t tasks = Rounds(100'000), tokens = Rounds(10'000);
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedToken root;
  std::deque<ScopedToken> children;
  for (uint64_t i = 0; i < tokens; ++i) children.emplace_back(root.handle());
  Tally tally;
  for (uint64_t i = 0; i < tasks; ++i) {
    pool_task_t task = TokenTask(tally, i % 2 == 0 ? root.handle() : children[i % tokens].handle());
    task.key = i % 4 == 0 ? 1 : 0;  // a long line
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  const Stopwatch watch;
  CHECK(pool_token_cancel(root, 0) == POOL_OK);
  CHECK(watch.Seconds() < 10);  // and not the hours of all pairs
  CHECK(tally.drops == tasks);
  CHECK(tally.dones == tasks);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(tally.runs == 0);
}

}  // namespace
}  // namespace workpool_test
