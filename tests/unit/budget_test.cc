#include "scaling/budget.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::Gate;
using workpool_test::HoldsThroughout;

// A budget that ends with its scope, unless members keep it.
class ScopedBudget {
 public:
  explicit ScopedBudget(uint32_t cap) : budget_(New<Budget>(cap)) { REQUIRE(budget_ != nullptr); }
  ~ScopedBudget() { budget_->Unref(); }
  ScopedBudget(const ScopedBudget&) = delete;
  ScopedBudget& operator=(const ScopedBudget&) = delete;
  Budget* operator->() const { return budget_; }
  Budget& operator*() const { return *budget_; }

 private:
  Budget* const budget_;
};

// A pool without threads: it starts workers at once, and lets them go when the test says that they have ended a task.
class FakePool {
 public:
  explicit FakePool(Budget& budget, uint32_t floor = 0, uint32_t weight = 1) : budget_(budget), member_(Changed, this) {
    REQUIRE(budget.Join(member_, floor, weight) == POOL_OK);
  }
  ~FakePool() {
    if (member_.budget() != nullptr) Leave();
  }
  FakePool(const FakePool&) = delete;
  FakePool& operator=(const FakePool&) = delete;

  void Want(uint32_t wanted) {
    wanted_ = wanted;
    Look();
  }
  // Says so, and starts nothing.
  void WantLater(uint32_t wanted) {
    wanted_ = wanted;
    Update();
  }
  // All that the budget has to say, until it has no more.
  void Look() {
    do {
      called_ = false;
      Update();
      if (up_ < allowance_) {
        starts_ += allowance_ - up_;
        up_ = allowance_;
        Update();
      }
    } while (called_);
  }
  void Update() {
    updating_ = true;
    allowance_ = budget_.Update(member_, wanted_, up_);
    updating_ = false;
  }
  // So many workers end a task; they go if there are too many.
  void EndTasks(uint32_t count) {
    const uint32_t surplus = up_ - std::min(up_, allowance_);
    up_ -= std::min(count, surplus);
    Look();
  }
  void Leave() {
    up_ = 0;
    budget_.Leave(member_);
  }

  [[nodiscard]] uint32_t up() const { return up_; }
  [[nodiscard]] uint32_t allowance() const { return allowance_; }
  [[nodiscard]] uint32_t held() const { return std::max(up_, allowance_); }
  [[nodiscard]] uint32_t wanted() const { return wanted_; }
  [[nodiscard]] uint64_t starts() const { return starts_; }
  [[nodiscard]] bool called() const { return called_; }
  [[nodiscard]] uint64_t calls() const { return calls_; }
  [[nodiscard]] bool called_by_itself() const { return called_by_itself_; }

 private:
  static void Changed(void* user) {
    auto* pool = static_cast<FakePool*>(user);
    pool->called_ = true;
    ++pool->calls_;
    if (pool->updating_) pool->called_by_itself_ = true;
  }

  Budget& budget_;
  BudgetMember member_;
  uint32_t wanted_ = 0;
  uint32_t up_ = 0;
  uint32_t allowance_ = 0;
  uint64_t starts_ = 0;
  uint64_t calls_ = 0;
  bool called_ = false;
  bool updating_ = false;
  bool called_by_itself_ = false;
};

TEST_CASE("a member has what it wants until another one wants it", "[budget]") {
  ScopedBudget budget(8);
  FakePool a(*budget), b(*budget);
  a.Want(100);
  CHECK(a.up() == 8);
  CHECK_FALSE(b.called());
  // b is entitled to half, but all are up: a is told, and makes room as its tasks end.
  b.Want(100);
  CHECK(b.up() == 0);
  CHECK(a.called());
  a.Look();
  CHECK(a.allowance() == 4);
  CHECK(a.up() == 8);
  for (uint32_t ended = 1; ended <= 4; ++ended) {
    a.EndTasks(1);
    CHECK(b.called());
    b.Look();
    CHECK(b.up() == ended);
  }
  // And gets all back when b is done.
  b.Want(0);
  CHECK(b.up() == 4);
  CHECK_FALSE(a.called());
  b.EndTasks(4);
  CHECK(a.called());
  a.Look();
  CHECK(a.up() == 8);
}

