// delay_ns: never early, soon after its time, however many there are, and cancelled like any other task. And the thread
// that waits for all of them: it comes with the first, and goes with the last pool that had one.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

constexpr int32_t kStrategies[] = {POOL_STRATEGY_STEALING, POOL_STRATEGY_FIFO, POOL_STRATEGY_LIFO,
                                   POOL_STRATEGY_PRIORITY};

pool_task_t Delayed(pool_task_t task, int64_t delay_ns) {
  task.delay_ns = delay_ns;
  return task;
}

// ---- when it starts

TEST_CASE("a delayed task does not start before its time", "[delays]") {
  for (int32_t strategy : kStrategies) {
    pool_options_t options = Options(2);
    options.strategy = strategy;
    ScopedPool pool(options);
    for (const int64_t delay_ns : {int64_t{1}, 50 * kUs, kMs, 2 * kMs + 1, 30 * kMs}) {
      Story story;
      const uint64_t before_ns = pool_now_ns();
      const Told ticket(pool, Delayed(story.Task(), delay_ns));
      const pool_result_t result = WaitForResult(ticket);
      CHECK(story.begun_ns >= before_ns + static_cast<uint64_t>(delay_ns));
      CHECK(result.outcome == POOL_DONE);
      CHECK(result.wait_ns >= static_cast<uint64_t>(delay_ns));
      CHECK(result.attempts == 1);
    }
    CheckSettled(pool);
  }
}

TEST_CASE("a delayed task starts within milliseconds of its time", "[delays][serial]") {
  ScopedPool pool(2);
  // Other work goes on meanwhile, and takes up all workers in pieces.
  std::atomic<bool> over{false};
  Body piece([&](pool_ctx_t* ctx) {
    SpinFor(std::chrono::microseconds(100));
    return over ? 0 : pool_ctx_submit(ctx, DoNothing, nullptr);
  });
  std::thread submitter([&] {
    while (!over) {
      if (Stats(pool).queued < 4) Must(pool_submit(pool, Body::Run, &piece), "submit");
    }
  });
  std::vector<uint64_t> late_ns;
  for (int i = 0; i < 60; ++i) {
    Story story;
    const int64_t delay_ns = (3 + i % 5) * kMs + i * 77 * kUs;
    const uint64_t before_ns = pool_now_ns();
    const Told ticket(pool, Delayed(story.Task(), delay_ns));
    (void)WaitForResult(ticket);
    late_ns.push_back(story.begun_ns - before_ns - static_cast<uint64_t>(delay_ns));
  }
  over = true;
  submitter.join();
  CHECK(Median(late_ns) < uint64_t{(kSanitized ? 30 : 4) * kMs});
  CheckSettled(pool);
}

// Keeps every CPU busy with short tasks of the pool, which submit each other, and leaves one worker without work.
class Load {
 public:
  Load() : pool_(LoadOptions()) {
    for (uint32_t i = 0; i < cpus_; ++i) Must(pool_submit(pool_, Body::Run, &piece_), "submit");
  }
  ~Load() { over_ = true; }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  operator pool_t() const { return pool_; }

 private:
  [[nodiscard]] pool_options_t LoadOptions() const {
    pool_options_t options = Options(cpus_ + 1);
    options.prestart = cpus_ + 1;
    options.keep_alive_ns = POOL_FOREVER;
    return options;
  }

  const uint32_t cpus_ = std::max(1u, std::thread::hardware_concurrency());  // those it may use
  std::atomic<bool> over_{false};
  Body piece_{[this](pool_ctx_t* ctx) {
    SpinFor(std::chrono::microseconds(100));
    return over_ ? 0 : pool_ctx_submit(ctx, Body::Run, &piece_);
  }};
  ScopedPool pool_;
};

