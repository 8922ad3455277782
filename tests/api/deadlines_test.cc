// deadline_ns, queue_timeout_ns and run_timeout_ns: who starts too late does not start, and hears so at once; who runs
// too long is asked to stop.
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

constexpr int32_t kStrategies[] = {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO,
                                   POOL_STRATEGY_PRIORITY};

// ---- expiry while it waits

TEST_CASE("a task whose deadline passes while all workers block expires then, and never runs", "[deadlines]") {
  for (int32_t strategy : kStrategies) {
    Story story;
    pool_options_t options = Options(2);
    options.strategy = strategy;
    BlockedPool pool(options);
    pool_task_t task = story.Task();
    task.deadline_ns = FromNow(30 * kMs);
    const Told ticket(pool, task);
    REQUIRE(story.AwaitDrop());  // the workers still stand at their gate
    const pool_result_t result = WaitForResult(ticket);
    CHECK(story.ended_ns >= task.deadline_ns);
    CHECK(result.outcome == POOL_EXPIRED);
    CHECK(result.code == POOL_E_EXPIRED);
    CHECK(result.attempts == 0);
    CHECK(result.worker == -1);
    CHECK(result.run_ns == 0);
    CHECK(result.wait_ns > 0);
    CHECK(story.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
    CHECK(Stats(pool).expired == 1);
    CHECK(Stats(pool).ended_unrun == 1);
    CHECK(Stats(pool).queued == 0);
    pool.Open();
    CheckSettled(pool);
    CHECK(story.runs == 0);
    CHECK(story.drops == 1);
  }
}

TEST_CASE("a task that waits longer than its queue timeout expires, and never runs", "[deadlines]") {
  for (int32_t strategy : kStrategies) {
    Story story;
    pool_options_t options = Options(1);
    options.strategy = strategy;
    BlockedPool pool(options);
    pool_task_t task = story.Task();
    task.queue_timeout_ns = 30 * kMs;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    REQUIRE(story.AwaitDrop());
    CHECK(story.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
    CHECK(story.result.wait_ns >= uint64_t{30 * kMs});
    pool.Open();
    CheckSettled(pool);
    CHECK(story.runs == 0);
    CHECK(Stats(pool).expired == 1);
  }
}

TEST_CASE("of a deadline and a queue timeout the earlier one counts", "[deadlines]") {
  Story by_deadline, by_timeout;
  BlockedPool pool(1);
  pool_task_t task = by_deadline.Task();
  task.deadline_ns = FromNow(20 * kMs);
  task.queue_timeout_ns = kHour;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  task = by_timeout.Task();
  task.deadline_ns = FromNow(kHour);
  task.queue_timeout_ns = 20 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(by_deadline.AwaitDrop());
  CHECK(by_timeout.AwaitDrop());
  pool.Open();
  CheckSettled(pool);
  CHECK(Stats(pool).expired == 2);
}

TEST_CASE("an expired task is settled within milliseconds though all workers block", "[deadlines][serial]") {
  std::vector<std::unique_ptr<Story>> stories;
  std::vector<uint64_t> late_ns;
  BlockedPool pool(2);
  for (int i = 0; i < 40; ++i) {
    Story& story = *stories.emplace_back(std::make_unique<Story>());
    pool_task_t task = story.Task();
    task.deadline_ns = FromNow(5 * kMs);
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    REQUIRE(story.AwaitDrop());
    REQUIRE(story.ended_ns >= task.deadline_ns);
    late_ns.push_back(story.ended_ns - task.deadline_ns);
  }
  CHECK(Median(late_ns) < uint64_t{(kSanitized ? 20 : 3) * kMs});
  pool.Open();
  CheckSettled(pool);
}

TEST_CASE("many tasks that expire while all workers block all end, each once", "[deadlines]") {
  const size_t count = Rounds(20'000);
  const auto tallies = std::make_unique<Tally[]>(count);
  std::minstd_rand random(7);
  BlockedPool pool(2);
  for (size_t i = 0; i < count; ++i) {
    pool_task_t task = TallyTask(tallies[i]);
    task.queue_timeout_ns = 1 + static_cast<int64_t>(random() % (50 * kMs));
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CHECK(PollUntil([&] { return Stats(pool).expired == count; }));
  pool.Open();
  CheckSettled(pool);
  for (size_t i = 0; i < count; ++i) {
    REQUIRE(tallies[i].runs == 0);
    REQUIRE(tallies[i].dones == 1);
    REQUIRE(tallies[i].drops == 1);
    REQUIRE(tallies[i].done_before_drop);
    REQUIRE(tallies[i].drop_outcome == POOL_EXPIRED);
  }
}

TEST_CASE("a task expires while its pool is paused", "[deadlines]") {
  Story story;
  ScopedPool pool(2);
  REQUIRE(pool_pause(pool) == POOL_OK);
  pool_task_t task = story.Task();
  task.queue_timeout_ns = 20 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  REQUIRE(story.AwaitDrop());
  CHECK(story.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(story.runs == 0);
}

TEST_CASE("a task that starts in time runs, however far its deadline", "[deadlines]") {
  struct {
    uint64_t deadline_ns;
    int64_t queue_timeout_ns, run_timeout_ns;
  } const limits[] = {
      {FromNow(kHour), 0, 0}, {0, kHour, 0},     {0, 0, kHour},         {UINT64_MAX, 0, 0},
      {UINT64_MAX - 1, 0, 0}, {0, INT64_MAX, 0}, {0, 0, INT64_MAX},     {UINT64_MAX - 1, INT64_MAX, INT64_MAX},
      {0, INT64_MAX - 1, 0},  {INT64_MAX, 0, 0}, {uint64_t{1} << 63, 0, 0},
  };
  ScopedPool pool(2);
  for (const auto& limit : limits) {
    Story story;
    pool_task_t task = story.Task();
    task.deadline_ns = limit.deadline_ns;
    task.queue_timeout_ns = limit.queue_timeout_ns;
    task.run_timeout_ns = limit.run_timeout_ns;
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_DONE);
    CHECK(result.flags == 0);
    CHECK(result.attempts == 1);
  }
  CheckSettled(pool);
}

TEST_CASE("a task with a delay expires at its deadline, before its time", "[deadlines]") {
  Story story;
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.deadline_ns = FromNow(30 * kMs);
  task.delay_ns = kHour;
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_EXPIRED);
  CHECK(story.ended_ns >= task.deadline_ns);
  CheckSettled(pool);
  CHECK(story.runs == 0);
}

TEST_CASE("a queue timeout is counted from the end of the delay", "[deadlines]") {
  Story story;
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.delay_ns = 500 * kMs;
  task.queue_timeout_ns = 400 * kMs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.wait_ns >= uint64_t{500 * kMs});
  CheckSettled(pool);
}

TEST_CASE("a task that was delayed expires in the queue, though all workers block", "[deadlines]") {
  Story by_timeout, by_deadline;
  BlockedPool pool(1);
  pool_task_t task = by_timeout.Task();
  task.delay_ns = 20 * kMs;
  task.queue_timeout_ns = 20 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  task = by_deadline.Task();
  task.delay_ns = 20 * kMs;
  task.deadline_ns = FromNow(50 * kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(by_timeout.AwaitDrop());
  CHECK(by_deadline.AwaitDrop());
  CHECK(by_timeout.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
  CHECK(by_timeout.result.wait_ns >= uint64_t{40 * kMs});
  CHECK(by_deadline.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
  CHECK(by_deadline.ended_ns >= task.deadline_ns);
  pool.Open();
  CheckSettled(pool);
}

TEST_CASE("a task expires behind others of its key or its class, and those go on", "[deadlines]") {
  for (const bool by_key : {true, false}) {
    Gate gate;
    Story waits, last;
    ScopedPool pool(2);
    pool_class_options_t rules;
    REQUIRE(pool_class_options_init(&rules, sizeof(rules)) == POOL_OK);
    rules.concurrency_max = 1;
    REQUIRE(pool_class_set(pool, 1, &rules) == POOL_OK);
    const auto with_gate = [&](pool_task_t task) {
      by_key ? task.key = 5 : task.class_id = 1;
      return task;
    };
    const pool_task_t first = with_gate(Task(PassGate, &gate));
    REQUIRE(pool_submit_task(pool, &first, nullptr) == POOL_OK);
    pool_task_t task = with_gate(waits.Task());
    task.queue_timeout_ns = 20 * kMs;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    task = with_gate(last.Task());
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    REQUIRE(waits.AwaitDrop());
    CHECK(waits.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
    gate.Open();
    CheckSettled(pool);
    CHECK(waits.runs == 0);
    CHECK(last.Ended(POOL_DONE, 0));
  }
}

TEST_CASE("an expired task gives its place in the queue to who waits for room", "[deadlines]") {
  for (const uint64_t queue_limit : {uint64_t{1}, uint64_t{100}}) {
    pool_options_t options = Options(1);
    options.queue_limit = queue_limit;
    options.on_full = POOL_ON_FULL_BLOCK;
    options.submit_timeout_ns = kBoundNs / 2;
    std::atomic<uint64_t> runs{0};
    BlockedPool pool(options);
    const pool_task_t task = Task(CountRun, &runs);
    while (Stats(pool).queued + 1 < queue_limit) REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    pool_task_t brief = task;
    brief.queue_timeout_ns = 30 * kMs;
    REQUIRE(pool_submit_task(pool, &brief, nullptr) == POOL_OK);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    CHECK(PollUntil([&] { return Stats(pool).expired == 1; }, kBoundNs / 2));
    pool.Open();
    CheckSettled(pool);
    CHECK(runs == queue_limit);
  }
}

TEST_CASE("a member that expires leaves its group, and is no failure of it", "[deadlines]") {
  Story story;
  BlockedPool pool(1);
  pool_group_t group = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  pool_task_t task = story.Task();
  task.group = group;
  task.queue_timeout_ns = 20 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  int32_t first_code = 1;
  CHECK(pool_group_wait(group, kBoundNs, &first_code) == POOL_OK);
  CHECK(first_code == 0);
  CHECK(story.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
  CHECK(pool_group_release(group) == POOL_OK);
  pool.Open();
  CheckSettled(pool);
}

// ---- refused at the door

TEST_CASE("a deadline in the past is refused, and nothing is called", "[deadlines]") {
  std::atomic<uint64_t> letters{0};
  pool_options_t options = Options(1);
  options.dead_letter = [](void* user, void*, const pool_result_t*, const pool_attempt_t*, uint32_t) { ++*static_cast<std::atomic<uint64_t>*>(user); };
  options.dead_letter_user = &letters;
  Story story;
  ScopedPool pool(options);
  const uint64_t misuse = Misuse(pool);
  pool_task_t task = story.Task();
  for (const uint64_t deadline_ns : {uint64_t{1}, pool_now_ns() - 1}) {
    task.deadline_ns = deadline_ns;
    pool_ticket_t ticket = 7;
    CHECK(pool_submit_task(pool, &task, &ticket) == POOL_E_EXPIRED);
    CHECK(ticket == 0);
    CHECK(LastErrorText().find("deadline_ns") != std::string::npos);
    task.delay_ns = kHour;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_EXPIRED);
    task.delay_ns = 0;
  }
  CHECK(Stats(pool).submitted == 0);
  CHECK(Misuse(pool) == misuse);

  // Of an array what stands before it is accepted.
  Story first;
  pool_task_t tasks[2] = {first.Task(), task};
  pool_ticket_t tickets[2] = {7, 7};
  uint32_t accepted = 7;
  CHECK(pool_submit_batch(pool, tasks, sizeof(tasks[0]), 2, tickets, &accepted) == POOL_E_EXPIRED);
  CHECK(accepted == 1);
  CHECK(tickets[1] == 0);
  CHECK(WaitForResult(tickets[0]).outcome == POOL_DONE);
  CHECK(pool_ticket_release(tickets[0]) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).submitted == 1);
  CHECK(story.runs + story.dones + story.drops == 0);
  CHECK(letters == 0);
}

TEST_CASE("a refused deadline takes no token of a rate and no place in a group or a queue", "[deadlines]") {
  pool_options_t options = Options(1);
  options.rate_count = 1;
  options.rate_period_ns = kHour;
  options.on_rate = POOL_ON_RATE_REJECT;
  options.queue_limit = 1;
  ScopedPool pool(options);
  pool_group_t group = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  pool_cq_t completions = 0;
  REQUIRE(pool_cq_create(1, &completions) == POOL_OK);
  pool_task_t task = Task(DoNothing, nullptr);
  task.group = group;
  task.cq = completions;
  task.deadline_ns = 1;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_EXPIRED);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_OK);
  task.deadline_ns = 0;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_cq_release(completions) == POOL_OK);
}

TEST_CASE("H5: times of a task below zero are refused, and nothing is called", "[deadlines][timeouts]") {
  Story story;
  ScopedPool pool(1);
  int64_t pool_task_t::* const fields[] = {&pool_task_t::delay_ns,        &pool_task_t::queue_timeout_ns,
                                           &pool_task_t::run_timeout_ns,  &pool_task_t::period_ns,
                                           &pool_task_t::backoff_first_ns, &pool_task_t::backoff_max_ns};
  for (const auto field : fields) {
    for (const int64_t value : {int64_t{-1}, int64_t{-2}, INT64_MIN}) {
      pool_task_t task = story.Task();
      task.*field = value;
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
    }
  }
  CHECK(Stats(pool).submitted == 0);
  CHECK(story.dones + story.drops == 0);
  CheckSettled(pool);
}

TEST_CASE("a task knows its deadline", "[deadlines]") {
  std::atomic<uint64_t> seen{0};
  Body body([&](pool_ctx_t* ctx) {
    seen = pool_ctx_deadline_ns(ctx);
    return 0;
  });
  ScopedPool pool(1);
  pool_task_t task = Task(Body::Run, &body);
  const auto run = [&] {
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
    REQUIRE(WaitIdle(pool));
    return seen.exchange(0);
  };
  CHECK(run() == UINT64_MAX);
  task.queue_timeout_ns = kHour;  // is no deadline
  CHECK(run() == UINT64_MAX);
  task.deadline_ns = FromNow(kHour);
  CHECK(run() == task.deadline_ns);
  REQUIRE(pool_submit(pool, Body::Run, &body) == POOL_OK);
  CheckSettled(pool);
  CHECK(seen == UINT64_MAX);
}

// ---- further attempts

TEST_CASE("a task whose deadline passes during its back-off expires then", "[deadlines]") {
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.retries_max = 5;
  task.backoff_first_ns = task.backoff_max_ns = kHour;
  task.backoff_jitter = POOL_JITTER_NONE;
  task.deadline_ns = FromNow(500 * kMs);
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_EXPIRED);
  CHECK(result.code == POOL_E_EXPIRED);
  CHECK(result.attempts == 1);
  CHECK(result.worker == 0);
  CHECK(story.ended_ns >= task.deadline_ns);
  CheckSettled(pool);
  CHECK(Stats(pool).ended_run == 1);
  CHECK(Stats(pool).expired == 1);
  CHECK(story.runs == 1);
  CHECK(story.drops == 1);
}

TEST_CASE("a queue timeout holds for the first run only", "[deadlines]") {
  Story story([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : 0; });
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.retries_max = 1;
  task.queue_timeout_ns = 500 * kMs;
  task.backoff_first_ns = 600 * kMs;
  task.backoff_jitter = POOL_JITTER_NONE;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.attempts == 2);
  CheckSettled(pool);
}

