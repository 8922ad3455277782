// The end of a completion queue: detached, released, after its pools and before its tasks.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <thread>

#include "completion_support.h"

namespace workpool_test {
namespace {

TEST_CASE("a queue serves several pools and outlives them", "[completions]") {
  ScopedQueue cq;
  Tally first, second, released;
  {
    ScopedPool a(1), b(1);
    pool_task_t task = QueueTask(cq, first);
    Must(pool_submit_task(a, &task, nullptr), "submit");
    task = QueueTask(cq, second);
    Must(pool_submit_task(b, &task, nullptr), "submit");
    CheckSettled(a);
    CheckSettled(b);
  }
  pool_t pool = 0;
  Must(pool_create(nullptr, &pool), "create");
  Must(pool_pause(pool), "pause");
  const pool_task_t task = QueueTask(cq, released);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  Must(pool_release(pool), "release");
  std::map<const void*, pool_completion_t> all;
  while (all.size() < 3) {
    const pool_completion_t completion = PollOne(cq);
    all[completion.arg] = completion;
  }
  CHECK(all[&first].outcome == POOL_DONE);
  CHECK(all[&second].outcome == POOL_DONE);
  CHECK(all[&released].outcome == POOL_CANCELLED);
  CHECK(all[&released].code == POOL_E_CLOSED);
}

TEST_CASE("after a detach no done runs, drops do, and what waits is thrown away", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally before, after, unrelated;
  pool_task_t task = QueueTask(cq, before);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  Must(pool_pause(pool), "pause");
  task = QueueTask(cq, after);
  for (int i = 0; i < 3; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  const pool_ticket_t ticket = Submit(pool, task);
  task = TallyTask(unrelated);
  Must(pool_submit_task(pool, &task, nullptr), "submit");

  CHECK(pool_cq_detach(cq) == POOL_OK);
  CHECK(pool_cq_detach(cq) == POOL_OK);
  pool_completion_t completion;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n) == POOL_E_CLOSED);
  CHECK(n == 0);
  CHECK(pool_cq_fd(cq) == POOL_E_CLOSED);
  Tally refused;
  task = QueueTask(cq, refused);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CLOSED);
  CHECK(LastErrorText().find("detached") != std::string::npos);
  CHECK(refused.drops == 0);
  Must(pool_cancel(ticket), "cancel");
  CHECK(after.drops == 1);
  CHECK(after.dones == 0);
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
  CHECK(after.runs == 3);
  CHECK(after.dones == 0);
  CHECK(after.drops == 4);
  CHECK(unrelated.dones == 1);
  CHECK(WaitForResult(ticket).outcome == POOL_CANCELLED);  // a ticket tells as ever
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, &n) == POOL_E_CLOSED);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a detach waits for a done that runs", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  struct Shared {
    Gate gate;
    std::atomic<bool> left{false};
  } shared;
  pool_task_t task = QueueTask(cq, DoNothing, &shared);
  task.done = [](void* arg, const pool_result_t*) {
    auto* s = static_cast<Shared*>(arg);
    s->gate.Pass();
    s->left = true;
  };
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(shared.gate.AwaitArrivals(1));
  std::atomic<bool> detached{false}, left_before{false};
  std::thread detacher([&] {
    Must(pool_cq_detach(cq), "detach");
    left_before = shared.left.load();
    detached = true;
  });
  CHECK(HoldsThroughout([&] { return !detached; }));
  shared.gate.Open();
  detacher.join();
  CHECK(left_before);
  CheckSettled(pool);
}

TEST_CASE("a done may detach its own queue, also several at once", "[completions]") {
  ScopedPool pool(3);
  ScopedQueue cq;
  struct Shared {
    pool_cq_t cq;
    Gate gate;
    std::atomic<uint64_t> detached{0}, drops{0};
  } shared;
  shared.cq = cq;
  const uint64_t at_once = GENERATE(1, 2, 3);
  INFO(at_once << " at once");
  pool_task_t task = QueueTask(cq, DoNothing, &shared);
  task.done = [](void* arg, const pool_result_t*) {
    auto* s = static_cast<Shared*>(arg);
    s->gate.Pass();
    if (pool_cq_detach(s->cq) == POOL_OK) ++s->detached;
  };
  task.drop = [](void* arg, int32_t) { ++static_cast<Shared*>(arg)->drops; };
  for (uint64_t i = 0; i < at_once; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(shared.gate.AwaitArrivals(at_once));
  shared.gate.Open();
  CheckSettled(pool);
  CHECK(shared.detached == at_once);
  CHECK(shared.drops == at_once);
  uint32_t n = 0;
  pool_completion_t completion;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, &n) == POOL_E_CLOSED);
}

