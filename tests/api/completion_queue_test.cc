// Completion queues: results of many tasks for one reader, who has a loop of his own. (completion_readers_test.cc: that loop,
// and other readers; completion_life_test.cc: queues that are detached, released, or outlive their pools.)
#include <pthread.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "completion_support.h"

namespace workpool_test {
namespace {

TEST_CASE("every task that names a queue has one completion there, with its result", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq;
  Body body([](pool_ctx_t* ctx) {
    SpinFor(std::chrono::milliseconds(2));
    pool_ctx_set_value(ctx, UINT64_MAX - 7);
    return 0;
  });
  Gate gate;
  Must(pool_pause(pool), "pause");
  const pool_ticket_t ticket = [&] {
    pool_task_t task = QueueTask(cq, Body::Run, &body);
    return Submit(pool, task);
  }();
  SpinFor(std::chrono::milliseconds(2));
  Must(pool_resume(pool), "resume");
  const pool_completion_t completion = PollOne(cq);
  CHECK(completion.struct_size == sizeof(pool_completion_t));
  CHECK(completion.outcome == POOL_DONE);
  CHECK(completion.code == 0);
  CHECK(completion.attempts == 1);
  CHECK(completion.ticket == ticket);
  CHECK(completion.arg == &body);
  CHECK(completion.value == UINT64_MAX - 7);
  CHECK(completion.wait_ns >= 2'000'000);
  CHECK(completion.run_ns >= 2'000'000);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.wait_ns == completion.wait_ns);
  CHECK(result.run_ns == completion.run_ns);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  // Without a ticket, too.
  Tally tally;
  tally.code = -1234;
  const pool_task_t task = QueueTask(cq, tally);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  const pool_completion_t failed = PollOne(cq);
  CHECK(failed.ticket == 0);
  CHECK(failed.arg == &tally);
  CHECK(failed.outcome == POOL_FAILED);
  CHECK(failed.code == -1234);
  CHECK(Poll(cq, 5, 0).empty());
  CheckSettled(pool);
}

TEST_CASE("H12: when a completion can be read, its done and its drop have been called", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq;
  for (uint64_t round = 0; round < Rounds(5'000); ++round) {
    Tally tally;
    const pool_task_t task = QueueTask(cq, tally);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(PollOne(cq).arg == &tally);
    REQUIRE(tally.dones == 1);
    REQUIRE(tally.drops == 1);
    REQUIRE(tally.done_before_drop);
  }
  CheckSettled(pool);
}

TEST_CASE("a submit reserves its place: a full queue refuses, and what was accepted is never lost", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq(3);
  Gate gate;
  Tally tally, refused;
  const pool_task_t first = QueueTask(cq, PassGate, &gate);
  const pool_task_t more = QueueTask(cq, tally);
  const pool_task_t too_many = QueueTask(cq, refused);
  Must(pool_submit_task(pool, &first, nullptr), "submit");
  Must(pool_submit_task(pool, &more, nullptr), "submit");
  Must(pool_submit_task(pool, &more, nullptr), "submit");
  // Reserved is what counts, not what has ended.
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  CHECK(LastErrorText().find("capacity = 3") != std::string::npos);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  CHECK(Stats(pool).rejected == 2);
  CHECK(refused.dones + refused.drops == 0);
  CHECK(Poll(cq, 1).size() == 1);
  CHECK(pool_submit_task(pool, &more, nullptr) == POOL_OK);
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  REQUIRE(WaitIdle(pool));
  CHECK(Poll(cq, 10).size() == 3);
  CHECK(tally.drops == 3);
  // A batch is accepted as far as there is room.
  std::vector<pool_task_t> batch(5, more);
  uint32_t accepted = 0;
  CHECK(pool_submit_batch(pool, batch.data(), sizeof(pool_task_t), 5, nullptr, &accepted) == POOL_E_FULL);
  CHECK(accepted == 3);
  REQUIRE(WaitIdle(pool));
  CHECK(Poll(cq, 10).size() == 3);
  CheckSettled(pool);
}

TEST_CASE("a submit that is refused for another reason gives its place back", "[completions]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  ScopedPool pool(options), closed(1), other(1);
  ScopedQueue cq(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  Must(pool_close(closed, POOL_DRAIN, kBoundNs), "close");
  pool_token_t cancelled = 0;
  Must(pool_token_create(0, &cancelled), "token");
  Must(pool_token_cancel(cancelled, 0), "cancel");
  pool_group_t group = 0;
  Must(pool_group_create(other, nullptr, &group), "group");
  Tally tally;
  const pool_task_t good = QueueTask(cq, tally);
  for (int round = 0; round < 3; ++round) {
    pool_task_t task = good;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);  // of the pool
    CHECK(LastErrorText().find("completion") == std::string::npos);
    CHECK(pool_submit_task(closed, &task, nullptr) == POOL_E_CLOSED);
    task.deadline_ns = 1;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_EXPIRED);
    task = good;
    task.token = cancelled;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_CANCELLED);
    task = good;
    task.retry_on = 99;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_INVALID);
    task = good;
    task.group = group;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
    task.group = cancelled;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_BADHANDLE);
  }
  CHECK(tally.dones + tally.drops == 0);
  CHECK(pool_submit_task(other, &good, nullptr) == POOL_OK);
  CHECK(PollOne(cq).arg == &tally);
  gate.Open();
  CHECK(pool_token_release(cancelled) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  for (pool_t each : {pool_t{pool}, pool_t{closed}, pool_t{other}}) CheckSettled(each);
}