TEST_CASE("a task that waits in the queue for another attempt expires, though all workers block", "[deadlines]") {
  Gate gate;
  Story story(POOL_RETRY);
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  pool_task_t task = story.Task();
  task.retries_max = 5;
  task.backoff_first_ns = 50 * kMs;
  task.backoff_jitter = POOL_JITTER_NONE;
  task.deadline_ns = FromNow(800 * kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  // Its first run asks for another one; until that is due, the worker has come to the gate.
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(PollUntil([&] { return story.runs.load() == 1; }));
  REQUIRE(pool_submit(pool, PassGate, &gate) == POOL_OK);
  REQUIRE(gate.AwaitArrivals(1));
  const uint64_t runs = story.runs;
  CHECK(story.AwaitDrop());
  CHECK(story.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
  CHECK(story.ended_ns >= task.deadline_ns);
  CHECK(story.result.attempts == runs);
  gate.Open();
  CheckSettled(pool);
  CHECK(story.runs == runs);
}

// Against a submitter that arms the timer of a task which has run meanwhile, and waits for another attempt.
TEST_CASE("tasks that expire, retry and are submitted at once end once each", "[deadlines]") {
  constexpr size_t kThreads = 3;
  const size_t count = Rounds(30'000);
  const auto tallies = std::make_unique<Tally[]>(kThreads * count);
  for (size_t i = 0; i < kThreads * count; ++i) tallies[i].code = POOL_RETRY;
  ScopedPool pool(2);
  std::atomic<uint64_t> late{0}, bad{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t * count; i < (t + 1) * count; ++i) {
        pool_task_t task = TallyTask(tallies[i]);
        task.retries_max = 2;
        task.backoff_first_ns = 1;
        task.backoff_max_ns = 1 + static_cast<int64_t>(i % 3) * 100 * kUs;
        (i % 2 == 0 ? task.queue_timeout_ns : task.run_timeout_ns) = static_cast<int64_t>(i % 5) * kMs;
        if (i % 3 == 0) task.deadline_ns = FromNow(static_cast<int64_t>(i % 7) * kMs + kMs);
        const pool_status_t status = pool_submit_task(pool, &task, nullptr);
        if (status == POOL_OK) continue;
        // Too late already: nothing of it is called.
        ++(status == POOL_E_EXPIRED && task.deadline_ns != 0 ? late : bad);
        tallies[i].code = 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CheckSettled(pool);
  CHECK(bad == 0);
  for (size_t i = 0; i < kThreads * count; ++i) {
    const uint64_t accepted = tallies[i].code == POOL_RETRY ? 1 : 0;
    REQUIRE(tallies[i].runs <= 3 * accepted);
    REQUIRE(tallies[i].dones == accepted);
    REQUIRE(tallies[i].drops == accepted);
  }
  const pool_stats_t stats = Stats(pool);
  CHECK(stats.failed + stats.expired == kThreads * count - late);
}

// ---- races

TEST_CASE("a task either starts in time or expires, never both and never late", "[deadlines]") {
  std::minstd_rand random(3);
  uint64_t ran = 0, expired = 0;
  ScopedPool pool(1);
  for (uint64_t round = 0; round < Rounds(4'000); ++round) {
    // In front of it a task that is over at about the time at which it expires.
    const auto busy = std::chrono::microseconds(random() % 400);
    Body front([&](pool_ctx_t*) {
      SpinFor(busy);
      return 0;
    });
    Story story;
    REQUIRE(pool_submit(pool, Body::Run, &front) == POOL_OK);
    pool_task_t task = story.Task();
    task.queue_timeout_ns = 200 * kUs;
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    if (result.outcome == POOL_DONE) {
      ++ran;
      REQUIRE(result.wait_ns <= uint64_t{200 * kUs});
      REQUIRE(result.attempts == 1);
      REQUIRE(story.runs == 1);
    } else {
      ++expired;
      REQUIRE(result.outcome == POOL_EXPIRED);
      REQUIRE(result.wait_ns >= uint64_t{200 * kUs});
      REQUIRE(result.attempts == 0);
      REQUIRE(story.runs == 0);
    }
    REQUIRE(story.dones == 1);
    REQUIRE(story.drops == 1);
    REQUIRE(WaitIdle(pool));
  }
  CHECK(ran > 0);
  CHECK(expired > 0);
  CheckSettled(pool);
  CHECK(Stats(pool).expired == expired);
}

TEST_CASE("expiry against cancel, helping waiters and workers keeps one outcome", "[deadlines]") {
  constexpr size_t kCount = 40;
  uint64_t outcomes[5] = {};
  std::minstd_rand random(11);
  for (uint64_t round = 0; round < Rounds(400); ++round) {
    const auto tallies = std::make_unique<std::array<Tally, kCount>>();
    ScopedPool pool(2);
    std::vector<pool_ticket_t> tickets;
    for (auto& tally : *tallies) {
      pool_task_t task = TallyTask(tally);
      task.queue_timeout_ns = 1 + static_cast<int64_t>(random() % (400 * kUs));
      if (random() % 2 == 0) task.delay_ns = static_cast<int64_t>(random() % (300 * kUs));
      tickets.push_back(Submit(pool, task));
    }
    std::atomic<uint64_t> cancelled{0}, bad{0};
    std::thread canceller([&] {
      for (pool_ticket_t ticket : tickets) {
        SpinFor(std::chrono::microseconds(10));
        const pool_status_t status = pool_cancel(ticket);
        if (status == POOL_OK) ++cancelled;
        if (status != POOL_OK && status != POOL_E_ALREADY) ++bad;
      }
    });
    std::thread helper([&] {
      for (auto it = tickets.rbegin(); it != tickets.rend(); ++it) {
        if (pool_wait(*it, POOL_WAIT_HELP, kBoundNs, nullptr, 0) != POOL_OK) ++bad;
      }
    });
    canceller.join();
    helper.join();
    CheckSettled(pool);
    REQUIRE(bad == 0);
    for (size_t i = 0; i < kCount; ++i) {
      const Tally& tally = (*tallies)[i];
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.drops == 1);
      REQUIRE(tally.runs == (tally.drop_outcome == POOL_DONE ? 1 : 0));
      ++outcomes[tally.drop_outcome];
      REQUIRE(pool_ticket_release(tickets[i]) == POOL_OK);
    }
    REQUIRE(Stats(pool).cancelled == cancelled);
  }
  CHECK(outcomes[POOL_DONE] > 0);
  CHECK(outcomes[POOL_CANCELLED] > 0);
  CHECK(outcomes[POOL_EXPIRED] > 0);
  CHECK(outcomes[POOL_FAILED] + outcomes[POOL_SHED] == 0);
}

TEST_CASE("expiry against a close that cancels keeps one outcome", "[deadlines]") {
  constexpr size_t kCount = 50;
  std::minstd_rand random(5);
  for (uint64_t round = 0; round < Rounds(400); ++round) {
    const auto tallies = std::make_unique<std::array<Tally, kCount>>();
    ScopedPool pool(2);
    for (auto& tally : *tallies) {
      pool_task_t task = TallyTask(tally);
      task.queue_timeout_ns = 1 + static_cast<int64_t>(random() % (200 * kUs));
      task.delay_ns = static_cast<int64_t>(random() % (200 * kUs));
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    SpinFor(std::chrono::microseconds(random() % 300));
    if (round % 3 == 0) {
      REQUIRE(pool_release(pool.GiveUp()) == POOL_OK);
    } else {
      REQUIRE(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
      CheckSettled(pool);
    }
    for (const Tally& tally : *tallies) {
      REQUIRE(PollUntil([&] { return tally.drops == 1; }));
      REQUIRE(tally.dones == 1);
      REQUIRE(tally.runs == (tally.drop_outcome == POOL_DONE ? 1 : 0));
    }
  }
}

// ---- run timeout

TEST_CASE("a run that lasts longer than its timeout is asked to stop, and the result says so", "[deadlines]") {
  std::atomic<int32_t> at_first{-1};
  Story story([&](pool_ctx_t* ctx) {
    at_first = pool_ctx_should_stop(ctx);
    return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? -1500 : 0;
  });
  ScopedPool pool(1);  // its only worker is the one that is asked
  pool_task_t task = story.Task();
  task.run_timeout_ns = 30 * kMs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(at_first == 0);
  CHECK(result.outcome == POOL_FAILED);  // how it ends is its own decision
  CHECK(result.code == -1500);
  CHECK(result.flags == POOL_RESULT_OVERRAN);
  CHECK(result.run_ns >= uint64_t{30 * kMs});
  CHECK(story.result.flags == POOL_RESULT_OVERRAN);

  // The next task on the same worker knows nothing of it.
  std::atomic<int32_t> asked{-1};
  Story next([&](pool_ctx_t* ctx) {
    asked = pool_ctx_should_stop(ctx);
    return 0;
  });
  const Told other(pool, next.Task());
  CHECK(WaitForResult(other).flags == 0);
  CHECK(asked == 0);
  CheckSettled(pool);
  CHECK(Stats(pool).failed == 1);
  CHECK(Stats(pool).done == 1);
}

TEST_CASE("a task that overruns and does not care is done, and is not killed", "[deadlines]") {
  Story story([](pool_ctx_t* ctx) {
    if (!PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; })) return -1;
    SleepNs(10 * kMs);
    return 0;
  });
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.run_timeout_ns = 1;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.flags == POOL_RESULT_OVERRAN);
  CheckSettled(pool);
}

TEST_CASE("a task that ends within its run timeout has not overrun, and its timer harms nobody", "[deadlines]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> asked{0};
  Body body([&](pool_ctx_t* ctx) {
    if (pool_ctx_should_stop(ctx) != 0) ++asked;
    return 0;
  });
  pool_task_t task = Task(Body::Run, &body);
  task.run_timeout_ns = 10'000 * kMs;
  for (int i = 0; i < 1'000; ++i) REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).flags == 0);
  CheckSettled(pool);
  CHECK(asked == 0);
}

TEST_CASE("a run timeout reaches the forks of its task", "[deadlines]") {
  Body child([](pool_ctx_t* ctx) {
    return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? -1600 : 0;
  });
  Story story([&](pool_ctx_t* ctx) {
    pool_fork_t fork;
    int32_t code = 0;
    if (pool_ctx_fork(ctx, &fork, Body::Run, &child) != POOL_OK) return -1;
    if (pool_ctx_join(ctx, &fork, &code) != POOL_OK) return -2;
    return code;
  });
  ScopedPool pool(2);
  pool_task_t task = story.Task();
  task.run_timeout_ns = 20 * kMs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.code == -1600);
  CHECK(result.flags == POOL_RESULT_OVERRAN);
  CheckSettled(pool);
}

TEST_CASE("each attempt has a run timeout of its own, and one that overran is remembered", "[deadlines]") {
  std::atomic<int32_t> at_second{-1};
  Story story([&](pool_ctx_t* ctx) {
    if (pool_ctx_attempt(ctx) == 1) {
      return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? POOL_RETRY : -1;
    }
    at_second = pool_ctx_should_stop(ctx);
    return 0;
  });
  ScopedPool pool(1);
  pool_task_t task = story.Task();
  task.run_timeout_ns = 200 * kMs;
  task.retries_max = 1;
  task.backoff_first_ns = kMs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.attempts == 2);
  CHECK(at_second == 0);
  CHECK(result.flags == POOL_RESULT_OVERRAN);
  CheckSettled(pool);
}

TEST_CASE("a run timeout holds for a task that its waiter runs", "[deadlines]") {
  Story story([](pool_ctx_t* ctx) {
    return PollUntil([&] { return pool_ctx_should_stop(ctx) == 1; }) ? 0 : -1;
  });
  BlockedPool pool(1);
  pool_task_t task = story.Task();
  task.run_timeout_ns = 20 * kMs;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket, POOL_WAIT_HELP);
  CHECK(result.outcome == POOL_DONE);
  CHECK(result.worker == -1);
  CHECK(result.flags == POOL_RESULT_OVERRAN);
  pool.Open();
  CheckSettled(pool);
}

TEST_CASE("an overrun that races the end of its run is in the result if the task was asked to stop", "[deadlines]") {
  std::minstd_rand random(9);
  uint64_t overran = 0;
  ScopedPool pool(2);
  const uint64_t rounds = Rounds(4'000);
  for (uint64_t round = 0; round < rounds; ++round) {
    std::atomic<int32_t> asked{0};
    const auto busy = std::chrono::microseconds(random() % 500);
    Body body([&](pool_ctx_t* ctx) {
      SpinFor(busy);
      asked = pool_ctx_should_stop(ctx);
      return 0;
    });
    pool_task_t task = Task(Body::Run, &body);
    task.run_timeout_ns = 200 * kUs;
    const Told ticket(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    REQUIRE(result.outcome == POOL_DONE);
    if (asked == 1) REQUIRE(result.flags == POOL_RESULT_OVERRAN);
    if (result.flags != 0) {
      ++overran;
      REQUIRE(result.run_ns >= uint64_t{200 * kUs});
    }
  }
  CHECK(overran > 0);
  CHECK(overran < rounds);
  CheckSettled(pool);
}

// ---- callbacks of what expires, on whatever thread they run

TEST_CASE("done of an expired task may do what a task may", "[deadlines]") {
  std::atomic<uint64_t> runs{0};
  std::atomic<int32_t> submitted{1}, idle{1}, destroyed{1}, closed{1}, index{7}, waited_for_itself{1};
  pool_ticket_t ticket = 0;
  Story story;
  BlockedPool pool(1);
  story.in_done = [&](const pool_result_t& result) {
    ticket = result.ticket;
    const pool_task_t task = Task(CountRun, &runs);
    submitted = pool_submit_task(pool, &task, nullptr);
    idle = pool_wait_idle(pool, POOL_FOREVER);
    destroyed = pool_destroy(pool);
    closed = pool_close(pool, POOL_DRAIN, POOL_FOREVER);
    waited_for_itself = pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0);
    index = pool_worker_index(pool);
  };
  pool_task_t task = story.Task();
  task.queue_timeout_ns = 10 * kMs;
  const Told told(pool, task);
  REQUIRE(WaitForResult(told).outcome == POOL_EXPIRED);
  CHECK(ticket == told);
  CHECK(submitted == POOL_OK);
  CHECK(idle == POOL_E_DEADLOCK);
  CHECK(destroyed == POOL_E_DEADLOCK);
  CHECK(closed == POOL_E_DEADLOCK);
  CHECK(waited_for_itself == POOL_E_DEADLOCK);
  CHECK(index == -1);
  pool.Open();
  CheckSettled(pool);
  CHECK(runs == 1);
}

TEST_CASE("done of an expired task may give its pool up", "[deadlines]") {
  const size_t threads = ThreadCount();
  Story story;
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_t handle = pool;
  std::atomic<int32_t> released{1};
  story.in_done = [&](const pool_result_t&) { released = pool_release(handle); };
  pool_task_t task = story.Task();
  task.queue_timeout_ns = 10 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  (void)pool.GiveUp();
  REQUIRE(story.AwaitDrop());
  CHECK(released == POOL_OK);
  CHECK(AwaitThreadCount(threads));

  // Time goes on for others.
  Story other;
  ScopedPool next(1);
  task = other.Task();
  task.delay_ns = kMs;
  REQUIRE(pool_submit_task(next, &task, nullptr) == POOL_OK);
  CheckSettled(next);
}

TEST_CASE("done of an expired task may wait for another time", "[deadlines]") {
  Story expires, delayed, elsewhere;
  std::atomic<int32_t> own{1}, other{1}, ended{1};
  ScopedPool far(1);
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  ScopedPool near(1);
  expires.in_done = [&](const pool_result_t&) {
    pool_task_t task = delayed.Task();
    task.delay_ns = 5 * kMs;
    const pool_ticket_t first = Submit(near, task);
    own = pool_wait(first, 0, kBoundNs, nullptr, 0);
    Must(pool_ticket_release(first), "pool_ticket_release");
    task = elsewhere.Task();
    task.delay_ns = 5 * kMs;
    Must(pool_submit_task(far, &task, nullptr), "pool_submit_task");
    other = pool_wait_idle(far, kBoundNs);
    ended = pool_close(near, POOL_DRAIN, kBoundNs);
  };
  pool_task_t task = expires.Task();
  task.queue_timeout_ns = 10 * kMs;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  REQUIRE(PollUntil([&] { return expires.drops == 1; }, 4 * kBoundNs));
  CHECK(own == POOL_OK);
  CHECK(other == POOL_OK);
  CHECK(ended == POOL_OK);
  CHECK(delayed.Ended(POOL_DONE, 0));
  CHECK(elsewhere.Ended(POOL_DONE, 0));
  CheckSettled(pool);
  CheckSettled(near);
  CheckSettled(far);
}

TEST_CASE("done or drop of an expired task may end its thread, and time goes on", "[deadlines]") {
  for (const bool in_done : {true, false}) {
    const size_t threads = ThreadCount();
    {
      std::atomic<uint64_t> drops{0};
      Story later;
      BlockedPool pool(1);
      pool_task_t task = Task(DoNothing, &drops);
      if (in_done) task.done = [](void*, const pool_result_t*) { pthread_exit(nullptr); };
      task.drop = [](void* arg, int32_t) { ++*static_cast<std::atomic<uint64_t>*>(arg); };
      if (!in_done) {
        task.drop = [](void* arg, int32_t) {
          ++*static_cast<std::atomic<uint64_t>*>(arg);
          pthread_exit(nullptr);
        };
      }
      task.queue_timeout_ns = 10 * kMs;
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
      pool_task_t other = later.Task();
      other.queue_timeout_ns = 30 * kMs;
      REQUIRE(pool_submit_task(pool, &other, nullptr) == POOL_OK);
      CHECK(later.AwaitDrop());
      CHECK(drops == 1);
      CHECK(later.Ended(POOL_EXPIRED, POOL_E_EXPIRED));
      pool.Open();
      CheckSettled(pool);
      CHECK(Stats(pool).expired == 2);
    }
    CHECK(AwaitThreadCount(threads));
  }
}

}  // namespace
}  // namespace workpool_test