TEST_CASE("an idle floor is borrowed and given back on demand", "[budget]") {
  ScopedBudget budget(8);
  FakePool keeps(*budget, 6, 1), borrows(*budget, 0, 1000);
  borrows.Want(100);
  CHECK(borrows.up() == 8);
  keeps.Want(100);
  borrows.Look();
  borrows.EndTasks(8);
  keeps.Look();
  CHECK(keeps.up() == 6);
  CHECK(borrows.up() == 2);
}

TEST_CASE("a smaller allowance is free for others only when its member knows it", "[budget]") {
  ScopedBudget budget(4);
  FakePool a(*budget), b(*budget);
  a.Want(4);
  REQUIRE(a.up() == 4);
  // One of a's workers has ended, and a has not said so: it might start it again.
  b.Want(4);
  CHECK(b.allowance() == 0);
  b.Look();
  CHECK(b.allowance() == 0);
  a.Look();
  CHECK(a.allowance() == 2);
  CHECK(b.allowance() == 0);  // four are up
  a.EndTasks(2);
  b.Look();
  CHECK(b.allowance() == 2);
}

TEST_CASE("a member is called once for one change, and not for what changes nothing for it", "[budget]") {
  ScopedBudget budget(8);
  FakePool a(*budget), b(*budget), c(*budget);
  a.Want(6);
  b.Want(3);  // 5 and 3
  REQUIRE(a.calls() == 1);
  b.Want(3);
  c.Want(0);
  b.WantLater(3);
  CHECK(a.calls() == 1);
  a.Look();
  a.EndTasks(1);
  b.Look();
  REQUIRE(a.allowance() == 5);
  REQUIRE(b.up() == 3);
  REQUIRE(a.calls() == 1);
  b.WantLater(4);  // 4 and 4
  CHECK(a.calls() == 2);
  b.WantLater(5);
  b.WantLater(6);
  CHECK(a.calls() == 2);
  // Back at what it has before it has looked: nothing is to be told.
  b.WantLater(3);
  CHECK(a.calls() == 2);
  b.WantLater(4);
  CHECK(a.calls() == 3);
}

TEST_CASE("what was promised under a higher cap is kept as far as it is still granted", "[budget]") {
  ScopedBudget budget(8);
  FakePool a(*budget), b(*budget);
  a.WantLater(4);
  b.WantLater(4);
  REQUIRE(a.allowance() + b.allowance() == 8);
  budget->SetCap(4);
  a.WantLater(5);
  CHECK(a.allowance() == 2);
  b.WantLater(5);
  CHECK(b.allowance() == 2);
}

TEST_CASE("who has begun to wait later comes later, however long it was idle before", "[budget]") {
  ScopedBudget budget(1);
  FakePool a(*budget), b(*budget), c(*budget);
  for (FakePool* pool : {&c, &b, &a}) {
    pool->Want(1);
    REQUIRE(pool->up() == 1);
    if (pool == &a) break;
    pool->Want(0);
    pool->EndTasks(1);
  }
  b.Want(1);
  c.Want(1);
  a.Look();
  a.EndTasks(1);
  c.Look();
  CHECK(c.up() == 0);
  b.Look();
  CHECK(b.up() == 1);
}

TEST_CASE("H16: a pool that ends while it holds permits gives all of them back at once", "[budget]") {
  ScopedBudget budget(8);
  FakePool stays(*budget);
  {
    FakePool ends(*budget);
    ends.Want(8);
    REQUIRE(ends.up() == 8);
    stays.Want(8);
    CHECK(stays.up() == 0);
    CHECK(budget->Read().held == 8);
  }
  CHECK(budget->Read().members == 1);
  CHECK(stays.called());
  stays.Look();
  CHECK(stays.up() == 8);
  CHECK(budget->Read().held == 8);
}

