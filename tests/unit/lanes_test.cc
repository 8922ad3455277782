#include "dispatch/lanes.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <vector>

#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint64_t kAging = 1000;

// Lanes as a bit for each, 0 the highest.
uint32_t Bits(std::initializer_list<uint32_t> lanes) {
  uint32_t bits = 0;
  for (const uint32_t lane : lanes) bits |= 1u << lane;
  return bits;
}

// Which lanes so many takes in a row are from, all at the same time.
std::vector<uint32_t> Takes(Lanes& lanes, uint32_t waits, uint64_t now_ns, LaneTurn& turn, uint32_t count) {
  std::vector<uint32_t> takes;
  for (uint32_t i = 0; i < count; ++i) takes.push_back(lanes.Choose(waits, now_ns, turn));
  return takes;
}

TEST_CASE("H17: priorities lie around 0, one more above it than below where they are even", "[lanes]") {
  for (uint32_t count = 1; count <= Lanes::kMax; ++count) {
    INFO(count << " lanes");
    const Lanes lanes(count, kNever);
    CHECK(lanes.count() == count);
    CHECK(lanes.lowest() == -static_cast<int32_t>((count - 1) / 2));
    CHECK(lanes.highest() == static_cast<int32_t>(count / 2));
    CHECK(lanes.IndexOf(lanes.highest()) == 0);
    CHECK(lanes.IndexOf(0) == lanes.normal());
    CHECK(lanes.IndexOf(lanes.lowest()) == count - 1);
    CHECK_FALSE(lanes.ages());
  }
  CHECK(Lanes(1, 0).ages());
}

TEST_CASE("where nothing waits no lane is chosen", "[lanes]") {
  for (uint32_t count = 1; count <= Lanes::kMax; ++count) {
    Lanes lanes(count, 0);
    LaneTurn turn;
    CHECK(lanes.Choose(0, 1, turn) == count);
  }
}

TEST_CASE("which lane is chosen, by what waits, since when, and whose turn it is", "[lanes]") {
  // Three lanes that have waited since the given times; 0: not known. The next take is the eighth, or a fresh one's first.
  struct Row {
    const char* what;
    uint32_t waits;
    uint64_t since_high, since_normal, since_low;
    uint64_t now_ns;
    uint32_t since_due;
    uint32_t chosen;
  };
  const Row rows[] = {
      {"only the lowest", Bits({2}), 0, 0, 5000, 5000, 7, 2},
      {"only ordinary ones", Bits({1}), 0, 0, 0, 5000, 7, 1},
      {"all, none due", Bits({0, 1, 2}), 5000, 5000, 5000, 5000, 7, 0},
      {"the lowest a moment before it is due", Bits({0, 2}), 5000, 0, 5000, 6999, 7, 0},
      {"the lowest is due", Bits({0, 2}), 5000, 0, 5000, 7000, 7, 2},
      {"the lowest is due, and it is a fresh worker's first take", Bits({0, 2}), 5000, 0, 5000, 7000, UINT32_MAX, 2},
      {"the lowest is due, and began to wait after its last turn", Bits({0, 2}), 5000, 0, 5000, 7000, 0, 2},
      {"the lowest is due, but had a turn since it began to wait", Bits({0, 2}), 5000, 0, 2999, 7000, 6, 0},
      {"both are due, and only ordinary ones began to wait after their turn", Bits({0, 1, 2}), 1, 5000, 2999, 7000, 0, 1},
      {"the lowest is due below ordinary ones", Bits({1, 2}), 0, 0, 5000, 7000, 7, 2},
      {"ordinary ones a moment before they are due", Bits({0, 1}), 1, 5000, 0, 5999, 7, 0},
      {"ordinary ones are due", Bits({0, 1}), 1, 5000, 0, 6000, 7, 1},
      {"both are due, ordinary ones for longer", Bits({0, 1, 2}), 1, 5000, 4500, 9000, 7, 1},
      {"both are due, the lowest for longer", Bits({0, 1, 2}), 1, 5000, 3999, 9000, 7, 2},
      {"the highest is never due: it goes first anyway", Bits({0}), 1, 0, 0, 9000, 7, 0},
      {"a lane that was due, but is empty now", Bits({0}), 1, 5000, 3000, 9000, 7, 0},
      {"the lowest, of which no time is known", Bits({0, 2}), 1, 0, 0, 9000, 7, 0},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Lanes lanes(3, kAging);
    if (row.since_high != 0) lanes.BeginsToWait(0, row.since_high);
    if (row.since_low != 0) lanes.BeginsToWait(2, row.since_low);
    LaneTurn turn{.since_due = row.since_due, .served = 0, .normal_since_ns = row.since_normal};
    if (row.since_due <= Lanes::kDueShare) turn.turn_ns[1] = turn.turn_ns[2] = 3000;
    CHECK(lanes.Choose(row.waits, row.now_ns, turn) == row.chosen);
  }
}

