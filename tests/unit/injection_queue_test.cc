#include "queue/injection_queue.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <vector>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

// Each under the queue's lock.
uint32_t Push(InjectionQueue& queue, const std::vector<Slot>& items, bool counted = true) {
  queue.Lock();
  const uint32_t pushed = queue.Push(items.data(), static_cast<uint32_t>(items.size()), counted);
  queue.Unlock();
  return pushed;
}

bool TryPushOne(InjectionQueue& queue, uint64_t id) {
  queue.Lock();
  const bool pushed = queue.TryPushOne(Item(id));
  queue.Unlock();
  return pushed;
}

// By the short way where that is open, else by the long one.
bool PushOne(InjectionQueue& queue, uint64_t id) {
  return TryPushOne(queue, id) || Push(queue, Items(id, 1)) == 1;
}

std::vector<uint64_t> Take(InjectionQueue& queue, uint32_t max) {
  std::vector<Slot> out(max);
  queue.Lock();
  const uint32_t taken = queue.Take(out.data(), max);
  queue.Unlock();
  std::vector<uint64_t> ids;
  for (uint32_t i = 0; i < taken; ++i) ids.push_back(IdOf(out[i]));
  return ids;
}

int64_t Credits(InjectionQueue& queue) {
  queue.Lock();
  const int64_t credits = queue.Credits();
  queue.Unlock();
  return credits;
}

void AddCredits(InjectionQueue& queue, int64_t credits) {
  queue.Lock();
  queue.AddCredits(credits);
  queue.Unlock();
}

// The first id that is not the one expected from first_id on, or 0.
uint64_t FirstWrong(const std::vector<uint64_t>& ids, uint64_t first_id) {
  for (uint64_t id : ids) {
    if (id != first_id++) return id;
  }
  return 0;
}

