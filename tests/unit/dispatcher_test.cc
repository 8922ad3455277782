#include "dispatch/dispatcher.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint32_t kQueues = 4;
constexpr uint64_t kCreditLimit = 5000;  // above what is exact

const IdleSet kNeverPaused(1);

std::unique_ptr<Dispatcher> Make(uint64_t queue_limit, uint32_t queues = kQueues) {
  auto dispatcher = std::make_unique<Dispatcher>(Dispatcher::Options{
      .queue_limit = queue_limit, .queues = queues, .exact = queue_limit <= kQueueLimitExactMax}, kNeverPaused);
  REQUIRE(dispatcher->Allocate());
  return dispatcher;
}

Dispatcher::PushResult Push(Dispatcher& dispatcher, uint64_t first_id, uint32_t count,
                            uint32_t hint = 0, Admission admission = Admission::kLimited,
                            bool counted = true) {
  const std::vector<Slot> items = Items(first_id, count);
  return dispatcher.Push(items.data(), count, hint, admission, counted);
}

std::vector<uint64_t> Take(Dispatcher& dispatcher, uint32_t max, uint32_t hint = 0,
                           uint32_t sharers = 1) {
  std::vector<Slot> out(max);
  out.resize(dispatcher.Take(out.data(), max, hint, sharers));
  std::vector<uint64_t> ids;
  for (const Slot& slot : out) ids.push_back(IdOf(slot));
  return ids;
}

TEST_CASE("a dispatcher without tasks has none to take and room for some", "[dispatch]") {
  for (uint64_t limit : {uint64_t{1}, kCreditLimit, POOL_UNLIMITED}) {
    const auto dispatcher = Make(limit);
    CHECK_FALSE(dispatcher->HasTasks());
    CHECK(dispatcher->HasRoom());
    CHECK(dispatcher->SubmittedCount() == 0);
    CHECK(Take(*dispatcher, 8).empty());
  }
}

TEST_CASE("an exact limit admits exactly as many as it says, by whatever queue", "[dispatch]") {
  for (uint64_t limit : {uint64_t{1}, uint64_t{10}, uint64_t{4096}}) {
    INFO("limit " << limit);
    const auto dispatcher = Make(limit);
    for (uint64_t i = 0; i < limit; ++i) {
      REQUIRE(dispatcher->HasRoom());
      REQUIRE_FALSE(dispatcher->TryPushOne(Item(i), static_cast<uint32_t>(i)));
      REQUIRE(Push(*dispatcher, i + 1, 1, static_cast<uint32_t>(i)).status == POOL_OK);
    }
    CHECK_FALSE(dispatcher->HasRoom());
    const auto refused = Push(*dispatcher, limit + 1, 1);
    CHECK(refused.accepted == 0);
    CHECK(refused.status == POOL_E_FULL);
    CHECK(dispatcher->SubmittedCount() == limit);
    // Its place is free when a task starts, not when a worker takes it.
    CHECK_FALSE(Take(*dispatcher, 1).empty());
    CHECK_FALSE(dispatcher->HasRoom());
    dispatcher->limit().Release(1);
    CHECK(dispatcher->HasRoom());
    CHECK(Push(*dispatcher, limit + 1, 1).status == POOL_OK);
  }
}

TEST_CASE("a batch accepted in part is a prefix, and the status says full", "[dispatch]") {
  for (uint64_t limit : {uint64_t{10}, kCreditLimit}) {
    INFO("limit " << limit);
    const auto dispatcher = Make(limit);
    const uint32_t count = static_cast<uint32_t>(limit) + 7;
    const auto result = Push(*dispatcher, 1, count);
    CHECK(result.accepted == limit);
    CHECK(result.status == POOL_E_FULL);
    const std::vector<uint64_t> ids = Take(*dispatcher, count);
    CHECK(ids.size() == limit);
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    CHECK(ids.front() == 1);
    CHECK(ids.back() == limit);
  }
}

TEST_CASE("credits refuse nobody while fewer than the limit wait, through any queue",
          "[dispatch]") {
  const auto dispatcher = Make(kCreditLimit);
  SECTION("one by one, each through another queue") {
    for (uint32_t i = 0; i < kCreditLimit; ++i) {
      REQUIRE(dispatcher->HasRoom());
      REQUIRE(Push(*dispatcher, i + 1, 1, i).status == POOL_OK);
    }
  }
  SECTION("what one queue hoards is brought to another") {
    for (uint32_t hint = 0; hint < kQueues; ++hint) {
      REQUIRE(Push(*dispatcher, 1, 1, hint).status == POOL_OK);  // fetches a chunk
    }
    REQUIRE(Push(*dispatcher, 1, kCreditLimit - kQueues, 2).status == POOL_OK);
  }
  SECTION("after the tasks of one queue have left it") {
    REQUIRE(Push(*dispatcher, 1, kCreditLimit, 0).status == POOL_OK);
    REQUIRE(Take(*dispatcher, 3000, 0).size() == 3000);
    REQUIRE(Push(*dispatcher, 1, 3000, 3).status == POOL_OK);
  }
  CHECK_FALSE(dispatcher->HasRoom());
  for (uint32_t hint = 0; hint < kQueues; ++hint) {
    CHECK_FALSE(dispatcher->TryPushOne(Item(1), hint));
    CHECK(Push(*dispatcher, 1, 1, hint).status == POOL_E_FULL);
  }
}