// How late, in ns, each of many tasks came to what it was due for.
void CheckLateness(const char* what, std::vector<uint64_t> late_ns, int64_t half_bound_ns) {
  std::sort(late_ns.begin(), late_ns.end());
  const auto at = [&](size_t percent) { return late_ns[(late_ns.size() - 1) * percent / 100]; };
  std::printf("%s: late by %.3f ms at 50 %%, %.3f ms at 99 %%, %.3f ms at most\n", what, static_cast<double>(at(50)) / 1e6,
              static_cast<double>(at(99)) / 1e6, static_cast<double>(late_ns.back()) / 1e6);
  CHECK(at(50) <= static_cast<uint64_t>(half_bound_ns));
  CHECK(at(99) <= uint64_t{100 * kMs});
}

// The end of a task that expires tells when the thread for times came to it: with a delay, as soon as it is ready. A start
// takes a worker besides, which the kernel has to put in the place of one that is busy.
TEST_CASE("under load a task is ready, and one that waits expires, within a millisecond of its time", "[delays][.][long]") {
  constexpr int kTasks = 2'000;
  ScopedPool paused(1);
  Must(pool_pause(paused), "pause");
  const Load load;
  const auto late_end_ns = [&](int64_t delay_ns, int64_t queue_timeout_ns) {
    Story story;
    pool_task_t task = Delayed(story.Task(), delay_ns);
    task.queue_timeout_ns = queue_timeout_ns;
    const uint64_t before_ns = pool_now_ns();
    const Told ticket(paused, task);
    CHECK(WaitForResult(ticket).outcome == POOL_EXPIRED);
    return story.ended_ns - before_ns - static_cast<uint64_t>(delay_ns + queue_timeout_ns);
  };
  std::vector<uint64_t> ready_ns, expiry_ns, start_ns;
  for (int i = 0; i < kTasks; ++i) {
    const int64_t time_ns = kMs + i % 5 * kMs + i * 77 % 1'000 * kUs;
    ready_ns.push_back(late_end_ns(time_ns, 1));
    expiry_ns.push_back(late_end_ns(0, time_ns));
    Story story;
    const uint64_t before_ns = pool_now_ns();
    const Told ticket(load, Delayed(story.Task(), time_ns));
    (void)WaitForResult(ticket);
    start_ns.push_back(story.begun_ns - before_ns - static_cast<uint64_t>(time_ns));
  }
  CheckLateness("ready", ready_ns, kMs);
  CheckLateness("expiry", expiry_ns, kMs);
  CheckLateness("start on a free worker", start_ns, 4 * kMs);
}

TEST_CASE("a delayed task waits while its pool is paused, and runs after it", "[delays]") {
  Story story;
  ScopedPool pool(1);
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_task_t task = Delayed(story.Task(), kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(HoldsThroughout([&] { return story.runs == 0; }));
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(story.AwaitDrop());
  CheckSettled(pool);
}

TEST_CASE("G7: a pool with no worker starts one when a delayed task is due", "[delays]") {
  pool_options_t options = Options(2);
  options.workers_min = 0;
  options.keep_alive_ns = kMs;
  ScopedPool pool(options);
  for (int round = 0; round < 5; ++round) {
    Story story;
    const Told ticket(pool, Delayed(story.Task(), 60 * kMs));
    CHECK(PollUntil([&] { return story.runs != 0 || Stats(pool).workers_live == 0; }));
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_DONE);
    CHECK(result.wait_ns >= uint64_t{60 * kMs});
    CHECK(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  }
  // The last one is no longer counted as live a moment before it has ended.
  CHECK(PollUntil([&] { return Stats(pool).retired >= 5; }));
  CheckSettled(pool);
}

TEST_CASE("G7: workers come and go around delayed tasks, and none is forgotten", "[delays]") {
  std::minstd_rand random(1);
  pool_options_t options = Options(2);
  options.keep_alive_ns = 1;
  ScopedPool pool(options);
  std::atomic<uint64_t> runs{0};
  const uint64_t count = Rounds(2'000);
  for (uint64_t i = 0; i < count; ++i) {
    const pool_task_t task = Delayed(Task(CountRun, &runs), static_cast<int64_t>(random() % (300 * kUs)));
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    if (i % 4 == 0) REQUIRE(PollUntil([&] { return runs == i + 1; }));
  }
  CheckSettled(pool);
  CHECK(runs == count);
}

TEST_CASE("submitting a delayed task starts no worker", "[delays]") {
  ScopedPool pool(2);
  Story story;
  const Told ticket(pool, Delayed(story.Task(), kHour));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 0; }));
  REQUIRE(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
}

