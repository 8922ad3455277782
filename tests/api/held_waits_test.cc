// Waiting, with groups and for tickets, for tasks whose time or turn has not come, or who run more than once.
#include <array>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;
constexpr int64_t kMillisecondNs = 1'000'000;

class ScopedGroup {
 public:
  explicit ScopedGroup(pool_t pool) { Must(pool_group_create(pool, nullptr, &group_), "pool_group_create"); }
  ~ScopedGroup() { Must(pool_group_release(group_), "pool_group_release"); }
  ScopedGroup(const ScopedGroup&) = delete;
  ScopedGroup& operator=(const ScopedGroup&) = delete;
  operator pool_group_t() const { return group_; }

 private:
  pool_group_t group_ = 0;
};

pool_task_t MemberTask(pool_group_t group, Tally& tally) {
  pool_task_t task = TallyTask(tally);
  task.group = group;
  return task;
}

pool_task_t Retrying(pool_task_t task, int64_t backoff_ns) {
  task.retries_max = 100;
  task.backoff_first_ns = task.backoff_max_ns = backoff_ns;
  task.backoff_jitter = POOL_JITTER_NONE;
  return task;
}

// Asks for another attempt until this one.
struct Stubborn {
  uint32_t last_attempt;
  int32_t code = 0;
  std::atomic<uint64_t> runs{0};
  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* stubborn = static_cast<Stubborn*>(arg);
    ++stubborn->runs;
    return pool_ctx_attempt(ctx) < stubborn->last_attempt ? POOL_RETRY : stubborn->code;
  }
};

bool AwaitBackoff(pool_t pool, const std::atomic<uint64_t>& runs) {
  return PollUntil([&] { return runs == 1 && Stats(pool).workers_busy == 0; });
}

TEST_CASE("a group wait with a time limit ends in time though members wait for theirs, and starts none early",
          "[groups]") {
  ScopedPool pool(2);
  ScopedGroup group(pool);
  Tally delayed, behind, retrying;
  Gate gate;
  pool_task_t task = Task(PassGate, &gate);
  task.key = 3;
  Submit(pool, task);
  REQUIRE(gate.AwaitArrivals(1));
  task = MemberTask(group, delayed);
  task.delay_ns = kHourNs;
  Submit(pool, task);
  task = MemberTask(group, behind);
  task.key = 3;
  Submit(pool, task);
  retrying.code = POOL_RETRY;
  Submit(pool, Retrying(MemberTask(group, retrying), kHourNs));
  REQUIRE(PollUntil([&] { return retrying.runs == 1; }));

  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  const Stopwatch watch;
  CHECK(pool_group_wait(group, 20 * kMillisecondNs, nullptr) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.02);
  std::atomic<int32_t> in_task{1};
  Body waiter([&](pool_ctx_t*) {
    in_task = pool_group_wait(group, 20 * kMillisecondNs, nullptr);
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &waiter));
  WaitForResult(ticket);
  CHECK(in_task == POOL_E_TIMEOUT);
  CHECK(delayed.runs == 0);
  CHECK(behind.runs == 0);
  CHECK(retrying.runs == 1);

  // A cancel ends all of them at once, and with them the wait.
  CHECK(pool_group_cancel(group) == POOL_OK);
  for (Tally* tally : {&delayed, &behind, &retrying}) {
    CHECK(tally->drops == 1);
    CHECK(tally->drop_outcome == POOL_CANCELLED);
  }
  int32_t code = 77;
  CHECK(pool_group_wait(group, 0, &code) == POOL_OK);
  CHECK(code == 0);
  gate.Open();
  CheckSettled(pool);
  CHECK(retrying.runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a group waits for the last attempt of a member, and only that one's failure counts", "[groups]") {
  ScopedPool pool(1);
  ScopedGroup group(pool);
  Stubborn succeeds{4}, fails{3, -1300}, gives_up{1'000};
  const bool in_task = GENERATE(false, true);
  INFO("in a task: " << in_task);
  const auto wait = [&] {
    int32_t code = 77;
    if (!in_task) {
      Must(pool_group_wait(group, kBoundNs, &code), "pool_group_wait");
      return code;
    }
    Body waiter([&](pool_ctx_t*) { return pool_group_wait(group, kBoundNs, &code); });
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &waiter));
    CHECK(WaitForResult(ticket).code == 0);
    Must(pool_ticket_release(ticket), "release");
    return code;
  };
  const auto submit = [&](Stubborn& stubborn, uint32_t retries) {
    pool_task_t task = Retrying(Task(Stubborn::Run, &stubborn), kMillisecondNs);
    task.retries_max = retries;
    task.group = group;
    Submit(pool, task);
  };
  submit(succeeds, 10);
  CHECK(wait() == 0);
  CHECK(succeeds.runs == 4);
  submit(fails, 10);
  CHECK(wait() == -1300);
  CHECK(fails.runs == 3);
  submit(gives_up, 2);
  CHECK(wait() == -1300);  // the first failure's stays
  CHECK(gives_up.runs == 3);
  CheckSettled(pool);
}

