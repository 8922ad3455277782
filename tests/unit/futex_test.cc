#include "base/futex.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/thread.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::PollUntil;

TEST_CASE("a word that differs is not slept on", "[base]") {
  Atomic<uint32_t> word{1};
  CHECK(FutexWait(word, 0, kNever) == FutexResult::kWoken);
}

TEST_CASE("a sleep whose deadline has passed ends at once", "[base]") {
  Atomic<uint32_t> word{0};
  CHECK(FutexWait(word, 0, 0) == FutexResult::kTimeout);
  CHECK(FutexWait(word, 0, 1) == FutexResult::kTimeout);
  CHECK(FutexWait(word, 0, NowNs()) == FutexResult::kTimeout);
}

TEST_CASE("a sleep lasts until its deadline, not shorter", "[base]") {
  Atomic<uint32_t> word{0};
  const uint64_t deadline_ns = NowNs() + 3'000'000;
  while (FutexWait(word, 0, deadline_ns) != FutexResult::kTimeout) {
  }
  CHECK(NowNs() >= deadline_ns);
}

TEST_CASE("H5: a sleep with a huge deadline neither ends at once nor misses its wake-up",
          "[base]") {
  for (uint64_t deadline_ns : {DeadlineAfter(INT64_MAX), DeadlineAfter(int64_t{1} << 62),
                               uint64_t{1} << 63, kNever - 1, kNever}) {
    INFO("deadline " << deadline_ns);
    Atomic<uint32_t> word{0};
    std::atomic<int> tid{0};
    std::atomic<bool> timed_out{false};
    ScopedThread sleeper([&] {
      tid = CurrentTid();
      while (word.load() == 0) {
        if (FutexWait(word, 0, deadline_ns) == FutexResult::kTimeout) {
          timed_out = true;
          return;
        }
      }
    });
    CHECK(PollUntil([&] {
      return timed_out ||
             (tid != 0 && workpool_test::ThreadStatus(tid, "State").substr(0, 1) == "S");
    }));
    word = 1;
    FutexWakeAll(word);
    sleeper.Join();
    CHECK_FALSE(timed_out);
  }
}

TEST_CASE("a wake-up reaches as many sleepers as it names", "[base]") {
  Atomic<uint32_t> word{0};
  std::atomic<int> asleep{0}, awake{0};
  const auto sleep = [&] {
    ++asleep;
    while (word.load() == 0) (void)FutexWait(word, 0, kNever);
    ++awake;
  };
  ScopedThread a(sleep), b(sleep), c(sleep);
  CHECK(PollUntil([&] { return asleep == 3; }));
  word = 1;
  FutexWake(word, 1);
  FutexWake(word, 2);
  a.Join(), b.Join(), c.Join();
  CHECK(awake == 3);
}

}  // namespace
}  // namespace workpool
