#include "queue/ordered_queue.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <vector>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

using Order = OrderedQueue::Order;
using Ids = std::vector<uint64_t>;

constexpr uint32_t kMany = workpool_test::kSanitized ? 200'000 : 1'000'000;
constexpr size_t kBytesMax = 48;  // of memory for each of many tasks

// Each under the queue's lock.
uint32_t Push(OrderedQueue& queue, const std::vector<Slot>& items, int32_t priority, bool counted = true) {
  queue.Lock();
  const uint32_t pushed = queue.Push(items.data(), static_cast<uint32_t>(items.size()), priority, counted);
  queue.Unlock();
  return pushed;
}

bool PushOne(OrderedQueue& queue, uint64_t id, int32_t priority) {
  const Slot slot = Item(id);
  queue.Lock();
  const uint32_t pushed = queue.Push(&slot, 1, priority, true);
  queue.Unlock();
  return pushed == 1;
}

// The id of what was taken; 0 if nothing was.
uint64_t Take(OrderedQueue& queue) {
  Slot slot;
  queue.Lock();
  const bool taken = queue.Take(&slot);
  queue.Unlock();
  return taken ? IdOf(slot) : 0;
}

uint64_t TakeOldest(OrderedQueue& queue) {
  Slot slot;
  queue.Lock();
  const bool taken = queue.TakeOldest(&slot);
  queue.Unlock();
  return taken ? IdOf(slot) : 0;
}

uint64_t TakeLowest(OrderedQueue& queue, int32_t below) {
  Slot slot;
  queue.Lock();
  const bool taken = queue.TakeLowest(below, &slot);
  queue.Unlock();
  return taken ? IdOf(slot) : 0;
}

Ids TakeAll(OrderedQueue& queue) {
  Ids ids;
  while (const uint64_t id = Take(queue)) ids.push_back(id);
  return ids;
}

// What has an id that divisor divides.
uint32_t PurgeMultiples(OrderedQueue& queue, uint64_t divisor) {
  static uint64_t dropped_multiples;
  dropped_multiples = divisor;
  queue.Lock();
  const uint32_t purged = queue.Purge([](Slot slot) { return IdOf(slot) % dropped_multiples == 0; });
  queue.Unlock();
  return purged;
}

// Bytes of address space of this process.
size_t AddressSpace() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

int32_t AnyPriority(Random& random) { return static_cast<int32_t>(random.Next()); }

// A task as it was pushed.
struct Task {
  int32_t priority;
  uint64_t id;
};

void Sort(std::vector<Task>& pushed) {
  std::stable_sort(pushed.begin(), pushed.end(),
                   [](const Task& a, const Task& b) { return a.priority > b.priority; });
}

Ids InOrder(std::vector<Task> pushed) {
  Sort(pushed);
  Ids ids;
  for (const Task& task : pushed) ids.push_back(task.id);
  return ids;
}

// What the queue should hold, by the plainest means. Ids rise from push to push.
class Model {
 public:
  explicit Model(Order order) : order_(order) {}

  void Push(uint64_t first_id, uint32_t count, int32_t priority) {
    if (order_ == Order::kNewestFirst) priority = 0;
    for (uint32_t i = 0; i < count; ++i) tasks_.push_back({priority, first_id + i});
    Sort(tasks_);
  }
  uint64_t Take() {
    if (tasks_.empty()) return 0;
    return Remove(order_ == Order::kPriority ? tasks_.begin() : tasks_.end() - 1);
  }
  uint64_t TakeOldest() {
    if (tasks_.empty()) return 0;
    return Remove(std::min_element(tasks_.begin(), tasks_.end(),
                                   [](const Task& a, const Task& b) { return a.id < b.id; }));
  }
  uint64_t TakeLowest(int32_t below) {
    if (order_ == Order::kNewestFirst || tasks_.empty() || tasks_.back().priority >= below) return 0;
    return Remove(tasks_.end() - 1);
  }
  size_t PurgeMultiples(uint64_t divisor) {
    return std::erase_if(tasks_, [=](const Task& task) { return task.id % divisor == 0; });
  }
  [[nodiscard]] size_t Size() const { return tasks_.size(); }