TEST_CASE("a member that expired, was shed or cancelled has ended, and has not failed", "[groups]") {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  options.queue_limit = 2;
  options.on_full = POOL_ON_FULL_DROP_OLDEST;
  ScopedPool pool(options);
  ScopedGroup group(pool);
  Gate gate;
  Submit(pool, Task(PassGate, &gate));
  REQUIRE(gate.AwaitArrivals(1));
  Tally expired, shed, cancelled, kept;
  pool_task_t task = MemberTask(group, expired);
  task.queue_timeout_ns = 1;
  Submit(pool, task);
  REQUIRE(PollUntil([&] { return expired.drops == 1; }));
  Submit(pool, MemberTask(group, shed));
  const pool_ticket_t ticket = Submit(pool, MemberTask(group, cancelled));
  Submit(pool, MemberTask(group, kept));
  CHECK(shed.drop_outcome == POOL_SHED);
  Must(pool_cancel(ticket), "cancel");
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  gate.Open();
  int32_t code = 77;
  CHECK(pool_group_wait(group, kBoundNs, &code) == POOL_OK);
  CHECK(code == 0);
  CHECK(kept.runs == 1);
  CHECK(expired.drop_outcome == POOL_EXPIRED);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a periodic member is waited for until it is cancelled", "[groups]") {
  ScopedPool pool(1);
  ScopedGroup group(pool);
  Tally tally;
  pool_task_t task = MemberTask(group, tally);
  task.period_ns = kMillisecondNs;
  const pool_ticket_t ticket = Submit(pool, task);
  REQUIRE(PollUntil([&] { return tally.runs >= 3; }));
  CHECK(pool_group_wait(group, kMillisecondNs, nullptr) == POOL_E_TIMEOUT);
  pool_cancel(ticket);
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(tally.drops == 1);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("H9: a group cancel that races attempts leaves no later one and one outcome", "[groups]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(2'000); ++round) {
    ScopedGroup group(pool);
    Tally tally;
    tally.code = POOL_RETRY;
    pool_task_t task = Retrying(MemberTask(group, tally), 1'000);
    task.retries_max = 1'000'000;
    const pool_ticket_t ticket = Submit(pool, task);
    for (uint64_t spin = 0; spin < round; ++spin) (void)pool_now_ns();
    REQUIRE(pool_group_cancel(group) == POOL_OK);
    REQUIRE(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
    const pool_result_t result = WaitForResult(ticket);
    REQUIRE(result.outcome == POOL_CANCELLED);
    REQUIRE(result.attempts == tally.runs);
    REQUIRE(tally.drops == 1);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
  CheckSettled(pool);
}

TEST_CASE("a group wait in a task runs what may run among tens of thousands that may not yet", "[groups]") {
  const uint64_t count = Rounds(60'000);
  ScopedPool pool(1);
  ScopedGroup group(pool);
  std::atomic<uint64_t> runs{0};
  std::atomic<int32_t> status{1};
  uint64_t runs_inside = 0;
  Body body([&](pool_ctx_t*) {
    pool_task_t now = Task(CountRun, &runs);
    now.group = group;
    pool_task_t later = now;
    later.delay_ns = kHourNs;
    for (uint64_t i = 0; i < count; ++i) {
      Must(pool_submit_task(pool, &now, nullptr), "submit");
      Must(pool_submit_task(pool, &later, nullptr), "submit");
    }
    status = pool_group_wait(group, kBoundNs / 20, nullptr);
    runs_inside = runs;
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  WaitForResult(ticket);
  CHECK(status == POOL_E_TIMEOUT);
  CHECK(runs_inside == count);  // with no look at all those that may not run for each that may
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("waiting for any of several passes over one between its attempts", "[tickets]") {
  ScopedPool pool(2);
  Stubborn stubborn{1'000};
  const pool_ticket_t retrying = Submit(pool, Retrying(Task(Stubborn::Run, &stubborn), kHourNs));
  pool_task_t task = Task(DoNothing, nullptr);
  task.delay_ns = kHourNs;
  const pool_ticket_t delayed = Submit(pool, task);
  Gate gate;
  const pool_ticket_t running = Submit(pool, Task(PassGate, &gate));
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(PollUntil([&] { return stubborn.runs == 1 && Stats(pool).workers_busy == 1; }));
  const pool_ticket_t tickets[3] = {retrying, delayed, running};
  const bool in_task = GENERATE(false, true);
  INFO("in a task: " << in_task);
  const auto wait = [&](int64_t timeout_ns, uint32_t* index) {
    if (!in_task) return pool_wait_many(tickets, 3, 0, timeout_ns, index);
    Body waiter([&](pool_ctx_t*) { return pool_wait_many(tickets, 3, 0, timeout_ns, index); });
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &waiter));
    const pool_result_t result = WaitForResult(ticket);
    Must(pool_ticket_release(ticket), "release");
    return result.code;
  };
  uint32_t index = 77;
  CHECK(wait(0, &index) == POOL_E_TIMEOUT);
  CHECK(wait(20 * kMillisecondNs, &index) == POOL_E_TIMEOUT);
  CHECK(stubborn.runs == 1);
  gate.Open();
  CHECK(wait(kBoundNs, &index) == POOL_OK);
  CHECK(index == 2);
  CHECK(pool_cancel(retrying) == POOL_OK);
  CHECK(pool_cancel(delayed) == POOL_OK);
  CHECK(stubborn.runs == 1);
  CheckSettled(pool);
  for (pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("waiting for any or for all of retrying tasks waits for their last attempts", "[tickets]") {
  ScopedPool pool(1);
  const bool in_task = GENERATE(false, true);
  INFO("in a task: " << in_task);
  Stubborn late{1'000'000}, soon{5}, sooner{3};
  std::array<pool_ticket_t, 3> tickets{};
  std::atomic<int32_t> any{1}, all{1};
  uint32_t index = 77;
  uint64_t soon_runs = 0, sooner_runs = 0;
  Body body([&](pool_ctx_t*) {
    pool_task_t task = Retrying(Task(Stubborn::Run, &late), kHourNs);
    tickets[0] = Submit(pool, task);
    tickets[1] = Submit(pool, Retrying(Task(Stubborn::Run, &soon), kMillisecondNs));
    any = pool_wait_many(tickets.data(), 2, 0, kBoundNs, &index);
    soon_runs = soon.runs;
    tickets[2] = Submit(pool, Retrying(Task(Stubborn::Run, &sooner), kMillisecondNs));
    all = pool_wait_many(&tickets[1], 2, 1, kBoundNs, nullptr);
    sooner_runs = sooner.runs;
    return 0;
  });
  if (in_task) {
    const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
    WaitForResult(ticket);
    Must(pool_ticket_release(ticket), "release");
  } else {
    Body::Run(&body, nullptr);
  }
  CHECK(any == POOL_OK);
  CHECK(index == 1);
  CHECK(soon_runs == 5);
  CHECK(all == POOL_OK);
  CHECK(sooner_runs == 3);
  REQUIRE(AwaitBackoff(pool, late.runs));
  CHECK(pool_cancel(tickets[0]) == POOL_OK);
  CheckSettled(pool);
  for (pool_ticket_t ticket : tickets) CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a wait with a time limit for one that is delayed or tried again ends in time and starts nothing",
          "[tickets]") {
  ScopedPool pool(1);
  Stubborn stubborn{2};
  pool_task_t task = Task(Stubborn::Run, &stubborn);
  task.delay_ns = kHourNs;
  const pool_ticket_t delayed = Submit(pool, task);
  std::atomic<int32_t> in_task{1};
  Body waiter([&](pool_ctx_t*) {
    in_task = pool_wait(delayed, 0, kMillisecondNs, nullptr, 0);
    return 0;
  });
  Submit(pool, Task(Body::Run, &waiter));
  REQUIRE(WaitForResult(Submit(pool, Task(DoNothing, nullptr))).outcome == POOL_DONE);
  CHECK(pool_wait(delayed, POOL_WAIT_HELP, kMillisecondNs, nullptr, 0) == POOL_E_TIMEOUT);
  REQUIRE(PollUntil([&] { return in_task != 1; }));
  CHECK(in_task == POOL_E_TIMEOUT);
  CHECK(stubborn.runs == 0);
  CHECK(pool_cancel(delayed) == POOL_OK);
  CheckSettled(pool);
  CHECK(pool_ticket_release(delayed) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
