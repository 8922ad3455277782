#include "park/idle_set.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/thread.h"
#include "unit_support.h"

namespace workpool {
namespace {

using Parker = IdleSet::Parker;
using workpool_test::PollUntil;

// A set of at most four workers that are up, count of which live and are at work.
struct Workers {
  explicit Workers(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) idle.Return();
    for (uint32_t i = 0; i < count; ++i) idle.EndSearch();
  }
  IdleSet idle{4};
  Parker a, b, c;
  Atomic<uint32_t> keep{0};
};

bool Woken(const Parker& worker) { return worker.token.load(kAcquire) != 0; }

TEST_CASE("the newest sleeper is woken first", "[park]") {
  Workers w(3);
  for (Parker* worker : {&w.a, &w.b, &w.c}) w.idle.Announce(*worker, false);
  for (Parker* worker : {&w.c, &w.b, &w.a}) {
    CHECK_FALSE(Woken(*worker));
    CHECK(w.idle.WakeOne());
    CHECK(Woken(*worker));
    w.idle.EndSearch();
  }
  CHECK_FALSE(w.idle.WakeOne());
  CHECK(w.idle.Wakes() == 3);
}

TEST_CASE("nobody is woken while somebody searches", "[park]") {
  Workers w(2);
  w.idle.Announce(w.a, false);
  REQUIRE(w.idle.TryBeginSearch());
  CHECK(w.idle.WakeOne());
  CHECK_FALSE(Woken(w.a));
  CHECK(w.idle.Wakes() == 0);
  CHECK(w.idle.Load().parked() == 1);
  w.idle.EndSearch();
  CHECK(w.idle.WakeOne());
  CHECK(Woken(w.a));
}

TEST_CASE("a set without sleepers says that it woke nobody", "[park]") {
  Workers w(1);
  CHECK_FALSE(w.idle.WakeOne());
  w.idle.WakeAll();
  CHECK(w.idle.Wakes() == 0);
  CHECK(w.idle.Load().searching() == 0);
}

TEST_CASE("one worker at a time begins to search", "[park]") {
  Workers w(2);
  CHECK(w.idle.TryBeginSearch());
  CHECK_FALSE(w.idle.TryBeginSearch());
  w.idle.EndSearch();
  CHECK(w.idle.TryBeginSearch());
}

TEST_CASE("one that was woken searches, sleeps no longer and does not withdraw", "[park]") {
  Workers w(1);
  w.idle.Announce(w.a, false);
  CHECK(w.idle.WakeOne());
  CHECK_FALSE(w.idle.Withdraw(w.a));
  CHECK(w.idle.Load().searching() == 1);
  CHECK(w.idle.Load().parked() == 0);
  CHECK(w.idle.Sleep(w.a, kNever, w.keep) == SleepResult::kWoken);
  CHECK(w.idle.Sleep(w.a, 0, w.keep) == SleepResult::kWoken);  // a wake-up beats the deadline
  CHECK(w.idle.Load().live() == 1);
}

TEST_CASE("one that has withdrawn searches and is not woken", "[park]") {
  Workers w(1);
  w.idle.Announce(w.a, false);
  CHECK(w.idle.Withdraw(w.a));
  CHECK(w.idle.Load().searching() == 1);
  CHECK(w.idle.Load().parked() == 0);
  w.idle.EndSearch();
  CHECK_FALSE(w.idle.WakeOne());
  CHECK_FALSE(Woken(w.a));
}

TEST_CASE("whoever withdraws leaves the order of the others", "[park]") {
  Workers w(3);
  Parker* const workers[] = {&w.a, &w.b, &w.c};
  for (Parker* leaver : workers) {
    for (Parker* worker : workers) w.idle.Announce(*worker, false);
    REQUIRE(w.idle.Withdraw(*leaver));
    w.idle.EndSearch();
    for (Parker* worker : {&w.c, &w.b, &w.a}) {
      if (worker == leaver) continue;
      CHECK(w.idle.WakeOne());
      CHECK(Woken(*worker));
      w.idle.EndSearch();
    }
    CHECK_FALSE(Woken(*leaver));
    CHECK_FALSE(w.idle.WakeOne());
  }
}

TEST_CASE("a worker announced again does not find its old wake-up", "[park]") {
  Workers w(1);
  w.idle.Announce(w.a, false);
  REQUIRE(w.idle.WakeOne());
  w.idle.Announce(w.a, true);
  CHECK_FALSE(Woken(w.a));
  CHECK(w.idle.Withdraw(w.a));
}

TEST_CASE("WakeAll wakes every sleeper, also beside a searcher", "[park]") {
  Workers w(4);
  for (Parker* worker : {&w.a, &w.b, &w.c}) w.idle.Announce(*worker, false);
  REQUIRE(w.idle.TryBeginSearch());
  w.idle.WakeAll();
  for (Parker* worker : {&w.a, &w.b, &w.c}) CHECK(Woken(*worker));
  CHECK(w.idle.Load().searching() == 4);
  CHECK(w.idle.Load().parked() == 0);
  CHECK(w.idle.Wakes() == 3);
}

TEST_CASE("a sleeper above the minimum expires at its deadline, not before", "[park]") {
  Workers w(1);
  w.idle.Announce(w.a, false);
  const uint64_t deadline_ns = NowNs() + 3'000'000;
  CHECK(w.idle.Sleep(w.a, deadline_ns, w.keep) == SleepResult::kExpired);
  CHECK(NowNs() >= deadline_ns);
  CHECK(w.idle.Load().live() == 0);
  CHECK(w.idle.Load().parked() == 0);
  CHECK_FALSE(w.idle.WakeOne());  // and is not in the list
}

TEST_CASE("sleepers above the minimum expire, the rest stay until they are woken", "[park]") {
  Workers w(3);
  w.keep = 1;
  for (Parker* worker : {&w.a, &w.b, &w.c}) w.idle.Announce(*worker, false);
  CHECK(w.idle.Sleep(w.b, 0, w.keep) == SleepResult::kExpired);
  CHECK(w.idle.Sleep(w.c, 0, w.keep) == SleepResult::kExpired);
  CHECK(w.idle.Load().live() == 1);

  std::atomic<int> tid{0};
  SleepResult result = SleepResult::kExpired;
  ScopedThread sleeper([&] {
    tid = CurrentTid();
    result = w.idle.Sleep(w.a, 0, w.keep);
  });
  // Asleep for good: the deadline has passed, and the worker has not ended.
  CHECK(PollUntil(
      [&] { return tid != 0 && workpool_test::ThreadStatus(tid, "State").substr(0, 1) == "S"; }));
  CHECK(w.idle.WakeOne());
  sleeper.Join();
  CHECK(result == SleepResult::kWoken);
  CHECK(w.idle.Load().live() == 1);
}

TEST_CASE("a start is reserved by force up to the ceiling, else only where nobody can be woken",
          "[park]") {
  struct Row {
    uint32_t live, parked, searching, ceiling;
    bool paused, unforced, forced;
  };
  static constexpr Row kRows[] = {
      {0, 0, 0, 4, false, true, true},    // the first
      {3, 0, 0, 4, false, true, true},    // all are at work
      {4, 0, 0, 4, false, false, false},  // at the ceiling
      {5, 0, 0, 4, false, false, false},  // above it
      {0, 0, 0, 0, false, false, false},  // none wanted
      {2, 1, 0, 4, false, false, true},   // wake the sleeper instead
      {4, 4, 0, 4, false, false, false},  // all sleep
      {2, 0, 1, 4, false, false, true},   // the searcher will start the next
      {2, 0, 0, 4, true, false, true},    // paused
      {4, 1, 0, 4, false, false, false},  // one sleeps and could be woken, no room for another
  };
  for (const Row& row : kRows) {
    for (bool forced : {false, true}) {
      INFO("live " << row.live << ", parked " << row.parked << ", searching " << row.searching
                   << ", ceiling " << row.ceiling << ", paused " << row.paused << ", forced "
                   << forced);
      IdleSet idle(row.ceiling);
      std::vector<Parker> sleepers(4);
      for (uint32_t i = 0; i < row.live; ++i) idle.Return();
      for (uint32_t i = row.searching; i < row.live; ++i) idle.EndSearch();
      for (uint32_t i = 0; i < row.parked; ++i) idle.Announce(sleepers[i], false);
      if (row.paused) idle.SetFlags(Census::kPaused);

      const bool expected = forced ? row.forced : row.unforced;
      CHECK(idle.TryReserveStart(forced) == expected);
      CHECK(idle.Load().live() == row.live + (expected ? 1 : 0));
      CHECK(idle.Load().searching() == row.searching + (expected ? 1 : 0));
      CHECK(idle.Load().parked() == row.parked);
      if (expected) {
        idle.AbandonStart();
        CHECK(idle.Load().live() == row.live);
        CHECK(idle.Load().searching() == row.searching);
      }
    }
  }
}

TEST_CASE("a withdrawal that meets a wake-up loses or wins, never both", "[park]") {
  const uint64_t rounds = workpool_test::Rounds(20'000);
  Workers w(1);
  uint64_t withdrawn = 0, woken = 0;
  std::atomic<bool> over{false};
  {
    ScopedThread waker([&] {
      while (!over.load()) (void)w.idle.WakeOne();
    });
    for (uint64_t i = 0; i < rounds; ++i) {
      w.idle.Announce(w.a, false);
      if (i % 2 == 0 && w.idle.Withdraw(w.a)) {
        ++withdrawn;
      } else if (w.idle.Sleep(w.a, kNever, w.keep) == SleepResult::kWoken) {
        ++woken;
      }
      w.idle.EndSearch();
    }
    over = true;
  }
  CHECK(withdrawn + woken == rounds);
  CHECK(woken >= rounds / 2);
  CHECK(w.idle.Wakes() == woken);
  CHECK(w.idle.Load().searching() == 0);
  CHECK(w.idle.Load().parked() == 0);
  CHECK(w.idle.Load().live() == 1);
}

}  // namespace
}  // namespace workpool