TEST_CASE("poll takes batches of the oldest, in the order in which the tasks ended", "[completions]") {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  ScopedPool pool(options);
  ScopedQueue cq(100);
  std::array<Tally, 100> tallies;
  size_t expected = 0;
  // Several laps round its ring.
  for (int lap = 0; lap < 3; ++lap) {
    std::vector<const void*> order;
    for (size_t i = 0; i < 90; ++i) {
      const pool_task_t task = QueueTask(cq, tallies[i]);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      order.push_back(&tallies[i]);
    }
    REQUIRE(WaitIdle(pool));
    expected = 0;
    for (uint32_t cap : {1u, 16u, 17u, 40u, 100u}) {
      const std::vector<pool_completion_t> batch = Poll(cq, cap, 0);
      CHECK(batch.size() == std::min<size_t>(cap, 90 - expected));
      for (const pool_completion_t& completion : batch) REQUIRE(completion.arg == order[expected++]);
    }
    CHECK(expected == 90);
    CHECK(Poll(cq, 100, 0).empty());
  }
  CheckSettled(pool);
}

TEST_CASE("poll with a time limit waits for the first completion, and no longer", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Gate gate;
  pool_completion_t out;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, 0, &n) == POOL_E_TIMEOUT);
  CHECK(n == 0);
  const Stopwatch watch;
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, 5 * kMillisecondNs, &n) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.005);
  const pool_task_t task = QueueTask(cq, PassGate, &gate);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, kMillisecondNs, &n) == POOL_E_TIMEOUT);
  std::atomic<int32_t> status{1};
  std::thread reader([&] {
    std::array<pool_completion_t, 40> batch;
    uint32_t count = 0;
    status = pool_cq_poll(cq, batch.data(), sizeof(pool_completion_t), 40, POOL_FOREVER, &count);
    if (count != 1) status = -999;
  });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  gate.Open();
  reader.join();
  CHECK(status == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("a poll that succeeds leaves the last error alone", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally tally;
  for (int i = 0; i < 20; ++i) {
    const pool_task_t task = QueueTask(cq, tally);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  REQUIRE(WaitIdle(pool));
  CHECK(pool_token_release(12345) == POOL_E_BADHANDLE);
  const std::string before = LastErrorText();
  CHECK(Poll(cq, 16).size() == 16);
  CHECK(Poll(cq, 16).size() == 4);
  CHECK(LastErrorText() == before);
  CheckSettled(pool);
}

TEST_CASE("misuse of completion queues is told", "[completions]") {
  ScopedPool pool(1);
  pool_cq_t out = 77;
  CHECK(pool_cq_create(0, &out) == POOL_E_INVALID);
  CHECK(out == 0);
  CHECK(pool_cq_create(POOL_CQ_CAPACITY_MAX + 1, &out) == POOL_E_INVALID);
  CHECK(LastErrorText().find("16777216") != std::string::npos);
  CHECK(pool_cq_create(1, nullptr) == POOL_E_INVALID);
  ScopedQueue cq;
  pool_completion_t completion;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, nullptr) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, nullptr, sizeof(completion), 1, 0, &n) == POOL_E_INVALID);
  CHECK(n == 0);
  CHECK(pool_cq_poll(cq, &completion, 3, 1, 0, &n) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, &completion, 65'537, 1, 0, &n) == POOL_E_TOOBIG);
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, -2, &n) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 0, 0, &n) == POOL_OK);
  CHECK(n == 0);
  const pool_cq_t stale = [] {
    ScopedQueue gone;
    const pool_cq_t handle = gone;
    return handle;
  }();
  for (pool_cq_t bad : {pool_cq_t{0}, pool_cq_t{pool}, stale, UINT64_MAX}) {
    INFO(bad);
    CHECK(pool_cq_poll(bad, &completion, sizeof(completion), 1, 0, &n) == POOL_E_BADHANDLE);
    CHECK(pool_cq_fd(bad) == POOL_E_BADHANDLE);
    CHECK(pool_cq_detach(bad) == POOL_E_BADHANDLE);
    CHECK(pool_cq_release(bad) == POOL_E_BADHANDLE);
    if (bad == 0) continue;
    Tally tally;
    const pool_task_t task = QueueTask(bad, tally);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_BADHANDLE);
    CHECK(tally.dones + tally.drops == 0);
  }
  CHECK(pool_token_cancel(cq, 0) == POOL_E_BADHANDLE);
  CheckSettled(pool);
}

