#include <catch2/catch.hpp>

#include "child.h"
#include "handle_support.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::RunChild;

TEST_CASE("a table knows the handles of its predecessor as inherited, and no others", "[handles]") {
  const auto parent = MakeTable();
  Thing living, ended;
  const uint64_t inherited = parent->Insert(&living);
  const uint64_t stale = parent->Insert(&ended);
  REQUIRE(End(*parent, stale) == POOL_OK);
  const auto child = MakeTable();
  child->Succeed(*parent);

  void* object = nullptr;
  CHECK(child->Inherited(inherited));
  CHECK(child->Acquire(inherited, &object) == POOL_E_FORKED);
  CHECK(child->Doom(inherited, &object) == POOL_E_FORKED);
  CHECK(child->Remove(inherited) == POOL_E_FORKED);
  CHECK(child->Protect(inherited, &object) == POOL_E_FORKED);
  for (uint64_t bad : {stale, inherited + 1, uint64_t{0}, UINT64_MAX}) {
    CHECK_FALSE(child->Inherited(bad));
    CHECK(child->Acquire(bad, &object) == POOL_E_BADHANDLE);
    CHECK(child->DropInherited(bad) == POOL_E_BADHANDLE);
  }
  CHECK(living.disposed == 0);
}

TEST_CASE("an inherited handle is dropped once, and its object not touched", "[handles]") {
  const auto parent = MakeTable();
  Thing thing;
  const uint64_t inherited = parent->Insert(&thing);
  const auto child = MakeTable();
  child->Succeed(*parent);
  CHECK(child->DropInherited(inherited) == POOL_OK);
  CHECK(child->DropInherited(inherited) == POOL_E_BADHANDLE);
  CHECK_FALSE(child->Inherited(inherited));
  void* object = nullptr;
  CHECK(child->Acquire(inherited, &object) == POOL_E_BADHANDLE);
  CHECK(thing.disposed == 0);
}

TEST_CASE("handles made after a fork use slots that no predecessor had", "[handles]") {
  const auto first = MakeTable();
  Thing thing;
  std::vector<uint64_t> inherited;
  for (int i = 0; i < 5000; ++i) inherited.push_back(first->Insert(&thing));
  const auto second = MakeTable();
  second->Succeed(*first);
  const uint64_t own = second->Insert(&thing);
  const auto third = MakeTable();
  third->Succeed(*second);

  for (const auto& table : {second.get(), third.get()}) {
    for (int i = 0; i < 100; ++i) {
      const uint64_t handle = table->Insert(&thing);
      REQUIRE(handle != 0);
      REQUIRE_FALSE(table->Inherited(handle));
      void* object = nullptr;
      REQUIRE(table->Acquire(handle, &object) == POOL_OK);
      table->Release(handle);
      REQUIRE(SlotOf(handle) >= inherited.size());
      REQUIRE(handle != own);
      if (i % 2 == 0) REQUIRE(End(*table, handle) == POOL_OK);
    }
  }
  // The youngest knows those of all generations before it.
  void* object = nullptr;
  CHECK(third->Acquire(own, &object) == POOL_E_FORKED);
  CHECK(third->Acquire(inherited.front(), &object) == POOL_E_FORKED);
  CHECK(third->Acquire(inherited.back(), &object) == POOL_E_FORKED);
  CHECK(third->DropInherited(own) == POOL_OK);
  CHECK(third->DropInherited(inherited.back()) == POOL_OK);
  CHECK(third->Acquire(own, &object) == POOL_E_BADHANDLE);
}

TEST_CASE("the tables of a forked child are its own and know the parent's handles", "[handles]") {
  Handles* const ours = EnsureHandles();
  REQUIRE(ours != nullptr);
  CHECK(CurrentHandles() == ours);
  Thing thing;
  const uint64_t pool = ours->pools.Insert(&thing);
  const uint64_t ticket = ours->tickets.Insert(&thing);
  const uint64_t group = ours->groups.Insert(&thing);
  const auto end = RunChild([&] {
    EXPECT(CurrentHandles() == nullptr);
    Handles* const theirs = EnsureHandles();
    EXPECT(theirs != nullptr && theirs != ours);
    void* object = nullptr;
    EXPECT(theirs->pools.Acquire(pool, &object) == POOL_E_FORKED);
    EXPECT(theirs->tickets.Acquire(ticket, &object) == POOL_E_FORKED);
    EXPECT(theirs->groups.Acquire(group, &object) == POOL_E_FORKED);
    EXPECT(theirs->tickets.Acquire(group, &object) == POOL_E_BADHANDLE);
    const uint64_t own = theirs->tickets.Insert(&thing);
    EXPECT(own != 0 && own != ticket);
    EXPECT(theirs->tickets.Acquire(own, &object) == POOL_OK && object == &thing);
    EXPECT(theirs->tickets.DropInherited(ticket) == POOL_OK);
    EXPECT(theirs->tickets.DropInherited(ticket) == POOL_E_BADHANDLE);
    EXPECT(RunChild([&] {
             Handles* const grandchild = EnsureHandles();
             EXPECT(grandchild != nullptr && grandchild != theirs);
             EXPECT(grandchild->tickets.Acquire(own, &object) == POOL_E_FORKED);
             EXPECT(grandchild->pools.Acquire(pool, &object) == POOL_E_FORKED);
             EXPECT(grandchild->tickets.Acquire(ticket, &object) == POOL_E_BADHANDLE);
           }).ExitedWith(0));
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  // What the child dropped was its copy.
  void* object = nullptr;
  CHECK(ours->tickets.Acquire(ticket, &object) == POOL_OK);
  CHECK(object == &thing);
}

}  // namespace
}  // namespace workpool
