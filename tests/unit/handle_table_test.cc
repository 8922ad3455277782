#include "capi/handle_table.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <set>
#include <vector>

#include "handle_support.h"
#include "unit_support.h"

namespace workpool {
namespace {

constexpr HandleKind kKinds[] = {HandleKind::kPool, HandleKind::kTicket, HandleKind::kGroup};

// Every way into the table says what this handle is.
void CheckAllSay(HandleTable& table, uint64_t handle, Status expected) {
  INFO("handle " << handle);
  void* object = &object;
  CHECK(table.Acquire(handle, &object) == expected);
  CHECK(table.Doom(handle, &object) == expected);
  CHECK(table.Remove(handle) == expected);
  ThreadLine* const line = CurrentLine(CurrentTls());
  REQUIRE(line != nullptr);
  LineSection section(*line, HandleTable::LineSlot(handle));
  CHECK(table.Protect(handle, &object) == expected);
  CHECK(object == nullptr);
}

TEST_CASE("a handle leads to its object, by every way", "[handles]") {
  for (HandleKind kind : kKinds) {
    const auto table = MakeTable(kind);
    Thing thing;
    const uint64_t handle = table->Insert(&thing);
    REQUIRE(handle != 0);

    void* object = nullptr;
    REQUIRE(table->Acquire(handle, &object) == POOL_OK);
    CHECK(object == &thing);
    table->Release(handle);
    {
      ThreadLine* const line = CurrentLine(CurrentTls());
      REQUIRE(line != nullptr);
      LineSection section(*line, HandleTable::LineSlot(handle));
      object = nullptr;
      CHECK(table->Protect(handle, &object) == POOL_OK);
      CHECK(object == &thing);
      CHECK(HandleTable::TryProtect(table->SlotAddress(handle), handle) == &thing);
      CHECK(HandleTable::TryProtect(kDeadSlot, handle) == nullptr);
    }
    CHECK(thing.disposed == 0);
    CHECK(End(*table, handle) == POOL_OK);
    CHECK(thing.disposed == 1);
    CHECK(HandleTable::TryProtect(table->SlotAddress(handle), handle) == nullptr);
  }
}

TEST_CASE("handles are different numbers below 2^53, and never 0", "[handles]") {
  std::set<uint64_t> handles;
  std::vector<Thing> things(10'000);
  for (HandleKind kind : kKinds) {
    const auto table = MakeTable(kind);
    for (Thing& thing : things) handles.insert(table->Insert(&thing));
    // In the last generation, too.
    const uint64_t handle = table->Insert(&things[0]);
    REQUIRE(End(*table, handle) == POOL_OK);
    table->PresetGeneration(handle, HandleTable::kGenerationMax - 1);
    handles.insert(table->Insert(&things[0]));
  }
  CHECK(handles.size() == 3 * (things.size() + 1));
  CHECK(*handles.begin() > 0);
  CHECK(*handles.rbegin() < uint64_t{1} << 53);
  // What the largest kind, slot and generation make together.
  CHECK(((uint64_t{7} << 50) | ((uint64_t{1} << 50) - 1)) < uint64_t{1} << 53);
  CHECK(HandleTable::kSlotBits + HandleTable::kGenerationBits == 50);
}

TEST_CASE("a stale, doubled, forged or wrong-kind handle is a bad handle", "[handles]") {
  const auto table = MakeTable(HandleKind::kTicket);
  const auto other = MakeTable(HandleKind::kGroup);
  Thing thing, ended, of_other;
  const uint64_t handle = table->Insert(&thing);
  const uint64_t stale = table->Insert(&ended);
  const uint64_t wrong_kind = other->Insert(&of_other);
  REQUIRE(End(*table, stale) == POOL_OK);

  CheckAllSay(*table, stale, POOL_E_BADHANDLE);
  CheckAllSay(*table, wrong_kind, POOL_E_BADHANDLE);
  CheckAllSay(*other, handle, POOL_E_BADHANDLE);
  for (uint64_t forged : {uint64_t{0}, uint64_t{1}, uint64_t{42}, UINT64_MAX, uint64_t{1} << 63,
                          (uint64_t{1} << 53) - 1}) {
    CheckAllSay(*table, forged, POOL_E_BADHANDLE);
  }
  // One bit wrong, anywhere: in the generation, the slot, the kind, above them.
  for (int bit = 0; bit < 64; ++bit) {
    CheckAllSay(*table, handle ^ (uint64_t{1} << bit), POOL_E_BADHANDLE);
  }
  CHECK(thing.disposed == 0);
  CHECK(End(*table, handle) == POOL_OK);
  CHECK(thing.disposed == 1);
  CHECK(ended.disposed == 1);
}

TEST_CASE("a refused handle is told with its number", "[handles]") {
  const auto table = MakeTable();
  void* object = nullptr;
  const Status status = table->Acquire(123456789, &object);
  const std::string text = TextOf(status);
  CHECK(text.find("123456789") != std::string::npos);
  CHECK(text.find("destroyed") != std::string::npos);
}

TEST_CASE("a handle ends once, and its object when nobody holds it any more", "[handles]") {
  const auto table = MakeTable();
  Thing thing;
  const uint64_t handle = table->Insert(&thing);
  void* object = nullptr;
  REQUIRE(table->Acquire(handle, &object) == POOL_OK);
  REQUIRE(table->Acquire(handle, &object) == POOL_OK);
  CHECK(table->Remove(handle) == POOL_OK);
  CheckAllSay(*table, handle, POOL_E_BADHANDLE);
  table->Release(handle);
  table->Release(handle);
  CHECK(thing.disposed == 0);
  table->Release(handle);
  CHECK(thing.disposed == 1);
  CheckAllSay(*table, handle, POOL_E_BADHANDLE);
}

TEST_CASE("a slot in use is not given to another object, also after its handle has ended",
          "[handles]") {
  const auto table = MakeTable();
  Thing held, other;
  const uint64_t handle = table->Insert(&held);
  void* object = nullptr;
  REQUIRE(table->Acquire(handle, &object) == POOL_OK);
  REQUIRE(End(*table, handle) == POOL_OK);
  for (int i = 0; i < 100; ++i) {
    const uint64_t next = table->Insert(&other);
    REQUIRE(SlotOf(next) != SlotOf(handle));
    REQUIRE(End(*table, next) == POOL_OK);
  }
  table->Release(handle);
  CHECK(held.disposed == 1);
  // Now it may.
  CHECK(SlotOf(table->Insert(&other)) == SlotOf(handle));
}

TEST_CASE("a slot that is used again has another generation", "[handles]") {
  const auto table = MakeTable();
  Thing thing;
  uint64_t before = table->Insert(&thing);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(End(*table, before) == POOL_OK);
    const uint64_t handle = table->Insert(&thing);
    REQUIRE(SlotOf(handle) == SlotOf(before));
    REQUIRE(GenerationOf(handle) == GenerationOf(before) + 1);
    void* object = nullptr;
    REQUIRE(table->Acquire(before, &object) == POOL_E_BADHANDLE);
    before = handle;
  }
  CHECK(thing.disposed == 1000);
}

TEST_CASE("J2: a slot is retired with its last generation and never comes back", "[handles]") {
  const auto table = MakeTable();
  Thing thing;
  const uint64_t first = table->Insert(&thing);
  REQUIRE(End(*table, first) == POOL_OK);
  table->PresetGeneration(first, HandleTable::kGenerationMax - 3);

  // The slot is the only free one, so it is used until it is retired.
  std::vector<uint64_t> handles{first};
  for (;;) {
    const uint64_t handle = table->Insert(&thing);
    REQUIRE(handle != 0);
    REQUIRE(End(*table, handle) == POOL_OK);
    if (SlotOf(handle) != SlotOf(first)) break;
    REQUIRE(GenerationOf(handle) > GenerationOf(handles.back()));
    handles.push_back(handle);
    REQUIRE(handles.size() < 10);
  }
  CHECK(GenerationOf(handles.back()) == HandleTable::kGenerationMax);
  CHECK(handles.size() >= 3);

  std::vector<uint64_t> later;
  for (int i = 0; i < 5000; ++i) {
    later.push_back(table->Insert(&thing));
    REQUIRE(SlotOf(later.back()) != SlotOf(first));
    if (i % 2 == 0) {
      REQUIRE(End(*table, later.back()) == POOL_OK);
      later.pop_back();
    }
  }
  for (uint64_t handle : handles) CheckAllSay(*table, handle, POOL_E_BADHANDLE);
  // Nor does a number beyond the last generation name it, nor generation 0.
  CheckAllSay(*table, handles.back() + 1, POOL_E_BADHANDLE);
  CheckAllSay(*table, handles.back() - HandleTable::kGenerationMax, POOL_E_BADHANDLE);
}

TEST_CASE("one of two who want to end an object is chosen, and may step back", "[handles]") {
  const auto table = MakeTable();
  Thing thing;
  const uint64_t handle = table->Insert(&thing);
  void* object = nullptr;
  REQUIRE(table->Doom(handle, &object) == POOL_OK);
  CHECK(object == &thing);
  void* second = nullptr;
  CHECK(table->Doom(handle, &second) == POOL_E_BADHANDLE);
  // Meanwhile the handle works for others.
  REQUIRE(table->Acquire(handle, &second) == POOL_OK);
  table->Release(handle);

  table->Undoom(handle);
  table->Release(handle);
  CHECK(thing.disposed == 0);
  REQUIRE(table->Doom(handle, &object) == POOL_OK);
  REQUIRE(table->Remove(handle) == POOL_OK);
  CHECK(table->Doom(handle, &second) == POOL_E_BADHANDLE);
  table->Release(handle);  // the table's
  table->AwaitOnlyReference(handle);
  CHECK(thing.disposed == 0);
  table->Release(handle);  // the doomer's
  CHECK(thing.disposed == 1);
}

TEST_CASE("many objects live side by side, over the borders of pages", "[handles]") {
  constexpr size_t kThings = 9'000;  // a page has 4096 slots
  const auto table = MakeTable();
  std::vector<Thing> things(kThings);
  std::vector<uint64_t> handles;
  for (Thing& thing : things) handles.push_back(table->Insert(&thing));
  size_t wrong = 0;
  for (size_t i = 0; i < kThings; ++i) {
    void* object = nullptr;
    if (table->Acquire(handles[i], &object) != POOL_OK || object != &things[i]) ++wrong;
    table->Release(handles[i]);
  }
  CHECK(wrong == 0);
  for (size_t i = 0; i < kThings; i += 2) REQUIRE(End(*table, handles[i]) == POOL_OK);
  for (size_t i = 0; i < kThings; ++i) {
    if (things[i].disposed != (i % 2 == 0 ? 1 : 0)) ++wrong;
  }
  CHECK(wrong == 0);
  // Free slots are used before new ones.
  uint64_t last_slot = 0;
  for (uint64_t handle : handles) last_slot = std::max(last_slot, SlotOf(handle));
  for (size_t i = 0; i < kThings / 2; ++i) {
    REQUIRE(SlotOf(table->Insert(&things[0])) <= last_slot);
  }
}

}  // namespace
}  // namespace workpool