TEST_CASE("without aging the highest is chosen for ever", "[lanes]") {
  Lanes lanes(Lanes::kMax, kNever);
  for (uint32_t lane = 0; lane < lanes.count(); ++lane) lanes.BeginsToWait(lane, 1);
  LaneTurn turn;
  for (uint32_t top = 0; top < lanes.count(); ++top) {
    const uint32_t waits = 0xFFFFu << top & 0xFFFFu;
    for (const uint32_t chosen : Takes(lanes, waits, kNever - 1, turn, 20)) CHECK(chosen == top);
    CHECK(lanes.DueNs(top) == kNever);
    CHECK_FALSE(lanes.LowIsDue(waits, kNever - 1));
  }
}

TEST_CASE("one take in eight is from a lane that is due, and the first at once", "[lanes]") {
  Lanes lanes(3, kAging);
  lanes.BeginsToWait(2, 1);
  LaneTurn turn;
  const uint32_t waits = Bits({0, 2});
  const auto takes = Takes(lanes, waits, 2001, turn, 8 * Lanes::kDueShare);
  for (size_t i = 0; i < takes.size(); ++i) CHECK(takes[i] == (i % Lanes::kDueShare == 0 ? 2u : 0u));
  // The share is of the takes beside higher ones: alone it is taken every time.
  for (const uint32_t lane : Takes(lanes, Bits({2}), 2001, turn, 20)) CHECK(lane == 2);
}

TEST_CASE("G11: the first of each lane goes at once when it is due, however short ago another lane had its turn", "[lanes]") {
  Lanes lanes(Lanes::kMax, kAging);
  LaneTurn turn;
  uint32_t waits = Bits({0});
  uint64_t now_ns = 1;
  for (uint32_t lane = 9; lane < 16; ++lane) {
    lanes.BeginsToWait(lane, 1);
    waits |= Bits({lane});
  }
  now_ns += 16 * kAging;
  for (uint32_t lane = 9; lane < 16; ++lane) CHECK(lanes.Choose(waits, now_ns, turn) == lane);
  // Those behind them have a share.
  for (const uint32_t lane : Takes(lanes, waits, now_ns, turn, Lanes::kDueShare - 1)) CHECK(lane == 0);
  CHECK(lanes.Choose(waits, now_ns, turn) == 9);
  // One that was empty meanwhile is as new, though its share is used up.
  lanes.Emptied(12);
  lanes.BeginsToWait(12, now_ns + 1);
  now_ns += 1 + 12 * kAging;
  CHECK(lanes.Choose(waits, now_ns - 1, turn) == 0);
  CHECK(lanes.Choose(waits, now_ns, turn) == 12);
}

TEST_CASE("turns that nobody was due for are not saved up", "[lanes]") {
  Lanes lanes(3, kAging);
  LaneTurn turn;
  for (const uint32_t lane : Takes(lanes, Bits({0, 2}), 1, turn, 100)) REQUIRE(lane == 0);
  lanes.BeginsToWait(2, 1);
  const auto takes = Takes(lanes, Bits({0, 2}), 9000, turn, 16);
  CHECK(std::count(takes.begin(), takes.end(), 2u) == 2);
  CHECK(takes[0] == 2);
  CHECK(takes[8] == 2);
}

TEST_CASE("each worker has a turn of its own", "[lanes]") {
  Lanes lanes(3, kAging);
  lanes.BeginsToWait(2, 1);
  LaneTurn one, other;
  CHECK(lanes.Choose(Bits({0, 2}), 9000, one) == 2);
  CHECK(lanes.Choose(Bits({0, 2}), 9000, one) == 0);
  CHECK(lanes.Choose(Bits({0, 2}), 9000, other) == 2);
}

TEST_CASE("G11: lanes that are due take turns, also if none of them ever becomes empty", "[lanes]") {
  for (uint32_t count = 2; count <= Lanes::kMax; ++count) {
    INFO(count << " lanes");
    Lanes lanes(count, kAging);
    for (uint32_t lane = 0; lane < count; ++lane) lanes.BeginsToWait(lane, 1 + lane);
    const uint32_t waits = (1u << count) - 1;
    const uint32_t lower = count - 1;
    LaneTurn turn{.since_due = UINT32_MAX, .served = 0, .normal_since_ns = 1};
    std::fill(std::begin(turn.turn_ns), std::end(turn.turn_ns), count);  // none is fresh
    const auto takes = Takes(lanes, waits, 1'000'000, turn, 3 * lower * Lanes::kDueShare);
    for (uint32_t round = 0; round < 3; ++round) {
      const auto begin = takes.begin() + round * lower * Lanes::kDueShare;
      for (uint32_t lane = 1; lane < count; ++lane) {
        CHECK(std::count(begin, begin + lower * Lanes::kDueShare, lane) == 1);
      }
    }
  }
}