// ---- what one sees of it meanwhile

TEST_CASE("a delayed task can be waited for with a timeout, before and after its time", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const uint64_t before_ns = pool_now_ns();
  const Told ticket(pool, Delayed(story.Task(), 150 * kMs));
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait(ticket, 0, 5 * kMs, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_wait_idle(pool, 5 * kMs) == POOL_E_TIMEOUT);
  if (story.runs == 0) {
    const pool_stats_t stats = Stats(pool);
    CHECK(stats.submitted == 1);
    CHECK((stats.queued == 1 || story.runs == 1));
  }
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(pool_now_ns() >= before_ns + 150 * kMs);
  CheckSettled(pool);
}

TEST_CASE("a helping waiter does not start a delayed task before its time", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const uint64_t before_ns = pool_now_ns();
  const Told ticket(pool, Delayed(story.Task(), 50 * kMs));
  const pool_result_t result = WaitForResult(ticket, POOL_WAIT_HELP);
  CHECK(result.outcome == POOL_DONE);
  CHECK(story.begun_ns >= before_ns + 50 * kMs);
  CheckSettled(pool);
}

TEST_CASE("a task may delay another one and wait for it, with one worker", "[delays]") {
  Story child;
  std::atomic<uint64_t> before_ns{0};
  std::atomic<int32_t> polled{1}, waited{1};
  ScopedPool pool(1);
  Story parent([&](pool_ctx_t*) {
    before_ns = pool_now_ns();
    const pool_ticket_t ticket = Submit(pool, Delayed(child.Task(), 40 * kMs));
    polled = pool_wait(ticket, 0, 0, nullptr, 0);
    waited = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
    return pool_ticket_release(ticket);
  });
  const Told ticket(pool, parent.Task());
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(polled == POOL_E_TIMEOUT);
  CHECK(waited == POOL_OK);
  CHECK(child.begun_ns >= before_ns + 40 * kMs);
  CheckSettled(pool);
}

