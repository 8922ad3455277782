#include "queue/work_deque.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <vector>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint64_t kHalf = uint64_t{1} << 63;  // where a signed index turns negative

// From where on a deque of up to eight tasks passes the ends of what 63 and 64 bits hold.
constexpr uint64_t kFirstIndices[] = {0,
                                      1,
                                      kHalf - 4,
                                      kHalf - 2,
                                      kHalf - 1,
                                      kHalf,
                                      0 - uint64_t{4},
                                      0 - uint64_t{2},
                                      0 - uint64_t{1}};

// The next task of the owner, or of a thief; 0: there is none.
template <typename Deque>
uint64_t Pop(Deque& deque) {
  Slot slot{};
  return deque.TryPop(&slot) ? IdOf(slot) : 0;
}
template <typename Deque>
uint64_t Steal(Deque& deque) {
  Slot slot{};
  return deque.TrySteal(&slot) == StealResult::kTaken ? IdOf(slot) : 0;
}

TEST_CASE("A6: a pop as the very first operation finds nothing and leaves the size 0", "[queue]") {
  for (uint64_t first_index : kFirstIndices) {
    INFO("first index " << first_index);
    WorkDeque<4> deque(first_index);
    Slot slot = Item(7);
    CHECK_FALSE(deque.TryPop(&slot));
    CHECK(deque.SizeApprox() == 0);
    CHECK(deque.HasRoom());
    CHECK(deque.TrySteal(&slot) == StealResult::kEmpty);
    CHECK(IdOf(slot) == 7);  // untouched
    CHECK_FALSE(deque.TryPop(&slot));
    CHECK(deque.TryPush(Item(1)));
    CHECK(deque.SizeApprox() == 1);
    CHECK(Pop(deque) == 1);
    CHECK_FALSE(deque.TryPop(&slot));
    CHECK(deque.SizeApprox() == 0);
  }
}

TEST_CASE("a slot comes out of the deque as it went in", "[queue]") {
  WorkDeque<2> deque;
  int arg = 0;
  for (bool steal : {false, true}) {
    REQUIRE(deque.TryPush({workpool_test::PassGate, &arg}));
    Slot slot{};
    REQUIRE((steal ? deque.TrySteal(&slot) == StealResult::kTaken : deque.TryPop(&slot)));
    CHECK(slot.run == workpool_test::PassGate);
    CHECK(slot.arg == &arg);
  }
}

TEST_CASE("the owner takes the newest task, thieves the oldest", "[queue]") {
  WorkDeque<8> deque;
  for (uint64_t id = 1; id <= 6; ++id) REQUIRE(deque.TryPush(Item(id)));
  CHECK(Steal(deque) == 1);
  CHECK(Pop(deque) == 6);
  CHECK(Steal(deque) == 2);
  CHECK(Pop(deque) == 5);
  CHECK(deque.SizeApprox() == 2);
  CHECK(Steal(deque) == 3);
  CHECK(Pop(deque) == 4);
  CHECK(deque.SizeApprox() == 0);
  CHECK(Steal(deque) == 0);
  CHECK(Pop(deque) == 0);
}

TEST_CASE("a full deque refuses, and has room again after a pop or a steal", "[queue]") {
  for (uint64_t first_index : kFirstIndices) {
    INFO("first index " << first_index);
    WorkDeque<2> deque(first_index);
    CHECK(deque.TryPush(Item(1)));
    CHECK(deque.HasRoom());
    CHECK(deque.TryPush(Item(2)));
    CHECK_FALSE(deque.HasRoom());
    CHECK_FALSE(deque.TryPush(Item(3)));
    CHECK(deque.SizeApprox() == 2);
    CHECK(Steal(deque) == 1);
    CHECK(deque.HasRoom());
    CHECK(deque.TryPush(Item(4)));
    CHECK_FALSE(deque.TryPush(Item(5)));
    CHECK(Pop(deque) == 4);
    CHECK(deque.TryPush(Item(6)));
    CHECK(Steal(deque) == 2);
    CHECK(Steal(deque) == 6);
    CHECK(deque.SizeApprox() == 0);
  }
}

TEST_CASE("a batch enters so that its owner pops it in its order", "[queue]") {
  WorkDeque<8> deque;
  const std::vector<Slot> items = Items(1, 8);
  deque.PushReversed(items.data(), 0);
  CHECK(deque.SizeApprox() == 0);
  deque.PushReversed(items.data(), 8);
  CHECK(deque.SizeApprox() == 8);
  CHECK_FALSE(deque.HasRoom());
  for (uint64_t id = 1; id <= 4; ++id) CHECK(Pop(deque) == id);
  for (uint64_t id = 8; id >= 5; --id) CHECK(Steal(deque) == id);
  CHECK(deque.SizeApprox() == 0);
}

TEST_CASE("a thief leaves what it does not want to others", "[queue]") {
  WorkDeque<4> deque;
  for (uint64_t id = 1; id <= 2; ++id) REQUIRE(deque.TryPush(Item(id)));
  const auto is_first = [](const Slot& slot) { return IdOf(slot) == 1; };
  Slot slot{};
  CHECK(deque.TrySteal(&slot, is_first) == StealResult::kLeft);
  CHECK(deque.SizeApprox() == 2);
  CHECK(Steal(deque) == 1);
  CHECK(deque.TrySteal(&slot, is_first) == StealResult::kTaken);
  CHECK(IdOf(slot) == 2);
  CHECK(deque.TrySteal(&slot, is_first) == StealResult::kEmpty);
}

