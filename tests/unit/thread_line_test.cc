#include "base/thread_line.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/thread.h"
#include "child.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::PollUntil;

// Runs body on a new thread that is gone for the kernel, too, when this returns.
template <typename Body>
void RunAndBury(Body body) {
  int32_t tid = 0;
  {
    ScopedThread thread([&] {
      tid = CurrentTid();
      body();
    });
  }
  REQUIRE(PollUntil([&] { return !ThreadAlive(tid); }));
}

TEST_CASE("a thread keeps its line, and two threads have two", "[base]") {
  ThreadLine* const mine = CurrentLine(CurrentTls());
  REQUIRE(mine != nullptr);
  CHECK(CurrentLine(CurrentTls()) == mine);
  ThreadLine* theirs = nullptr;
  ScopedThread thread([&] { theirs = CurrentLine(CurrentTls()); });
  thread.Join();
  CHECK(theirs != nullptr);
  CHECK(theirs != mine);
  CHECK(theirs->index != mine->index);
}

TEST_CASE("a dead thread's line is taken over, clean", "[base]") {
  ThreadLine* first = nullptr;
  ThreadLine* second = nullptr;
  std::string text = "?";
  RunAndBury([&] {
    first = CurrentLine(CurrentTls());
    (void)Fail(POOL_E_INVALID, "the dead one's mistake");
    (void)FinishFailure("f", POOL_E_INVALID);
    // As a thread does that is ended inside of a section.
    first->active.store(77, kRelaxed);
  });
  const uint64_t owners = first->owner.load() >> 32;
  RunAndBury([&] {
    second = CurrentLine(CurrentTls());
    char buffer[64];
    int32_t code = 0;
    (void)FormatLastError(buffer, sizeof(buffer), &code);
    text = buffer;
  });
  CHECK(second == first);
  CHECK(second->owner.load() >> 32 == owners + 1);
  CHECK(second->active.load() == 0);
  CHECK(text.empty());
}

TEST_CASE("the lines stay few, however many threads come and go", "[base]") {
  uint32_t largest = 0;
  for (int i = 0; i < 200; ++i) {
    RunAndBury([&] {
      ThreadLine* line = CurrentLine(CurrentTls());
      if (line != nullptr && line->index > largest) largest = line->index;
    });
  }
  CHECK(largest <= 16);
}

TEST_CASE("threads that start at once never share a line", "[base]") {
  constexpr int kThreads = 8;
  for (int round = 0; round < 20; ++round) {
    ThreadLine* lines[kThreads] = {};
    std::atomic<int> ready{0};
    {
      std::vector<std::unique_ptr<ScopedThread>> threads;
      for (ThreadLine*& line : lines) {
        threads.push_back(std::make_unique<ScopedThread>([&] {
          line = CurrentLine(CurrentTls());
          ++ready;
          // All live at once, so that none may inherit from another.
          while (ready.load() < kThreads) std::this_thread::yield();
        }));
      }
    }
    for (int i = 0; i < kThreads; ++i) {
      REQUIRE(lines[i] != nullptr);
      for (int k = 0; k < i; ++k) REQUIRE(lines[i] != lines[k]);
    }
  }
}

TEST_CASE("a section names its slot while it lasts", "[base]") {
  ThreadLine* const line = CurrentLine(CurrentTls());
  REQUIRE(line != nullptr);
  {
    LineSection section(*line, 42);
    CHECK(line->active.load() == 42);
  }
  CHECK(line->active.load() == 0);
}

TEST_CASE("a slot that nobody names is not waited for, whatever others do", "[base]") {
  workpool_test::Gate gate;
  ScopedThread other([&] {
    LineSection section(*CurrentLine(CurrentTls()), 43);
    gate.Pass();
  });
  CHECK(gate.AwaitArrivals(1));
  WaitUntilUnused(42);
  WaitUntilUnused(44);
  gate.Open();
}

