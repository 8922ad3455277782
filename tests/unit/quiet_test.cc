#include "park/quiet.h"

#include <catch2/catch.hpp>

namespace workpool {
namespace {

// Patience is a few thousand fences; this is far beyond it.
constexpr int kManyFences = 100'000;

// A pool whose only worker is up, which is all that may be.
struct Pool {
  Pool() {
    InitFences();
    idle.Return();
    idle.EndSearch();
  }
  // True if the owner left a fence out within many.
  bool BecomesQuiet() {
    for (int i = 0; i < kManyFences; ++i) {
      if (owner.Fence()) return true;
    }
    return false;
  }
  IdleSet idle{1};
  Quiet quiet;
  QuietOwner owner{quiet, idle};
};

TEST_CASE("a worker leaves its fences out once the census has long been the same", "[park]") {
  Pool pool;
  CHECK_FALSE(pool.owner.Fence());
  CHECK(pool.BecomesQuiet() == LightFenceIsFree());
}

TEST_CASE("a quiet worker fences again as soon as the census changes", "[park]") {
  Pool pool;
  if (!LightFenceIsFree()) {
    CHECK_FALSE(pool.BecomesQuiet());
    return;
  }
  REQUIRE(pool.BecomesQuiet());
  pool.idle.SetFlags(Census::kStopRunning);
  pool.quiet.Alert();
  CHECK_FALSE(pool.owner.Fence());
  CHECK_FALSE(pool.owner.Fence());
  CHECK(pool.BecomesQuiet());
  pool.owner.Leave();
  CHECK_FALSE(pool.owner.Fence());
}

TEST_CASE("no worker is quiet while another searches or could help", "[park]") {
  SECTION("another searches") {
    Pool pool;
    pool.idle.Return();
    CHECK_FALSE(pool.BecomesQuiet());
  }
  SECTION("another may be started") {
    Pool pool;
    pool.idle.MoveCeiling(1);
    CHECK_FALSE(pool.BecomesQuiet());
  }
  SECTION("another sleeps and may be woken") {
    Pool pool;
    IdleSet::Parker sleeper;
    pool.idle.MoveCeiling(1);
    pool.idle.Return();
    pool.idle.Announce(sleeper, true);
    CHECK_FALSE(pool.BecomesQuiet());
  }
}

TEST_CASE("a census that keeps changing makes nobody quiet", "[park]") {
  Pool pool;
  for (int i = 0; i < kManyFences; ++i) {
    i % 2 == 0 ? pool.idle.SetFlags(Census::kStopRunning)
               : pool.idle.ClearFlags(Census::kStopRunning);
    if (pool.owner.Fence()) FAIL("a fence was left out in round " << i);
  }
  SUCCEED();
}

}  // namespace
}  // namespace workpool