TEST_CASE("H16: permits come back however many pools come and go", "[budget]") {
  ScopedBudget budget(5);
  for (int round = 0; round < 1000; ++round) {
    auto a = std::make_unique<FakePool>(*budget, 2);
    auto b = std::make_unique<FakePool>(*budget);
    a->Want(3);
    b->Want(9);
    (round % 2 == 0 ? a : b).reset();
  }
  CHECK(budget->Read().members == 0);
  CHECK(budget->Read().held == 0);
  FakePool last(*budget);
  last.Want(9);
  CHECK(last.up() == 5);
}

TEST_CASE("the cap can be changed while workers are up", "[budget]") {
  ScopedBudget budget(4);
  FakePool a(*budget), b(*budget);
  a.Want(100);
  b.Want(100);
  a.Look();
  a.EndTasks(4);
  b.Look();
  REQUIRE(a.up() == 2);
  REQUIRE(b.up() == 2);
  SECTION("more") {
    budget->SetCap(8);
    CHECK(a.called());
    CHECK(b.called());
    a.Look();
    b.Look();
    CHECK(a.up() == 4);
    CHECK(b.up() == 4);
  }
  SECTION("fewer: nobody grows, and nobody gives more than its part") {
    budget->SetCap(2);
    a.Look();
    CHECK(a.allowance() == 1);
    a.EndTasks(2);
    CHECK(a.up() == 1);
    b.Look();
    b.EndTasks(2);
    CHECK(b.up() == 1);
  }
  SECTION("none") {
    budget->SetCap(0);
    a.Look();
    CHECK(a.up() == 100);
    budget->SetCap(6);
    a.Look();
    CHECK(a.allowance() == 3);
    CHECK(b.allowance() == 2);
    a.EndTasks(97);
    b.Look();
    CHECK(b.up() == 3);
  }
}

TEST_CASE("pools that have to take turns all run, each as often", "[budget]") {
  for (uint32_t cap : {1u, 2u, 4u}) {
    INFO("cap " << cap);
    ScopedBudget budget(cap);
    std::deque<FakePool> pools;
    std::vector<uint64_t> tasks(5);
    for (size_t i = 0; i < tasks.size(); ++i) pools.emplace_back(*budget, 0, 1 + 100 * static_cast<uint32_t>(i));
    for (FakePool& pool : pools) pool.Want(3);
    Random random(cap);
    for (int step = 0; step < 10'000; ++step) {
      const size_t i = random.Below(static_cast<uint32_t>(pools.size()));
      pools[i].Look();
      tasks[i] += pools[i].up();
      pools[i].EndTasks(pools[i].up());
    }
    const auto [fewest, most] = std::minmax_element(tasks.begin(), tasks.end());
    INFO(*fewest << " to " << *most);
    CHECK(*fewest * 10 >= *most * 9);
  }
}

TEST_CASE("two pools that wait for one worker do not pass it on before it has run a task", "[budget]") {
  ScopedBudget budget(1);
  FakePool a(*budget), b(*budget);
  a.Want(0);
  b.Want(0);
  {
    FakePool first(*budget);
    first.Want(1);
    a.Want(1);
    b.Want(1);
    REQUIRE(a.up() + b.up() == 0);
  }
  a.Update();
  REQUIRE(a.allowance() == 1);
  // Its worker is not up yet: it keeps the promise, however often both look.
  for (uint32_t i = 0; i < 10; ++i) {
    b.WantLater(1 + i % 2);
    a.WantLater(2 - i % 2);
    REQUIRE(a.allowance() == 1);
    REQUIRE(b.allowance() == 0);
  }
  a.Look();
  CHECK(a.up() == 1);
  CHECK(a.allowance() == 0);  // after this task
  a.EndTasks(1);
  b.Look();
  CHECK(b.up() == 1);
}