TEST_CASE("a lane is due so many times aging_ns after it began to wait as there are lanes above it", "[lanes]") {
  Lanes lanes(Lanes::kMax, kAging);
  CHECK(lanes.DueNs(15) == kNever);  // nothing waits
  for (uint32_t lane = 0; lane < lanes.count(); ++lane) {
    lanes.BeginsToWait(lane, 77);
    CHECK(lanes.DueNs(lane) == (lane == 0 ? kNever : 77 + lane * kAging));
    lanes.Emptied(lane);
    CHECK(lanes.DueNs(lane) == kNever);
  }
}

TEST_CASE("H1: with 16 lanes no bit of one is another's, and no time overflows", "[lanes]") {
  for (uint32_t lane = 0; lane < Lanes::kMax; ++lane) {
    INFO("lane " << lane);
    Lanes lanes(Lanes::kMax, kAging);
    LaneTurn turn;
    CHECK(lanes.Choose(1u << lane, 1, turn) == lane);
    lanes.BeginsToWait(lane, 1);
    for (uint32_t other = 0; other < Lanes::kMax; ++other) {
      if (other == lane) continue;
      CHECK(lanes.DueNs(other) == kNever);
      // Beside a higher one only a lane that is due is chosen; ordinary tasks wait since now.
      LaneTurn fresh;
      const bool due = other < lane && lane != lanes.normal();
      CHECK(lanes.Choose(Bits({lane, other}), 1'000'000, fresh) == (due ? lane : std::min(lane, other)));
    }
  }
  for (const uint64_t aging_ns : {kNever - 1, kNever / 2, kNever / 15, kNever / 15 + 1, uint64_t{INT64_MAX}}) {
    for (const uint64_t since_ns : {uint64_t{1}, uint64_t{1} << 60, kNever - 1}) {
      INFO("aging " << aging_ns << ", since " << since_ns);
      Lanes lanes(Lanes::kMax, aging_ns);
      uint64_t before_ns = 0;
      for (uint32_t lane = 1; lane < Lanes::kMax; ++lane) {
        lanes.BeginsToWait(lane, since_ns);
        const uint64_t due_ns = lanes.DueNs(lane);
        CHECK(due_ns >= since_ns);
        CHECK(due_ns >= before_ns);  // further down it is never sooner
        if (due_ns != kNever) CHECK((due_ns - since_ns) / lane == aging_ns);
        before_ns = due_ns;
      }
      // The end of time is no time: what saturates is not due then.
      for (uint32_t lane = 1; lane < Lanes::kMax; ++lane) {
        const bool due = lanes.DueNs(lane) < kNever;
        LaneTurn turn{.since_due = UINT32_MAX, .served = 0, .normal_since_ns = since_ns};
        CHECK(lanes.Choose(Bits({0, lane}), kNever - 1, turn) == (due ? lane : 0));
      }
    }
  }
}

TEST_CASE("for each worker ordinary tasks have waited since it first passed them over", "[lanes]") {
  Lanes lanes(3, kAging);
  LaneTurn turn;
  CHECK(lanes.Choose(Bits({1}), 100, turn) == 1);
  CHECK(lanes.Choose(Bits({0}), 200, turn) == 0);
  CHECK(turn.normal_since_ns == 0);  // none waits
  CHECK(lanes.Choose(Bits({0, 1}), 300, turn) == 0);
  CHECK(lanes.Choose(Bits({0, 1}), 300 + kAging - 1, turn) == 0);
  LaneTurn other;
  CHECK(lanes.Choose(Bits({0, 1}), 900, other) == 0);
  CHECK(lanes.Choose(Bits({0, 1}), 300 + kAging, turn) == 1);
  CHECK(lanes.Choose(Bits({0, 1}), 900 + kAging - 1, other) == 0);
  CHECK(lanes.Choose(Bits({0, 1}), 900 + kAging, other) == 1);
  // Once it is their turn by rank, or there are none, they begin anew.
  for (const uint32_t waits : {Bits({1, 2}), Bits({2}), Bits({0})}) {
    turn.since_due = UINT32_MAX;
    (void)lanes.Choose(waits, 2000, turn);
    CHECK(turn.normal_since_ns == 0);
    CHECK(lanes.Choose(Bits({0, 1}), 3000, turn) == 0);
    CHECK(turn.normal_since_ns == 3000);
  }
}