// Bytes of address space of this process.
size_t AddressSpace() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// One item, around the end of the small first block (255 items on LP64), and over many large ones.
constexpr uint32_t kSizes[] = {1, 254, 255, 256, 4349, 4350, 4351, 5000, 200'000};

TEST_CASE("a fresh queue is empty", "[queue]") {
  InjectionQueue queue;
  CHECK(queue.Size() == 0);
  CHECK(Take(queue, 8).empty());
  CHECK(queue.SubmittedCount() == 0);
  CHECK(Push(queue, {}) == 0);
  CHECK(queue.Size() == 0);
}

TEST_CASE("tasks come out oldest first, over the borders of blocks", "[queue]") {
  for (uint32_t size : kSizes) {
    for (uint32_t batch : {1u, 64u, 255u, 256u}) {
      INFO(size << " tasks, taken by " << batch);
      InjectionQueue queue;
      REQUIRE(Push(queue, Items(1, size)) == size);
      CHECK(queue.Size() == size);
      uint64_t taken = 0;
      while (taken < size) {
        const std::vector<uint64_t> ids = Take(queue, batch);
        REQUIRE(ids.size() == std::min<uint64_t>(batch, size - taken));
        REQUIRE(FirstWrong(ids, taken + 1) == 0);
        taken += ids.size();
        REQUIRE(queue.Size() == size - taken);
      }
      CHECK(Take(queue, 1).empty());
    }
  }
}

TEST_CASE("a task enters by the short way only where the newest block has room", "[queue]") {
  InjectionQueue queue;
  CHECK_FALSE(TryPushOne(queue, 1));
  REQUIRE(Push(queue, Items(1, 1)) == 1);
  uint64_t last_id = 1;
  while (TryPushOne(queue, last_id + 1)) REQUIRE(++last_id < 1000);
  CHECK(last_id > 100);  // what a first block holds is no more than a page
  CHECK(queue.Size() == last_id);
  CHECK(queue.SubmittedCount() == last_id);
  CHECK(Push(queue, Items(last_id + 1, 1)) == 1);
  CHECK(TryPushOne(queue, last_id + 2));
  CHECK(FirstWrong(Take(queue, 1000), 1) == 0);
  // An emptied queue has room.
  CHECK(TryPushOne(queue, 1));
  CHECK(FirstWrong(Take(queue, 1), 1) == 0);
}

TEST_CASE("tasks pushed one by one come out as those of a batch do", "[queue]") {
  for (uint32_t size : kSizes) {
    INFO(size << " tasks");
    InjectionQueue queue;
    uint32_t refused = 0;
    for (uint64_t id = 1; id <= size; ++id) refused += PushOne(queue, id) ? 0 : 1;
    CHECK(refused == 0);
    const std::vector<uint64_t> ids = Take(queue, size + 1);
    CHECK(ids.size() == size);
    CHECK(FirstWrong(ids, 1) == 0);
  }
}

TEST_CASE("a queue used over and over keeps its order", "[queue]") {
  InjectionQueue queue;
  Random random(1);
  uint64_t pushed = 0, taken = 0;
  for (int round = 0; round < 3000; ++round) {
    if (random.Below(8) == 0) {
      REQUIRE(PushOne(queue, ++pushed));
    } else {
      const uint32_t count = random.Below(random.Below(4) == 0 ? 6000 : 300);
      REQUIRE(Push(queue, Items(pushed + 1, count)) == count);
      pushed += count;
    }
    // Now and then it runs empty.
    const uint64_t size = queue.Size();
    const uint64_t max = random.Below(16) == 0 ? size + 1 : 1 + random.Below(700);
    const std::vector<uint64_t> ids = Take(queue, static_cast<uint32_t>(max));
    REQUIRE(ids.size() == std::min(max, size));
    REQUIRE(FirstWrong(ids, taken + 1) == 0);
    taken += ids.size();
    REQUIRE(queue.Size() == pushed - taken);
  }
  CHECK(taken > 100'000);
  CHECK(queue.SubmittedCount() == pushed);
}

TEST_CASE("the memory of a burst is given back when it is over, most of it before", "[queue]") {
  constexpr uint32_t kBurst = 1'000'000;
  constexpr size_t kBytes = kBurst * sizeof(Slot);
  // Blocks of 4 KiB and 64 KiB stay; the rest of this is what a sanitizer may take for itself.
  constexpr size_t kSlack = workpool_test::kSanitized ? kBytes / 2 : 3 * 64 * 1024;
  InjectionQueue queue;
  const std::vector<Slot> items = Items(1, kBurst);
  std::vector<Slot> out(kBurst);
  for (int burst = 0; burst < 3; ++burst) {
    const size_t before = AddressSpace();
    queue.Lock();
    const uint32_t pushed = queue.Push(items.data(), kBurst, true);
    const size_t full = AddressSpace();
    const uint32_t taken = queue.Take(out.data(), kBurst / 2);
    InjectionQueue::FreeBlocks(queue.DetachSurplus());
    const size_t half = AddressSpace();
    const uint32_t rest = queue.Take(out.data(), kBurst);
    InjectionQueue::FreeBlocks(queue.DetachSurplus());
    const size_t empty = AddressSpace();
    InjectionQueue::FreeBlocks(queue.DetachBacklog(128 * 1024));
    queue.Unlock();
    const size_t after = AddressSpace();
    REQUIRE(pushed == kBurst);
    REQUIRE(taken + rest == kBurst);
    CHECK(half <= full);
    // Five blocks of 1 MiB, and the one in use.
    CHECK(empty <= before + 6 * 1024 * 1024 + kSlack);
    CHECK(full >= before + kBytes - kSlack);
    CHECK(after <= before + kSlack);
    // The last one drew on what the one before it kept.
    if (burst > 0) CHECK(after <= before + kSlack / 3);
  }
}

TEST_CASE("purging takes out what is dropped and leaves the rest in order", "[queue]") {
  static uint64_t dropped;
  static uint64_t keep_every;
  const auto drop = [](Slot slot) {
    if (keep_every != 0 && IdOf(slot) % keep_every == 0) return false;
    ++dropped;
    return true;
  };
  // Within one block, over several, all of it and nothing; with some taken before and some pushed after.
  for (const uint32_t size : {1u, 7u, 255u, 256u, 5'000u, 100'000u}) {
    for (const uint64_t keep : {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{1'000}}) {
      for (const uint32_t first : {0u, 1u, size / 2}) {
        INFO("size " << size << ", kept one in " << keep << ", taken before " << first);
        InjectionQueue queue;
        REQUIRE(Push(queue, Items(1, size)) == size);
        REQUIRE(Take(queue, first).size() == first);
        dropped = 0;
        keep_every = keep;
        queue.Lock();
        const uint32_t purged = queue.Purge(drop);
        InjectionQueue::FreeBlocks(queue.DetachSurplus());
        queue.Unlock();
        REQUIRE(purged == dropped);
        REQUIRE(queue.Size() == size - first - purged);
        REQUIRE(Push(queue, Items(size + 1, 300)) == 300);
        std::vector<uint64_t> expected;
        for (uint64_t id = first + 1; id <= size; ++id) {
          if (keep != 0 && id % keep == 0) expected.push_back(id);
        }
        for (uint64_t id = size + 1; id <= size + 300; ++id) expected.push_back(id);
        REQUIRE(Take(queue, size + 300) == expected);
        REQUIRE(queue.Size() == 0);
        REQUIRE(queue.SubmittedCount() == size + 300);
      }
    }
  }
}

TEST_CASE("what is not counted is queued but not submitted", "[queue]") {
  InjectionQueue queue;
  CHECK(Push(queue, Items(1, 3)) == 3);
  CHECK(Push(queue, Items(4, 2), false) == 2);
  CHECK(PushOne(queue, 6));
  CHECK(queue.Size() == 6);
  CHECK(queue.SubmittedCount() == 4);
  CHECK(FirstWrong(Take(queue, 6), 1) == 0);
  CHECK(queue.SubmittedCount() == 4);
}

TEST_CASE("every push uses up a credit, also one that nobody had given", "[queue]") {
  InjectionQueue queue;
  CHECK(Credits(queue) == 0);
  AddCredits(queue, 5);
  CHECK(PushOne(queue, 1));
  CHECK(Push(queue, Items(2, 2)) == 2);
  CHECK(Credits(queue) == 2);
  CHECK(Push(queue, Items(4, 4), false) == 4);
  CHECK(Credits(queue) == -2);
  CHECK(Take(queue, 7).size() == 7);  // whoever takes gives back, see dispatch/queue_limit.h
  CHECK(Credits(queue) == -2);
  AddCredits(queue, 7);
  AddCredits(queue, -5);
  CHECK(Credits(queue) == 0);
}

TEST_CASE("a locked queue is left alone by those who only try", "[queue]") {
  InjectionQueue queue;
  int entered = 0;
  const auto try_to_enter = [&] {
    if (!queue.TryLock()) return;
    ++entered;
    queue.Unlock();
  };
  queue.Lock();
  ScopedThread other(try_to_enter);
  other.Join();
  queue.Unlock();
  CHECK(entered == 0);
  try_to_enter();
  CHECK(entered == 1);
}

TEST_CASE("two threads that push and two that take lose nothing and keep each one's order",
          "[queue]") {
  const uint64_t each = workpool_test::Rounds(100'000);
  constexpr uint64_t kSecond = uint64_t{1} << 30;  // ids of the second thread begin here
  InjectionQueue queue;
  const auto push = [&](uint64_t base) {
    for (uint64_t i = 1; i <= each; ++i) {
      if (!PushOne(queue, base + i)) return;
    }
  };
  std::atomic<uint64_t> taken{0};
  std::atomic<uint64_t> sum{0};
  std::atomic<uint64_t> disorder{0};
  const auto take = [&] {
    uint64_t last[2] = {0, 0};
    while (taken.load() < 2 * each) {
      for (uint64_t id : Take(queue, 32)) {
        uint64_t& before = last[id >= kSecond ? 1 : 0];
        if (id <= before) ++disorder;
        before = id;
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
  CHECK(disorder == 0);
  CHECK(sum == each * (each + 1) + each * kSecond);
  CHECK(queue.Size() == 0);
}

}  // namespace
}  // namespace workpool