TEST_CASE("a detach wakes a reader, who is told CLOSED", "[completions]") {
  ScopedQueue cq;
  const int fd = pool_cq_fd(cq);
  std::atomic<int32_t> status{1};
  std::atomic<bool> woken{false};
  std::thread poller([&] {
    pool_completion_t completion;
    uint32_t n = 0;
    status = pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n);
  });
  std::thread in_loop([&] { woken = Readable(fd, 20'000); });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cq_detach(cq) == POOL_OK);
  poller.join();
  in_loop.join();
  CHECK(status == POOL_E_CLOSED);
  CHECK(woken);
}

TEST_CASE("what a done uses may go as soon as a detach has returned", "[completions]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(500); ++round) {
    ScopedQueue cq(64);
    struct Used {
      std::atomic<uint64_t> alive{1};
    };
    auto used = std::make_unique<Used>();
    struct Shared {
      Used* used;
      std::atomic<uint64_t> late{0}, drops{0};
    } shared{used.get()};
    pool_task_t task = QueueTask(cq, DoNothing, &shared);
    task.done = [](void* arg, const pool_result_t*) {
      auto* s = static_cast<Shared*>(arg);
      if (s->used->alive != 1) ++s->late;
    };
    task.drop = [](void* arg, int32_t) { ++static_cast<Shared*>(arg)->drops; };
    uint64_t accepted = 0;
    for (; accepted < 20; ++accepted) Must(pool_submit_task(pool, &task, nullptr), "submit");
    for (uint64_t spin = 0; spin < round * 2; ++spin) (void)pool_now_ns();
    REQUIRE(pool_cq_detach(cq) == POOL_OK);
    used->alive = 0;
    used.reset();
    REQUIRE(WaitIdle(pool));
    REQUIRE(shared.late == 0);
    REQUIRE(shared.drops == accepted);
  }
  CheckSettled(pool);
}

TEST_CASE("a queue may be released while its tasks are under way; its descriptor closes with the last of them",
          "[completions]") {
  ScopedPool pool(1);
  Gate gate;
  Tally tally;
  ScopedQueue cq;
  const int fd = pool_cq_fd(cq);
  REQUIRE(fd >= 0);
  const pool_task_t first = QueueTask(cq, PassGate, &gate);
  const pool_ticket_t ticket = Submit(pool, first);
  REQUIRE(gate.AwaitArrivals(1));
  const pool_task_t more = QueueTask(cq, tally);
  for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &more, nullptr), "submit");
  const pool_ticket_t cancelled = Submit(pool, more);
  CHECK(pool_cq_release(cq.GiveUp()) == POOL_OK);
  CHECK(Descriptors().count(fd) == 1);
  Must(pool_cancel(cancelled), "cancel");
  gate.Open();
  CheckSettled(pool);
  CHECK(tally.runs == 5);
  CHECK(tally.dones == 6);  // it was released, not detached
  CHECK(tally.drops == 6);
  // Not that of the last ticket.
  CHECK(PollUntil([&] { return Descriptors().count(fd) == 0; }, kBoundNs / 10));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_ticket_release(cancelled) == POOL_OK);
}

TEST_CASE("releasing a queue wakes who waits for it", "[completions]") {
  ScopedQueue cq;
  std::atomic<int32_t> status{1};
  std::thread reader([&, handle = pool_cq_t{cq}] {
    pool_completion_t completion;
    uint32_t n = 0;
    status = pool_cq_poll(handle, &completion, sizeof(completion), 1, kBoundNs, &n);
  });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cq_release(cq.GiveUp()) == POOL_OK);
  reader.join();
  CHECK(status == POOL_E_BADHANDLE);
}

TEST_CASE("a queue without tasks is gone when it is released, with its descriptor", "[completions]") {
  const std::set<int> before = Descriptors();
  for (int i = 0; i < 100; ++i) {
    ScopedQueue cq(1);
    REQUIRE(pool_cq_fd(cq) >= 0);
  }
  CHECK(Descriptors() == before);
}

}  // namespace
}  // namespace workpool_test
