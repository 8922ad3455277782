#include "scaling/budget_share.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"

namespace workpool {
namespace {

using Shares = std::vector<BudgetShare>;
using Counts = std::vector<uint32_t>;

BudgetShare Wants(uint32_t wanted, uint32_t weight = 1, uint32_t floor = 0) {
  BudgetShare share;
  share.wanted = wanted;
  share.weight = weight;
  share.floor = floor;
  return share;
}

// One that has so many up, and since when.
BudgetShare Holds(uint32_t up, uint64_t since, uint32_t wanted = 1) {
  BudgetShare share = Wants(wanted);
  share.up = up;
  share.held = up;
  share.since = since;
  return share;
}

Counts Granted(uint32_t cap, Shares members) {
  ShareOut(cap, members);
  Counts granted;
  for (const BudgetShare& member : members) granted.push_back(member.granted);
  return granted;
}

uint64_t Sum(const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); }

uint32_t FloorOf(const BudgetShare& member) { return std::min(member.wanted, std::max<uint32_t>(member.floor, 1)); }

std::string TextOf(uint32_t cap, const Shares& members) {
  std::string text = "cap " + std::to_string(cap);
  for (const BudgetShare& m : members) {
    text += " (floor " + std::to_string(m.floor) + " weight " + std::to_string(m.weight) + " wanted " +
            std::to_string(m.wanted) + " up " + std::to_string(m.up) + " held " + std::to_string(m.held) + " since " +
            std::to_string(m.since) + ")";
  }
  return text;
}

Shares AnyShares(Random& random, uint32_t count) {
  Shares members(count);
  for (BudgetShare& member : members) {
    member.floor = random.Below(3) == 0 ? random.Below(8) : 0;
    member.weight = 1 + random.Below(random.Below(2) == 0 ? 4 : kBudgetWeightMax);
    member.wanted = random.Below(4) == 0 ? 0 : random.Below(random.Below(2) == 0 ? 6 : 40);
    member.up = random.Below(2) * random.Below(6);
    member.held = member.up + random.Below(2) * random.Below(4);
    member.since = random.Below(2 * count);
  }
  return members;
}

TEST_CASE("a budget's workers are shared by weight, what one leaves is lent", "[budget]") {
  struct Row {
    uint32_t cap;
    Shares members;
    Counts granted;
  };
  for (const Row& row : std::vector<Row>{
           {8, {}, {}},
           {8, {Wants(3), Wants(5)}, {3, 5}},
           {8, {Wants(9), Wants(9)}, {4, 4}},
           {8, {Wants(9, 3), Wants(9, 1)}, {6, 2}},
           {10, {Wants(99, 9), Wants(99, 1)}, {9, 1}},
           {9, {Wants(9), Wants(9)}, {5, 4}},  // equal remainders: the first
           {10, {Wants(9, 2), Wants(9, 3), Wants(9, 2)}, {3, 4, 3}},
           {12, {Wants(9, 2), Wants(1, 2), Wants(9, 1)}, {7, 1, 4}},  // 11 in 2 : 1
           {12, {Wants(99, 1), Wants(0, 1000), Wants(99, 2)}, {4, 0, 8}},
           // The floor is part of the share, not on top of it.
           {10, {Wants(99, 1, 4), Wants(99, 1)}, {5, 5}},
           {10, {Wants(99, 1, 8), Wants(99, 1)}, {8, 2}},
           // An idle floor is lent, and a half idle one half.
           {10, {Wants(0, 1, 8), Wants(99, 1)}, {0, 10}},
           {10, {Wants(3, 1, 8), Wants(99, 1)}, {3, 7}},
           // No weight is so small that a member gets nothing.
           {10, {Wants(99, 1000), Wants(99, 1)}, {9, 1}},
           // Floors that do not fit: one each, and the rest by weight.
           {10, {Wants(99, 1, 10), Wants(99, 1, 10)}, {5, 5}},
           {10, {Wants(99, 4, 10), Wants(99, 1, 10)}, {8, 2}},
           {10, {Wants(99, 1, 3), Wants(99, 9, 9), Wants(9, 1000)}, {1, 8, 1}},
           {4, {Wants(9, 1, 4), Wants(9, 1000, 4), Wants(9, 1, 4), Wants(9)}, {1, 1, 1, 1}},
           // One floor below its share, one wish above it, in the same round.
           {12, {Wants(99, 1, 6), Wants(2, 8), Wants(99, 3)}, {6, 2, 4}},
       }) {
    INFO(TextOf(row.cap, row.members));
    CHECK(Granted(row.cap, row.members) == row.granted);
  }
}

TEST_CASE("a cap of 0 is none", "[budget]") {
  CHECK(Granted(0, {Wants(UINT32_MAX), Wants(UINT32_MAX), Wants(0)}) == Counts{UINT32_MAX, UINT32_MAX, 0});
  Shares members = {Wants(UINT32_MAX), Holds(7, 1)};
  ShareOut(0, members);
  CHECK(MayHold(0, members, 0) == UINT32_MAX);
}

TEST_CASE("the largest caps, wishes and weights do not overflow", "[budget]") {
  Shares members;
  for (uint32_t i = 0; i < 256; ++i)
    members.push_back(Wants(UINT32_MAX, i % 2 == 0 ? 1000 : 1, i % 3 == 0 ? UINT32_MAX : 0));
  for (uint32_t cap : {uint32_t{256}, uint32_t{1'000'000'007}, UINT32_MAX}) {
    INFO(cap);
    const Counts granted = Granted(cap, members);
    CHECK(Sum(granted) == cap);
    CHECK(*std::min_element(granted.begin(), granted.end()) >= 1);
  }
}

TEST_CASE("with fewer workers than members they take turns", "[budget]") {
  struct Row {
    uint32_t cap;
    Shares members;
    Counts granted;
  };
  const BudgetShare waits_3 = Holds(0, 3);
  const BudgetShare waits_5 = Holds(0, 5);
  BudgetShare promised = Holds(0, 9);
  promised.held = 1;
  for (const Row& row : std::vector<Row>{
           {1, {waits_5, waits_3}, {0, 1}},                      // the longest wait
           {1, {Holds(1, 1), waits_5}, {0, 1}},                  // makes room
           {2, {Holds(1, 1), Holds(1, 2), waits_5}, {0, 1, 1}},  // the one that has held longest does
           {2, {Holds(1, 2), Holds(1, 1), waits_5}, {1, 0, 1}},
           {1, {promised, waits_3}, {1, 0}},  // not before it has worked
           {2, {promised, Holds(1, 1), waits_3}, {1, 0, 1}},
           {2, {Wants(9, 1), Wants(9, 3), Wants(9, 2)}, {0, 1, 1}},  // equal otherwise: by weight
           {2, {Wants(9), Wants(9), Wants(9)}, {1, 1, 0}},
           {1, {Wants(0), Wants(9), Wants(9)}, {0, 1, 0}},
       }) {
    INFO(TextOf(row.cap, row.members));
    CHECK(Granted(row.cap, row.members) == row.granted);
  }
}

TEST_CASE("what others hold must come back first", "[budget]") {
  // Two of them are granted 4 of 8 each, and one holds more.
  Shares members = {Holds(6, 1, 9), Holds(2, 2, 9)};
  ShareOut(8, members);
  REQUIRE(members[1].granted == 4);
  CHECK(MayHold(8, members, 0) == 4);
  CHECK(MayHold(8, members, 1) == 2);
  members[0].held = 5;
  CHECK(MayHold(8, members, 1) == 3);
  members[0].held = 4;
  CHECK(MayHold(8, members, 1) == 4);
  members[0].held = 0;
  CHECK(MayHold(8, members, 1) == 4);
  // More than the cap is held after it was lowered: each keeps what it is granted, and nobody grows.
  members = {Holds(6, 1, 9), Holds(2, 2, 9)};
  ShareOut(6, members);
  REQUIRE(members[1].granted == 3);
  CHECK(MayHold(6, members, 0) == 3);
  CHECK(MayHold(6, members, 1) == 2);
}

TEST_CASE("what is free is kept for those that have nothing", "[budget]") {
  // One of four is free.
  Shares members = {Holds(2, 1, 9), Holds(1, 2, 9), Holds(0, 3, 9)};
  ShareOut(4, members);
  REQUIRE(members[0].granted == 2);
  REQUIRE(members[1].granted == 1);
  CHECK(MayHold(4, members, 2) == 1);
  members[1].granted = 2;
  CHECK(MayHold(4, members, 1) == 1);
  // Of two that have nothing it is for the one that waits longer.
  members = {Holds(3, 1, 9), Holds(0, 5, 9), Holds(0, 3, 9)};
  ShareOut(4, members);
  CHECK(MayHold(4, members, 0) == 2);
  CHECK(MayHold(4, members, 1) == 0);
  CHECK(MayHold(4, members, 2) == 1);
}

TEST_CASE("any members: the cap holds, floors are kept, nothing is left over while someone wants it", "[budget]") {
  Random random(16);
  for (int round = 0; round < 100'000; ++round) {
    const Shares members = AnyShares(random, random.Below(9));
    const uint32_t cap = 1 + random.Below(random.Below(2) == 0 ? 8 : 64);
    INFO("round " << round << ": " << TextOf(cap, members));
    const Counts granted = Granted(cap, members);
    uint64_t wanted = 0, wanting = 0, floors = 0;
    for (const BudgetShare& m : members) {
      wanted += m.wanted;
      wanting += m.wanted != 0;
      floors += FloorOf(m);
    }
    REQUIRE(Sum(granted) == std::min<uint64_t>(cap, wanted));
    for (size_t i = 0; i < members.size(); ++i) {
      REQUIRE(granted[i] <= members[i].wanted);
      if (wanting <= cap && members[i].wanted != 0) REQUIRE(granted[i] >= 1);
      if (floors <= cap) REQUIRE(granted[i] >= FloorOf(members[i]));
      if (wanting > cap) REQUIRE(granted[i] <= 1);
      if (wanting <= cap && floors > cap) REQUIRE(granted[i] <= FloorOf(members[i]));
    }
  }
}

// The multiple of the weights at which bounded shares make up cap, found by halving: another way than the library's.
std::vector<double> SharesByHalving(uint32_t cap, const Shares& members, const Counts& least, const Counts& most) {
  double low = 0, high = 1e9;
  std::vector<double> shares(members.size());
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    double sum = 0;
    for (size_t j = 0; j < members.size(); ++j) {
      shares[j] = std::clamp<double>(middle * members[j].weight, least[j], most[j]);
      sum += shares[j];
    }
    (sum < cap ? low : high) = middle;
  }
  return shares;
}

TEST_CASE("any members: each gets its exact share, rounded up or down", "[budget]") {
  Random random(17);
  int compared = 0;
  for (int round = 0; round < 100'000; ++round) {
    const Shares members = AnyShares(random, 1 + random.Below(8));
    const uint32_t cap = 1 + random.Below(64);
    uint64_t wanted = 0, wanting = 0, floors = 0;
    for (const BudgetShare& m : members) {
      wanted += m.wanted;
      wanting += m.wanted != 0;
      floors += FloorOf(m);
    }
    if (wanted <= cap || wanting > cap) continue;
    INFO("round " << round << ": " << TextOf(cap, members));
    Counts least, most;
    for (const BudgetShare& m : members) {
      least.push_back(floors <= cap ? FloorOf(m) : std::min<uint32_t>(m.wanted, 1));
      most.push_back(floors <= cap ? m.wanted : FloorOf(m));
    }
    const std::vector<double> exact = SharesByHalving(cap, members, least, most);
    const Counts granted = Granted(cap, members);
    for (size_t i = 0; i < members.size(); ++i) {
      REQUIRE(granted[i] >= std::floor(exact[i] + 1e-6) - 1e-3);
      REQUIRE(granted[i] <= std::ceil(exact[i] - 1e-6) + 1e-3);
    }
    ++compared;
  }
  CHECK(compared > 30'000);
}

TEST_CASE("any members: more weight never gives less, and equal members get equal parts", "[budget]") {
  Random random(18);
  for (int round = 0; round < 100'000; ++round) {
    Shares members = AnyShares(random, 1 + random.Below(7));
    const uint32_t cap = 1 + random.Below(48);
    INFO("round " << round << ": " << TextOf(cap, members));
    const Counts before = Granted(cap, members);
    for (size_t i = 0; i < members.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (members[i].floor != members[j].floor || members[i].wanted != members[j].wanted) continue;
        const bool alike = members[i].weight == members[j].weight && members[i].held == members[j].held &&
                           members[i].up == members[j].up && members[i].since == members[j].since;
        if (alike) REQUIRE((before[j] == before[i] || before[j] == before[i] + 1));
      }
    }
    const size_t chosen = random.Below(static_cast<uint32_t>(members.size()));
    members[chosen].weight = std::min<uint32_t>(kBudgetWeightMax, members[chosen].weight + 1 + random.Below(100));
    INFO("member " << chosen << " gets the weight " << members[chosen].weight);
    REQUIRE(Granted(cap, members)[chosen] >= before[chosen]);
  }
}

TEST_CASE("any members: whoever takes what it may hold, no more than the cap comes to be held", "[budget]") {
  Random random(19);
  for (int round = 0; round < 100'000; ++round) {
    Shares members = AnyShares(random, 1 + random.Below(7));
    const uint32_t cap = 1 + random.Below(32);
    uint64_t held = 0;
    for (const BudgetShare& m : members) held += m.held;
    const uint64_t bound = std::max<uint64_t>(cap, held);  // it may be too much from the start
    INFO("round " << round << ": " << TextOf(cap, members));
    for (int step = 0; step < 12; ++step) {
      ShareOut(cap, members);
      const uint32_t i = random.Below(static_cast<uint32_t>(members.size()));
      const uint32_t may = MayHold(cap, members, i);
      REQUIRE(may <= members[i].granted);
      REQUIRE(may >= std::min(members[i].granted, members[i].held));
      members[i].held = std::max(members[i].up, may);
      held = 0;
      for (const BudgetShare& m : members) held += m.held;
      REQUIRE(held <= bound);
    }
  }
}

}  // namespace
}  // namespace workpool