TEST_CASE("what cannot be joined is refused and told", "[budget]") {
  ScopedBudget budget(4);
  BudgetMember member([](void*) {}, nullptr);
  for (uint32_t weight : {0u, 1001u, UINT32_MAX}) {
    CHECK(TextOf(budget->Join(member, 0, weight)).find("1 to 1000") != std::string::npos);
  }
  CHECK(budget->Join(member, 5, 1) == POOL_E_INVALID);
  CHECK(TextOf(budget->Join(member, 5, 1)) ==
        "f: a floor of 5 workers makes 5 with those of the other pools, and the budget has 4");
  CHECK(budget->Join(member, UINT32_MAX, 1) == POOL_E_INVALID);
  CHECK(member.budget() == nullptr);
  CHECK(budget->Read().members == 0);

  REQUIRE(budget->Join(member, 3, 1) == POOL_OK);
  CHECK(member.budget() == &*budget);
  CHECK(TextOf(budget->Join(member, 0, 1)) == "f: the pool is in a budget already");
  {
    BudgetMember other([](void*) {}, nullptr);
    CHECK(budget->Join(other, 2, 1) == POOL_E_INVALID);
    REQUIRE(budget->Join(other, 1, 1000) == POOL_OK);
    budget->Leave(other);
  }
  budget->Leave(member);
  CHECK(member.budget() == nullptr);
  REQUIRE(budget->Join(member, 4, 1) == POOL_OK);
  budget->Leave(member);

  std::deque<FakePool> pools;
  for (uint32_t i = 0; i < kBudgetMembersMax; ++i) pools.emplace_back(*budget);
  CHECK(TextOf(budget->Join(member, 0, 1)) == "f: 256 pools are in the budget already");
  pools.pop_front();
  REQUIRE(budget->Join(member, 0, 1) == POOL_OK);
  budget->Leave(member);
}

TEST_CASE("a budget lives as long as a member", "[budget]") {
  auto* budget = New<Budget>(3u);
  FakePool pool(*budget);
  budget->Unref();
  pool.Want(9);
  CHECK(pool.up() == 3);
}

// Independent of the budget's own books.
uint64_t HeldBy(const std::deque<FakePool>& pools) {
  uint64_t held = 0;
  for (const FakePool& pool : pools) held += pool.held();
  return held;
}

TEST_CASE("any course: never more than the cap is held, and all come to what they are entitled to", "[budget]") {
  Random random(160);
  for (int round = 0; round < 1000; ++round) {
    const uint32_t count = 1 + random.Below(6);
    const uint32_t cap = 1 + random.Below(24);
    INFO("round " << round << ", " << count << " pools, cap " << cap);
    ScopedBudget budget(cap);
    std::deque<FakePool> pools;
    std::vector<BudgetShare> shares(count);
    uint32_t floors = 0;
    for (BudgetShare& share : shares) {
      share.floor = std::min(random.Below(4), cap - floors);
      share.weight = 1 + random.Below(9);
      floors += share.floor;
      pools.emplace_back(*budget, share.floor, share.weight);
    }
    for (int step = 0; step < 100; ++step) {
      FakePool& pool = pools[random.Below(count)];
      switch (random.Below(4)) {
        case 0:
          pool.Want(random.Below(2) * random.Below(16));
          break;
        case 1:
          pool.EndTasks(1 + random.Below(3));
          break;
        case 2:
          pool.Update();
          break;
        default:
          pool.Look();
      }
      REQUIRE(HeldBy(pools) <= cap);
      REQUIRE(budget->Read().held == HeldBy(pools));
      REQUIRE_FALSE(pool.called_by_itself());
    }
    // From now on all do what they are told. Those that are called are enough: no call is lost.
    uint64_t wanting = 0;
    for (const FakePool& pool : pools) wanting += pool.wanted() != 0;
    if (wanting > cap) continue;  // turns never come to rest
    for (bool any = true; any;) {
      any = false;
      for (FakePool& pool : pools) {
        if (!pool.called() && pool.up() <= pool.allowance()) continue;
        any = true;
        pool.Look();
        pool.EndTasks(100);
        REQUIRE(HeldBy(pools) <= cap);
      }
    }
    for (uint32_t i = 0; i < count; ++i) shares[i].wanted = pools[i].wanted();
    ShareOut(cap, shares);
    for (uint32_t i = 0; i < count; ++i) {
      INFO("pool " << i << " wants " << shares[i].wanted);
      REQUIRE(pools[i].up() == shares[i].granted);
    }
  }
}