TEST_CASE("a wait for one of several, in a task, leaves delayed ones their time", "[delays]") {
  Story first, second;
  std::atomic<uint32_t> index{7};
  std::atomic<uint64_t> before_ns{0};
  ScopedPool pool(1);
  Story parent([&](pool_ctx_t*) {
    before_ns = pool_now_ns();
    const pool_ticket_t tickets[] = {Submit(pool, Delayed(first.Task(), kHour)),
                                     Submit(pool, Delayed(second.Task(), 30 * kMs))};
    uint32_t which = 7;
    Must(pool_wait_many(tickets, 2, 0, kBoundNs, &which), "pool_wait_many");
    index = which;
    Must(pool_cancel(tickets[0]), "pool_cancel");
    for (const pool_ticket_t ticket : tickets) Must(pool_ticket_release(ticket), "pool_ticket_release");
    return 0;
  });
  const Told ticket(pool, parent.Task());
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(index == 1);
  CHECK(second.begun_ns >= before_ns + 30 * kMs);
  CHECK(first.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
  CheckSettled(pool);
}

TEST_CASE("delayed tasks count against the queue limit until they start or end", "[delays]") {
  for (const uint64_t queue_limit : {uint64_t{1}, uint64_t{4'096}, uint64_t{5'000}}) {
    std::atomic<uint64_t> runs{0};
    pool_options_t options = Options(1);
    options.queue_limit = queue_limit;
    ScopedPool pool(options);
    const pool_task_t far = Delayed(Task(CountRun, &runs), kHour);
    const pool_task_t plain = Task(CountRun, &runs);
    std::vector<pool_ticket_t> tickets(queue_limit);
    for (auto& ticket : tickets) REQUIRE(pool_submit_task(pool, &far, &ticket) == POOL_OK);
    CHECK(pool_submit_task(pool, &far, nullptr) == POOL_E_FULL);
    CHECK(pool_submit_task(pool, &plain, nullptr) == POOL_E_FULL);
    REQUIRE(pool_cancel(tickets[0]) == POOL_OK);
    CHECK(pool_submit_task(pool, &plain, nullptr) == POOL_OK);
    REQUIRE(PollUntil([&] { return runs == 1; }));
    REQUIRE(pool_ticket_release(tickets[0]) == POOL_OK);
    REQUIRE(pool_submit_task(pool, &far, &tickets[0]) == POOL_OK);
    CHECK(pool_submit_task(pool, &far, nullptr) == POOL_E_FULL);
    for (const pool_ticket_t ticket : tickets) {
      REQUIRE(pool_cancel(ticket) == POOL_OK);
      REQUIRE(pool_ticket_release(ticket) == POOL_OK);
    }
    CheckSettled(pool);
    CHECK(Stats(pool).cancelled == queue_limit + 1);
  }
}

// ---- cancel, close, destroy, release

TEST_CASE("cancelling a delayed task ends it at once, and it never runs", "[delays]") {
  ScopedPool pool(1);
  for (const int64_t delay_ns : {kHour, INT64_MAX, INT64_MAX - 1}) {
    Story story;
    const Told ticket(pool, Delayed(story.Task(), delay_ns));
    CHECK(pool_cancel(ticket) == POOL_OK);
    CHECK(story.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
    CHECK(story.result.attempts == 0);
    CHECK(story.result.worker == -1);
    CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
    CHECK(story.runs == 0);
  }
  CheckSettled(pool);
  CHECK(Stats(pool).cancelled == 3);
  CHECK(Stats(pool).ended_unrun == 3);
}

TEST_CASE("a cancelled group or token ends its delayed tasks at once", "[delays]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  pool_token_t token = 0;
  REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
  REQUIRE(pool_token_create(0, &token) == POOL_OK);
  std::array<Story, 10> members, under;
  for (auto& story : members) {
    pool_task_t task = Delayed(story.Task(), kHour);
    task.group = group;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  for (auto& story : under) {
    pool_task_t task = Delayed(story.Task(), kHour);
    task.token = token;
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_OK);
  for (const auto& story : members) CHECK(story.Ended(POOL_CANCELLED, POOL_E_CANCELLED));
  CHECK(under[0].drops == 0);
  CHECK(pool_token_cancel(token, -1234) == POOL_OK);
  for (const auto& story : under) CHECK(story.Ended(POOL_CANCELLED, -1234));
  CheckSettled(pool);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a cancel that races the end of the delay has one winner", "[delays]") {
  std::minstd_rand random(2);
  ScopedPool pool(2);
  uint64_t won = 0, lost = 0;
  for (uint64_t round = 0; round < Rounds(4'000); ++round) {
    Story story;
    const Told ticket(pool, Delayed(story.Task(), 200 * kUs));
    // The time comes in ticks, so the race is not always at the same place.
    SpinFor(std::chrono::microseconds(150 + random() % 400));
    const pool_status_t status = pool_cancel(ticket);
    const pool_result_t result = WaitForResult(ticket);
    if (status == POOL_OK) {
      ++won;
      REQUIRE(story.runs == 0);
      REQUIRE(result.outcome == POOL_CANCELLED);
    } else {
      ++lost;
      REQUIRE(status == POOL_E_ALREADY);
      REQUIRE(story.runs == 1);
      REQUIRE(result.outcome == POOL_DONE);
    }
    REQUIRE(story.dones == 1);
    REQUIRE(story.drops == 1);
  }
  CHECK(won > 0);
  CHECK(lost > 0);
  CheckSettled(pool);
  CHECK(Stats(pool).cancelled == won);
}

TEST_CASE("a draining close waits for delayed tasks, and takes no others", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const uint64_t before_ns = pool_now_ns();
  const pool_task_t task = Delayed(story.Task(), 100 * kMs);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CLOSED);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(pool_now_ns() >= before_ns + 100 * kMs);
  CHECK(story.Ended(POOL_DONE, 0));
  CheckSettled(pool);
}

TEST_CASE("a task may delay another one while its pool drains", "[delays]") {
  Story child;
  Gate gate;
  std::atomic<int32_t> accepted{1};
  ScopedPool pool(1);
  Body parent([&](pool_ctx_t*) {
    gate.Pass();
    const pool_task_t task = Delayed(child.Task(), 20 * kMs);
    accepted = pool_submit_task(pool, &task, nullptr);
    return 0;
  });
  REQUIRE(pool_submit(pool, Body::Run, &parent) == POOL_OK);
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_close(pool, POOL_DRAIN, 0) == POOL_E_TIMEOUT);
  gate.Open();
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(accepted == POOL_OK);
  CHECK(child.Ended(POOL_DONE, 0));
  CheckSettled(pool);
}

TEST_CASE("a cancelling close ends delayed tasks at once", "[delays]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    std::array<Story, 20> stories;
    ScopedPool pool(1);
    for (auto& story : stories) {
      const pool_task_t task = Delayed(story.Task(), kHour);
      REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    REQUIRE(pool_close(pool, mode, kBoundNs) == POOL_OK);
    for (const auto& story : stories) {
      CHECK(story.Ended(POOL_CANCELLED, POOL_E_CLOSED));
      CHECK(story.runs == 0);
    }
    CheckSettled(pool);
  }
}

TEST_CASE("a close that drains can be turned into one that cancels", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const pool_task_t task = Delayed(story.Task(), kHour);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(pool_close(pool, POOL_DRAIN, kMs) == POOL_E_TIMEOUT);
  CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  CHECK(story.Ended(POOL_CANCELLED, POOL_E_CLOSED));
  CheckSettled(pool);
}

TEST_CASE("destroy waits for delayed tasks", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const uint64_t before_ns = pool_now_ns();
  const pool_ticket_t ticket = Submit(pool, Delayed(story.Task(), 60 * kMs));
  REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(pool_now_ns() >= before_ns + 60 * kMs);
  CHECK(story.Ended(POOL_DONE, 0));
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("release cancels delayed tasks", "[delays]") {
  const size_t threads = ThreadCount();
  Story story;
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Delayed(story.Task(), kHour));
  REQUIRE(pool_release(pool.GiveUp()) == POOL_OK);
  REQUIRE(story.AwaitDrop());
  CHECK(story.Ended(POOL_CANCELLED, POOL_E_CLOSED));
  CHECK(WaitForResult(ticket).outcome == POOL_CANCELLED);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("the ticket of a delayed task may be released, and the task goes on", "[delays]") {
  Story story;
  ScopedPool pool(1);
  const pool_ticket_t ticket = Submit(pool, Delayed(story.Task(), 20 * kMs));
  REQUIRE(pool_ticket_release(ticket) == POOL_OK);
  REQUIRE(story.AwaitDrop());
  CHECK(story.Ended(POOL_DONE, 0));
  CheckSettled(pool);
}

// ---- many

TEST_CASE("a hundred thousand delays end once each, and none early", "[delays]") {
  struct Timed {
    uint64_t due_ns = 0;
    std::atomic<uint64_t> runs{0}, drops{0}, early{0};
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto& timed = *static_cast<Timed*>(arg);
      if (pool_now_ns() < timed.due_ns) ++timed.early;
      ++timed.runs;
      return 0;
    }
    static void Drop(void* arg, int32_t) { ++static_cast<Timed*>(arg)->drops; }
  };
  const size_t count = Rounds(100'000);
  const auto all = std::make_unique<Timed[]>(count);
  std::minstd_rand random(4);
  ScopedPool pool(2);
  for (size_t i = 0; i < count; ++i) {
    const int64_t delay_ns = static_cast<int64_t>(random() % (200 * kMs));
    pool_task_t task = Delayed(Task(Timed::Run, &all[i]), delay_ns);
    task.drop = Timed::Drop;
    all[i].due_ns = FromNow(delay_ns);
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CheckSettled(pool);
  for (size_t i = 0; i < count; ++i) {
    REQUIRE(all[i].runs == 1);
    REQUIRE(all[i].drops == 1);
    REQUIRE(all[i].early == 0);
  }
  CHECK(Stats(pool).done == count);
}

TEST_CASE("a hundred thousand delays of the same moment all run", "[delays]") {
  std::atomic<uint64_t> runs{0};
  const uint64_t count = Rounds(100'000);
  ScopedPool pool(2);
  const uint64_t due_ns = FromNow(200 * kMs);
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t left_ns = static_cast<int64_t>(due_ns - pool_now_ns());
    const pool_task_t task = Delayed(Task(CountRun, &runs), std::max(left_ns, int64_t{1}));
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CheckSettled(pool);
  CHECK(runs == count);
}

TEST_CASE("a hundred thousand delayed tasks are cancelled by tickets in any order", "[delays]") {
  const size_t count = Rounds(100'000);
  std::atomic<uint64_t> drops{0};
  std::minstd_rand random(6);
  std::vector<pool_ticket_t> tickets(count);
  ScopedPool pool(2);
  pool_task_t task = Task(DoNothing, &drops);
  task.drop = [](void* arg, int32_t outcome) {
    if (outcome == POOL_CANCELLED) ++*static_cast<std::atomic<uint64_t>*>(arg);
  };
  for (auto& ticket : tickets) {
    task.delay_ns = kHour + static_cast<int64_t>(random()) * 1'000;
    REQUIRE(pool_submit_task(pool, &task, &ticket) == POOL_OK);
  }
  std::shuffle(tickets.begin(), tickets.end(), random);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> bad{0};
  for (size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < count; i += 2) {
        if (pool_cancel(tickets[i]) != POOL_OK) ++bad;
        if (pool_ticket_release(tickets[i]) != POOL_OK) ++bad;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(bad == 0);
  CHECK(drops == count);
  CheckSettled(pool);
}

TEST_CASE("delays from inside tasks come to their time, a chain of them too", "[delays]") {
  struct Link {
    pool_t pool;
    std::atomic<uint64_t> left;
    std::atomic<uint64_t> bad{0}, previous_ns{0};
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto& link = *static_cast<Link*>(arg);
      const uint64_t now_ns = pool_now_ns();
      if (now_ns < link.previous_ns + 100 * kUs) ++link.bad;
      link.previous_ns = now_ns;
      if (link.left-- == 1) return 0;
      const pool_task_t next = Delayed(Task(Run, arg), 100 * kUs);
      if (pool_submit_task(link.pool, &next, nullptr) != POOL_OK) ++link.bad;
      return 0;
    }
  };
  ScopedPool pool(2);
  Link links[3] = {{pool, 200}, {pool, 200}, {pool, 200}};
  for (auto& link : links) REQUIRE(pool_submit(pool, Link::Run, &link) == POOL_OK);
  CheckSettled(pool);
  for (const auto& link : links) {
    CHECK(link.left == 0);
    CHECK(link.bad == 0);
  }
  CHECK(Stats(pool).done == 600);
}

TEST_CASE("pools with delayed tasks may come and go on several threads", "[delays]") {
  std::atomic<uint64_t> runs{0}, bad{0};
  const uint64_t rounds = Rounds(200);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<uint32_t>(t + 1));
      for (uint64_t round = 0; round < rounds; ++round) {
        const pool_options_t options = Options(1);
        pool_t pool = 0;
        if (pool_create(&options, &pool) != POOL_OK) ++bad;
        for (int i = 0; i < 4; ++i) {
          const pool_task_t task = Delayed(Task(CountRun, &runs), static_cast<int64_t>(random() % (500 * kUs)));
          if (pool_submit_task(pool, &task, nullptr) != POOL_OK) ++bad;
        }
        if (pool_close(pool, POOL_DRAIN, kBoundNs) != POOL_OK) ++bad;
        CheckSettled(pool);
        if (pool_destroy(pool) != POOL_OK) ++bad;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(bad == 0);
  CHECK(runs == 3 * rounds * 4);
}

// ---- what it costs

TEST_CASE("a delayed task without ticket and callbacks costs at most 100 bytes", "[delays][exact]") {
  constexpr uint64_t kCount = 1'000'000;
  pool_options_t options = Options(1);
  options.queue_limit = POOL_UNLIMITED;
  ScopedPool pool(options);
  const pool_task_t task = Delayed(Task(DoNothing, nullptr), kHour);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  const uint64_t before = ResidentBytes();
  for (uint64_t i = 0; i < kCount; ++i) REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  const uint64_t after = ResidentBytes();
  CHECK(static_cast<double>(after - before) / kCount <= 100.0);
  CHECK(Stats(pool).queued == kCount + 1);
  REQUIRE(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).cancelled == kCount + 1);
}

// The thread that waits for times, or 0.
int ServiceThread() {
  for (int id : ThreadIds()) {
    if (ThreadStatus(id, "Name") == "pool-service") return id;
  }
  return 0;
}

TEST_CASE("a program that uses no time has no thread for it", "[delays]") {
  REQUIRE(PollUntil([] { return ServiceThread() == 0; }));
  Story story;
  ScopedPool pool(2);
  for (int i = 0; i < 1'000; ++i) REQUIRE(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
  pool_task_t task = story.Task();
  task.priority = 1;
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_DONE);
  CheckSettled(pool);
  CHECK(ServiceThread() == 0);
}

TEST_CASE("many pools share one thread for their times", "[delays]") {
  const size_t threads = ThreadCount();
  std::vector<std::unique_ptr<ScopedPool>> pools;
  std::vector<pool_ticket_t> tickets;
  for (int i = 0; i < 20; ++i) {
    pools.push_back(std::make_unique<ScopedPool>(1));
    tickets.push_back(Submit(*pools.back(), Delayed(Task(DoNothing, nullptr), kHour)));
  }
  CHECK(ThreadCount() == threads + 1);
  CHECK(PollUntil([] { return ServiceThread() != 0; }));
  for (size_t i = 0; i < tickets.size(); ++i) {
    CHECK(pool_cancel(tickets[i]) == POOL_OK);
    CHECK(pool_ticket_release(tickets[i]) == POOL_OK);
    CheckSettled(*pools[i]);
  }
  // It stays with the last one.
  while (pools.size() > 1) pools.pop_back();
  CHECK(ThreadCount() == threads + 1);
  pools.clear();
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("C9: no thread is left when the last pool with delayed tasks is destroyed, a hundred times", "[delays]") {
  const size_t threads = ThreadCount();
  for (int cycle = 0; cycle < 100; ++cycle) {
    std::atomic<uint64_t> runs{0};
    {
      ScopedPool pool(2);
      pool_task_t task = Delayed(Task(CountRun, &runs), 200 * kUs);
      for (int i = 0; i < 3; ++i) REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
      if (cycle % 2 == 0) CheckSettled(pool);
    }
    REQUIRE(runs == 3);
    REQUIRE(AwaitThreadCount(threads));
  }
}

TEST_CASE("a pool whose delayed tasks are far away uses no CPU", "[delays][serial]") {
  ScopedPool pool(1);
  const Told ticket(pool, Delayed(Task(DoNothing, nullptr), kHour));
  int service = 0;
  REQUIRE(PollUntil([&] { return (service = ServiceThread()) != 0; }));
  REQUIRE(PollUntil([&] { return ThreadStatus(service, "State").substr(0, 1) == "S"; }));
  const std::string before = ThreadStatus(service, "voluntary_ctxt_switches");
  SleepNs(500 * kMs);
  CHECK(ThreadStatus(service, "voluntary_ctxt_switches") == before);
  CHECK(Stats(pool).workers_live == 0);
  REQUIRE(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("E4: the thread that waits for times blocks every signal but the synchronous faults", "[delays]") {
  ScopedPool pool(1);
  const Told ticket(pool, Delayed(Task(DoNothing, nullptr), kHour));
  REQUIRE(PollUntil([] { return ServiceThread() != 0; }));
  const uint64_t mask = std::stoull(ThreadStatus(ServiceThread(), "SigBlk"), nullptr, 16);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGHUP, SIGPROF}) {
    CHECK((mask >> (number - 1) & 1) == 1);
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) CHECK((mask >> (number - 1) & 1) == 0);
  REQUIRE(pool_cancel(ticket) == POOL_OK);
  CheckSettled(pool);
}

}  // namespace
}  // namespace workpool_test
