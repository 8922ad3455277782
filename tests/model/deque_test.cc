// The work-stealing deque (queue/work_deque.h) with rings of two, so that every push is near the
// end of the ring. Its ring does not grow: what other deques lose in a resize must here be refused
// by TryPush.
#include "model/explorer.h"
#include "queue/work_deque.h"

namespace workpool::model {
namespace {

constexpr int kItemsMax = 6;

// Items travel as slots; each is written before it is pushed and read by whoever takes it.
class Items {
 public:
  Slot Make(int id) {
    payload_[id].Write(id + 100);
    return {&Run, &payload_[id]};
  }
  void Take(const Slot& slot) {
    MODEL_CHECK(slot.run == &Run);
    auto* payload = static_cast<Plain<int>*>(slot.arg);
    MODEL_CHECK(payload >= payload_ && payload < payload_ + kItemsMax);
    const int id = static_cast<int>(payload - payload_);
    MODEL_CHECK(payload->Read() == id + 100);
    MODEL_CHECK(taken_[id] == 0);
    taken_[id] = 1;
  }
  int Taken() const {
    int count = 0;
    for (int taken : taken_) count += taken;
    return count;
  }

 private:
  static int32_t Run(void*, pool_ctx_t*) { return 0; }
  Plain<int> payload_[kItemsMax];
  int taken_[kItemsMax] = {};
};

template <size_t kCapacity>
void PopAll(WorkDeque<kCapacity>& deque, Items& items) {
  Slot slot;
  while (deque.TryPop(&slot)) items.Take(slot);
}

template <size_t kCapacity>
StealResult Steal(WorkDeque<kCapacity>& deque, Items& items) {
  Slot slot;
  const StealResult result = deque.TrySteal(&slot);
  if (result == StealResult::kTaken) items.Take(slot);
  return result;
}

MODEL_TEST("A2: owner and thief take the last task of a deque exactly once") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 1);
}

MODEL_TEST("A2: owner and thief take two tasks of a deque exactly once, whoever is faster") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] {
    (void)Steal(deque, items);
    (void)Steal(deque, items);
  });
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 2);
}

MODEL_TEST("A2: two thieves and the owner take two tasks exactly once", .preemptions = 3,
           .stale_reads = 1) {
  WorkDeque<2> deque;
  Items items;
  Thread one([&] { (void)Steal(deque, items); });
  Thread two([&] { (void)Steal(deque, items); });
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  PopAll(deque, items);
  one.Join();
  two.Join();
  MODEL_CHECK(items.Taken() == 2);
}

MODEL_TEST(
    "A1: a full deque refuses a push while a thief takes its oldest task, and loses nothing") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  int refused = 0;
  for (int id = 0; id < 3; ++id) {
    const Slot slot = items.Make(id);
    if (deque.TryPush(slot)) continue;
    ++refused;
    items.Take(slot);
  }
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(refused <= 1);
  MODEL_CHECK(items.Taken() == 3);
}

MODEL_TEST("A7: a full deque takes a push again after a theft, and thieves see the new task") {
  WorkDeque<2> deque;
  Items items;
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  Thread thief([&] {
    (void)Steal(deque, items);
    (void)Steal(deque, items);
  });
  const Slot third = items.Make(2);
  if (!deque.TryPush(third)) items.Take(third);
  thief.Join();
  PopAll(deque, items);
  MODEL_CHECK(items.Taken() == 3);
}

MODEL_TEST(
    "A4: a thief that stops between its read and its claim is not fooled by later laps of the "
    "ring") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  for (int id = 0; id < 5; id += 2) {
    MODEL_CHECK(deque.TryPush(items.Make(id)));
    if (id < 4) MODEL_CHECK(deque.TryPush(items.Make(id + 1)));
    PopAll(deque, items);
  }
  thief.Join();
  MODEL_CHECK(items.Taken() == 5);
}

MODEL_TEST(
    "A8: an index to which the owner comes back by popping is not taken for what it was before") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  Slot slot;
  for (int id = 0; id < 3; ++id) {
    MODEL_CHECK(deque.TryPush(items.Make(id)));
    if (deque.TryPop(&slot)) items.Take(slot);
  }
  thief.Join();
  MODEL_CHECK(items.Taken() == 3);
}

