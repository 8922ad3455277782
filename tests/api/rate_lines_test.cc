// Tasks that wait in line for tokens of a rate: when they have to have one, and what becomes of those that are not used.
#include <pthread.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

// At most one start in kStepNs.
constexpr int64_t kStepNs = 20 * kMs;

pool_options_t Rated(uint32_t workers = 2, int64_t step_ns = kStepNs) {
  pool_options_t options = Options(workers);
  options.rate_count = 1;
  options.rate_period_ns = step_ns;
  return options;
}

// Tasks that write down when they began.
class Starts {
 public:
  explicit Starts(int32_t code = 0) : code_(code) {}
  [[nodiscard]] pool_task_t Task() { return workpool_test::Task(Run, this); }
  [[nodiscard]] std::vector<uint64_t> times() {
    const std::lock_guard<std::mutex> lock(mu_);
    std::vector<uint64_t> times = times_;
    std::sort(times.begin(), times.end());
    return times;
  }
  // So many tokens come in the time between the first and the last start, and one stood there at first. A start that is
  // late is no start too many, but may bring two together; over all of them the sum is exact.
  [[nodiscard]] bool KeepTo(int64_t step_ns) {
    const std::vector<uint64_t> starts = times();
    const uint64_t begin = starts.front();
    for (size_t i = 0; i < starts.size(); ++i) {
      // A clock is read by the task, a little after its token came.
      if (starts[i] + static_cast<uint64_t>(kMs) < begin + i * static_cast<uint64_t>(step_ns) - kSlackNs(i)) return false;
    }
    return true;
  }

 private:
  // The first start itself may have been late.
  static uint64_t kSlackNs(size_t i) { return i == 0 ? 0 : 10 * static_cast<uint64_t>(kMs); }
  static int32_t Run(void* arg, pool_ctx_t*) {
    auto& starts = *static_cast<Starts*>(arg);
    const std::lock_guard<std::mutex> lock(starts.mu_);
    starts.times_.push_back(pool_now_ns());
    return starts.code_;
  }

  const int32_t code_;
  std::mutex mu_;
  std::vector<uint64_t> times_;
};

