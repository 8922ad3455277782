#include "park/census.h"

#include <catch2/catch.hpp>
#include <ostream>
#include <vector>

#include "park/idle_set.h"

namespace workpool {
namespace {

// The census taken apart, to say what a transition must leave.
struct Counts {
  uint32_t searching, parked, live, ceiling;
  uint64_t flags;

  bool operator==(const Counts&) const = default;

  [[nodiscard]] uint64_t Word() const {
    return searching * Census::kSearchingOne + parked * Census::kParkedOne +
           live * Census::kLiveOne + ceiling * Census::kCeilingOne + flags;
  }
  static Counts Of(Census census) {
    return {census.searching(), census.parked(), census.live(), census.ceiling(),
            census.word() >> Census::kFlagsShift << Census::kFlagsShift};
  }
};

std::ostream& operator<<(std::ostream& out, const Counts& counts) {
  return out << "searching " << counts.searching << ", parked " << counts.parked << ", live "
             << counts.live << ", ceiling " << counts.ceiling << ", flags " << std::hex
             << (counts.flags >> Census::kFlagsShift) << std::dec;
}

constexpr uint64_t kFlags[] = {Census::kPaused,       Census::kRefuseOutside, Census::kRefuseAll,
                               Census::kCancelQueued, Census::kStopRunning,   Census::kStop,
                               Census::kStartFailed,  Census::kStopWhenIdle,  Census::kUnwatched};

constexpr uint64_t AllFlags() {
  uint64_t all = 0;
  for (uint64_t flag : kFlags) all |= flag;
  return all;
}

constexpr uint32_t kFieldMax = static_cast<uint32_t>(Census::kFieldMask);

// Calls body with every combination of values in the four counts, without any flag and with all of
// them.
template <typename Body>
void ForAllCounts(const std::vector<uint32_t>& values, Body body) {
  for (uint32_t searching : values) {
    for (uint32_t parked : values) {
      for (uint32_t live : values) {
        for (uint32_t ceiling : values) {
          for (uint64_t flags : {uint64_t{0}, AllFlags()}) {
            body(Counts{searching, parked, live, ceiling, flags});
          }
        }
      }
    }
  }
}

TEST_CASE("H1: the flags of the census are bits of their own, above every count", "[park]") {
  uint64_t seen = Counts{kFieldMax, kFieldMax, kFieldMax, kFieldMax, 0}.Word();
  CHECK(seen == (uint64_t{1} << Census::kFlagsShift) - 1);
  for (uint64_t flag : kFlags) {
    CHECK((seen & flag) == 0);
    CHECK((flag & (flag - 1)) == 0);
    seen |= flag;
  }
}

TEST_CASE("H1: a count of the census that rises or falls by one touches nothing else", "[park]") {
  struct Field {
    uint32_t Counts::*count;
    uint64_t one;
  };
  static constexpr Field kFields[] = {{&Counts::searching, Census::kSearchingOne},
                                      {&Counts::parked, Census::kParkedOne},
                                      {&Counts::live, Census::kLiveOne},
                                      {&Counts::ceiling, Census::kCeilingOne}};
  ForAllCounts({0, 1, 4095, 4096, kFieldMax - 1, kFieldMax}, [](const Counts& before) {
    for (const Field& field : kFields) {
      if (before.*field.count < kFieldMax) {
        Counts after = before;
        ++(after.*field.count);
        REQUIRE(Counts::Of(Census(before.Word() + field.one)) == after);
      }
      if (before.*field.count > 0) {
        Counts after = before;
        --(after.*field.count);
        REQUIRE(Counts::Of(Census(before.Word() - field.one)) == after);
      }
    }
  });
}

TEST_CASE("H1: a flag of the census that is set or cleared touches nothing else", "[park]") {
  ForAllCounts({0, 1, 4095, 4096, kFieldMax}, [](const Counts& before) {
    for (uint64_t flag : kFlags) {
      Counts with = before, without = before;
      with.flags |= flag;
      without.flags &= ~flag;
      REQUIRE(Counts::Of(Census(before.Word() | flag)) == with);
      REQUIRE(Counts::Of(Census(before.Word() & ~flag)) == without);
      REQUIRE(Census(with.Word()).has(flag));
      REQUIRE_FALSE(Census(without.Word()).has(flag));
    }
  });
}

// Brings a fresh set to counts with its own operations. sleepers has a place for each that parks.
void Preset(IdleSet& idle, std::vector<IdleSet::Parker>& sleepers, const Counts& counts) {
  for (uint32_t i = 0; i < counts.parked; ++i) idle.Announce(sleepers[i], false);
  for (uint32_t i = 0; i < counts.searching; ++i) idle.Return();
  for (uint32_t i = 0; i < counts.searching; ++i) idle.Leave();
  for (uint32_t i = 0; i < counts.live; ++i) idle.Return();
  for (uint32_t i = 0; i < counts.live; ++i) idle.EndSearch();
  idle.SetFlags(counts.flags);
}

// Runs every transition of the set that may be made here, and its way back.
void CheckTransitions(IdleSet& idle, const Counts& start) {
  Counts now = start;
  IdleSet::Parker own;
  const auto check = [&](const char* transition) {
    INFO("after " << transition << " from " << start);
    REQUIRE(Counts::Of(idle.Load()) == now);
  };

  idle.MoveCeiling(1), ++now.ceiling, check("a higher ceiling");
  idle.MoveCeiling(-1), --now.ceiling, check("a lower ceiling");
  idle.Return(), ++now.live, ++now.searching, check("Return");
  idle.EndSearch(), --now.searching, check("EndSearch");
  idle.Leave(), --now.live, check("Leave");

  const Census census(now.Word());
  const bool needs_start = census.NeedsHelp() && census.MayAdd() && census.parked() == 0;
  REQUIRE(idle.TryBeginSearch() == (now.searching == 0));
  if (now.searching == 0) {
    ++now.searching, check("TryBeginSearch");
    idle.EndSearch(), --now.searching;
  }
  check("a search");
  REQUIRE(idle.TryReserveStart(true) == (now.live < now.ceiling));
  if (now.live < now.ceiling) {
    ++now.live, ++now.searching, check("a forced TryReserveStart");
    idle.AbandonStart(), --now.live, --now.searching;
  }
  check("a forced start");
  REQUIRE(idle.TryReserveStart(false) == needs_start);
  if (needs_start) {
    ++now.live, ++now.searching, check("TryReserveStart");
    idle.AbandonStart(), --now.live, --now.searching;
  }
  check("a start");

  idle.Announce(own, false), ++now.parked, check("Announce from work");
  REQUIRE(idle.Withdraw(own));
  --now.parked, ++now.searching, check("Withdraw");
  idle.Announce(own, true), --now.searching, ++now.parked, check("Announce from search");
  REQUIRE(idle.WakeOne());
  if (now.searching > 0) {
    check("WakeOne beside a searcher");
    REQUIRE(idle.Withdraw(own));
  }
  --now.parked, ++now.searching, check("WakeOne or Withdraw");
  idle.EndSearch(), --now.searching, check("EndSearch of the one woken");
  if (now.live > 0) {
    Atomic<uint32_t> keep{0};
    idle.Announce(own, false);
    REQUIRE(idle.Sleep(own, 0, keep) == SleepResult::kExpired);
    --now.live, check("an expiry");
    idle.Return(), ++now.live, ++now.searching;
    idle.EndSearch(), --now.searching, check("the return of one that expired");
  }

  for (uint64_t flag : kFlags) {
    idle.SetFlags(flag), now.flags |= flag, check("SetFlags");
    idle.ClearFlags(flag), now.flags &= ~flag, check("ClearFlags");
  }
}

TEST_CASE("H1: no transition of the idle set spills into a neighbour, at any count", "[park]") {
  std::vector<IdleSet::Parker> sleepers(4096);
  ForAllCounts({0, 1, 4095, 4096}, [&](const Counts& counts) {
    if (counts.parked > counts.live) return;  // no such pool: who sleeps lives
    IdleSet idle(counts.ceiling);
    Preset(idle, sleepers, counts);
    REQUIRE(Counts::Of(idle.Load()) == counts);
    CheckTransitions(idle, counts);
  });
}

TEST_CASE("a waiting task needs help if nobody searches, the ceiling has room and no pause",
          "[park]") {
  struct Row {
    uint32_t searching, parked, live, ceiling;
    uint64_t flags;
    bool needs_help;
  };
  static constexpr Row kRows[] = {
      {0, 0, 0, 1, 0, true},   // nobody lives: start one
      {0, 0, 3, 4, 0, true},   // all are at work, one more may be
      {0, 1, 4, 4, 0, true},   // one sleeps
      {0, 4, 4, 4, 0, true},   // all sleep
      {0, 2, 6, 5, 0, true},   // four are up, five may be
      {0, 0, 4, 4, 0, false},  // as many are up as may be
      {0, 1, 5, 4, 0, false},  // the sleeper is beyond the ceiling
      {0, 0, 5, 4, 0, false},  // more are up than may be
      {0, 0, 0, 0, 0, false},  // none may be up
      {1, 0, 1, 4, 0, false},  // one searches, and wakes the next itself
      {2, 1, 4, 4, 0, false},  // two search
      {4096, 0, 4096, 4096, 0, false},
      {0, 4096, 4096, 4096, 0, true},
      {0, 0, 0, 1, Census::kPaused, false},
      {0, 4, 4, 4, Census::kPaused, false},
      {0, 4, 4, 4, Census::kRefuseAll | Census::kRefuseOutside, true},  // a drain runs what waits
      {0, 4, 4, 4, Census::kCancelQueued | Census::kStopRunning, true},
      {0, 4, 4, 4, Census::kStop | Census::kStartFailed, true},
  };
  for (const Row& row : kRows) {
    const Counts counts{row.searching, row.parked, row.live, row.ceiling, row.flags};
    INFO(counts);
    CHECK(Census(counts.Word()).NeedsHelp() == row.needs_help);
    // Where nobody watches, the scaler is told also if no more may be up.
    const Counts unwatched{row.searching, row.parked, row.live, row.ceiling, row.flags | Census::kUnwatched};
    CHECK(Census(unwatched.Word()).NeedsHelp() ==
          (row.needs_help || (row.searching == 0 && (row.flags & Census::kPaused) == 0)));
  }
}

TEST_CASE("there is a surplus while more workers are up than the ceiling allows", "[park]") {
  struct Row {
    uint32_t parked, live, ceiling;
    bool surplus;
  };
  static constexpr Row kRows[] = {
      {0, 0, 0, false},      {0, 1, 0, true},       {1, 1, 0, false}, {0, 4, 4, false},
      {0, 5, 4, true},       {1, 5, 4, false},      {1, 6, 4, true},  {0, 4095, 4096, false},
      {0, 4096, 4095, true}, {4096, 4096, 0, false}};
  for (const Row& row : kRows) {
    for (uint32_t searching : {0u, 1u}) {
      const Counts counts{searching, row.parked, row.live, row.ceiling, 0};
      INFO(counts);
      CHECK(Census(counts.Word()).HasSurplus() == row.surplus);
      CHECK(Census(counts.Word()).up() == row.live - row.parked);
    }
  }
}

}  // namespace
}  // namespace workpool