 private:
  uint64_t Remove(std::vector<Task>::iterator place) {
    const uint64_t id = place->id;
    tasks_.erase(place);
    return id;
  }

  const Order order_;
  std::vector<Task> tasks_;
};

TEST_CASE("a fresh ordered queue is empty", "[ordered_queue]") {
  for (const Order order : {Order::kPriority, Order::kNewestFirst}) {
    OrderedQueue queue(order);
    CHECK(queue.Size() == 0);
    CHECK(queue.SubmittedCount() == 0);
    CHECK(queue.HeldBytes() == 0);
    CHECK(Take(queue) == 0);
    CHECK(TakeOldest(queue) == 0);
    CHECK(TakeLowest(queue, INT32_MAX) == 0);
    CHECK(PurgeMultiples(queue, 1) == 0);
    CHECK(Push(queue, {}, 0) == 0);
    queue.GiveBackMemory(0);
    CHECK(queue.Size() == 0);
  }
}

TEST_CASE("the highest priority comes first and equals in the order of their push", "[ordered_queue]") {
  OrderedQueue queue(Order::kPriority);
  REQUIRE(PushOne(queue, 1, 0));
  REQUIRE(PushOne(queue, 2, 7));
  REQUIRE(Push(queue, Items(3, 2), -7) == 2);
  REQUIRE(Push(queue, Items(5, 3), 7) == 3);
  REQUIRE(PushOne(queue, 8, 0));
  CHECK(queue.Size() == 8);
  CHECK(TakeAll(queue) == Ids{2, 5, 6, 7, 1, 8, 3, 4});
  CHECK(queue.Size() == 0);
}

TEST_CASE("newest first does not heed priorities", "[ordered_queue]") {
  OrderedQueue queue(Order::kNewestFirst);
  REQUIRE(PushOne(queue, 1, 5));
  REQUIRE(Push(queue, Items(2, 3), -5) == 3);
  REQUIRE(PushOne(queue, 5, 0));
  CHECK(TakeLowest(queue, INT32_MAX) == 0);
  CHECK(Take(queue) == 5);
  CHECK(Take(queue) == 4);
  CHECK(TakeOldest(queue) == 1);
  REQUIRE(PushOne(queue, 6, -6));
  CHECK(TakeAll(queue) == Ids{6, 3, 2});
}

TEST_CASE("the oldest is the one that has waited longest, whatever its priority", "[ordered_queue]") {
  OrderedQueue queue(Order::kPriority);
  // Three priorities in turns, more of each than lie together in memory.
  constexpr uint64_t kCount = 3000;
  for (uint64_t id = 1; id <= kCount; ++id) REQUIRE(PushOne(queue, id, static_cast<int32_t>(id % 3) - 1));
  REQUIRE(Take(queue) == 2);
  REQUIRE(TakeLowest(queue, 0) == kCount);
  for (uint64_t id = 1; id < kCount; ++id) {
    if (id != 2) REQUIRE(TakeOldest(queue) == id);
  }
  CHECK(TakeOldest(queue) == 0);
}

TEST_CASE("the lowest is the newest of the lowest priority, and only what is below", "[ordered_queue]") {
  OrderedQueue queue(Order::kPriority);
  REQUIRE(Push(queue, Items(1, 2), 4) == 2);
  REQUIRE(Push(queue, Items(3, 3), -2) == 3);
  REQUIRE(Push(queue, Items(6, 1), 0) == 1);
  CHECK(TakeLowest(queue, -3) == 0);
  CHECK(TakeLowest(queue, -2) == 0);
  CHECK(TakeLowest(queue, -1) == 5);
  CHECK(TakeLowest(queue, 9) == 4);
  CHECK(TakeLowest(queue, 9) == 3);
  CHECK(TakeLowest(queue, 0) == 0);
  CHECK(TakeLowest(queue, 1) == 6);
  CHECK(queue.Size() == 2);
  CHECK(TakeAll(queue) == Ids{1, 2});
}

