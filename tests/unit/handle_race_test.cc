#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "handle_support.h"
#include "unit_support.h"

namespace workpool {
namespace {

// A user thread that works with whatever handle it is shown, while the test ends it.
template <typename Use>
struct EndedWhileUsed {
  // use(table, handle): true if the handle was good; counts in wrong what it saw of an ended
  // object.
  EndedWhileUsed(uint64_t rounds, Use use) : things(rounds) {
    std::atomic<uint64_t> shown{0}, good{0};
    std::atomic<bool> over{false};
    ScopedThread user([&] {
      while (!over.load(std::memory_order_relaxed)) {
        const uint64_t handle = shown.load(std::memory_order_relaxed);
        if (handle != 0 && use(*table, handle)) ++good;
        std::this_thread::yield();  // where cores are few, rather here than in the middle
      }
    });
    for (Thing& thing : things) {
      const uint64_t handle = table->Insert(&thing);
      const uint64_t before = good;
      shown.store(handle, std::memory_order_release);
      // Now and then it is sure to be in use; otherwise the two race.
      while (handle % 16 == 0 && good.load() == before) std::this_thread::yield();
      if (End(*table, handle) != POOL_OK) ++refused_ends;
    }
    over = true;
    user.Join();
  }

  [[nodiscard]] uint64_t NotDisposedOnce() const {
    uint64_t count = 0;
    for (const Thing& thing : things) count += thing.disposed == 1 ? 0 : 1;
    return count;
  }

  // Of pools: only they are used inside sections.
  std::unique_ptr<HandleTable> table = MakeTable(HandleKind::kPool);
  std::vector<Thing> things;
  uint64_t refused_ends = 0;
};

TEST_CASE("an object whose handle ends lives while a reference is held", "[handles]") {
  std::atomic<uint64_t> wrong{0};
  const EndedWhileUsed test(workpool_test::Rounds(1'000), [&](HandleTable& table, uint64_t handle) {
    void* object = nullptr;
    if (table.Acquire(handle, &object) != POOL_OK) return false;
    for (int i = 0; i < 10; ++i) wrong += static_cast<Thing*>(object)->disposed == 0 ? 0 : 1;
    table.Release(handle);
    return true;
  });
  CHECK(wrong == 0);
  CHECK(test.refused_ends == 0);
  CHECK(test.NotDisposedOnce() == 0);
}

TEST_CASE("an object whose handle ends lives while a section names it, if it is a pool's",
          "[handles]") {
  std::atomic<uint64_t> wrong{0};
  const EndedWhileUsed test(workpool_test::Rounds(1'000), [&](HandleTable& table, uint64_t handle) {
    LineSection section(*CurrentLine(CurrentTls()), HandleTable::LineSlot(handle));
    void* object = nullptr;
    if (table.Protect(handle, &object) != POOL_OK) return false;
    for (int i = 0; i < 10; ++i) wrong += static_cast<Thing*>(object)->disposed == 0 ? 0 : 1;
    return true;
  });
  CHECK(wrong == 0);
  CHECK(test.refused_ends == 0);
  CHECK(test.NotDisposedOnce() == 0);
}

TEST_CASE("a pool ends only after the last section that names it", "[handles]") {
  const auto table = MakeTable(HandleKind::kPool);
  Thing thing;
  const uint64_t handle = table->Insert(&thing);
  workpool_test::Gate gate;
  std::atomic<int> disposed_inside{-1};
  ScopedThread user([&] {
    LineSection section(*CurrentLine(CurrentTls()), HandleTable::LineSlot(handle));
    void* object = nullptr;
    if (table->Protect(handle, &object) != POOL_OK) return;
    gate.Pass();
    disposed_inside = static_cast<Thing*>(object)->disposed.load();
  });
  REQUIRE(gate.AwaitArrivals(1));
  Status ended = POOL_E_INTERNAL;
  ScopedThread ender([&] { ended = End(*table, handle); });
  // The handle has ended, the object has not.
  CHECK(workpool_test::PollUntil(
      [&] { return HandleTable::TryProtect(table->SlotAddress(handle), handle) == nullptr; }));
  CHECK(workpool_test::HoldsThroughout([&] { return thing.disposed == 0; },
                                       std::chrono::milliseconds(20)));
  gate.Open();
  user.Join();
  ender.Join();
  CHECK(disposed_inside == 0);
  CHECK(ended == POOL_OK);
  CHECK(thing.disposed == 1);
}

TEST_CASE("of two threads that end a handle one wins", "[handles]") {
  const uint64_t rounds = workpool_test::Rounds(1'000);
  const auto table = MakeTable();
  std::vector<Thing> things(rounds);
  std::atomic<uint64_t> handle{0}, round{0}, removed{0}, doomed{0};
  std::atomic<uint64_t> answers{0};
  const auto compete = [&] {
    const uint64_t shown = handle.load();
    void* object = nullptr;
    if (table->Doom(shown, &object) == POOL_OK) {
      ++doomed;
      table->Release(shown);
    }
    if (End(*table, shown) == POOL_OK) ++removed;
  };
  ScopedThread other([&] {
    for (uint64_t i = 1; i <= rounds; ++i) {
      while (round.load() < i) std::this_thread::yield();
      compete();
      answers = i;
    }
  });
  for (uint64_t i = 1; i <= rounds; ++i) {
    handle = table->Insert(&things[i - 1]);
    round = i;
    compete();
    while (answers.load() < i) std::this_thread::yield();
  }
  other.Join();
  CHECK(removed == rounds);
  CHECK(doomed == rounds);
  uint64_t wrong = 0;
  for (const Thing& thing : things) wrong += thing.disposed == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("threads that make and end handles at once never meet in one", "[handles]") {
  const uint64_t rounds = workpool_test::Rounds(20'000);
  const auto table = MakeTable();
  std::atomic<uint64_t> wrong{0};
  const auto make_and_end = [&] {
    Thing thing;
    for (uint64_t i = 0; i < rounds; ++i) {
      const uint64_t handle = table->Insert(&thing);
      void* object = nullptr;
      if (table->Acquire(handle, &object) != POOL_OK || object != &thing) {
        ++wrong;
        return;
      }
      table->Release(handle);
      if (End(*table, handle) != POOL_OK) ++wrong;
    }
    if (thing.disposed != static_cast<int>(rounds)) ++wrong;
  };
  {
    ScopedThread other(make_and_end);
    make_and_end();
  }
  CHECK(wrong == 0);
}

TEST_CASE("who ends an object can wait until nobody else holds it", "[handles]") {
  const auto table = MakeTable();
  Thing thing;
  const uint64_t handle = table->Insert(&thing);
  workpool_test::Gate gate;
  std::atomic<bool> holding{false};
  ScopedThread holder([&] {
    void* object = nullptr;
    if (table->Acquire(handle, &object) != POOL_OK) return;
    holding = true;
    gate.Pass();
    holding = false;
    table->Release(handle);
  });
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(holding);
  void* object = nullptr;
  REQUIRE(table->Doom(handle, &object) == POOL_OK);
  REQUIRE(table->Remove(handle) == POOL_OK);
  table->Release(handle);
  bool holding_after = true;
  ScopedThread ender([&] {
    table->AwaitOnlyReference(handle);
    holding_after = holding;
  });
  gate.Open();
  ender.Join();
  holder.Join();
  CHECK_FALSE(holding_after);
  CHECK(thing.disposed == 0);
  table->Release(handle);
  CHECK(thing.disposed == 1);
}

}  // namespace
}  // namespace workpool