TEST_CASE("a low lane is due: below 0 only, and only while something waits in it", "[lanes]") {
  Lanes lanes(6, kAging);  // 3 ... -2
  for (uint32_t lane = 0; lane < lanes.count(); ++lane) lanes.BeginsToWait(lane, 1);
  const uint32_t low = Bits({4, 5});
  CHECK_FALSE(lanes.LowIsDue(Bits({0, 1, 2, 3}), 1'000'000));
  CHECK_FALSE(lanes.LowIsDue(0, 1'000'000));
  CHECK_FALSE(lanes.LowIsDue(low, 4 * kAging));
  CHECK(lanes.LowIsDue(low, 4 * kAging + 1));
  CHECK_FALSE(lanes.LowIsDue(Bits({5}), 4 * kAging + 1));
  CHECK(lanes.LowIsDue(Bits({5}), 5 * kAging + 1));
  lanes.Emptied(5);
  CHECK_FALSE(lanes.LowIsDue(Bits({5}), 1'000'000));
}

// A worker with a task of 10 ns after another, and lanes of which some are never empty, as in a dispatcher.
class Simulation {
 public:
  Simulation(uint32_t count, uint32_t saturated) : lanes_(count, kAging), saturated_(saturated) {
    for (uint32_t lane = 0; lane < count; ++lane) {
      if ((saturated >> lane & 1) != 0) Push(lane);
    }
  }

  void Push(uint32_t lane) {
    if (waiting_[lane].empty()) lanes_.BeginsToWait(lane, now_ns_);
    waiting_[lane].push_back(now_ns_);
  }
  // The longest wait of a task of each lane within so many takes.
  std::array<uint64_t, Lanes::kMax> Run(uint32_t takes, uint32_t seed) {
    std::array<uint64_t, Lanes::kMax> longest{};
    Random random(seed);
    for (uint32_t i = 0; i < takes; ++i, now_ns_ += kTask) {
      // Now and then one in a lane that is mostly empty.
      const uint32_t lane = random.Below(lanes_.count());
      if (random.Below(16) == 0 && waiting_[lane].empty()) Push(lane);
      uint32_t waits = 0;
      for (uint32_t l = 0; l < lanes_.count(); ++l) waits |= waiting_[l].empty() ? 0 : 1u << l;
      const uint32_t chosen = lanes_.Choose(waits, now_ns_, turn_);
      if (chosen == lanes_.count()) continue;
      std::deque<uint64_t>& queue = waiting_[chosen];
      longest[chosen] = std::max(longest[chosen], now_ns_ - queue.front());
      queue.pop_front();
      if ((saturated_ >> chosen & 1) != 0) queue.push_back(now_ns_);
      if (queue.empty()) lanes_.Emptied(chosen);
    }
    return longest;
  }

  static constexpr uint64_t kTask = 10;

 private:
  Lanes lanes_;
  const uint32_t saturated_;
  std::array<std::deque<uint64_t>, Lanes::kMax> waiting_;
  uint64_t now_ns_ = 1;
  LaneTurn turn_;
};

TEST_CASE("G11: whichever lanes are never empty, each lane waits for its aging and one turn each at most", "[lanes]") {
  const uint32_t count = GENERATE(2u, 3u, 8u, 16u);
  Random random(count);
  for (uint32_t trial = 0; trial < 20; ++trial) {
    const uint32_t saturated = trial == 0 ? (1u << count) - 1 : random.Below(1u << count) | 1;
    INFO(count << " lanes, never empty: " << saturated);
    Simulation simulation(count, saturated);
    const auto longest = simulation.Run(20'000, trial + 1);
    const uint64_t turns = Lanes::kDueShare * (count - 1) * Simulation::kTask;
    for (uint32_t lane = 1; lane < count; ++lane) {
      INFO("lane " << lane);
      // Twice: a lane may just have had its turn when a round begins anew.
      CHECK(longest[lane] <= lane * kAging + 2 * turns);
      if ((saturated >> lane & 1) != 0) CHECK(longest[lane] > 0);
    }
  }
}

TEST_CASE("two workers and a submitter agree on times without a lock", "[lanes]") {
  // For ThreadSanitizer; and whatever they see, what they choose is among what waits.
  Lanes lanes(3, 1);
  std::atomic<bool> stop{false};
  std::atomic<uint32_t> wrong{0};
  const auto work = [&](uint32_t waits) {
    LaneTurn turn;
    for (uint64_t i = 1; !stop; ++i) {
      const uint32_t chosen = lanes.Choose(waits, i, turn);
      if ((waits >> chosen & 1) == 0) ++wrong;
    }
  };
  {
    ScopedThread one([&] { work(Bits({0, 1, 2})); });
    ScopedThread two([&] { work(Bits({1, 2})); });
    for (uint64_t i = 1; i < workpool_test::Rounds(200'000); ++i) {
      lanes.BeginsToWait(2, i);
      if (i % 3 == 0) lanes.Emptied(2);
    }
    stop = true;
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace workpool