TEST_CASE("the extremes of priority are priorities like others", "[ordered_queue]") {
  OrderedQueue queue(Order::kPriority);
  const auto fill = [&] {
    REQUIRE(Push(queue, Items(1, 2), INT32_MIN) == 2);
    REQUIRE(Push(queue, Items(3, 2), 0) == 2);
    REQUIRE(Push(queue, Items(5, 2), INT32_MAX) == 2);
    REQUIRE(Push(queue, Items(7, 1), INT32_MIN) == 1);
  };
  fill();
  CHECK(TakeAll(queue) == Ids{5, 6, 3, 4, 1, 2, 7});
  fill();
  for (uint64_t id = 1; id <= 7; ++id) CHECK(TakeOldest(queue) == id);
  fill();
  CHECK(TakeLowest(queue, INT32_MIN) == 0);
  for (const uint64_t id : {7u, 2u, 1u}) CHECK(TakeLowest(queue, INT32_MIN + 1) == id);
  CHECK(TakeLowest(queue, INT32_MIN + 1) == 0);
  for (const uint64_t id : {4u, 3u}) CHECK(TakeLowest(queue, INT32_MAX) == id);
  CHECK(TakeLowest(queue, INT32_MAX) == 0);  // nothing is above it
  CHECK(TakeAll(queue) == Ids{5, 6});
}

TEST_CASE("whatever is done to it, an ordered queue does as a sorted list does", "[ordered_queue]") {
  // How many priorities there are; 0: all. The queue grows to some thousands and shrinks again, many times.
  const uint32_t kinds = GENERATE(1u, 3u, 100u, 0u);
  const Order order = GENERATE(Order::kPriority, Order::kNewestFirst);
  INFO(kinds << " priorities, " << (order == Order::kPriority ? "highest" : "newest") << " first");
  OrderedQueue queue(order);
  Model model(order);
  Random random(kinds + 1);
  uint64_t last_id = 0, counted = 0;
  bool growing = true;
  for (int step = 0; step < (workpool_test::kSanitized ? 5'000 : 15'000); ++step) {
    if (model.Size() > 4000) growing = false;
    if (model.Size() == 0) growing = true;
    const int32_t priority = kinds == 0 ? AnyPriority(random) : static_cast<int32_t>(random.Below(kinds)) - 1;
    const uint32_t what = random.Below(growing ? 12 : 48);
    if (what < 6) {
      const uint32_t count = what == 0 ? random.Below(random.Below(8) == 0 ? 1200 : 40) : 1;
      const bool counts = random.Below(4) != 0;
      REQUIRE(Push(queue, Items(last_id + 1, count), priority, counts) == count);
      model.Push(last_id + 1, count, priority);
      last_id += count;
      if (counts) counted += count;
    } else if (what == 6) {
      REQUIRE(TakeOldest(queue) == model.TakeOldest());
    } else if (what == 7) {
      REQUIRE(TakeLowest(queue, priority) == model.TakeLowest(priority));
    } else if (what == 8 && random.Below(64) == 0) {
      const uint64_t divisor = 2 + random.Below(20);
      REQUIRE(PurgeMultiples(queue, divisor) == model.PurgeMultiples(divisor));
    } else if (what == 9 && random.Below(8) == 0) {
      queue.GiveBackMemory(random.Below(2) * 128 * 1024);
    } else {
      const uint32_t times = random.Below(64) == 0 ? 600 : 1;
      for (uint32_t i = 0; i < times; ++i) REQUIRE(Take(queue) == model.Take());
    }
    REQUIRE(queue.Size() == model.Size());
  }
  CHECK(queue.SubmittedCount() == counted);
  while (const uint64_t id = model.Take()) REQUIRE(Take(queue) == id);
  CHECK(Take(queue) == 0);
}

