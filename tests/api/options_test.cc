// H17: each option of a pool and each field of a task has a test here that fails if it is ignored:
// set to an extreme, its effect is observed. (Ranges: errors_test.cc.)
#include <pthread.h>
#include <sched.h>

#include <array>
#include <catch2/catch.hpp>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

// How many of count gate tasks run at once.
uint64_t Concurrency(pool_t pool, uint64_t count) {
  Gate gate;
  for (uint64_t i = 0; i < count; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  uint64_t most = 0;
  // It is stable when nothing arrives for the watch time.
  while (!HoldsThroughout([&] { return gate.arrivals() == most; })) most = gate.arrivals();
  gate.Open();
  Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
  return most;
}

TEST_CASE("H17: workers_max is kept exactly, 0 means as many as block, and loops of the CPUs", "[options]") {
  for (const uint32_t workers : {1u, 3u, 7u}) {
    ScopedPool pool(workers);
    CHECK(Concurrency(pool, 10) == workers);
  }
  cpu_set_t cpus;
  REQUIRE(sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0);
  const auto automatic = static_cast<uint64_t>(std::max(2, CPU_COUNT(&cpus)));
  ScopedPool pool(0u);
  CHECK(Concurrency(pool, automatic + 40) == automatic + 40);
  CHECK(pool_participants(pool) == static_cast<int32_t>(automatic) + 1);
}

TEST_CASE("H17: workers_min is how many stay", "[options]") {
  for (const uint32_t workers_min : {0u, 1u, 3u}) {
    pool_options_t options = Options(3);
    options.workers_min = workers_min;
    options.keep_alive_ns = 1'000'000;
    ScopedPool pool(options);
    CHECK(Concurrency(pool, 3) == 3);
    CHECK(PollUntil([&] { return Stats(pool).workers_live == workers_min; }));
    CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == workers_min; },
                          std::chrono::milliseconds(30)));
  }
}

TEST_CASE("H17: workers_limit bounds the workers that stand in", "[options]") {
  // Each waiter is stood in for by a worker that meets the next waiter. The limit is what stops
  // them; by default it is far away, and all ten of them wait at once.
  for (const uint32_t limit : {3u, 6u, 0u}) {
    pool_options_t options = Options(2);
    options.workers_limit = limit;
    const uint32_t blocked = limit > 0 ? limit - 1 : 10;
    const uint32_t live = limit > 0 ? limit : 12;  // two that do not wait may live
    ScopedPool pool(options);
    Gate gate;
    const pool_ticket_t held = Submit(pool, Task(PassGate, &gate));
    REQUIRE(gate.AwaitArrivals(1));
    Body waiter([&](pool_ctx_t*) { return pool_wait(held, 0, kBoundNs, nullptr, 0); });
    for (int i = 0; i < 10; ++i) Must(pool_submit(pool, Body::Run, &waiter), "submit");
    CHECK(PollUntil([&] { return Stats(pool).workers_blocked == blocked; }));
    CHECK(HoldsThroughout([&] { return Stats(pool).workers_live <= live; }));
    CHECK(Stats(pool).workers_blocked == blocked);
    CHECK(pool_tune(pool, (limit > 0 ? limit : POOL_WORKERS_MAX) + 1) == POOL_E_INVALID);
    gate.Open();
    REQUIRE(WaitIdle(pool));
    CHECK(Stats(pool).done == 11);
    CHECK(pool_ticket_release(held) == POOL_OK);
  }
}

TEST_CASE("H17: keep_alive_ns is how long an idle worker stays", "[options]") {
  pool_options_t options = Options(1);
  options.keep_alive_ns = 300'000'000;
  ScopedPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  const Stopwatch watch;
  REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  CHECK(watch.Seconds() > 0.2);
  CHECK(watch.Seconds() < 5.0);
}

TEST_CASE("H17: queue_limit is where a submit is refused", "[options]") {
  for (const uint64_t limit : {1u, 17u}) {
    pool_options_t options = Options(1);
    options.queue_limit = limit;
    ScopedPool pool(options);
    REQUIRE(pool_pause(pool) == POOL_OK);
    uint64_t accepted = 0;
    while (accepted < 100 && pool_submit(pool, DoNothing, nullptr) == POOL_OK) ++accepted;
    CHECK(accepted == limit);
  }
}

TEST_CASE("H17: on_full and submit_timeout_ns decide what a full pool answers", "[options]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  for (const int32_t on_full : {POOL_ON_FULL_DEFAULT, POOL_ON_FULL_REJECT, POOL_ON_FULL_BLOCK}) {
    options.on_full = on_full;
    options.submit_timeout_ns = 1'000'000;
    ScopedPool pool(options);
    REQUIRE(pool_pause(pool) == POOL_OK);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    CHECK(pool_submit(pool, DoNothing, nullptr) ==
          (on_full == POOL_ON_FULL_BLOCK ? POOL_E_TIMEOUT : POOL_E_FULL));
  }
}