MODEL_TEST("A2: an owner that takes its two oldest tasks at once and a thief take each exactly once") {
  WorkDeque<4> deque;
  Items items;
  Thread thief([&] {
    (void)Steal(deque, items);
    (void)Steal(deque, items);
  });
  for (int id = 0; id < 3; ++id) MODEL_CHECK(deque.TryPush(items.Make(id)));
  Slot oldest[2];
  const size_t count = deque.TakeOldest(oldest, 2);
  for (size_t i = 0; i < count; ++i) items.Take(oldest[i]);
  MODEL_CHECK(deque.TryPush(items.Make(3)));
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 4);
}

MODEL_TEST("A11: cells whose tasks the owner took at once are not read as they are written again") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  Slot oldest[2];
  const size_t count = deque.TakeOldest(oldest, 2);
  for (size_t i = 0; i < count; ++i) items.Take(oldest[i]);
  for (int id = 2; id < 4; ++id) {
    const Slot slot = items.Make(id);
    if (!deque.TryPush(slot)) items.Take(slot);
  }
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 4);
}

MODEL_TEST("A11: a cell is not written again before the thief that takes it has read it") {
  WorkDeque<1> deque;
  Items items;
  Thread thief([&] {
    (void)Steal(deque, items);
    (void)Steal(deque, items);
  });
  for (int id = 0; id < 3; ++id) {
    const Slot slot = items.Make(id);
    if (!deque.TryPush(slot)) items.Take(slot);
  }
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 3);
}

MODEL_TEST("A10: a thief that loses a race does not report an empty deque while a task is left") {
  WorkDeque<4> deque;
  Items items;
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  const auto steal = [&] { MODEL_CHECK(Steal(deque, items) != StealResult::kEmpty); };
  Thread one(steal);
  Thread two(steal);
  one.Join();
  two.Join();
  // A lost race means that the other one won.
  MODEL_CHECK(items.Taken() >= 1);
  PopAll(deque, items);
  MODEL_CHECK(items.Taken() == 2);
}

void PopFirst(uint64_t first_index) {
  WorkDeque<2> deque(first_index);
  Items items;
  Thread thief([&] { (void)Steal(deque, items); });
  PopAll(deque, items);
  MODEL_CHECK(deque.SizeApprox() == 0);
  MODEL_CHECK(deque.TryPush(items.Make(0)));
  MODEL_CHECK(deque.TryPush(items.Make(1)));
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 2);
}

MODEL_TEST("A6: a pop as the first operation finds a deque empty") { PopFirst(0); }
MODEL_TEST("A6: the same where the index passes 2^63") { PopFirst((uint64_t{1} << 63) - 1); }
MODEL_TEST("A6: the same where the index passes 2^64") { PopFirst(UINT64_MAX); }

MODEL_TEST("thieves see a batch as a whole, and each of its tasks once") {
  WorkDeque<2> deque;
  Items items;
  Thread thief([&] {
    while (Steal(deque, items) == StealResult::kTaken) {
    }
  });
  const Slot slots[2] = {items.Make(0), items.Make(1)};
  deque.PushReversed(slots, 2);
  PopAll(deque, items);
  thief.Join();
  MODEL_CHECK(items.Taken() == 2);
}

// What the explorer does to a deque whose thief reads the cell after its claim, as some have
// shipped.
MODEL_TEST("A5: the explorer finds a thief that reads its cell after the claim",
           .finds = "MODEL_CHECK") {
  Atomic<int> cell{1};
  Atomic<uint64_t> top{0};
  int taken = 0;
  Thread thief([&] {
    uint64_t expected = 0;
    if (top.compare_exchange_strong(expected, 1, kSeqCst)) taken = cell.load(kRelaxed);
  });
  if (top.load(kAcquire) == 1) cell.store(2, kRelaxed);  // the owner pushes over the free cell
  thief.Join();
  MODEL_CHECK(taken != 2);
}

}  // namespace
}  // namespace workpool::model
