#include "dispatch/queue_limit.h"

#include <array>
#include <catch2/catch.hpp>

#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint32_t kQueues = 4;
using Queues = std::array<InjectionQueue, kQueues>;

// What Draw grants, with the queue's lock held; granted tasks are pushed.
uint32_t DrawAndPush(QueueLimit& limit, InjectionQueue& queue, uint32_t count) {
  queue.Lock();
  const uint32_t granted = limit.Draw(queue, count);
  const std::vector<Slot> items = Items(1, granted);
  const uint32_t pushed = queue.Push(items.data(), granted, true);
  queue.Unlock();
  return pushed;
}

void TakeAndLeave(QueueLimit& limit, InjectionQueue& queue, uint32_t count) {
  std::vector<Slot> out(count);
  queue.Lock();
  const uint32_t taken = queue.Take(out.data(), count);
  limit.Left(queue, taken);
  queue.Unlock();
}

int64_t Credits(InjectionQueue& queue) {
  queue.Lock();
  const int64_t credits = queue.Credits();
  queue.Unlock();
  return credits;
}

bool MayEnterOne(const QueueLimit& limit, InjectionQueue& queue) {
  queue.Lock();
  const bool may = limit.MayEnterOne(queue);
  queue.Unlock();
  return may;
}

// How many tasks enter until every queue refuses, the credits of the others brought back before
// each try.
uint64_t FillUp(QueueLimit& limit, Queues& queues) {
  uint64_t entered = 0;
  for (InjectionQueue& queue : queues) {
    for (;;) {
      limit.Recall(queues.data(), kQueues);
      const uint32_t granted = DrawAndPush(limit, queue, 100);
      if (granted == 0) break;
      entered += granted;
    }
  }
  return entered;
}

TEST_CASE("a limit up to 4096 is exact, a larger one is held as credits", "[dispatch]") {
  for (uint64_t value : {1, 2, 4095, 4096}) CHECK(QueueLimit(value, kQueues).exact());
  for (uint64_t value : {uint64_t{4097}, uint64_t{1} << 20, POOL_UNLIMITED - 1, POOL_UNLIMITED}) {
    CHECK_FALSE(QueueLimit(value, kQueues).exact());
  }
  CHECK(QueueLimit(POOL_UNLIMITED, kQueues).unlimited());
  CHECK_FALSE(QueueLimit(POOL_UNLIMITED - 1, kQueues).unlimited());
}

TEST_CASE("an exact limit admits as many as it says, part of a batch if need be", "[dispatch]") {
  for (uint32_t value : {1u, 10u, 4096u}) {
    INFO("limit " << value);
    QueueLimit limit(value, kQueues);
    uint32_t admitted = limit.Acquire(1);
    CHECK(admitted == 1);
    admitted += limit.Acquire(value - 1);
    CHECK(admitted == value);
    CHECK_FALSE(limit.HasRoomExact());
    CHECK(limit.Acquire(1) == 0);
    limit.Release(1);
    CHECK(limit.HasRoomExact());
    CHECK(limit.Acquire(5) == 1);
    CHECK(limit.Acquire(5) == 0);
    CHECK(limit.Acquire(0) == 0);
  }
}

TEST_CASE("exempt tasks pass an exact limit and are counted in it", "[dispatch]") {
  QueueLimit limit(10, kQueues);
  CHECK(limit.Acquire(8) == 8);
  limit.AcquireExempt(5);
  CHECK(limit.Acquire(1) == 0);
  limit.Release(3);
  CHECK(limit.Acquire(1) == 0);  // ten wait
  limit.Release(1);
  CHECK(limit.Acquire(4) == 1);
}