// Two threads that refill such credits in turn would else refuse each other's tasks while hardly any wait.
TEST_CASE("unused credits of queues and lanes leave half of the limit in the stock", "[dispatch]") {
  for (uint32_t lanes = 1; lanes <= Lanes::kMax; ++lanes) {
    INFO(lanes << " lanes");
    Dispatcher dispatcher(
        {.queue_limit = kCreditLimit * 100, .queues = kQueues, .lanes = lanes, .aging_ns = kNever, .exact = false},
        kNeverPaused);
    REQUIRE(dispatcher.Allocate());
    const Lanes order(lanes, kNever);
    uint64_t id = 0;
    for (uint32_t hint = 0; hint < kQueues; ++hint) REQUIRE(Push(dispatcher, ++id, 1, hint).status == POOL_OK);
    for (int32_t priority = order.lowest(); priority <= order.highest(); ++priority) {
      if (priority == 0) continue;
      const Slot slot = Item(++id);
      REQUIRE(dispatcher.Push(&slot, 1, 0, Admission::kLimited, true, priority).status == POOL_OK);
    }
    // All that is left, from one queue.
    uint64_t held = 0;
    while (held < kCreditLimit * 50 && dispatcher.limit().TryEnterHeld()) ++held;
    CHECK(held == kCreditLimit * 50);
  }
}

TEST_CASE("any sequence of pushes and takes meets the limit exactly and loses nothing",
          "[dispatch]") {
  const auto dispatcher = Make(kCreditLimit);
  Random random(5);
  uint64_t next_id = 1, waiting = 0, full = 0;
  std::vector<bool> seen(10'000'000);
  const auto take = [&](uint32_t max, uint32_t hint, uint32_t sharers) {
    for (uint64_t id : Take(*dispatcher, max, hint, sharers)) {
      REQUIRE_FALSE(seen[id]);
      seen[id] = true;
      --waiting;
    }
  };
  for (int round = 0; round < 20'000; ++round) {
    const uint32_t hint = random.Next();
    switch (random.Below(3)) {
      case 0: {
        const uint32_t count = random.Below(400);
        const auto result = Push(*dispatcher, next_id, count, hint);
        REQUIRE(result.accepted == std::min<uint64_t>(count, kCreditLimit - waiting));
        REQUIRE(result.status == (result.accepted == count ? POOL_OK : POOL_E_FULL));
        full += result.status == POOL_E_FULL ? 1 : 0;
        next_id += result.accepted;
        waiting += result.accepted;
        break;
      }
      case 1:
        if (dispatcher->TryPushOne(Item(next_id), hint)) {
          REQUIRE(waiting < kCreditLimit);
          ++next_id, ++waiting;
        }
        break;
      default: {
        const uint32_t max = 1 + random.Below(600);
        take(max, hint, 1 + random.Below(3));
      }
    }
    REQUIRE(dispatcher->HasRoom() == (waiting < kCreditLimit));
    REQUIRE(dispatcher->HasTasks() == (waiting > 0));
    REQUIRE(dispatcher->SubmittedCount() == next_id - 1);
  }
  while (dispatcher->HasTasks()) take(1000, 0, 1);
  CHECK(waiting == 0);
  CHECK(full > 100);
  CHECK(std::count(seen.begin(), seen.end(), true) == static_cast<int64_t>(next_id - 1));
}

TEST_CASE("exempt tasks pass a full queue and are counted", "[dispatch]") {
  for (uint64_t limit : {uint64_t{10}, kCreditLimit}) {
    INFO("limit " << limit);
    const auto dispatcher = Make(limit);
    REQUIRE(Push(*dispatcher, 1, static_cast<uint32_t>(limit)).status == POOL_OK);
    CHECK(Push(*dispatcher, 1, 5, 1, Admission::kExempt).status == POOL_OK);
    CHECK(dispatcher->SubmittedCount() == limit + 5);
    // They keep outsiders out until they have left as well.
    REQUIRE(Take(*dispatcher, 5, 1).size() == 5);
    if (dispatcher->limit().exact()) dispatcher->limit().Release(5);
    CHECK_FALSE(dispatcher->HasRoom());
    CHECK(Push(*dispatcher, 1, 1, 2).status == POOL_E_FULL);
    REQUIRE(Take(*dispatcher, 1).size() == 1);
    if (dispatcher->limit().exact()) dispatcher->limit().Release(1);
    CHECK(Push(*dispatcher, 1, 1, 3).status == POOL_OK);
  }
}