// Random operations of one thread, beside a deque that is known to be right.
template <size_t kCapacity>
void CompareWithModel(uint64_t first_index, uint32_t operations) {
  WorkDeque<kCapacity> deque(first_index);
  std::deque<uint64_t> model;
  Random random(first_index);
  uint64_t next_id = 1;
  for (uint32_t i = 0; i < operations; ++i) {
    switch (random.Below(5)) {
      case 0: {
        if (!model.empty()) break;
        const uint32_t count = random.Below(kCapacity + 1);
        const std::vector<Slot> items = Items(next_id, count);
        deque.PushReversed(items.data(), count);
        for (uint32_t k = 0; k < count; ++k) model.push_front(next_id++);
        break;
      }
      case 4: {
        const size_t count = random.Below(kCapacity + 2);
        Slot oldest[kCapacity + 1];
        const size_t taken = deque.TakeOldest(oldest, count);
        REQUIRE(taken == std::min(count, model.size()));
        for (size_t k = 0; k < taken; ++k) {
          REQUIRE(IdOf(oldest[k]) == model.front());
          model.pop_front();
        }
        break;
      }
      case 1:
        if (deque.TryPush(Item(next_id))) model.push_back(next_id++);
        REQUIRE(model.size() <= kCapacity);
        break;
      case 2:
        REQUIRE(Pop(deque) == (model.empty() ? 0 : model.back()));
        if (!model.empty()) model.pop_back();
        break;
      default:
        REQUIRE(Steal(deque) == (model.empty() ? 0 : model.front()));
        if (!model.empty()) model.pop_front();
    }
    REQUIRE(deque.SizeApprox() == model.size());
    REQUIRE(deque.HasRoom() == (model.size() < kCapacity));
  }
}

TEST_CASE("any sequence of operations keeps the order, also where indices wrap", "[queue]") {
  for (uint64_t first_index : kFirstIndices) {
    INFO("first index " << first_index);
    CompareWithModel<1>(first_index, 300);
    CompareWithModel<2>(first_index, 1000);
    CompareWithModel<8>(first_index, 3000);
  }
}

// Tells whether each of the ids 1 ... n was seen once: a lost and a doubled one would have to make
// up for each other in count, sum and sum of squares at once.
struct Seen {
  uint64_t count = 0, sum = 0, squares = 0;

  void Add(uint64_t id) { ++count, sum += id, squares += id * id; }
  void Add(const Seen& other) { count += other.count, sum += other.sum, squares += other.squares; }
  bool operator==(const Seen&) const = default;

  static Seen UpTo(uint64_t n) {
    Seen seen;
    for (uint64_t id = 1; id <= n; ++id) seen.Add(id);
    return seen;
  }
};

TEST_CASE("A4: ten million laps over a ring of two slots lose nothing", "[queue]") {
  const uint64_t laps = workpool_test::Rounds(10'000'000);
  WorkDeque<2> deque(0 - uint64_t{1000});  // indices wrap in lap 500
  Seen seen;
  uint64_t next_id = 1;
  for (uint64_t lap = 0; lap < laps; ++lap) {
    if (!deque.TryPush(Item(next_id++)) || !deque.TryPush(Item(next_id++))) {
      FAIL("an empty ring refused in lap " << lap);
    }
    seen.Add(lap % 2 == 0 ? Pop(deque) : Steal(deque));
    seen.Add(lap % 3 == 0 ? Pop(deque) : Steal(deque));
  }
  CHECK(seen == Seen::UpTo(2 * laps));
  CHECK(deque.SizeApprox() == 0);
}

TEST_CASE("A4: ten million laps beside a thief lose nothing and double nothing", "[queue]") {
  const uint64_t tasks = 2 * workpool_test::Rounds(10'000'000);
  WorkDeque<2> deque(0 - uint64_t{1000});
  Seen stolen, popped;
  std::atomic<bool> over{false};
  std::atomic<bool> thief_at_work{false};
  ScopedThread thief([&] {
    while (!over.load(std::memory_order_relaxed)) {
      if (const uint64_t id = Steal(deque)) {
        stolen.Add(id);
        thief_at_work.store(true, std::memory_order_relaxed);
      }
    }
  });
  // The first task is the thief's, so that two are at it from the beginning.
  REQUIRE(deque.TryPush(Item(1)));
  CHECK(workpool_test::PollUntil([&] { return thief_at_work.load(); }));
  for (uint64_t id = 2; id <= tasks;) {
    if (deque.TryPush(Item(id))) {
      ++id;
    } else if (const uint64_t own = Pop(deque)) {
      popped.Add(own);
    }
  }
  while (const uint64_t own = Pop(deque)) popped.Add(own);
  over = true;
  thief.Join();
  Seen seen = popped;
  seen.Add(stolen);
  CHECK(seen == Seen::UpTo(tasks));
}

TEST_CASE("two thieves and an owner share the last tasks without doubling one", "[queue]") {
  const uint64_t tasks = workpool_test::Rounds(400'000);
  WorkDeque<4> deque;
  Seen stolen[2], popped;
  std::atomic<bool> over{false};
  const auto steal = [&](Seen& seen) {
    while (!over.load(std::memory_order_relaxed)) {
      if (const uint64_t id = Steal(deque)) seen.Add(id);
    }
  };
  ScopedThread first([&] { steal(stolen[0]); });
  ScopedThread second([&] { steal(stolen[1]); });
  for (uint64_t id = 1; id <= tasks;) {
    const bool pushed = deque.TryPush(Item(id));
    if (pushed) ++id;
    if (pushed && id % 3 != 0) continue;
    if (const uint64_t own = Pop(deque)) popped.Add(own);
  }
  while (const uint64_t own = Pop(deque)) popped.Add(own);
  over = true;
  first.Join();
  second.Join();
  Seen seen = popped;
  for (const Seen& part : stolen) seen.Add(part);
  CHECK(seen == Seen::UpTo(tasks));
}

}  // namespace
}  // namespace workpool