TEST_CASE("a million tasks come out in order", "[ordered_queue]") {
  for (const uint32_t kinds : {0u, 3u}) {
    INFO(kinds << " priorities");
    OrderedQueue queue(Order::kPriority);
    Random random(kinds + 1);
    std::vector<Task> pushed;
    uint32_t refused = 0;
    for (uint64_t id = 1; id <= kMany; ++id) {
      pushed.push_back({kinds == 0 ? AnyPriority(random) : static_cast<int32_t>(random.Below(kinds)), id});
      if (!PushOne(queue, id, pushed.back().priority)) ++refused;
    }
    REQUIRE(refused == 0);
    REQUIRE(queue.Size() == kMany);
    CHECK(queue.HeldBytes() <= kBytesMax * kMany);
    CHECK((TakeAll(queue) == InOrder(pushed)));  // not printed
    CHECK(queue.Size() == 0);
  }
}

TEST_CASE("a million tasks come out newest first", "[ordered_queue]") {
  OrderedQueue queue(Order::kNewestFirst);
  REQUIRE(Push(queue, Items(1, kMany), 0) == kMany);
  CHECK(queue.HeldBytes() <= kBytesMax * kMany);
  uint32_t wrong = 0;
  for (uint64_t id = kMany; id > 0; --id) wrong += Take(queue) == id ? 0 : 1;
  CHECK(wrong == 0);
  CHECK(queue.Size() == 0);
}