TEST_CASE("two threads never pass an exact limit together", "[dispatch]") {
  constexpr uint32_t kLimit = 7;
  const uint64_t rounds = workpool_test::Rounds(200'000);
  QueueLimit limit(kLimit, kQueues);
  std::atomic<uint32_t> waiting{0};
  std::atomic<uint32_t> too_many{0};
  const auto enter_and_leave = [&](uint32_t count) {
    for (uint64_t i = 0; i < rounds; ++i) {
      const uint32_t granted = limit.Acquire(count);
      if (waiting.fetch_add(granted) + granted > kLimit) ++too_many;
      waiting.fetch_sub(granted);
      limit.Release(granted);
    }
  };
  {
    ScopedThread other([&] { enter_and_leave(5); });
    enter_and_leave(4);
  }
  CHECK(too_many == 0);
  CHECK(limit.Acquire(100) == kLimit);
}

TEST_CASE("credits of all queues together are the limit, whatever came before", "[dispatch]") {
  for (uint64_t value : {uint64_t{4097}, uint64_t{5000}, uint64_t{100'000}}) {
    INFO("limit " << value);
    QueueLimit limit(value, kQueues);
    Queues queues;
    CHECK(FillUp(limit, queues) == value);
    CHECK_FALSE(limit.StockApprox());
    // Emptied in uneven parts, and filled again.
    for (uint32_t part : {1u, 63u, 700u, 2000u}) {
      for (InjectionQueue& queue : queues) TakeAndLeave(limit, queue, part);
    }
    uint64_t waiting = 0;
    for (InjectionQueue& queue : queues) waiting += queue.Size();
    CHECK(FillUp(limit, queues) == value - waiting);
    for (InjectionQueue& queue : queues) TakeAndLeave(limit, queue, static_cast<uint32_t>(value));
    CHECK(FillUp(limit, queues) == value);
  }
}

TEST_CASE("a queue hoards few credits: what it has too many of goes back to the stock",
          "[dispatch]") {
  constexpr uint64_t kLimit = 8000;
  QueueLimit limit(kLimit, kQueues);
  Queues queues;
  // All of it waits in one queue and leaves it; the next one finds most of it in the stock.
  while (DrawAndPush(limit, queues[0], 100) > 0) {
  }
  CHECK(queues[0].Size() == kLimit);
  TakeAndLeave(limit, queues[0], kLimit);
  CHECK(limit.StockApprox());
  CHECK(Credits(queues[0]) <= static_cast<int64_t>(kLimit / kQueues));
  CHECK(DrawAndPush(limit, queues[1], kLimit / 2) == kLimit / 2);
}

TEST_CASE("a task enters by the short way only on a credit that lies there", "[dispatch]") {
  QueueLimit limit(5000, kQueues);
  Queues queues;
  CHECK_FALSE(MayEnterOne(limit, queues[0]));
  CHECK(DrawAndPush(limit, queues[0], 1) == 1);
  CHECK(MayEnterOne(limit, queues[0]));  // a chunk was fetched with it
  CHECK_FALSE(MayEnterOne(limit, queues[1]));
  limit.Recall(queues.data(), kQueues);
  CHECK_FALSE(MayEnterOne(limit, queues[0]));

  QueueLimit exact(10, kQueues);
  TakeAndLeave(exact, queues[2], 1);
  CHECK_FALSE(MayEnterOne(exact, queues[2]));
}

TEST_CASE("exempt tasks drive the credits below zero, and leaving brings them back", "[dispatch]") {
  constexpr uint64_t kLimit = 5000;
  QueueLimit limit(kLimit, kQueues);
  Queues queues;
  CHECK(FillUp(limit, queues) == kLimit);
  const std::vector<Slot> items = Items(1, 300);
  queues[0].Lock();
  const uint32_t pushed = queues[0].Push(items.data(), 300, true);
  queues[0].Unlock();
  REQUIRE(pushed == 300);
  CHECK(Credits(queues[0]) == -300);
  CHECK(FillUp(limit, queues) == 0);
  uint64_t waiting = 0;
  for (InjectionQueue& queue : queues) {
    TakeAndLeave(limit, queue, 2000);
    waiting += queue.Size();
  }
  CHECK(FillUp(limit, queues) == kLimit - waiting);
}

TEST_CASE("a queue deep in debt fetches what it owes and what it needs", "[dispatch]") {
  constexpr uint64_t kLimit = 5000;
  QueueLimit limit(kLimit, kQueues);
  Queues queues;
  const std::vector<Slot> items = Items(1, 3000);
  queues[0].Lock();
  const uint32_t pushed = queues[0].Push(items.data(), 3000, true);  // exempt tasks: nothing drawn
  queues[0].Unlock();
  REQUIRE(pushed == 3000);
  // Without a recall in between, which would find nothing to bring back.
  CHECK(DrawAndPush(limit, queues[0], 100) == 100);
  CHECK(FillUp(limit, queues) == kLimit - 3100);
}

TEST_CASE("an unlimited queue never runs out of credits", "[dispatch]") {
  for (uint64_t value : {POOL_UNLIMITED, POOL_UNLIMITED - 1, uint64_t{1} << 62}) {
    QueueLimit limit(value, 1);
    InjectionQueue queue;
    // Far more than a chunk of the smallest limit, and the stock is hardly touched.
    CHECK(DrawAndPush(limit, queue, 100'000) == 100'000);
    CHECK(limit.StockApprox());
    CHECK(MayEnterOne(limit, queue));
    queue.Lock();
    const uint32_t granted = limit.Draw(queue, UINT32_MAX);
    queue.Unlock();
    CHECK(granted == UINT32_MAX);
    TakeAndLeave(limit, queue, 100'000);
    limit.Recall(&queue, 1);
    CHECK(limit.StockApprox());
  }
}

}  // namespace
}  // namespace workpool