TEST_CASE("a delayed task takes its token when its time has come, not when it is submitted", "[rates]") {
  Starts starts;
  ScopedPool pool(Rated());
  pool_task_t task = starts.Task();
  task.delay_ns = 200 * kMs;
  for (int i = 0; i < 8; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  // One without a delay does not wait behind theirs.
  Starts prompt;
  task = prompt.Task();
  const uint64_t before_ns = pool_now_ns();
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CheckSettled(pool);
  REQUIRE(starts.times().size() == 8);
  CHECK(starts.KeepTo(kStepNs));
  CHECK(prompt.times().front() < starts.times().front());
  CHECK(prompt.times().front() - before_ns < static_cast<uint64_t>(150 * kMs));
}

TEST_CASE("each run of a periodic task and each retry takes a token", "[rates]") {
  SECTION("periods") {
    Starts starts;
    ScopedPool pool(Rated());
    pool_task_t task = starts.Task();
    task.period_ns = kMs;
    const Told ticket(pool, task);
    REQUIRE(PollUntil([&] { return starts.times().size() >= 8; }));
    (void)pool_cancel(ticket);
    CheckSettled(pool);
    CHECK(starts.KeepTo(kStepNs));
  }
  SECTION("retries") {
    Starts starts(POOL_RETRY);
    ScopedPool pool(Rated());
    pool_task_t task = starts.Task();
    task.retries_max = 7;
    task.backoff_first_ns = task.backoff_max_ns = kMs;
    task.backoff_jitter = POOL_JITTER_NONE;
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    CheckSettled(pool);
    REQUIRE(starts.times().size() == 8);
    CHECK(starts.KeepTo(kStepNs));
  }
  SECTION("of a class") {
    Starts starts;
    ScopedPool pool(2);
    pool_class_options_t rules;
    Must(pool_class_options_init(&rules, sizeof(rules)), "init");
    rules.rate_count = 1;
    rules.rate_period_ns = kStepNs;
    Must(pool_class_set(pool, 3, &rules), "class_set");
    pool_task_t task = starts.Task();
    task.class_id = 3;
    task.period_ns = kMs;
    const Told ticket(pool, task);
    REQUIRE(PollUntil([&] { return starts.times().size() >= 8; }));
    (void)pool_cancel(ticket);
    CheckSettled(pool);
    CHECK(starts.KeepTo(kStepNs));
  }
}

TEST_CASE("tokens of tasks that end before they start go to those behind them", "[rates]") {
  enum { kCancelled, kExpired };
  for (const int how : {kCancelled, kExpired}) {
    CAPTURE(how);
    Story never;
    ScopedPool pool(Rated(1, 200 * kMs));
    Must(pool_submit(pool, DoNothing, nullptr), "submit");  // the first token
    std::vector<pool_ticket_t> tickets;
    pool_task_t task = never.Task();
    task.done = nullptr;
    task.drop = nullptr;
    if (how == kExpired) task.queue_timeout_ns = kMs;
    for (int i = 0; i < 100; ++i) tickets.push_back(Submit(pool, task));
    if (how == kCancelled) {
      for (const pool_ticket_t ticket : tickets) CHECK(pool_cancel(ticket) == POOL_OK);
    }
    for (const pool_ticket_t ticket : tickets) {
      const pool_result_t result = WaitForResult(ticket);
      CHECK(result.outcome == (how == kCancelled ? POOL_CANCELLED : POOL_EXPIRED));
      CHECK(pool_ticket_release(ticket) == POOL_OK);
    }
    // 20 seconds, if theirs were lost.
    Story next;
    task = next.Task();
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    CHECK(PollUntil([&] { return next.runs == 1; }, 2'000 * kMs));
    CheckSettled(pool);
    CHECK(never.runs == 0);
  }
}

TEST_CASE("a task that has its token and is cancelled in the queue gives it back", "[rates]") {
  pool_options_t options = Rated(1, kHour);
  options.rate_burst = 2;
  options.on_rate = POOL_ON_RATE_REJECT;
  BlockedPool pool(options);  // with one of the tokens
  const pool_task_t task = Task(DoNothing, nullptr);
  for (int i = 0; i < 3; ++i) {
    const pool_ticket_t ticket = Submit(pool, task);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_RATE);
    CHECK(pool_cancel(ticket) == POOL_OK);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  pool.Open();
  CheckSettled(pool);
  // One that has begun has used it.
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_RATE);
}

TEST_CASE("the time in line for a token counts for queue_timeout_ns", "[rates][deadlines]") {
  ScopedPool pool(Rated(1, kHour));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");  // the only token
  Story story;
  pool_task_t task = story.Task();
  task.queue_timeout_ns = 5 * kMs;
  const Told ticket(pool, task);
  CHECK(WaitForResult(ticket).outcome == POOL_EXPIRED);
  CHECK(story.runs == 0);
  CheckSettled(pool);
}

TEST_CASE("tasks of one key keep their order behind a rate", "[rates][keys]") {
  std::mutex mu;
  std::vector<int> order;
  std::vector<std::unique_ptr<Body>> bodies;
  ScopedPool pool(Rated(2, 5 * kMs));
  for (int i = 0; i < 12; ++i) {
    bodies.push_back(std::make_unique<Body>([&, i](pool_ctx_t*) {
      const std::lock_guard<std::mutex> lock(mu);
      order.push_back(i);
      return 0;
    }));
    pool_task_t task = Task(Body::Run, bodies.back().get());
    task.key = 7;
    task.delay_ns = i == 0 ? kMs : 0;  // even if the first in line comes last to the rate
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  CheckSettled(pool);
  std::vector<int> keyed(order);
  keyed.erase(std::find(keyed.begin(), keyed.end(), 0));
  CHECK(std::is_sorted(keyed.begin(), keyed.end()));
  CHECK(order.size() == 12);
}

TEST_CASE("closing a pool settles those in line for a token, though a drop ends its thread", "[rates][close]") {
  for (const int32_t mode : {POOL_CANCEL_QUEUED, POOL_CANCEL_ALL}) {
    std::atomic<int> drops{0};
    ScopedPool pool(Rated(1, kHour));
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    pool_task_t task = Task(DoNothing, &drops);
    task.drop = [](void* arg, int32_t outcome) {
      if (outcome != POOL_CANCELLED) std::abort();
      if (static_cast<std::atomic<int>*>(arg)->fetch_add(1) % 2 == 0) pthread_exit(nullptr);
    };
    for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    // Each drop may end the thread of a close, or of a worker, which leaves its tasks to the next close.
    std::atomic<pool_status_t> status{1};
    for (int i = 0; i < 6 && status == 1; ++i) {
      std::thread([&] { status = pool_close(pool, mode, kBoundNs); }).join();
    }
    CHECK(status == POOL_OK);
    CHECK(drops == 5);
    const pool_stats_t stats = Stats(pool);
    CHECK(stats.submitted == stats.done + stats.cancelled);
  }
}

TEST_CASE("releasing a pool ends who waits for a token, though the drop of a delayed task ends the thread of the release",
          "[rates][close]") {
  pool_t pool = 0;
  const pool_options_t options = Rated(1, kHour);
  Must(pool_create(&options, &pool), "create");
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  std::atomic<int> delayed_drops{0}, drops{0};
  pool_task_t task = Task(DoNothing, &delayed_drops);
  task.drop = [](void* arg, int32_t) {
    ++*static_cast<std::atomic<int>*>(arg);
    pthread_exit(nullptr);
  };
  task.delay_ns = kHour;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  task = Task(DoNothing, &drops);
  task.drop = [](void* arg, int32_t outcome) {
    if (outcome == POOL_CANCELLED) ++*static_cast<std::atomic<int>*>(arg);
  };
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  std::thread([&] { (void)pool_release(pool); }).join();
  CHECK(delayed_drops == 1);
  CHECK(PollUntil([&] { return drops == 1; }));
}

TEST_CASE("closing a pool ends a long line behind a key and a rate, one after another and not inside each other",
          "[rates][keys][close]") {
  constexpr uint64_t kTasks = 100'000;
  for (const bool release : {false, true}) {
    CAPTURE(release);
    std::atomic<uint64_t> drops{0};
    pool_options_t options = Rated(1, kHour);
    options.stack_bytes = 65'536;
    pool_t pool = 0;
    Must(pool_create(&options, &pool), "create");
    pool_task_t task = Task(DoNothing, &drops);
    task.drop = [](void* arg, int32_t) { static_cast<std::atomic<uint64_t>*>(arg)->fetch_add(1); };
    task.key = 7;
    for (uint64_t i = 0; i < kTasks; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    if (release) {
      Must(pool_release(pool), "release");
      CHECK(PollUntil([&] { return drops == kTasks; }));
    } else {
      CHECK(pool_close(pool, POOL_CANCEL_QUEUED, kBoundNs) == POOL_OK);
      CHECK(drops == kTasks);
      Must(pool_destroy(pool), "destroy");
    }
  }
}

TEST_CASE("who waits in line has its token at the new rate when that is set", "[rates]") {
  for (const char* count : {"1000", "0"}) {
    CAPTURE(count);
    Starts starts;
    ScopedPool pool(Rated(1, kHour));
    const pool_task_t task = starts.Task();
    for (int i = 0; i < 10; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(PollUntil([&] { return starts.times().size() == 1; }));
    Must(pool_set(pool, "rate_period_ms", "1000"), "set");
    Must(pool_set(pool, "rate_count", count), "set");
    CHECK(PollUntil([&] { return starts.times().size() == 10; }));
    CheckSettled(pool);
  }
}

TEST_CASE("a periodic task that waits for a token has its run before a draining close, with a deadline or without",
          "[rates][close]") {
  for (const bool deadline : {false, true}) {
    CAPTURE(deadline);
    Starts starts;
    ScopedPool pool(Rated(1, 100 * kMs));
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    pool_task_t task = starts.Task();
    task.period_ns = kMs;
    if (deadline) task.deadline_ns = FromNow(kHour);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
    CHECK(starts.times().size() == 1);
    CHECK(Stats(pool).done == 2);
  }
}

TEST_CASE("a new rate holds for those in line though a submitter is blocked behind them", "[rates]") {
  Starts starts;
  ScopedPool pool(Rated(1, kHour));
  pool_task_t task = starts.Task();
  for (int i = 0; i < 2; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(PollUntil([&] { return starts.times().size() == 1; }));
  std::atomic<pool_status_t> status{1};
  std::thread blocked([&] {
    task.on_rate = POOL_ON_RATE_BLOCK;
    task.submit_timeout_ns = kBoundNs;
    status = pool_submit_task(pool, &task, nullptr);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // not needed for the result, but for the case
  Must(pool_set(pool, "rate_period_ms", "1000"), "set");
  Must(pool_set(pool, "rate_count", "100"), "set");
  CHECK(PollUntil([&] { return starts.times().size() == 3; }));
  blocked.join();
  CHECK(status == POOL_OK);
  CheckSettled(pool);
}

}  // namespace
}  // namespace workpool_test