TEST_CASE("H17: prestart workers run when pool_create returns", "[options]") {
  for (const uint32_t prestart : {0u, 1u, 4u}) {
    const size_t threads = ThreadCount();
    pool_options_t options = Options(4);
    options.prestart = prestart;
    ScopedPool pool(options);
    CHECK(ThreadCount() == threads + prestart);
    CHECK(Stats(pool).workers_live == prestart);
    REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
    REQUIRE(AwaitThreadCount(threads));
  }
}

TEST_CASE("H17: on_exception CAPTURE keeps the process", "[options]") {
  // TERMINATE: tests/process/terminate_test.cc.
  ScopedPool pool(1);
  Body throws([](pool_ctx_t*) -> int32_t { throw 1; });
  Must(pool_submit(pool, Body::Run, &throws), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).failed == 1);
}

TEST_CASE("H17: name is seen by the operating system", "[options]") {
  pool_options_t options = Options(1);
  options.name = "zebra";
  options.prestart = 1;
  const auto before = ThreadIds();
  ScopedPool pool(options);
  const auto workers = ThreadsSince(before);
  REQUIRE(workers.size() == 1);
  CHECK(PollUntil([&] { return ThreadStatus(*workers.begin(), "Name").substr(0, 5) == "zebra"; }));
}

std::atomic<uint64_t> g_drops{0};

TEST_CASE("H17: drop ends the life of plain arguments", "[options]") {
  g_drops = 0;
  pool_options_t options = Options(1);
  options.drop = [](void*, int32_t) { ++g_drops; };
  ScopedPool pool(options);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(g_drops == 1);
}

// The other fields of a pool: inherit_affinity and stack_bytes: threads_test.cc; struct_size and
// reserved: errors_test.cc.

struct LogSink {
  std::mutex mu;
  std::vector<std::pair<int32_t, std::string>> lines;

  static void Log(void* user, int32_t level, const char* text) {
    auto* sink = static_cast<LogSink*>(user);
    const std::lock_guard<std::mutex> lock(sink->mu);
    sink->lines.emplace_back(level, text);
  }
};

TEST_CASE("H17: log_fn gets log_user and what log_level lets through", "[options]") {
  const std::string name = "loggedpool";
  for (const int32_t level :
       {POOL_LOG_OFF, POOL_LOG_ERROR, POOL_LOG_WARN, POOL_LOG_INFO, POOL_LOG_DEBUG}) {
    LogSink sink;
    pool_options_t options = Options(2);
    options.name = name.c_str();
    options.log_fn = LogSink::Log;
    options.log_user = &sink;
    options.log_level = level;
    {
      ScopedPool pool(options);
      Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("logged"); });
      Must(pool_submit(pool, Body::Run, &throws), "submit");
      REQUIRE(WaitIdle(pool));
      Must(pool_tune(pool, 2), "tune");
      REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 2; }));
      Must(pool_tune(pool, 1), "tune");
      REQUIRE(PollUntil([&] { return Stats(pool).workers_live == 1; }));
    }
    const std::lock_guard<std::mutex> lock(sink.mu);
    for (const auto& [seen, text] : sink.lines) {
      INFO(text);
      CHECK(seen > POOL_LOG_OFF);
      CHECK(seen <= level);
      CHECK_FALSE(text.empty());
      CHECK(text.find(name) != std::string::npos);
    }
    if (level == POOL_LOG_DEBUG) CHECK_FALSE(sink.lines.empty());
  }
}

// ---- fields of a task --------------------------------------------------------------------------

TEST_CASE("H17: run, done, drop and arg of a task are used", "[options]") {
  ScopedPool pool(1);
  Tally tally;
  const pool_ticket_t ticket = Submit(pool, TallyTask(tally));
  REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(tally.runs == 1);
  CHECK(tally.dones == 1);
  CHECK(tally.drops == 1);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("H17: group of a task makes it a member", "[options]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Gate gate;
  pool_task_t task = Task(PassGate, &gate);
  task.group = group;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_group_wait(group, 0, nullptr) == POOL_E_TIMEOUT);
  gate.Open();
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
}

TEST_CASE("H17: on_full and submit_timeout_ns of a task go before the pool's", "[options]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.submit_timeout_ns = POOL_FOREVER;
  ScopedPool pool(options);
  REQUIRE(pool_pause(pool) == POOL_OK);
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  pool_task_t task = Task(DoNothing, nullptr);
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  task.on_full = POOL_ON_FULL_DEFAULT;
  task.submit_timeout_ns = 1'000'000;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
}

TEST_CASE("H17: the name of a task is in the log line about it", "[options]") {
  LogSink sink;
  pool_options_t options = Options(1);
  options.log_fn = LogSink::Log;
  options.log_user = &sink;
  options.log_level = POOL_LOG_DEBUG;
  {
    ScopedPool pool(options);
    Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("what went wrong"); });
    pool_task_t task = Task(Body::Run, &throws);
    char name[] = "resize-image";
    task.name = name;
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    std::fill(std::begin(name), std::end(name) - 1, 'x');  // it was copied during the call
    REQUIRE(WaitIdle(pool));
  }
  const std::lock_guard<std::mutex> lock(sink.mu);
  bool named = false;
  for (const auto& [level, text] : sink.lines) {
    if (text.find("resize-image") != std::string::npos) named = true;
  }
  CHECK(named);
}

}  // namespace
}  // namespace workpool_test