TEST_CASE("purging an ordered queue takes out what is dropped and leaves the rest in order",
          "[ordered_queue]") {
  for (const uint32_t size : {1u, 255u, 256u, 257u, 20'000u}) {
    for (const uint64_t divisor : {1u, 2u, 3u, 1000u, 1'000'000u}) {
      INFO("size " << size << ", dropped one in " << divisor);
      OrderedQueue queue(Order::kPriority);
      std::vector<Task> left;
      uint64_t last_id = 0;
      for (const int32_t priority : {2, 3, 1}) {
        REQUIRE(Push(queue, Items(last_id + 1, size), priority) == size);
        for (uint32_t i = 0; i < size; ++i) left.push_back({priority, ++last_id});
      }
      const size_t dropped = std::erase_if(left, [=](const Task& task) { return task.id % divisor == 0; });
      REQUIRE(PurgeMultiples(queue, divisor) == dropped);
      REQUIRE(queue.Size() == left.size());
      for (const int32_t priority : {1, 2, 3}) {
        left.push_back({priority, ++last_id});
        REQUIRE(PushOne(queue, last_id, priority));
      }
      REQUIRE((TakeAll(queue) == InOrder(left)));
      REQUIRE(queue.SubmittedCount() == last_id);
    }
  }
}

TEST_CASE("what is not counted is in the ordered queue but not submitted", "[ordered_queue]") {
  OrderedQueue queue(Order::kPriority);
  CHECK(Push(queue, Items(1, 3), 1) == 3);
  CHECK(Push(queue, Items(4, 2), 2, false) == 2);
  CHECK(PushOne(queue, 6, 1));
  CHECK(queue.Size() == 6);
  CHECK(queue.SubmittedCount() == 4);
  CHECK(TakeAll(queue) == Ids{4, 5, 1, 2, 3, 6});
  CHECK(queue.SubmittedCount() == 4);
}

TEST_CASE("an ordered queue gives back the memory of a burst when it is empty", "[ordered_queue]") {
  constexpr size_t kKeep = 128 * 1024;
  // What a sanitizer may take for itself, or what the C library keeps.
  constexpr size_t kSlack = workpool_test::kSanitized ? 16'000'000 : 256 * 1024;
  OrderedQueue queue(Order::kPriority);
  const std::vector<Slot> items = Items(1, kMany / 2);
  for (int burst = 0; burst < 3; ++burst) {
    const size_t before = AddressSpace();
    REQUIRE(Push(queue, items, 1) == kMany / 2);
    REQUIRE(Push(queue, items, 2) == kMany / 2);
    const size_t full = AddressSpace();
    CHECK(full >= before + kMany * sizeof(Slot));
    CHECK(full <= before + kBytesMax * kMany + kSlack);
    for (uint32_t i = 1; i < kMany; ++i) (void)Take(queue);
    const size_t held = queue.HeldBytes();
    queue.GiveBackMemory(kKeep);
    CHECK(queue.HeldBytes() == held);  // there is one left
    REQUIRE(Take(queue) == kMany / 2);
    queue.Lock();
    ScopedThread other([&] { queue.GiveBackMemory(kKeep); });
    other.Join();
    queue.Unlock();
    CHECK(queue.HeldBytes() == held);  // somebody was inside
    const size_t empty = AddressSpace();
    queue.GiveBackMemory(kKeep);
    CHECK(queue.HeldBytes() <= kKeep);
    CHECK(queue.HeldBytes() > 0);
    CHECK(AddressSpace() <= empty - held + kKeep + kSlack);
    // What was kept is used.
    REQUIRE(PushOne(queue, 1, 0));
    CHECK(queue.HeldBytes() <= kKeep);
    REQUIRE(Take(queue) == 1);
  }
  queue.GiveBackMemory(0);
  CHECK(queue.HeldBytes() == 0);
}

TEST_CASE("out of memory, an ordered queue takes what it has room for and loses nothing", "[ordered_queue]") {
  if (workpool_test::kSanitized) return;  // a sanitizer needs memory of its own
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_AS, &old) == 0);
  // The kernel gives no more memory at all.
  const rlimit none{1, old.rlim_max};
  const std::vector<Slot> for_middle = Items(kMany, kMany);
  const std::vector<Slot> for_end = Items(2 * kMany, kMany);
  const std::vector<Slot> for_later = Items(3 * kMany, kMany);
  Random random(1);
  for (const uint32_t size : {0u, 1u, 2000u, 2048u, 40'000u, 200'000u}) {
    INFO(size << " before");
    OrderedQueue queue(Order::kPriority);
    std::vector<Task> pushed;
    const auto note = [&](const std::vector<Slot>& items, uint32_t count, int32_t priority) {
      for (uint32_t i = 0; i < count; ++i) pushed.push_back({priority, IdOf(items[i])});
    };
    for (uint64_t id = 1; id <= size; ++id) {
      pushed.push_back({static_cast<int32_t>(random.Below(3)), id});
      REQUIRE(PushOne(queue, id, pushed.back().priority));
    }
    // Nothing here may need memory but the queue.
    const int limited = setrlimit(RLIMIT_AS, &none);
    const uint32_t in_middle = Push(queue, for_middle, 1);
    const uint32_t at_end = Push(queue, for_end, -1);
    const int restored = setrlimit(RLIMIT_AS, &old);
    REQUIRE(limited == 0);
    REQUIRE(restored == 0);
    CHECK(in_middle < kMany);
    CHECK(at_end < kMany);
    note(for_middle, in_middle, 1);
    note(for_end, at_end, -1);
    CHECK(queue.Size() == pushed.size());
    CHECK(queue.SubmittedCount() == pushed.size());
    // With memory again it goes on.
    REQUIRE(Push(queue, for_later, 1) == kMany);
    note(for_later, kMany, 1);
    CHECK(queue.Size() == pushed.size());
    CHECK((TakeAll(queue) == InOrder(pushed)));
  }
}

TEST_CASE("threads that push into an ordered queue and take from it lose nothing", "[ordered_queue]") {
  const uint64_t each = workpool_test::Rounds(100'000);
  constexpr uint64_t kSecond = uint64_t{1} << 30;  // ids of the second thread begin here
  OrderedQueue queue(Order::kPriority);
  std::atomic<uint64_t> taken{0}, sum{0};
  const auto push = [&](uint64_t base) {
    for (uint64_t i = 1; i <= each; ++i) {
      if (!PushOne(queue, base + i, static_cast<int32_t>(i % 5))) return;
    }
  };
  const auto take = [&] {
    while (taken.load() < 2 * each) {
      queue.GiveBackMemory(0);
      if (queue.Size() == 0) continue;
      if (const uint64_t id = taken.load() % 8 == 0 ? TakeOldest(queue) : Take(queue)) {
        sum += id;
        ++taken;
      }
    }
  };
  {
    ScopedThread a([&] { push(0); }), b([&] { push(kSecond); });
    ScopedThread c(take);
    take();
  }
  CHECK(taken == 2 * each);
  CHECK(sum == each * (each + 1) + each * kSecond);
  CHECK(queue.Size() == 0);
}

}  // namespace
}  // namespace workpool