TEST_CASE("helpers of the library's own pass too and are not submitted tasks", "[dispatch]") {
  for (uint64_t limit : {uint64_t{1}, kCreditLimit}) {
    INFO("limit " << limit);
    const auto dispatcher = Make(limit);
    CHECK(Push(*dispatcher, 1, 3, 0, Admission::kExempt, false).status == POOL_OK);
    CHECK(dispatcher->HasTasks());
    CHECK(dispatcher->SubmittedCount() == 0);
    CHECK(Take(*dispatcher, 8).size() == 3);
    const uint32_t count = static_cast<uint32_t>(limit);
    CHECK(Push(*dispatcher, 1, count).accepted == limit);
    CHECK(dispatcher->SubmittedCount() == limit);
  }
}

TEST_CASE("an unlimited dispatcher refuses nothing", "[dispatch]") {
  const auto dispatcher = Make(POOL_UNLIMITED);
  for (uint32_t i = 0; i < 20; ++i) {
    CHECK(Push(*dispatcher, 1, 100'000, i).status == POOL_OK);
    CHECK(dispatcher->HasRoom());
  }
  CHECK(dispatcher->SubmittedCount() == 2'000'000);
}

TEST_CASE("a worker takes its share of one queue, at least one and at most what it asks for",
          "[dispatch]") {
  struct Row {
    uint32_t queued, max, sharers, taken;
  };
  static constexpr Row kRows[] = {{100, 64, 1, 64}, {100, 64, 4, 25}, {100, 16, 4, 16},
                                  {101, 64, 4, 26}, {3, 64, 8, 1},    {1, 64, 4096, 1},
                                  {64, 64, 1, 64},  {2, 64, 1, 2},    {10, 1, 2, 1}};
  for (const Row& row : kRows) {
    INFO(row.queued << " queued, at most " << row.max << ", " << row.sharers << " sharers");
    const auto dispatcher = Make(kCreditLimit);
    REQUIRE(Push(*dispatcher, 1, row.queued).status == POOL_OK);
    CHECK(Take(*dispatcher, row.max, 0, row.sharers).size() == row.taken);
  }
}

TEST_CASE("a worker looks at every queue, its own first", "[dispatch]") {
  const auto dispatcher = Make(kCreditLimit);
  for (uint32_t hint = 0; hint < kQueues; ++hint) {
    REQUIRE(Push(*dispatcher, 10 + hint, 1, hint).status == POOL_OK);
  }
  CHECK(Take(*dispatcher, 64, 2) == std::vector<uint64_t>{12});
  CHECK(Take(*dispatcher, 64, 2) == std::vector<uint64_t>{13});
  CHECK(Take(*dispatcher, 64, 2) == std::vector<uint64_t>{10});
  CHECK(Take(*dispatcher, 64, 2) == std::vector<uint64_t>{11});
  CHECK_FALSE(dispatcher->HasTasks());
}

TEST_CASE(
    "threads that push through all queues lose nothing and pass the limit by no more than "
    "a batch for each queue",
    "[dispatch]") {
  constexpr uint32_t kBatch = 8;
  const uint64_t each = workpool_test::Rounds(160'000) / kBatch * kBatch;
  const auto dispatcher = Make(kCreditLimit);
  std::atomic<uint64_t> taken{0}, sum{0}, most{0};
  const auto push = [&](uint64_t base) {
    for (uint64_t done = 0; done < each;) {
      const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(kBatch, each - done));
      done += Push(*dispatcher, base + done, count, static_cast<uint32_t>(done)).accepted;
    }
  };
  const auto take = [&] {
    uint32_t hint = 0;
    while (taken.load() < 2 * each) {
      // Read in this order, the difference is never more than what waits.
      const uint64_t taken_before = taken.load();
      const uint64_t submitted = dispatcher->SubmittedCount();
      if (submitted - taken_before > most.load()) most = submitted - taken_before;
      for (uint64_t id : Take(*dispatcher, 32, hint++, 2)) sum += id, ++taken;
    }
  };
  {
    ScopedThread a([&] { push(1); }), b([&] { push(each + 1); });
    take();
  }
  CHECK(taken == 2 * each);
  CHECK(sum == each * (2 * each + 1));
  CHECK_FALSE(dispatcher->HasTasks());
  CHECK(most <= kCreditLimit + kQueues * kBatch);
}

}  // namespace
}  // namespace workpool
