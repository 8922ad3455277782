#include "scaling/policy_seat.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <vector>

#include "base/memory.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::HoldsThroughout;
using workpool_test::PollUntil;
using workpool_test::Rounds;

std::atomic<int> g_alive{0};

class Counted final : public Decider {
 public:
  Counted() { ++g_alive; }
  ~Counted() override {
    alive_ = false;
    --g_alive;
  }
  [[nodiscard]] Decision Decide(const LoadSample&) override { return {alive_ ? 1u : 0u}; }

 private:
  bool alive_ = true;
};

Policy* NewPolicy() { return New<Policy>(New<Counted>()); }

TEST_CASE("a seat without a policy gives none", "[policy_seat]") {
  PolicySeat seat;
  CHECK(seat.Take() == nullptr);
  seat.GiveBack();
  seat.Replace(nullptr);
  CHECK(seat.Take() == nullptr);
  seat.GiveBack();
}

TEST_CASE("a seat owns its policy", "[policy_seat]") {
  {
    PolicySeat seat;
    Policy* first = NewPolicy();
    seat.Replace(first);
    CHECK(seat.Take() == first);
    seat.GiveBack();
    CHECK(g_alive == 1);
    Policy* second = NewPolicy();
    seat.Replace(second);
    CHECK(g_alive == 1);
    CHECK(seat.Take() == second);
    seat.GiveBack();
    seat.Replace(nullptr);
    CHECK(g_alive == 0);
    CHECK(seat.Take() == nullptr);
    seat.GiveBack();
    seat.Replace(NewPolicy());
    CHECK(g_alive == 1);
  }
  CHECK(g_alive == 0);
}

TEST_CASE("who replaces a policy that another thread has taken waits until it is given back",
          "[policy_seat]") {
  PolicySeat seat;
  seat.Replace(NewPolicy());
  Policy* taken = seat.Take();
  Policy* next = NewPolicy();
  std::atomic<bool> replaced{false};
  {
    ScopedThread other([&] {
      seat.Replace(next);
      replaced = true;
    });
    CHECK(HoldsThroughout([&] { return !replaced && g_alive == 2; }));
    CHECK(taken->Decide({}).workers == 1);
    seat.GiveBack();
    CHECK(PollUntil([&] { return replaced.load(); }));
  }
  CHECK(g_alive == 1);
  CHECK(seat.Take() == next);
  seat.GiveBack();
  seat.Replace(nullptr);
  CHECK(g_alive == 0);
}

TEST_CASE(
    "who has taken a policy and replaces it itself does not wait, and goes on with the old one",
    "[policy_seat]") {
  PolicySeat seat;
  seat.Replace(NewPolicy());
  Policy* taken = seat.Take();
  for (int i = 0; i < 3; ++i) {
    seat.Replace(NewPolicy());  // the ones in between nobody has ever taken
    CHECK(g_alive == 2);
  }
  CHECK(taken->Decide({}).workers == 1);
  seat.GiveBack();
  CHECK(g_alive == 1);
  CHECK(seat.Take() != taken);
  seat.Replace(nullptr);
  CHECK(g_alive == 1);
  seat.GiveBack();
  CHECK(g_alive == 0);
}

TEST_CASE("a policy that is replaced from outside and from inside at once is deleted once",
          "[policy_seat]") {
  PolicySeat seat;
  for (uint64_t round = 0; round < Rounds(2'000); ++round) {
    seat.Replace(NewPolicy());
    Policy* taken = seat.Take();
    ScopedThread other([&] { seat.Replace(NewPolicy()); });
    if (round % 2 == 0) std::this_thread::yield();
    seat.Replace(NewPolicy());
    REQUIRE(taken->Decide({}).workers == 1);
    seat.GiveBack();
    other.Join();
    REQUIRE(g_alive == 1);
  }
  seat.Replace(nullptr);
  CHECK(g_alive == 0);
}

TEST_CASE("no policy is asked after the one who replaced it has gone on, with many of them at once",
          "[policy_seat]") {
  PolicySeat seat;
  seat.Replace(NewPolicy());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> asked{0}, wrong{0};
  {
    ScopedThread asks([&] {
      while (!stop) {
        Policy* policy = seat.Take();
        if (policy != nullptr && policy->Decide({}).workers != 1) ++wrong;
        if (asked % 3 == 0) seat.Replace(NewPolicy());
        ++asked;
        seat.GiveBack();
      }
    });
    const auto replaces = [&] {
      for (uint64_t i = 0; i < Rounds(20'000); ++i)
        seat.Replace(i % 5 == 0 ? nullptr : NewPolicy());
    };
    ScopedThread a(replaces), b(replaces);
    a.Join();
    b.Join();
    CHECK(PollUntil([&] { return asked > 0; }));
    stop = true;
  }
  CHECK(wrong == 0);
  seat.Replace(nullptr);
  CHECK(g_alive == 0);
}

}  // namespace
}  // namespace workpool
