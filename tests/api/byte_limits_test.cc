// Limits by bytes: the sum of task.cost_bytes of what waits.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "admission_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMs = 1'000'000;

pool_options_t LimitedBytes(uint64_t bytes, int32_t on_full, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = MarkOptions(1, strategy);
  options.queue_limit_bytes = bytes;
  options.on_full = on_full;
  return options;
}

TEST_CASE("H17: options.queue_limit_bytes bounds the sum of task.cost_bytes of what waits", "[admission]") {
  for (const int32_t strategy : kStrategies) {
    CAPTURE(strategy);
    Marks marks(12);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_REJECT, strategy));
    barrier.Occupy(pool);
    CHECK(SubmitCost(pool, marks[0], 60) == POOL_OK);
    CHECK(SubmitCost(pool, marks[1], 41) == POOL_E_FULL);
    CHECK(LastErrorText().find("options.queue_limit_bytes = 100") != std::string::npos);
    CHECK(SubmitCost(pool, marks[1], 40) == POOL_OK);
    CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX - 99) == POOL_E_FULL);
    // What costs nothing is not concerned.
    CHECK(SubmitCost(pool, marks[3], 0) == POOL_OK);
    CHECK(pool_submit(pool, Mark::Run, &marks[4]) == POOL_OK);
    std::vector<pool_task_t> tasks = {WithCost(marks[5].Task(), 0), WithCost(marks[6].Task(), 1)};
    uint32_t accepted = 0;
    CHECK(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 2, nullptr, &accepted) == POOL_E_FULL);
    CHECK(accepted == 1);
    CHECK(Stats(pool).rejected == 5);
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 5);
    CHECK(marks[2].Untouched());
    CHECK(marks[6].Untouched());
    // All of it is free again, exactly.
    Barrier again;
    again.Occupy(pool);
    CHECK(SubmitCost(pool, marks[7], 100) == POOL_OK);
    CHECK(SubmitCost(pool, marks[8], 1) == POOL_E_FULL);
    again.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("H17: without options.queue_limit_bytes costs do not matter", "[admission]") {
  Marks marks(10);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(0, POOL_ON_FULL_REJECT));
  barrier.Occupy(pool);
  for (size_t i = 0; i < 10; ++i) CHECK(SubmitCost(pool, marks[i], uint64_t{1} << (i + 40)) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 10);
}

TEST_CASE("a task that costs more than the whole limit is let in when no other cost waits", "[admission]") {
  for (const uint64_t cost : {uint64_t{101}, UINT64_MAX}) {
    Marks marks(5);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_REJECT));
    barrier.Occupy(pool);
    CHECK(SubmitCost(pool, marks[0], 1) == POOL_OK);
    CHECK(SubmitCost(pool, marks[1], cost) == POOL_E_FULL);
    barrier.Open();
    CheckSettled(pool);
    Barrier again;
    again.Occupy(pool);
    CHECK(SubmitCost(pool, marks[1], cost) == POOL_OK);
    CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], UINT64_MAX) == POOL_E_FULL);
    CHECK(SubmitCost(pool, marks[2], 0) == POOL_OK);
    again.Open();
    CheckSettled(pool);
    CHECK(SubmitCost(pool, marks[3], 100) == POOL_OK);
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 4);
  }
}

TEST_CASE("bytes come back when a task starts, is cancelled, expires or is refused by the other limit", "[admission]") {
  Marks marks(10);
  Gate gate;
  pool_options_t options = LimitedBytes(100, POOL_ON_FULL_REJECT);
  options.queue_limit = 2;
  ScopedPool pool(options);
  marks[0].then = [&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  };
  CHECK(SubmitCost(pool, marks[0], 100) == POOL_OK);
  REQUIRE(gate.AwaitArrivals(1));  // it runs, and costs nothing any more
  const pool_ticket_t cancelled = Submit(pool, WithCost(marks[1].Task(), 100));
  CHECK(SubmitCost(pool, marks[2], 1) == POOL_E_FULL);
  CHECK(pool_cancel(cancelled) == POOL_OK);
  pool_task_t expiring = WithCost(marks[3].Task(), 100);
  expiring.queue_timeout_ns = 1 * kMs;
  const pool_ticket_t expired = Submit(pool, expiring);
  CHECK(WaitForResult(expired).outcome == POOL_EXPIRED);
  pool_task_t delayed = WithCost(marks[4].Task(), 60);
  delayed.delay_ns = 3'600'000 * kMs;
  const pool_ticket_t held = Submit(pool, delayed);
  CHECK(SubmitCost(pool, marks[5], 41) == POOL_E_FULL);  // it counts while it is held
  CHECK(SubmitCost(pool, marks[5], 20) == POOL_OK);
  for (int i = 0; i < 10; ++i) CHECK(SubmitCost(pool, marks[6], 20) == POOL_E_FULL);  // two wait
  CHECK(pool_cancel(held) == POOL_OK);
  CHECK(SubmitCost(pool, marks[6], 81) == POOL_E_FULL);
  CHECK(SubmitCost(pool, marks[6], 80) == POOL_OK);
  gate.Open();
  CheckSettled(pool);
  for (const pool_ticket_t ticket : {cancelled, expired, held}) CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(marks.CountEnded(POOL_DONE) == 3);
  CHECK(marks.CountEnded(POOL_CANCELLED) == 2);
}

