// The handle table (capi/handle_table.h): using an object by its number while another thread ends
// it and the number's place is given to the next one.
#include "base/process.h"
#include "capi/handle_table.h"
#include "model/explorer.h"

namespace workpool::model {
namespace {

struct Object {
  Object() { state.Write(1); }
  Plain<int> state;  // 1: usable, 0: disposed of
  static void Dispose(void* object) { static_cast<Object*>(object)->state.Write(0); }
};

// Made anew for each schedule, and like the library's never destroyed.
struct Holder {
  HandleTable table{HandleKind::kPool, &Object::Dispose};
  HandleTable tickets{HandleKind::kTicket, &Object::Dispose};
};
constinit PerProcess<Holder> g_holder;

HandleTable& Table() {
  // Whoever makes a handle has a line first, as in pool_create.
  MODEL_CHECK(CurrentLine(CurrentTls()) != nullptr);
  return g_holder.Ensure()->table;
}

void End(HandleTable& table, uint64_t handle) {
  MODEL_CHECK(table.Remove(handle) == POOL_OK);
  table.Release(handle);
}

// The ways of using an object; each returns whether the handle was alive.
bool UseInSection(HandleTable& table, uint64_t handle) {
  const LineSection section(*CurrentLine(CurrentTls()), HandleTable::LineSlot(handle));
  void* object = nullptr;
  if (table.Protect(handle, &object) != POOL_OK) return false;
  MODEL_CHECK(static_cast<Object*>(object)->state.Read() == 1);
  return true;
}

bool UseInShortSection(HandleTable& table, uint64_t handle) {
  ThreadLine& line = *CurrentLine(CurrentTls());
  const void* slot = table.SlotAddress(handle);
  if (slot == nullptr) return false;
  LineSection::EnterFree(line, HandleTable::LineSlot(handle));
  auto* object = static_cast<Object*>(HandleTable::TryProtect(slot, handle));
  if (object != nullptr) MODEL_CHECK(object->state.Read() == 1);
  LineSection::Leave(line);
  return object != nullptr;
}

bool UseWithReference(HandleTable& table, uint64_t handle) {
  void* object = nullptr;
  if (table.Acquire(handle, &object) != POOL_OK) return false;
  MODEL_CHECK(static_cast<Object*>(object)->state.Read() == 1);
  table.Release(handle);
  return true;
}

bool UseWhileDoomed(HandleTable& table, uint64_t handle) {
  void* object = nullptr;
  if (table.Doom(handle, &object) != POOL_OK) return false;
  MODEL_CHECK(static_cast<Object*>(object)->state.Read() == 1);
  table.Undoom(handle);
  table.Release(handle);
  return true;
}

using Use = bool (*)(HandleTable&, uint64_t);

// A thread that guesses the number, or heard of it without any order, finds the whole object or
// none.
void UseAgainstInsert(Use use) {
  HandleTable& table = Table();
  Object first;
  const uint64_t guess = table.Insert(&first) + (uint64_t{1} << HandleTable::kGenerationBits);
  Thread user([&] { (void)use(table, guess); });
  Object second;
  MODEL_CHECK(table.Insert(&second) == guess);
  user.Join();
  MODEL_CHECK(use(table, guess));
}

void UseAgainstFirstInsert(Use use) {
  HandleTable& table = Table();
  const uint64_t guess = uint64_t{1} << (HandleTable::kSlotBits + HandleTable::kGenerationBits) | 1;
  Thread user([&] { (void)use(table, guess); });
  Object object;
  MODEL_CHECK(table.Insert(&object) == guess);
  user.Join();
}

// The object is disposed of after the last use, and the next in its place is not taken for it.
void UseAgainstEnd(Use use) {
  HandleTable& table = Table();
  Object object;
  const uint64_t handle = table.Insert(&object);
  Thread user([&] {
    (void)use(table, handle);
    (void)use(table, handle);
  });
  End(table, handle);
  Object next;
  const uint64_t next_handle = table.Insert(&next);
  MODEL_CHECK(next_handle != handle);
  user.Join();
  MODEL_CHECK(object.state.Read() == 0);
  MODEL_CHECK(!use(table, handle));
  MODEL_CHECK(use(table, next_handle));
}

MODEL_TEST("a handle used in a section finds the whole object, or none yet") {
  UseAgainstInsert(&UseInSection);
}
MODEL_TEST("a handle used in a short section finds the whole object, or none yet") {
  UseAgainstInsert(&UseInShortSection);
}
MODEL_TEST("a handle used with a reference finds the whole object, or none yet") {
  UseAgainstInsert(&UseWithReference);
}
MODEL_TEST("a handle that is doomed and kept finds the whole object, or none yet") {
  UseAgainstInsert(&UseWhileDoomed);
}
MODEL_TEST("the first handle of a table finds its page, or none yet") {
  UseAgainstFirstInsert(&UseWithReference);
}
MODEL_TEST("an object used in a section is not disposed of meanwhile", .preemptions = 2) {
  UseAgainstEnd(&UseInSection);
}
MODEL_TEST("an object used in a short section is not disposed of meanwhile", .preemptions = 2) {
  UseAgainstEnd(&UseInShortSection);
}
MODEL_TEST("an object used with a reference is not disposed of meanwhile", .preemptions = 2) {
  UseAgainstEnd(&UseWithReference);
}
MODEL_TEST("an object used while doomed is not disposed of meanwhile", .preemptions = 2) {
  UseAgainstEnd(&UseWhileDoomed);
}

MODEL_TEST("A8: no way back to a free place of the table brings an earlier handle back", .preemptions = 2,
           .stale_reads = 1) {
  HandleTable& table = Table();
  Object first;
  const uint64_t handle = table.Insert(&first);
  Thread other([&] {
    // Kept and given back, or ended: whichever it is, the next use of the place shows another number.
    if (UseWhileDoomed(table, handle)) (void)UseWithReference(table, handle);
  });
  End(table, handle);
  Object second;
  const uint64_t next = table.Insert(&second);
  End(table, next);
  Object third;
  const uint64_t last = table.Insert(&third);
  other.Join();
  MODEL_CHECK(handle != next && next != last && handle != last);
  MODEL_CHECK(!UseWithReference(table, handle));
  MODEL_CHECK(!UseInSection(table, next));
  MODEL_CHECK(UseWithReference(table, last));
}

MODEL_TEST("a ticket's object is disposed of by the last user, after all other uses", .preemptions = 2) {
  (void)Table();
  HandleTable& tickets = g_holder.Get()->tickets;
  Object object;
  const uint64_t handle = tickets.Insert(&object);
  Thread user([&] { (void)UseWithReference(tickets, handle); });
  End(tickets, handle);
  user.Join();
  MODEL_CHECK(object.state.Read() == 0);
}

MODEL_TEST("who waits for the only reference is ordered after all other uses", .preemptions = 2) {
  HandleTable& table = Table();
  Object object;
  const uint64_t handle = table.Insert(&object);
  Thread user([&] { (void)UseWithReference(table, handle); });
  MODEL_CHECK(table.Remove(handle) == POOL_OK);
  table.AwaitOnlyReference(handle);
  object.state.Write(2);
  table.Release(handle);
  user.Join();
}

MODEL_TEST("of two that doom a handle and two that remove it one each succeeds", .preemptions = 2,
           .spurious = 1) {
  HandleTable& table = Table();
  Object object;
  const uint64_t handle = table.Insert(&object);
  int dooms = 0;
  int removes = 0;
  const auto end = [&] {
    void* doomed = nullptr;
    if (table.Doom(handle, &doomed) == POOL_OK) {
      ++dooms;
      table.Release(handle);
    }
    if (table.Remove(handle) == POOL_OK) {
      ++removes;
      table.Release(handle);
    }
  };
  Thread other(end);
  end();
  other.Join();
  MODEL_CHECK(dooms == 1);
  MODEL_CHECK(removes == 1);
  MODEL_CHECK(object.state.Read() == 0);
}

}  // namespace
}  // namespace workpool::model
