#include "park/event.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::PollUntil;

TEST_CASE("what already holds is not waited for, whatever the deadline", "[park]") {
  Event event;
  for (uint64_t deadline_ns : {uint64_t{0}, NowNs(), kNever}) {
    CHECK(event.Await(deadline_ns, [] { return true; }));
  }
  CHECK_FALSE(event.HasWaiters());
}

TEST_CASE("a wait ends at its deadline, not before", "[park]") {
  Event event;
  CHECK_FALSE(event.Await(0, [] { return false; }));
  const uint64_t deadline_ns = NowNs() + 3'000'000;
  CHECK_FALSE(event.Await(deadline_ns, [] { return false; }));
  CHECK(NowNs() >= deadline_ns);
  CHECK_FALSE(event.HasWaiters());
}

TEST_CASE("a wait looks once more when its time is over", "[park]") {
  Event event;
  const uint64_t deadline_ns = NowNs() + 3'000'000;
  CHECK(event.Await(deadline_ns, [&] { return NowNs() >= deadline_ns; }));
}

TEST_CASE("every waiter whose condition came true goes on, the others stay", "[park]") {
  Event event;
  std::atomic<bool> first{false}, second{false};
  std::atomic<int> first_met{0}, second_met{0};
  const auto await = [&](std::atomic<bool>& condition, std::atomic<int>& met) {
    if (event.Await(kNever, [&] { return condition.load(); })) ++met;
  };
  ScopedThread a([&] { await(first, first_met); });
  ScopedThread b([&] { await(first, first_met); });
  ScopedThread c([&] { await(second, second_met); });
  CHECK(PollUntil([&] { return event.HasWaiters(); }));
  first = true;
  event.Notify();
  CHECK(PollUntil([&] { return first_met == 2; }));
  CHECK(second_met == 0);
  second = true;
  event.Notify();
  c.Join();
  CHECK(second_met == 1);
  a.Join(), b.Join();
  CHECK_FALSE(event.HasWaiters());
}

TEST_CASE("no notice is lost between two threads that wait for each other in turn", "[park]") {
  const uint32_t rounds = static_cast<uint32_t>(workpool_test::Rounds(10'000));
  Event event;
  std::atomic<uint32_t> turn{0};
  const auto play = [&](uint32_t own) {
    for (uint32_t i = 0; i < rounds; ++i) {
      (void)event.Await(kNever, [&] { return turn.load() % 2 == own; });
      ++turn;
      event.Notify();
    }
  };
  ScopedThread other([&] { play(1); });
  play(0);
  other.Join();
  CHECK(turn == 2 * rounds);
}

}  // namespace
}  // namespace workpool