TEST_CASE("who ends a slot waits for the section that names it", "[base]") {
  workpool_test::Gate gate;
  std::atomic<bool> inside{false}, begun{false}, ended{false};
  ScopedThread user([&] {
    LineSection section(*CurrentLine(CurrentTls()), 42);
    inside = true;
    gate.Pass();
    inside = false;  // still in the section
  });
  CHECK(gate.AwaitArrivals(1));
  bool inside_after = true;
  ScopedThread destroyer([&] {
    begun = true;
    WaitUntilUnused(42);
    inside_after = inside;
    ended = true;
  });
  CHECK(PollUntil([&] { return begun.load(); }));
  CHECK(
      workpool_test::HoldsThroughout([&] { return !ended.load(); }, std::chrono::milliseconds(20)));
  gate.Open();
  destroyer.Join();
  CHECK(ended);
  CHECK_FALSE(inside_after);
}

TEST_CASE("who ends a slot may have waited enough before its section ends", "[base]") {
  workpool_test::Gate gate;
  ScopedThread user([&] {
    LineSection section(*CurrentLine(CurrentTls()), 42);
    gate.Pass();
  });
  CHECK(gate.AwaitArrivals(1));
  int looks = 0;
  WaitUntilUnused(42, [&] { return ++looks == 500; });
  CHECK(looks == 500);
  WaitUntilUnused(43, [&] { return ++looks == 0; });
  CHECK(looks == 500);  // nothing to wait for
  gate.Open();
}

TEST_CASE("a section either sees the end of its slot or is waited for", "[base]") {
  const uint64_t rounds = workpool_test::Rounds(1'000);
  std::atomic<uint64_t> usable{0};  // the slot that may be used, 0: none
  std::atomic<bool> object_lives{false};
  std::atomic<uint64_t> uses{0}, uses_after_end{0};
  std::atomic<bool> over{false};
  ScopedThread user([&] {
    ThreadLine& line = *CurrentLine(CurrentTls());
    while (!over.load(std::memory_order_relaxed)) {
      std::this_thread::yield();  // where cores are few, rather here than in the section
      const uint64_t slot = usable.load(std::memory_order_relaxed);
      if (slot == 0) continue;
      LineSection section(line, slot);
      if (usable.load(std::memory_order_acquire) != slot) continue;
      // From here on the object may not end.
      for (int i = 0; i < 20; ++i) {
        if (!object_lives.load(std::memory_order_relaxed)) ++uses_after_end;
      }
      ++uses;
    }
  });
  for (uint64_t slot = 1; slot <= rounds; ++slot) {
    object_lives = true;
    usable.store(slot, std::memory_order_release);
    // Now and then it is sure to be in use; otherwise the two race.
    const uint64_t before = uses;
    while (slot % 16 == 0 && uses.load() == before) std::this_thread::yield();
    usable.store(0, std::memory_order_relaxed);
    WaitUntilUnused(slot);
    object_lives = false;
  }
  over = true;
  user.Join();
  CHECK(uses_after_end == 0);
  CHECK(uses >= rounds / 16);
}

TEST_CASE("a forked child has lines of its own and is no worker", "[base]") {
  Tls& tls = CurrentTls();
  ThreadLine* const ours = CurrentLine(tls);
  REQUIRE(ours != nullptr);
  int worker = 0, frame = 0;
  tls.worker = &worker;
  tls.frame = &frame;
  tls.seen_handle = 5;
  tls.seen_slot = &worker;
  LineSection section(*ours, 42);
  const auto end = workpool_test::RunChild([&] {
    ThreadLine* const theirs = CurrentLine(CurrentTls());
    EXPECT(theirs != nullptr && theirs != ours);
    EXPECT(theirs->index == 0);
    EXPECT(theirs->active.load() == 0);
    EXPECT(CurrentTls().worker == nullptr);
    EXPECT(CurrentTls().frame == nullptr);
    EXPECT(CurrentTls().seen_handle == 0);
    EXPECT(CurrentTls().seen_slot == kDeadSlot);
    WaitUntilUnused(42);  // the parent's sections are not waited for
  });
  tls.worker = tls.frame = nullptr;
  tls.seen_handle = 0;
  tls.seen_slot = kDeadSlot;
  INFO(end);
  CHECK(end.ExitedWith(0));
}

}  // namespace
}  // namespace workpool
