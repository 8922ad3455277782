// Keyed tasks: those of one key run one after another in the order of their submits, others beside them.
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <fstream>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;
constexpr int64_t kMillisecondNs = 1'000'000;

// The tasks of one key: checks that they run in order and never at once.
struct Strand {
  std::atomic<uint64_t> next{0};
  std::atomic<bool> inside{false};
  std::atomic<uint64_t> wrong_order{0}, at_once{0}, drops{0};

  void Visit(uint64_t number) {
    if (inside.exchange(true)) ++at_once;
    if (next.exchange(number + 1) != number) ++wrong_order;
    inside = false;
  }
  [[nodiscard]] bool RightUpTo(uint64_t count) const {
    return next == count && wrong_order == 0 && at_once == 0 && drops == count;
  }
};

struct Step {
  Strand* strand;
  uint64_t number;
  static int32_t Run(void* arg, pool_ctx_t*) {
    const auto* step = static_cast<const Step*>(arg);
    step->strand->Visit(step->number);
    return 0;
  }
  static void Drop(void* arg, int32_t) { ++static_cast<const Step*>(arg)->strand->drops; }
};

pool_task_t StepTask(Step& step, uint64_t key) {
  pool_task_t task = Task(Step::Run, &step);
  task.drop = Step::Drop;
  task.key = key;
  return task;
}

pool_task_t KeyedTask(Tally& tally, uint64_t key) {
  pool_task_t task = TallyTask(tally);
  task.key = key;
  return task;
}

pool_task_t KeyedTask(Gate& gate, uint64_t key) {
  pool_task_t task = Task(PassGate, &gate);
  task.key = key;
  return task;
}

pool_task_t KeyedTask(Body& body, uint64_t key) {
  pool_task_t task = Task(Body::Run, &body);
  task.key = key;
  return task;
}