TEST_CASE("a submit blocks for bytes, too, at most its timeout", "[admission]") {
  Marks marks(4);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_BLOCK));
  barrier.Occupy(pool);
  CHECK(SubmitCost(pool, marks[0], 90) == POOL_OK);
  pool_task_t task = WithCost(marks[1].Task(), 11);
  task.submit_timeout_ns = 20 * kMs;
  const Stopwatch watch;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.020);
  CHECK(Stats(pool).rejected == 1);
  std::atomic<int32_t> status{1}, huge{1};
  std::thread submitter([&] { status = SubmitCost(pool, marks[2], 11); });
  std::thread other([&] { huge = SubmitCost(pool, marks[3], 1'000); });
  CHECK(HoldsThroughout([&] { return status == 1 && huge == 1; }));
  barrier.Open();
  submitter.join();
  other.join();
  CHECK(status == POOL_OK);
  CHECK(huge == POOL_OK);
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 3);
}

TEST_CASE("a cancel that frees bytes lets a blocked submit in", "[admission]") {
  Marks marks(2);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_BLOCK));
  barrier.Occupy(pool);
  const pool_ticket_t ticket = Submit(pool, WithCost(marks[0].Task(), 100));
  std::atomic<int32_t> status{1};
  std::thread submitter([&] { status = SubmitCost(pool, marks[1], 50); });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cancel(ticket) == POOL_OK);
  submitter.join();
  CHECK(status == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
}

TEST_CASE("DROP_OLDEST sheds as many as it takes to make room for the bytes", "[admission]") {
  for (const int32_t strategy : {POOL_STRATEGY_FIFO, POOL_STRATEGY_STEALING}) {
    Marks marks(8);
    Barrier barrier;
    ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_DROP_OLDEST, strategy));
    barrier.Occupy(pool);
    for (size_t i = 0; i < 5; ++i) CHECK(SubmitCost(pool, marks[i], 20) == POOL_OK);
    CHECK(SubmitCost(pool, marks[5], 50) == POOL_OK);  // three have to go
    CHECK(Stats(pool).shed == 3);
    CHECK(SubmitCost(pool, marks[6], 5'000) == POOL_OK);  // all have to go
    CHECK(Stats(pool).shed == 6);
    for (size_t i = 0; i < 6; ++i) CHECK(marks[i].Ended(POOL_SHED));
    barrier.Open();
    CheckSettled(pool);
    CHECK(marks[6].Ended(POOL_DONE));
    CHECK(Stats(pool).rejected == 0);
  }
}

TEST_CASE("DROP_LOWEST makes room for bytes among lower priorities only", "[admission]") {
  Marks marks(6);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_DROP_LOWEST, POOL_STRATEGY_PRIORITY));
  barrier.Occupy(pool);
  const int32_t priorities[] = {1, 2, 3, 4};
  for (size_t i = 0; i < 4; ++i) {
    pool_task_t task = WithCost(marks[i].Task(), 25);
    task.priority = priorities[i];
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  pool_task_t task = WithCost(marks[4].Task(), 50);
  task.priority = 3;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CHECK(marks[0].Ended(POOL_SHED));
  CHECK(marks[1].Ended(POOL_SHED));
  task = WithCost(marks[5].Task(), 1);
  task.priority = 3;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{3, 2, 4});
}

TEST_CASE("CALLER_RUNS runs what finds no room by bytes", "[admission]") {
  Marks marks(3);
  Barrier barrier;
  ScopedPool pool(LimitedBytes(100, POOL_ON_FULL_CALLER_RUNS));
  barrier.Occupy(pool);
  CHECK(SubmitCost(pool, marks[0], 100) == POOL_OK);
  CHECK(SubmitCost(pool, marks[1], 70) == POOL_OK);
  CHECK(marks[1].Ended(POOL_DONE));
  CHECK(marks[1].ran_on.load() == std::this_thread::get_id());
  barrier.Open();
  CheckSettled(pool);
  CHECK(SubmitCost(pool, marks[2], 100) == POOL_OK);
  CheckSettled(pool);
  CHECK(marks[2].ran_on.load() != std::this_thread::get_id());  // nothing of it is left
}

}  // namespace
}  // namespace workpool_test
