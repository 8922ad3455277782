// Dead letters: what failed for good, with its history, told to a callback or kept for whoever asks.
#include <pthread.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "time_support.h"

namespace workpool_test {
namespace {

// What happened to a task, in order.
struct Letters {
  std::mutex mu;
  std::vector<std::string> events;
  pool_result_t result{};
  void* arg = nullptr;
  std::vector<pool_attempt_t> history;

  void Add(const char* event) {
    const std::lock_guard<std::mutex> lock(mu);
    events.push_back(event);
  }
  static void Dead(void* user, void* dead_arg, const pool_result_t* result, const pool_attempt_t* history,
                   uint32_t history_count) {
    auto& letters = *static_cast<Letters*>(user);
    letters.history.assign(history, history + history_count);
    letters.result = *result;
    letters.arg = dead_arg;
    letters.Add("dead");
  }
  static void Done(void* arg, const pool_result_t*) { static_cast<Letters*>(arg)->Add("done"); }
  static void Drop(void* arg, int32_t) { static_cast<Letters*>(arg)->Add("drop"); }
};

pool_options_t LetterOptions(Letters& letters, uint32_t workers_max = 1) {
  pool_options_t options = Options(workers_max);
  options.dead_letter = Letters::Dead;
  options.dead_letter_user = &letters;
  return options;
}

TEST_CASE("what failed for good is a dead letter, with its history", "[dead_letters]") {
  Letters letters;
  Story story([](pool_ctx_t* ctx) -> int32_t {
    pool_ctx_set_value(ctx, 40 + pool_ctx_attempt(ctx));
    throw std::runtime_error("attempt " + std::to_string(pool_ctx_attempt(ctx)));
  });
  ScopedPool pool(LetterOptions(letters));
  pool_task_t task = Retried(story.Task(), 2);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(letters.arg == task.arg);
  CHECK(letters.events == std::vector<std::string>{"dead"});
  CHECK(letters.result.struct_size == sizeof(pool_result_t));
  CHECK(letters.result.outcome == POOL_FAILED);
  CHECK(letters.result.code == POOL_E_EXCEPTION);
  CHECK(letters.result.attempts == 3);
  CHECK(letters.result.worker == 0);
  CHECK(letters.result.ticket == ticket);
  CHECK(letters.result.value == 43);
  CHECK(std::string(letters.result.text) == "attempt 3");
  CHECK(letters.result.wait_ns == result.wait_ns);
  CHECK(letters.result.run_ns == result.run_ns);
  CheckSettled(pool);
}

TEST_CASE("done comes before the dead letter, and drop after it", "[dead_letters]") {
  Letters letters;
  ScopedPool pool(LetterOptions(letters));
  pool_task_t task = Task([](void*, pool_ctx_t*) { return -1001; }, &letters);
  task.done = Letters::Done;
  task.drop = Letters::Drop;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(letters.events == std::vector<std::string>{"done", "dead", "drop"});
  CHECK(letters.arg == &letters);
}

TEST_CASE("done that ends its thread does not keep the dead letter and drop from coming", "[dead_letters]") {
  Letters letters;
  ScopedPool pool(LetterOptions(letters));
  pool_task_t task = Task([](void*, pool_ctx_t*) { return -1001; }, &letters);
  task.done = [](void* arg, const pool_result_t* result) {
    Letters::Done(arg, result);
    pthread_exit(nullptr);
  };
  task.drop = [](void* arg, int32_t outcome) {
    Letters::Drop(arg, outcome);
    pthread_exit(nullptr);
  };
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(letters.events == std::vector<std::string>{"done", "dead", "drop"});
}

TEST_CASE("a dead letter of a task without ticket and callbacks has its history, too", "[dead_letters]") {
  Letters letters;
  ScopedPool pool(LetterOptions(letters));
  const pool_task_t task = Task([](void*, pool_ctx_t*) { return -1001; }, &letters);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(letters.events == std::vector<std::string>{"dead"});
  CHECK(letters.result.outcome == POOL_FAILED);
  CHECK(letters.result.code == -1001);
  CHECK(letters.result.attempts == 1);
  CHECK(letters.result.worker == 0);
  CHECK(letters.result.ticket == 0);
  CHECK(letters.result.run_ns > 0);
}

TEST_CASE("only what failed for good is a dead letter", "[dead_letters]") {
  Letters letters;
  BlockedPool pool(LetterOptions(letters));
  Story succeeds([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 1 ? POOL_RETRY : 0; });
  Story cancelled, expires;
  pool_task_t task = Retried(succeeds.Task(), 1);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  const Told ticket(pool, cancelled.Task());
  CHECK(pool_cancel(ticket) == POOL_OK);
  task = expires.Task();
  task.queue_timeout_ns = 1;
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  REQUIRE(expires.AwaitDrop());
  pool.Open();
  CheckSettled(pool);
  CHECK(succeeds.Ended(POOL_DONE, 0));
  CHECK(letters.events.empty());
}

TEST_CASE("each failed task of many is one dead letter", "[dead_letters]") {
  struct Counts {
    std::atomic<uint64_t> letters{0}, bad{0};
  } counts;
  pool_options_t options = Options(2);
  options.dead_letter_user = &counts;
  options.dead_letter = [](void* user, void* arg, const pool_result_t* result, const pool_attempt_t*, uint32_t) {
    auto& seen = *static_cast<Counts*>(user);
    const auto& tally = *static_cast<Tally*>(arg);
    ++seen.letters;
    if (result->outcome != POOL_FAILED || tally.dones != 1 || tally.drops != 0) ++seen.bad;
  };
  const uint64_t count = Rounds(5'000);
  const auto tallies = std::make_unique<Tally[]>(count);
  ScopedPool pool(options);
  for (uint64_t i = 0; i < count; ++i) {
    tallies[i].code = i % 2 == 0 ? -1001 : 0;
    const pool_task_t task = Retried(TallyTask(tallies[i]), static_cast<uint32_t>(i % 3), 1);
    REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CheckSettled(pool);
  CHECK(counts.letters == (count + 1) / 2);
  CHECK(counts.bad == 0);
  CHECK(Stats(pool).failed == (count + 1) / 2);
}

// Fails until it has been a dead letter.
struct Reborn {
  pool_t pool = 0;
  std::atomic<uint64_t> letters{0}, bad{0};

  static int32_t Run(void* arg, pool_ctx_t*) { return static_cast<Reborn*>(arg)->letters == 0 ? -1001 : 0; }
  static void Dead(void* user, void* arg, const pool_result_t*, const pool_attempt_t*, uint32_t) {
    auto& self = *static_cast<Reborn*>(user);
    ++self.letters;
    const pool_task_t task = Task(Run, arg);
    if (pool_submit_task(self.pool, &task, nullptr) != POOL_OK) ++self.bad;
  }
};

TEST_CASE("a dead letter may be submitted again", "[dead_letters]") {
  Reborn reborn;
  pool_options_t options = Options(1);
  options.dead_letter = Reborn::Dead;
  options.dead_letter_user = &reborn;
  ScopedPool pool(options);
  reborn.pool = pool;
  const pool_task_t task = Task(Reborn::Run, &reborn);
  REQUIRE(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CheckSettled(pool);
  CHECK(reborn.letters == 1);
  CHECK(reborn.bad == 0);
  CHECK(Stats(pool).failed == 1);
  CHECK(Stats(pool).done == 1);
}

// ---- history

TEST_CASE("a dead letter tells each attempt, when it began, how long it ran and how it failed", "[dead_letters]") {
  Letters letters;
  Story story([](pool_ctx_t* ctx) {
    SleepNs(2 * kMs);
    return pool_ctx_attempt(ctx) == 3 ? -1003 : static_cast<int32_t>(-1000 - static_cast<int32_t>(pool_ctx_attempt(ctx)));
  });
  ScopedPool pool(LetterOptions(letters));
  pool_task_t task = Retried(story.Task(), 2);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  const uint64_t before_ns = pool_now_ns();
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CheckSettled(pool);
  REQUIRE(letters.history.size() == 3);
  uint64_t last_end_ns = before_ns;
  for (int i = 0; i < 3; ++i) {
    const pool_attempt_t& attempt = letters.history[static_cast<size_t>(i)];
    CHECK(attempt.code == -1001 - i);
    CHECK(attempt.worker == 0);
    CHECK(attempt.start_ns >= last_end_ns);
    CHECK(attempt.run_ns >= static_cast<uint64_t>(2 * kMs));
    last_end_ns = attempt.start_ns + attempt.run_ns;
  }
  CHECK(last_end_ns <= pool_now_ns());
  CHECK(letters.history.back().run_ns == letters.result.run_ns);
}

TEST_CASE("of many attempts the last POOL_HISTORY_MAX are told, oldest first", "[dead_letters]") {
  for (const uint32_t retries : {0u, 1u, POOL_HISTORY_MAX - 1, POOL_HISTORY_MAX, 3 * POOL_HISTORY_MAX}) {
    CAPTURE(retries);
    Letters letters;
    Story story([](pool_ctx_t* ctx) { return -1000 - static_cast<int32_t>(pool_ctx_attempt(ctx)); });
    ScopedPool pool(LetterOptions(letters));
    pool_task_t task = Retried(story.Task(), retries);
    task.backoff_first_ns = task.backoff_max_ns = kUs;
    task.retry_on = POOL_RETRY_ON_FAILURE;
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    CheckSettled(pool);
    const uint32_t attempts = retries + 1;
    const uint32_t told = std::min(attempts, POOL_HISTORY_MAX);
    REQUIRE(letters.history.size() == told);
    for (uint32_t i = 0; i < told; ++i) {
      CHECK(letters.history[i].code == -1000 - static_cast<int32_t>(attempts - told + 1 + i));
    }
  }
}

TEST_CASE("the history of a periodic task begins after its last success", "[dead_letters]") {
  Letters letters;
  Story story([](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) == 2 ? 0 : -1000 - static_cast<int32_t>(pool_ctx_attempt(ctx)); });
  ScopedPool pool(LetterOptions(letters));
  pool_task_t task = Retried(story.Task(), 1);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  task.period_ns = kMs;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  CHECK(story.AwaitDrop());
  CheckSettled(pool);
  REQUIRE(letters.history.size() == 2);
  CHECK(letters.history[0].code == -1003);
  CHECK(letters.history[1].code == -1004);
}

// ---- kept

pool_options_t KeepingOptions(uint32_t limit) {
  pool_options_t options = Options(1);
  options.dead_letter_limit = limit;
  return options;
}

// What a pool has kept, taken out.
std::vector<pool_dead_letter_t> Take(pool_t pool, uint32_t cap = 100, uint64_t* lost = nullptr) {
  std::vector<pool_dead_letter_t> letters(cap);
  uint32_t n = 77;
  Must(pool_dead_letters(pool, letters.data(), sizeof(letters[0]), cap, &n, lost), "pool_dead_letters");
  letters.resize(n);
  return letters;
}

TEST_CASE("H17: options.dead_letter_limit keeps the last so many dead letters, and tells how many were lost", "[dead_letters]") {
  ScopedPool pool(KeepingOptions(3));
  for (intptr_t i = 1; i <= 5; ++i) {
    const pool_task_t task = Task([](void* arg, pool_ctx_t*) { return -1000 - static_cast<int32_t>(reinterpret_cast<intptr_t>(arg)); },
                                  reinterpret_cast<void*>(i));
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    Must(pool_submit(pool, DoNothing, nullptr), "submit");  // what succeeds is no letter
  }
  Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  uint64_t lost = 77;
  std::vector<pool_dead_letter_t> letters = Take(pool, 2, &lost);
  CHECK(lost == 2);
  REQUIRE(letters.size() == 2);
  CHECK(letters[0].code == -1003);
  CHECK(letters[0].arg == reinterpret_cast<void*>(3));
  CHECK(letters[1].code == -1004);
  letters = Take(pool, 100, &lost);
  CHECK(lost == 0);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].code == -1005);
  CHECK(Take(pool).empty());
  CheckSettled(pool);
}

TEST_CASE("a letter that is kept tells what its task was, and its history, also after the pool was closed", "[dead_letters]") {
  Story story([](pool_ctx_t* ctx) -> int32_t {
    pool_ctx_set_value(ctx, 40 + pool_ctx_attempt(ctx));
    throw std::runtime_error("attempt " + std::to_string(pool_ctx_attempt(ctx)));
  });
  ScopedPool pool(KeepingOptions(10));
  pool_task_t task = Retried(story.Task(), 1);
  task.retry_on = POOL_RETRY_ON_FAILURE;
  task.name = "mail";
  const Told ticket(pool, task);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  const std::vector<pool_dead_letter_t> letters = Take(pool);
  REQUIRE(letters.size() == 1);
  const pool_dead_letter_t& letter = letters[0];
  CHECK(letter.struct_size == sizeof(letter));
  CHECK(std::string(letter.name) == "mail");
  CHECK(std::string(letter.text) == "attempt 2");
  CHECK(letter.code == POOL_E_EXCEPTION);
  CHECK(letter.attempts == 2);
  CHECK(letter.worker == 0);
  CHECK(letter.flags == 0);
  CHECK(letter.ticket == ticket);
  CHECK(letter.arg == task.arg);
  CHECK(letter.value == 42);
  CHECK(letter.wait_ns == result.wait_ns);
  CHECK(letter.run_ns == result.run_ns);
  CHECK(letter.history_count == 2);
  CHECK(letter.history[1].start_ns + letter.history[1].run_ns <= letter.ended_ns);
}

TEST_CASE("many threads fail and one takes: each letter comes once", "[dead_letters]") {
  constexpr uint64_t kTasks = 20'000;
  pool_options_t options = KeepingOptions(UINT32_MAX);
  options.workers_max = 4;
  ScopedPool pool(options);
  std::vector<uint8_t> seen(kTasks);
  uint64_t taken = 0;
  const auto take = [&] {
    for (const pool_dead_letter_t& letter : Take(pool, 64)) {
      ++seen[static_cast<size_t>(reinterpret_cast<intptr_t>(letter.arg))];
      ++taken;
    }
  };
  for (uint64_t i = 0; i < kTasks; ++i) {
    const pool_task_t task = Task([](void*, pool_ctx_t*) { return -1001; }, reinterpret_cast<void*>(i));
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    if (i % 50 == 0) take();
  }
  CheckSettled(pool);
  while (taken < kTasks) {
    const uint64_t before = taken;
    take();
    REQUIRE(taken > before);
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](uint8_t times) { return times == 1; }));
}

TEST_CASE("pool_dead_letters wants a pool that keeps some, and right arguments", "[dead_letters]") {
  pool_dead_letter_t letter;
  uint32_t n = 77;
  ScopedPool none(1);
  CHECK(pool_dead_letters(none, &letter, sizeof(letter), 1, &n, nullptr) == POOL_E_INVALID);
  CHECK(n == 0);
  CHECK(LastErrorText().find("dead_letter_limit") != std::string::npos);
  ScopedPool pool(KeepingOptions(1));
  CHECK(pool_dead_letters(pool, &letter, sizeof(letter), 1, nullptr, nullptr) == POOL_E_INVALID);
  CHECK(pool_dead_letters(pool, nullptr, sizeof(letter), 1, &n, nullptr) == POOL_E_INVALID);
  CHECK(pool_dead_letters(pool, &letter, 3, 1, &n, nullptr) == POOL_E_INVALID);
  CHECK(pool_dead_letters(pool, nullptr, sizeof(letter), 0, &n, nullptr) == POOL_OK);
  CHECK(pool_dead_letters(pool + 1, &letter, sizeof(letter), 1, &n, nullptr) == POOL_E_BADHANDLE);
}

}  // namespace
}  // namespace workpool_test