TEST_CASE("a poll writes elements of the caller's size, and as much as that has room for", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  std::array<Tally, 3> tallies;
  const auto fill = [&] {
    for (Tally& tally : tallies) {
      tally.code = -1000;
      const pool_task_t task = QueueTask(cq, tally);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    REQUIRE(WaitIdle(pool));
  };
  uint32_t n = 0;
  // An older caller, who knows the first three fields.
  struct Older {
    uint32_t struct_size;
    int32_t outcome, code;
  };
  fill();
  std::array<Older, 4> older;
  std::memset(older.data(), 0x5A, sizeof(older));
  CHECK(pool_cq_poll(cq, older.data(), sizeof(Older), 3, 0, &n) == POOL_OK);
  CHECK(n == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(older[i].struct_size == sizeof(Older));
    CHECK(older[i].outcome == POOL_FAILED);
    CHECK(older[i].code == -1000);
  }
  CHECK(older[3].struct_size == 0x5A5A5A5A);
  // A newer one.
  struct Newer {
    pool_completion_t known;
    uint64_t more[3];
  };
  fill();
  std::array<Newer, 4> newer;
  std::memset(newer.data(), 0x5A, sizeof(newer));
  CHECK(pool_cq_poll(cq, newer.data(), sizeof(Newer), 3, 0, &n) == POOL_OK);
  CHECK(n == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(newer[i].known.struct_size == sizeof(pool_completion_t));
    CHECK(newer[i].known.arg == &tallies[i]);
    for (uint64_t word : newer[i].more) CHECK(word == 0);
  }
  CHECK(newer[3].known.struct_size == 0x5A5A5A5A);
  CheckSettled(pool);
}

TEST_CASE("however a task ends, there is one completion that tells it", "[completions]") {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  options.queue_limit = 3;
  options.on_full = POOL_ON_FULL_DROP_OLDEST;
  ScopedPool pool(1), small(options);
  ScopedQueue cq;
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group");
  pool_token_t token = 0;
  Must(pool_token_create(0, &token), "token");
  std::map<const void*, std::pair<int32_t, int32_t>> expected;
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  Must(pool_submit(small, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));

  Tally cancelled, by_group, by_token, expired, shed, kept[3], failed, retried;
  const pool_ticket_t ticket = Submit(pool, QueueTask(cq, cancelled));
  expected[&cancelled] = {POOL_CANCELLED, POOL_E_CANCELLED};
  pool_task_t task = QueueTask(cq, by_group);
  task.group = group;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&by_group] = {POOL_CANCELLED, POOL_E_CANCELLED};
  task = QueueTask(cq, by_token);
  task.token = token;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&by_token] = {POOL_CANCELLED, -1500};
  task = QueueTask(cq, expired);
  task.queue_timeout_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&expired] = {POOL_EXPIRED, POOL_E_EXPIRED};
  task = QueueTask(cq, shed);
  Must(pool_submit_task(small, &task, nullptr), "submit");
  expected[&shed] = {POOL_SHED, POOL_E_FULL};
  for (Tally& tally : kept) {
    task = QueueTask(cq, tally);
    Must(pool_submit_task(small, &task, nullptr), "submit");
    expected[&tally] = {POOL_DONE, 0};
  }
  failed.code = -1001;
  task = QueueTask(cq, failed);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&failed] = {POOL_FAILED, -1001};
  retried.code = POOL_RETRY;
  task = QueueTask(cq, retried);
  task.retries_max = 2;
  task.backoff_first_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&retried] = {POOL_FAILED, POOL_RETRY};
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("no"); });
  task = QueueTask(cq, Body::Run, &throws);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&throws] = {POOL_FAILED, POOL_E_EXCEPTION};
  Body leaves([](pool_ctx_t*) -> int32_t {
    pthread_exit(nullptr);
    return 0;
  });
  task = QueueTask(cq, Body::Run, &leaves);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&leaves] = {POOL_FAILED, POOL_E_THREADEXIT};

  Must(pool_cancel(ticket), "cancel");
  Must(pool_group_cancel(group), "cancel");
  Must(pool_token_cancel(token, -1500), "cancel");
  REQUIRE(PollUntil([&] { return expired.drops == 1; }));
  gate.Open();
  CheckSettled(pool);
  CheckSettled(small);
  std::map<const void*, uint64_t> times;
  for (const pool_completion_t& completion : Poll(cq, 100)) {
    INFO("outcome " << completion.outcome << ", code " << completion.code);
    REQUIRE(expected.count(completion.arg) == 1);
    CHECK(completion.outcome == expected[completion.arg].first);
    CHECK(completion.code == expected[completion.arg].second);
    if (completion.arg == &retried) CHECK(completion.attempts == 3);
    ++times[completion.arg];
  }
  CHECK(times.size() == expected.size());
  for (const auto& [arg, count] : times) CHECK(count == 1);
  CHECK(Poll(cq, 1, 0).empty());
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a task that is tried again, or runs again each period, holds one place until it is over", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq(2);
  Tally periodic, retrying, refused;
  pool_task_t task = QueueTask(cq, periodic);
  task.period_ns = kMillisecondNs;
  const pool_ticket_t ticket = Submit(pool, task);
  retrying.code = POOL_RETRY;
  task = QueueTask(cq, retrying);
  task.retries_max = 5;
  task.backoff_first_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(PollUntil([&] { return periodic.runs >= 5 && retrying.drops == 1; }));
  task = QueueTask(cq, refused);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  CHECK(PollOne(cq).attempts == 6);
  CHECK(Poll(cq, 1, 0).empty());
  pool_cancel(ticket);
  const pool_completion_t completion = PollOne(cq);
  CHECK(completion.arg == &periodic);
  CHECK(completion.outcome == POOL_DONE);
  CHECK(completion.attempts == periodic.runs);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

}  // namespace
}  // namespace workpool_test