TEST_CASE("any course with turns: each pool that waits comes to run", "[budget]") {
  Random random(161);
  for (int round = 0; round < 200; ++round) {
    const uint32_t cap = 1 + random.Below(4);
    const uint32_t count = cap + 1 + random.Below(4);
    INFO("round " << round << ", " << count << " pools, cap " << cap);
    ScopedBudget budget(cap);
    std::deque<FakePool> pools;
    for (uint32_t i = 0; i < count; ++i) pools.emplace_back(*budget, 0, 1 + random.Below(1000));
    for (FakePool& pool : pools) pool.Want(1 + random.Below(3));
    std::vector<uint64_t> starts(count);
    std::vector<uint32_t> waited(count);
    for (int step = 0; step < 1000; ++step) {
      const uint32_t i = random.Below(count);
      if (pools[i].called()) pools[i].Look();
      const uint32_t k = random.Below(count);
      pools[k].EndTasks(1);
      REQUIRE(HeldBy(pools) <= cap);
      REQUIRE_FALSE(pools[i].called_by_itself());
      REQUIRE_FALSE(pools[k].called_by_itself());
      for (uint32_t j = 0; j < count; ++j) {
        const bool ran = pools[j].up() != 0 || pools[j].starts() != starts[j];
        starts[j] = pools[j].starts();
        waited[j] = ran ? 0 : waited[j] + 1;
      }
      // Of up to eight pools one is picked in each step, so that a turn of all takes a while: 84 steps at most here.
      REQUIRE(*std::max_element(waited.begin(), waited.end()) < 150);
    }
  }
}

TEST_CASE("threads: never more than the cap is up at once", "[budget]") {
  constexpr uint32_t kCap = 5;
  ScopedBudget budget(kCap);
  std::atomic<uint32_t> up_in_all{0}, most{0};
  const auto run = [&](uint32_t seed) {
    Random random(seed);
    std::atomic<uint32_t> calls{0};
    for (int life = 0; life < 20; ++life) {
      BudgetMember member([](void* user) { static_cast<std::atomic<uint32_t>*>(user)->fetch_add(1); }, &calls);
      if (budget->Join(member, seed % 2, 1 + seed) != POOL_OK) std::abort();
      uint32_t up = 0, allowance = 0;
      for (uint64_t i = 0; i < workpool_test::Rounds(2000); ++i) {
        const uint32_t wanted = random.Below(8);
        allowance = budget->Update(member, wanted, up);
        const uint32_t now_up = std::max(allowance, up - random.Below(up + 1));
        if (now_up > up) {
          const uint32_t all = up_in_all.fetch_add(now_up - up) + now_up - up;
          for (uint32_t seen = most; seen < all && !most.compare_exchange_weak(seen, all);) {
          }
        } else {
          up_in_all.fetch_sub(up - now_up);
        }
        up = now_up;
      }
      up_in_all.fetch_sub(up);
      budget->Leave(member);
    }
  };
  {
    std::deque<ScopedThread> threads;
    for (uint32_t seed = 1; seed <= 4; ++seed) threads.emplace_back([&, seed] { run(seed); });
  }
  CHECK(most <= kCap);
  CHECK(most > 1);
  CHECK(budget->Read().held == 0);
}

TEST_CASE("who leaves is not called any more, also if a call is going on", "[budget]") {
  ScopedBudget budget(2);
  Gate gate;
  auto member = std::make_unique<BudgetMember>([](void* user) { static_cast<Gate*>(user)->Pass(); }, &gate);
  REQUIRE(budget->Join(*member, 0, 1) == POOL_OK);
  REQUIRE(budget->Update(*member, 2, 0) == 2);
  std::atomic<bool> left{false};
  // Its demand calls the member, which stands at the gate.
  ScopedThread demands([&] { FakePool(*budget).Want(1); });
  REQUIRE(gate.AwaitArrivals(1));
  ScopedThread leaves([&] {
    budget->Leave(*member);
    left = true;
    member.reset();
  });
  CHECK(HoldsThroughout([&] { return !left; }));
  gate.Open();
  leaves.Join();
  demands.Join();
  CHECK(gate.arrivals() == 1);
  CHECK(budget->Read().members == 0);
}

}  // namespace
}  // namespace workpool
