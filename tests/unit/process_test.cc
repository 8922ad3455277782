#include "base/process.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "child.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::ChildEnd;
using workpool_test::RunChild;

struct Plain {
  int value = 0;
};

// Wants to know the parent's.
struct Heir {
  int value = 0;
  const Heir* parent = nullptr;
  void Succeed(const Heir* before) { parent = before; }
};

TEST_CASE("a holder is empty until it is asked for its object, then keeps to one", "[base]") {
  static PerProcess<Plain> holder;
  CHECK(holder.Get() == nullptr);
  Plain* object = holder.Ensure();
  REQUIRE(object != nullptr);
  CHECK(object->value == 0);
  CHECK(holder.Get() == object);
  CHECK(holder.Ensure() == object);
}

TEST_CASE("threads that ask at once get the same object", "[base]") {
  // Static, as all of them are: what they hold is never given back.
  static PerProcess<Plain> holders[200];
  for (PerProcess<Plain>& holder : holders) {
    Plain* theirs = nullptr;
    std::atomic<int> ready{0};
    const auto meet = [&] {
      ++ready;
      while (ready.load() < 2) std::this_thread::yield();
    };
    ScopedThread other([&] {
      meet();
      theirs = holder.Ensure();
    });
    meet();
    Plain* mine = holder.Ensure();
    other.Join();
    REQUIRE(mine != nullptr);
    REQUIRE(mine == theirs);
  }
}

TEST_CASE("a forked child finds the holder empty and makes its own object", "[base]") {
  static PerProcess<Plain> holder;
  Plain* const ours = holder.Ensure();
  REQUIRE(ours != nullptr);
  ours->value = 7;
  const uint32_t epoch = ForkEpoch();
  const ChildEnd end = RunChild([&] {
    EXPECT(ForkEpoch() != epoch);
    EXPECT(holder.Get() == nullptr);
    Plain* const theirs = holder.Ensure();
    EXPECT(theirs != nullptr && theirs != ours);
    EXPECT(theirs->value == 0);
    EXPECT(holder.Get() == theirs);
    EXPECT(ours->value == 7);  // left behind, not touched
    const uint32_t child_epoch = ForkEpoch();
    EXPECT(RunChild([&] {
             EXPECT(ForkEpoch() != child_epoch && ForkEpoch() != epoch);
             EXPECT(holder.Get() == nullptr);
             EXPECT(holder.Ensure() != theirs);
           }).ExitedWith(0));
    EXPECT(holder.Get() == theirs);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(holder.Get() == ours);
  CHECK(ForkEpoch() == epoch);
}

TEST_CASE("an object that wants to know its predecessor is told before anyone can see it",
          "[base]") {
  static PerProcess<Heir> holder;
  Heir* const ours = holder.Ensure();
  REQUIRE(ours != nullptr);
  CHECK(ours->parent == nullptr);
  const ChildEnd end = RunChild([&] {
    Heir* const theirs = holder.Ensure();
    EXPECT(theirs != nullptr && theirs->parent == ours);
    EXPECT(RunChild([&] {
             Heir* const grandchild = holder.Ensure();
             EXPECT(grandchild != nullptr && grandchild->parent == theirs);
           }).ExitedWith(0));
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("a holder first used in a child has no predecessor", "[base]") {
  static PerProcess<Heir> holder;
  WatchFork();
  const ChildEnd end = RunChild([&] {
    Heir* const theirs = holder.Ensure();
    EXPECT(theirs != nullptr && theirs->parent == nullptr);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(holder.Get() == nullptr);
}

}  // namespace
}  // namespace workpool