TEST_CASE("tasks of one key run in the order of their submits and never at once, with every strategy", "[keys]") {
  pool_options_t options = Options(4);
  options.strategy = GENERATE(POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO, POOL_STRATEGY_PRIORITY);
  INFO("strategy " << options.strategy);
  ScopedPool pool(options);
  constexpr uint64_t kKeys = 7;
  const uint64_t count = Rounds(3'000);
  std::array<Strand, kKeys> strands;
  std::vector<Step> steps(kKeys * count);
  for (uint64_t i = 0; i < count; ++i) {
    for (uint64_t k = 0; k < kKeys; ++k) {
      Step& step = steps[i * kKeys + k] = {&strands[k], i};
      pool_task_t task = StepTask(step, k + 1);
      // A priority does not change the order within a key.
      if (options.strategy == POOL_STRATEGY_PRIORITY) task.priority = static_cast<int32_t>(i % 5);
      if (options.strategy == POOL_STRATEGY_STEALING) task.priority = static_cast<int32_t>(i % 3) - 1;
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
  }
  CheckSettled(pool);
  for (const Strand& strand : strands) {
    CHECK(strand.wrong_order == 0);
    CHECK(strand.at_once == 0);
    CHECK(strand.RightUpTo(count));
  }
}

TEST_CASE("keys that several threads use keep their order, also between pools that share them", "[keys]") {
  ScopedPool first(2), second(2);
  constexpr uint64_t kThreads = 3;
  const uint64_t count = Rounds(5'000);
  std::array<Strand, kThreads * 2> strands;
  std::vector<Step> steps(kThreads * 2 * count);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < count; ++i) {
        for (uint64_t p = 0; p < 2; ++p) {
          Step& step = steps[(t * 2 + p) * count + i] = {&strands[t * 2 + p], i};
          const pool_task_t task = StepTask(step, t + 1);
          Must(pool_submit_task(p == 0 ? first : second, &task, nullptr), "submit");
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CheckSettled(first);
  CheckSettled(second);
  for (const Strand& strand : strands) CHECK(strand.RightUpTo(count));
}

TEST_CASE("different keys run in parallel, one key does not, and 0 is no key", "[keys]") {
  ScopedPool pool(4), other(1);
  Gate one, two, none, elsewhere;
  Submit(pool, KeyedTask(one, 1));
  Submit(pool, KeyedTask(one, 1));
  Submit(pool, KeyedTask(two, UINT64_MAX));
  Submit(pool, KeyedTask(two, UINT64_MAX - 1));
  Submit(pool, KeyedTask(none, 0));
  Submit(other, KeyedTask(elsewhere, 1));  // keys belong to their pool
  REQUIRE(one.AwaitArrivals(1));
  REQUIRE(two.AwaitArrivals(2));
  REQUIRE(none.AwaitArrivals(1));
  REQUIRE(elsewhere.AwaitArrivals(1));
  CHECK(HoldsThroughout([&] { return one.arrivals() == 1; }));
  two.Open();
  none.Open();
  elsewhere.Open();
  CHECK(HoldsThroughout([&] { return one.arrivals() == 1; }));  // though workers are idle
  one.Open();
  CheckSettled(pool);
  CheckSettled(other);
  CHECK(one.arrivals() == 2);
}

TEST_CASE("tasks without a key, or of key 0, run at once", "[keys]") {
  ScopedPool pool(2);
  Gate gate;
  Submit(pool, KeyedTask(gate, 0));
  Submit(pool, KeyedTask(gate, 0));
  CHECK(gate.AwaitArrivals(2));
  gate.Open();
  CheckSettled(pool);
}

TEST_CASE("a long line holds no worker", "[keys]") {
  ScopedPool pool(2);
  Gate gate;
  Tally line;
  Submit(pool, KeyedTask(gate, 9));
  REQUIRE(gate.AwaitArrivals(1));
  for (int i = 0; i < 1'000; ++i) Submit(pool, KeyedTask(line, 9));
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 1'000; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  CHECK(PollUntil([&] { return runs == 1'000; }));
  CHECK(PollUntil([&] { return Stats(pool).workers_busy == 1; }));
  CHECK(Stats(pool).queued == 1'000);
  CHECK(line.runs == 0);
  gate.Open();
  CheckSettled(pool);
  CHECK(line.runs == 1'000);
}

TEST_CASE("a hundred thousand keys with a few tasks each keep their orders", "[keys]") {
  const uint64_t keys = Rounds(100'000);
  constexpr uint64_t kEach = 3;
  ScopedPool pool(2);
  std::vector<Strand> strands(keys);
  std::vector<Step> steps(keys * kEach);
  for (uint64_t i = 0; i < kEach; ++i) {
    for (uint64_t k = 0; k < keys; ++k) {
      Step& step = steps[i * keys + k] = {&strands[k], i};
      const pool_task_t task = StepTask(step, (k + 1) * 0x9E3779B97F4A7C15u);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
  }
  CheckSettled(pool);
  uint64_t right = 0;
  for (const Strand& strand : strands) right += strand.RightUpTo(kEach) ? 1 : 0;
  CHECK(right == keys);
}

TEST_CASE("one that waits behind its key may be cancelled at once; the others go on in order", "[keys]") {
  ScopedPool pool(2);
  Gate gate;
  Submit(pool, KeyedTask(gate, 4));
  REQUIRE(gate.AwaitArrivals(1));
  constexpr uint64_t kCount = 20;
  std::array<Tally, kCount> cancelled;
  std::array<Step, kCount> steps{};
  Strand strand;
  std::vector<pool_ticket_t> tickets;
  for (uint64_t i = 0; i < kCount; ++i) {
    tickets.push_back(Submit(pool, KeyedTask(cancelled[i], 4)));
    steps[i] = {&strand, i};
    const pool_task_t task = StepTask(steps[i], 4);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  for (uint64_t i = 0; i < kCount; ++i) {
    CHECK(pool_cancel(tickets[i]) == POOL_OK);
    CHECK(cancelled[i].drops == 1);
    CHECK(cancelled[i].drop_outcome == POOL_CANCELLED);
    CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
  }
  gate.Open();
  CheckSettled(pool);
  CHECK(strand.RightUpTo(kCount));
  for (const Tally& tally : cancelled) CHECK(tally.runs == 0);
}

TEST_CASE("cancelling the first of its key lets the next one go", "[keys]") {
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Tally first, second;
  const pool_ticket_t ticket = Submit(pool, KeyedTask(first, 4));
  Submit(pool, KeyedTask(second, 4));
  CHECK(pool_cancel(ticket) == POOL_OK);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(first.runs == 0);
  CHECK(second.runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("one that waits behind its key expires in its time, not when its turn comes", "[keys]") {
  ScopedPool pool(2);
  Gate gate;
  Submit(pool, KeyedTask(gate, 4));
  REQUIRE(gate.AwaitArrivals(1));
  Tally by_timeout, by_deadline, delayed, after;
  pool_task_t task = KeyedTask(by_timeout, 4);
  task.queue_timeout_ns = kMillisecondNs;
  Submit(pool, task);
  task = KeyedTask(by_deadline, 4);
  task.deadline_ns = pool_now_ns() + kMillisecondNs;
  Submit(pool, task);
  task = KeyedTask(delayed, 4);
  task.delay_ns = kMillisecondNs;
  task.queue_timeout_ns = kMillisecondNs;
  Submit(pool, task);
  Submit(pool, KeyedTask(after, 4));
  for (Tally* tally : {&by_timeout, &by_deadline, &delayed}) {
    CHECK(PollUntil([&] { return tally->drops == 1; }, 5'000'000'000));
    CHECK(tally->drop_outcome == POOL_EXPIRED);
    CHECK(tally->done_code == POOL_E_EXPIRED);
    CHECK(tally->runs == 0);
  }
  CHECK(after.drops == 0);
  gate.Open();
  CheckSettled(pool);
  CHECK(after.runs == 1);
  CHECK(Stats(pool).expired == 3);
}

TEST_CASE("a task that is tried again keeps its place in the line", "[keys]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> attempts{0}, second_saw{0};
  Body first([&](pool_ctx_t*) { return ++attempts < 4 ? POOL_RETRY : 0; });
  Body second([&](pool_ctx_t*) {
    second_saw = attempts.load();
    return 0;
  });
  pool_task_t task = KeyedTask(first, 8);
  task.retries_max = 5;
  task.backoff_first_ns = kMillisecondNs;
  Submit(pool, task);
  Submit(pool, KeyedTask(second, 8));
  CheckSettled(pool);
  CHECK(attempts == 4);
  CHECK(second_saw == 4);
}

TEST_CASE("a key is free again when the retry that held it is cancelled", "[keys]") {
  ScopedPool pool(1);
  Tally first, second;
  first.code = POOL_RETRY;
  pool_task_t task = KeyedTask(first, 8);
  task.retries_max = 5;
  task.backoff_first_ns = task.backoff_max_ns = kHourNs;
  task.backoff_jitter = POOL_JITTER_NONE;
  const pool_ticket_t ticket = Submit(pool, task);
  Submit(pool, KeyedTask(second, 8));
  REQUIRE(PollUntil([&] { return first.runs == 1 && Stats(pool).workers_busy == 0; }));
  CHECK(second.runs == 0);
  CHECK(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
  CHECK(second.runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a task that fails, throws or ends its thread does not block its key", "[keys]") {
  ScopedPool pool(1);
  Tally last;
  Body fails([](pool_ctx_t*) { return -1000; });
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("no"); });
  Body leaves([](pool_ctx_t*) -> int32_t {
    pthread_exit(nullptr);
    return 0;
  });
  for (Body* body : {&fails, &throws, &leaves, &fails}) Submit(pool, KeyedTask(*body, 3));
  Submit(pool, KeyedTask(last, 3));
  CheckSettled(pool);
  CHECK(last.runs == 1);
  CHECK(Stats(pool).failed == 4);
}

TEST_CASE("a delayed task takes its place in the line when its time has come", "[keys]") {
  ScopedPool pool(1);
  Gate gate;
  std::vector<int> order;  // one worker
  Body later([&](pool_ctx_t*) {
    order.push_back(2);
    return 0;
  });
  Body now([&](pool_ctx_t*) {
    order.push_back(1);
    gate.Pass();
    return 0;
  });
  pool_task_t task = KeyedTask(later, 3);
  task.delay_ns = kMillisecondNs;
  REQUIRE(pool_pause(pool) == POOL_OK);
  Tally hour;
  pool_task_t far = KeyedTask(hour, 3);
  far.delay_ns = kHourNs;
  const pool_ticket_t ticket = Submit(pool, far);
  Submit(pool, KeyedTask(now, 3));
  Submit(pool, task);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(gate.AwaitArrivals(1));
  gate.Open();
  REQUIRE(PollUntil([&] { return Stats(pool).done == 2; }));
  CHECK(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a periodic task with a key comes back without those that waited behind it before", "[keys]") {
  ScopedPool pool(2);
  Gate gate;
  Tally behind;
  std::atomic<uint64_t> runs{0};
  Body every([&](pool_ctx_t*) {
    if (++runs == 1) gate.Pass();
    return 0;
  });
  pool_task_t task = KeyedTask(every, 6);
  task.drop = nullptr;
  task.period_ns = 5 * kMillisecondNs;
  task.period_mode = POOL_PERIOD_FIXED_DELAY;
  const pool_ticket_t ticket = Submit(pool, task);
  for (uint64_t round = 1; round <= 2; ++round) {
    if (round == 1) REQUIRE(gate.AwaitArrivals(1));
    for (int i = 0; i < 4; ++i) Submit(pool, KeyedTask(behind, 6));
    gate.Open();
    CHECK(PollUntil([&] { return behind.drops == 4 * round; }));
    const uint64_t seen = runs;
    CHECK(PollUntil([&] { return runs >= seen + 2; }));
  }
  (void)pool_cancel(ticket);
  CheckSettled(pool);
  CHECK(behind.runs == 8);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a periodic task leaves its key to others between its runs", "[keys]") {
  ScopedPool pool(2);
  Tally periodic;
  std::atomic<bool> inside{false};
  std::atomic<uint64_t> at_once{0}, others{0};
  const auto visit = [&] {
    if (inside.exchange(true)) ++at_once;
    SpinFor(std::chrono::microseconds(20));
    inside = false;
  };
  Body every([&](pool_ctx_t*) {
    visit();
    return 0;
  });
  Body other([&](pool_ctx_t*) {
    visit();
    ++others;
    return 0;
  });
  pool_task_t task = KeyedTask(every, 6);
  task.drop = nullptr;
  task.period_ns = kMillisecondNs;
  const pool_ticket_t ticket = Submit(pool, task);
  pool_task_t hourly = KeyedTask(periodic, 6);
  hourly.period_ns = kHourNs;
  const pool_ticket_t second = Submit(pool, hourly);
  CHECK(PollUntil([&] { return periodic.runs == 1; }, 5'000'000'000));
  for (int i = 0; i < 50; ++i) Submit(pool, KeyedTask(other, 6));
  CHECK(PollUntil([&] { return others == 50; }, 5'000'000'000));
  CHECK(PollUntil([&] { return Stats(pool).attempts > 60; }, 5'000'000'000));
  pool_cancel(ticket);
  pool_cancel(second);
  CheckSettled(pool);
  CHECK(at_once == 0);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_ticket_release(second) == POOL_OK);
}

struct Chain {
  pool_t pool;
  uint64_t left;
  uint64_t runs = 0;  // by one at a time
  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* chain = static_cast<Chain*>(arg);
    ++chain->runs;
    if (--chain->left == 0) return 0;
    pool_task_t next = Task(Run, arg);
    next.key = 5;
    return pool_submit_task(chain->pool, &next, nullptr);
  }
};

TEST_CASE("keyed tasks may submit keyed tasks: a chain of a hundred thousand", "[keys]") {
  ScopedPool pool(2);
  Chain chain{pool, Rounds(100'000)};
  const uint64_t length = chain.left;
  pool_task_t first = Task(Chain::Run, &chain);
  first.key = 5;
  Submit(pool, first);
  CheckSettled(pool);
  CHECK(chain.runs == length);
  CHECK(Stats(pool).failed == 0);
}

TEST_CASE("what a task submits to its own key runs after it, and in order", "[keys]") {
  ScopedPool pool(3);
  std::array<Step, 50> steps{};
  Strand strand;
  std::atomic<bool> over{false};
  std::atomic<uint64_t> too_early{0};
  Body check([&](pool_ctx_t*) {
    if (!over) ++too_early;
    return 0;
  });
  Body parent([&](pool_ctx_t*) {
    Submit(pool, KeyedTask(check, 5));
    for (uint64_t i = 0; i < steps.size(); ++i) {
      steps[i] = {&strand, i};
      Submit(pool, StepTask(steps[i], 5));
    }
    SpinFor(std::chrono::milliseconds(2));
    over = true;
    return 0;
  });
  Submit(pool, KeyedTask(parent, 5));
  CheckSettled(pool);
  CHECK(too_early == 0);
  CHECK(strand.RightUpTo(steps.size()));
}

TEST_CASE("closing a pool with a long line settles each of its tasks once, and a drain in order", "[keys]") {
  const uint64_t count = Rounds(100'000);
  const int32_t mode = GENERATE(POOL_DRAIN, POOL_CANCEL_QUEUED, POOL_CANCEL_ALL);
  INFO("mode " << mode);
  ScopedPool pool(2);
  Gate gate;
  Submit(pool, KeyedTask(gate, 2));
  REQUIRE(gate.AwaitArrivals(1));
  Strand strand;
  std::vector<Step> steps(count);
  for (uint64_t i = 0; i < count; ++i) {
    steps[i] = {&strand, i};
    const pool_task_t task = StepTask(steps[i], 2);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  CHECK(pool_close(pool, mode, 0) == POOL_E_TIMEOUT);
  CHECK(strand.next == 0);
  gate.Open();
  CHECK(pool_close(pool, mode, kBoundNs) == POOL_OK);
  CHECK(strand.drops == count);
  const pool_stats_t stats = Stats(pool);
  if (mode == POOL_DRAIN) {
    CHECK(strand.RightUpTo(count));
    CHECK(stats.done == count + 1);
  } else {
    CHECK(strand.next == 0);
    CHECK(stats.cancelled == count);
  }
  CheckSettled(pool);
}

TEST_CASE("releasing a pool with long lines drops each of their tasks once", "[keys]") {
  const uint64_t count = Rounds(20'000);
  const bool running = GENERATE(false, true);
  INFO("with a running task: " << running);
  Gate gate;
  Tally tally;
  pool_t pool = 0;
  const pool_options_t options = Options(1);
  Must(pool_create(&options, &pool), "pool_create");
  if (running) {
    const pool_task_t first = KeyedTask(gate, 2);
    Must(pool_submit_task(pool, &first, nullptr), "submit");
    REQUIRE(gate.AwaitArrivals(1));
  } else {
    Must(pool_pause(pool), "pool_pause");
  }
  for (uint64_t i = 0; i < count; ++i) {
    const pool_task_t task = KeyedTask(tally, 2 + i % 3);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  CHECK(pool_release(pool) == POOL_OK);
  if (running) gate.Open();
  CHECK(PollUntil([&] { return tally.drops == count; }));
  CHECK(tally.dones == count);
  CHECK(tally.drop_outcome == POOL_CANCELLED);
}

TEST_CASE("destroying a pool runs its long lines to their ends", "[keys]") {
  Strand strand;
  std::vector<Step> steps(Rounds(20'000));
  {
    ScopedPool pool(2);
    for (uint64_t i = 0; i < steps.size(); ++i) {
      steps[i] = {&strand, i};
      const pool_task_t task = StepTask(steps[i], 2);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
  }
  CHECK(strand.RightUpTo(steps.size()));
}

TEST_CASE("H13: a wait inside a task for one that stands in a line neither starts it early nor starves the pool",
          "[keys]") {
  // One worker: whoever waits has to be stood in for, until the line comes to what it waits for.
  ScopedPool pool(1);
  Strand strand;
  std::array<Step, 10> steps{};
  std::atomic<int32_t> status{1};
  std::atomic<uint64_t> seen{0};
  Body waiter([&](pool_ctx_t*) {
    pool_ticket_t last = 0;
    for (uint64_t i = 0; i < steps.size(); ++i) {
      steps[i] = {&strand, i};
      if (last != 0) Must(pool_ticket_release(last), "release");
      last = Submit(pool, StepTask(steps[i], 6));
    }
    status = pool_wait(last, 0, kBoundNs, nullptr, 0);
    seen = strand.next.load();
    return pool_ticket_release(last);
  });
  Submit(pool, Task(Body::Run, &waiter));
  CheckSettled(pool);
  CHECK(status == POOL_OK);
  CHECK(seen == steps.size());
  CHECK(strand.RightUpTo(steps.size()));
}

TEST_CASE("H13: a helping waiter does not start a task whose turn has not come", "[keys]") {
  ScopedPool pool(1);
  Gate gate;
  Tally second;
  Submit(pool, KeyedTask(gate, 6));
  REQUIRE(gate.AwaitArrivals(1));
  const pool_ticket_t ticket = Submit(pool, KeyedTask(second, 6));
  CHECK(pool_wait(ticket, POOL_WAIT_HELP, kMillisecondNs, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(second.runs == 0);
  gate.Open();
  CHECK(pool_wait(ticket, POOL_WAIT_HELP, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(second.runs == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("a task that waits for one behind itself in the line is told DEADLOCK", "[keys]") {
  ScopedPool pool(2), other(1);
  std::atomic<int32_t> direct{1}, from_fork{1}, any{1}, all{1}, any_other{1}, elsewhere{1}, by_group{1};
  std::atomic<uint64_t> runs{0};
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "pool_group_create");
  pool_ticket_t behind = 0, foreign = 0, free_one = 0;
  Body fork([&](pool_ctx_t*) {
    from_fork = pool_wait(behind, 0, POOL_FOREVER, nullptr, 0);
    return 0;
  });
  Body body([&](pool_ctx_t* ctx) {
    pool_task_t task = Task(CountRun, &runs);
    task.key = 6;
    task.group = group;
    behind = Submit(pool, task);
    task.group = 0;
    foreign = Submit(other, task);
    task.key = 7;
    free_one = Submit(pool, task);
    direct = pool_wait(behind, 0, POOL_FOREVER, nullptr, 0);
    pool_fork_t mem;
    pool_ctx_fork(ctx, &mem, Body::Run, &fork);
    pool_ctx_join(ctx, &mem, nullptr);
    const pool_ticket_t tickets[2] = {behind, behind};
    any = pool_wait_many(tickets, 2, 0, POOL_FOREVER, nullptr);
    all = pool_wait_many(tickets, 2, 1, POOL_FOREVER, nullptr);
    const pool_ticket_t mixed[2] = {behind, free_one};
    any_other = pool_wait_many(mixed, 2, 0, kBoundNs, nullptr);
    elsewhere = pool_wait(foreign, 0, kBoundNs, nullptr, 0);
    by_group = pool_group_wait(group, POOL_FOREVER, nullptr);
    return 0;
  });
  Submit(pool, KeyedTask(body, 6));
  CheckSettled(pool);
  CheckSettled(other);
  CHECK(direct == POOL_E_DEADLOCK);
  CHECK(from_fork == POOL_E_DEADLOCK);
  CHECK(any == POOL_E_DEADLOCK);
  CHECK(all == POOL_E_DEADLOCK);
  CHECK(any_other == POOL_OK);
  CHECK(elsewhere == POOL_OK);
  CHECK(by_group == POOL_E_DEADLOCK);
  CHECK(runs == 3);
  for (pool_ticket_t ticket : {behind, foreign, free_one}) CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("a keyed task may wait for one of its key that has ended", "[keys]") {
  ScopedPool pool(1);
  Tally first;
  const pool_ticket_t ticket = Submit(pool, KeyedTask(first, 6));
  std::atomic<int32_t> status{1};
  Body body([&](pool_ctx_t*) {
    status = pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0);
    return 0;
  });
  Submit(pool, KeyedTask(body, 6));
  CheckSettled(pool);
  CHECK(status == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a group of keyed tasks is waited for inside a task, in the order of each key", "[keys]") {
  ScopedPool pool(1);
  constexpr uint64_t kKeys = 3, kEach = 100;
  std::array<Strand, kKeys> strands;
  std::vector<Step> steps(kKeys * kEach);
  std::atomic<int32_t> status{1};
  Body body([&](pool_ctx_t*) {
    pool_group_t group = 0;
    Must(pool_group_create(pool, nullptr, &group), "pool_group_create");
    for (uint64_t i = 0; i < kEach; ++i) {
      for (uint64_t k = 0; k < kKeys; ++k) {
        Step& step = steps[i * kKeys + k] = {&strands[k], i};
        pool_task_t task = StepTask(step, k + 1);
        task.group = group;
        Must(pool_submit_task(pool, &task, nullptr), "submit");
      }
    }
    status = pool_group_wait(group, kBoundNs, nullptr);
    return pool_group_release(group);
  });
  Submit(pool, Task(Body::Run, &body));
  CheckSettled(pool);
  CHECK(status == POOL_OK);
  for (const Strand& strand : strands) CHECK(strand.RightUpTo(kEach));
}

TEST_CASE("a submit that runs its task itself, for want of room, waits until the key, or the class, lets it", "[keys]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_CALLER_RUNS;
  ScopedPool pool(options);
  pool_class_options_t one_at_once;
  Must(pool_class_options_init(&one_at_once, sizeof(one_at_once)), "pool_class_options_init");
  one_at_once.concurrency_max = 1;
  Must(pool_class_set(pool, 1, &one_at_once), "pool_class_set");
  const bool by_class = GENERATE(false, true);
  INFO("by its class: " << by_class);
  const auto bind = [&](pool_task_t task) {
    task.key = by_class ? 0 : 5;
    task.class_id = by_class ? 1 : 0;
    return task;
  };
  Gate gate;
  Strand strand;
  std::array<Step, 2> steps{};
  Submit(pool, bind(Task(PassGate, &gate)));
  REQUIRE(gate.AwaitArrivals(1));
  for (uint64_t i = 0; i < 2; ++i) steps[i] = {&strand, i};
  Submit(pool, bind(StepTask(steps[0], 0)));
  std::atomic<bool> returned{false};
  std::atomic<uint64_t> ended_before{99};
  std::thread submitter([&] {
    Submit(pool, bind(StepTask(steps[1], 0)));
    ended_before = strand.next.load();
    returned = true;
  });
  CHECK(HoldsThroughout([&] { return strand.next == 0 && !returned; }));
  gate.Open();
  submitter.join();
  CHECK(ended_before == 2);
  CHECK(strand.RightUpTo(2));
  // With nobody inside it is run here.
  Gate plain;
  Submit(pool, Task(PassGate, &plain));
  REQUIRE(plain.AwaitArrivals(1));
  Submit(pool, Task(DoNothing, nullptr));
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id ran_on;
  Body body([&](pool_ctx_t*) {
    ran_on = std::this_thread::get_id();
    return 0;
  });
  Submit(pool, bind(Task(Body::Run, &body)));
  CHECK(ran_on == here);
  // A task that submits to its own key is not kept waiting for itself.
  Body own([&](pool_ctx_t*) {
    Submit(pool, bind(Task(DoNothing, nullptr)));
    Submit(pool, bind(Task(DoNothing, nullptr)));
    return 0;
  });
  Submit(pool, bind(Task(Body::Run, &own)));
  plain.Open();
  CheckSettled(pool);
}

TEST_CASE("who waits to run its own task, until its key lets it, is told when the task is cancelled or expires", "[keys]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_CALLER_RUNS;
  ScopedPool pool(options);
  Gate gate;
  Submit(pool, KeyedTask(gate, 5));
  REQUIRE(gate.AwaitArrivals(1));
  Submit(pool, Task(DoNothing, nullptr));
  pool_token_t token = 0;
  Must(pool_token_create(0, &token), "token");
  Tally expired, cancelled;
  pool_task_t task = KeyedTask(expired, 5);
  task.queue_timeout_ns = kMillisecondNs;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(expired.drop_outcome == POOL_EXPIRED);
  std::thread canceller([&] {
    if (!PollUntil([&] { return Stats(pool).submitted == 4; })) return;
    Must(pool_token_cancel(token, 0), "cancel");
  });
  task = KeyedTask(cancelled, 5);
  task.token = token;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(cancelled.drop_outcome == POOL_CANCELLED);
  canceller.join();
  gate.Open();
  CheckSettled(pool);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("keys, cancels, expiries, failures and retries at once: order, exclusion and one outcome each", "[keys]") {
  constexpr uint64_t kKeys = 5;
  struct Shared {
    std::array<std::atomic<bool>, kKeys> inside{};
    std::atomic<uint64_t> at_once{0}, drops{0};
  } shared;
  struct One {
    Shared* shared;
    uint64_t key, kind;
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      auto* one = static_cast<One*>(arg);
      if (one->shared->inside[one->key].exchange(true)) ++one->shared->at_once;
      if (one->kind == 0) std::this_thread::yield();
      one->shared->inside[one->key] = false;
      if (one->kind == 1) return -1000;
      if (one->kind == 2 && pool_ctx_attempt(ctx) < 3) return POOL_RETRY;
      return 0;
    }
  };
  const uint64_t count = Rounds(20'000);
  ScopedPool pool(3);
  constexpr uint64_t kThreads = 2;
  std::vector<One> ones(kThreads * count);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t + 5));
      pool_ticket_t last = 0;
      for (uint64_t i = 0; i < count; ++i) {
        One& one = ones[t * count + i] = {&shared, random() % kKeys, random() % 8};
        pool_task_t task = Task(One::Run, &one);
        task.drop = [](void* arg, int32_t) { ++static_cast<One*>(arg)->shared->drops; };
        task.key = one.key + 1;
        if (one.kind == 2) {
          task.retries_max = 3;
          task.backoff_first_ns = 1'000;
        }
        if (one.kind == 3) task.queue_timeout_ns = 20'000;
        if (one.kind == 4) task.delay_ns = 10'000;
        const pool_ticket_t ticket = Submit(pool, task);
        if (last != 0) {
          if (random() % 4 == 0) pool_cancel(last);
          Must(pool_ticket_release(last), "release");
        }
        last = ticket;
      }
      Must(pool_ticket_release(last), "release");
    });
  }
  for (std::thread& thread : threads) thread.join();
  CheckSettled(pool);
  CHECK(shared.at_once == 0);
  CHECK(shared.drops == kThreads * count);
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.cancelled > 0);
  CHECK(stats.failed > 0);
}

TEST_CASE("a task that is cancelled on its way to the line of its class leaves its key to others", "[keys]") {
  pool_class_options_t one_at_once;
  Must(pool_class_options_init(&one_at_once, sizeof(one_at_once)), "pool_class_options_init");
  one_at_once.concurrency_max = 1;
  ScopedPool pool(2);
  Must(pool_class_set(pool, 1, &one_at_once), "pool_class_set");
  Gate gate;
  pool_task_t first = KeyedTask(gate, 0);
  first.class_id = 1;
  Submit(pool, first);
  REQUIRE(gate.AwaitArrivals(1));
  const uint64_t count = Rounds(10'000);
  Tally cancelled, others;
  std::minstd_rand random(6);
  for (uint64_t i = 0; i < count; ++i) {
    pool_task_t task = KeyedTask(cancelled, 1 + i);
    task.class_id = 1;
    task.delay_ns = 20'000;
    const pool_ticket_t ticket = Submit(pool, task);
    for (auto spin = random() % 4'000; spin > 0; --spin) (void)pool_now_ns();
    REQUIRE(pool_cancel(ticket) == POOL_OK);
    REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  }
  gate.Open();
  for (uint64_t i = 0; i < count; ++i) Submit(pool, KeyedTask(others, 1 + i));
  CheckSettled(pool);
  CHECK(cancelled.runs == 0);
  CHECK(cancelled.drops == count);
  CHECK(others.runs == count);
}

TEST_CASE("keys that nobody uses any more take no memory", "[keys][serial][exact]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0};
  uint64_t key = 0;
  const auto run = [&](uint64_t keys, uint64_t at_once) {
    for (uint64_t i = 0; i < keys; ++i) {
      pool_task_t task = Task(CountRun, &runs);
      task.key = ++key * 0x9E3779B97F4A7C15u;
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      if (i % at_once == at_once - 1) REQUIRE(WaitIdle(pool));
    }
    REQUIRE(WaitIdle(pool));
    malloc_trim(0);
    return ResidentBytes();
  };
  const uint64_t before = run(10'000, 1'000);
  const uint64_t after = run(1'000'000, 1'000);
  INFO(before << " bytes before, " << after << " after");
  CHECK(after < before + 2'000'000);  // 2 bytes a key would show
  // Also when a hundred thousand were in use at once: their table shrinks.
  const uint64_t crowd = run(100'000, 100'000);
  INFO(crowd << " bytes after a crowd");
  CHECK(crowd < before + 6'000'000);
  CHECK(runs == 1'110'000);
  CheckSettled(pool);
}

}  // namespace
}  // namespace workpool_test
