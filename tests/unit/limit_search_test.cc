#include "scaling/limit_search.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <vector>

namespace workpool {
namespace {

constexpr uint64_t kTickNs = 5'000'000;

// A pool whose tasks always wait, or never, and whose workers get done what a curve says, in ticks
// of 5 ms. What it wants is always more.
class Plant {
 public:
  // Runs that end in a second with so many workers.
  using Curve = std::function<double(double workers)>;

  Plant(Curve curve, const LimitSearchOptions& options = {})
      : curve_(std::move(curve)), search(options) {}

  uint32_t base = 8;
  double free_level = 64;
  double fail_share = 0;
  bool starved = true;

  Decision Tick() {
    const double rate = curve_(target);
    ended_ += rate * kTickNs * 1e-9;
    failed_ += rate * fail_share * kTickNs * 1e-9;
    LoadSample sample;
    sample.now_ns = now_ns += kTickNs;
    sample.dt_ns = kTickNs;
    sample.ended = Whole(&ended_);
    sample.failed = std::min(Whole(&failed_), sample.ended);
    sample.started = sample.ended;
    sample.queued = starved ? 1'000 : 0;
    sample.service_s = rate > 0 ? target / rate : 0;
    sample.live = target;
    sample.cores = 8;
    sample.workers_max = 1024;
    sample.target = target;
    const uint32_t wanted = starved ? std::min(2 * target, 1024u) : target;
    const Decision decision = search.Allow(sample, wanted, base, free_level, starved);
    if (decision.workers != target)
      changes.push_back({now_ns, target, decision.workers, decision.reason});
    target = decision.workers;
    return decision;
  }
  void Run(double seconds) {
    for (const uint64_t end_ns = now_ns + static_cast<uint64_t>(seconds * 1e9); now_ns < end_ns;)
      Tick();
  }
  // The mean number of workers over so long.
  double Mean(double seconds) {
    double sum = 0;
    const int ticks = static_cast<int>(seconds * 200);
    for (int i = 0; i < ticks; ++i) {
      Tick();
      sum += target;
    }
    return sum / ticks;
  }
  [[nodiscard]] bool Saw(Reason reason) const {
    return std::any_of(changes.begin(), changes.end(),
                       [&](const Change& change) { return change.reason == reason; });
  }

  struct Change {
    uint64_t at_ns;
    uint32_t from, to;
    Reason reason;
  };
  std::vector<Change> changes;
  uint32_t target = 8;
  uint64_t now_ns = 1'000'000'000;

 private:
  static uint64_t Whole(double* sum) {
    const auto whole = static_cast<uint64_t>(*sum);
    *sum -= static_cast<double>(whole);
    return whole;
  }

  const Curve curve_;
  double ended_ = 0, failed_ = 0;

 public:
  LimitSearch search;
};

// Tasks of 50 ms that only wait: the more workers, the more gets done.
double Sleeps(double workers) { return workers / 0.05; }
// The same behind something that serves `knee` of them at once, and no more.
Plant::Curve Connections(double knee) {
  return [knee](double workers) { return std::min(workers, knee) / 0.05; };
}
// And something that gets worse the more press on it.
Plant::Curve Collapse(double knee) {
  return [knee](double workers) {
    return workers <= knee ? workers / 0.05 : knee / 0.05 * std::pow(knee / workers, 1.5);
  };
}

TEST_CASE("up to the free level growth needs no proof", "[limit_search]") {
  Plant plant(Connections(1));
  for (int ticks = 0; plant.target < 64; ++ticks) {
    const uint32_t before = plant.target;
    REQUIRE(plant.Tick().reason == Reason::kStarved);
    REQUIRE(plant.target == std::min(2 * before, 64u));
    REQUIRE(ticks < 3);
  }
}

TEST_CASE("a search that nobody wants more of holds", "[limit_search]") {
  Plant plant(Sleeps);
  plant.starved = false;
  plant.Run(30);
  CHECK(plant.changes.empty());
  CHECK(plant.search.open());
}

TEST_CASE(
    "beyond the free level a step of a half waits until the one before was measured, and pays",
    "[limit_search]") {
  Plant plant(Sleeps);
  plant.Run(20);
  CHECK(plant.target == 1024);
  CHECK(plant.search.open());
  CHECK(plant.search.proven() >= 600);
  uint64_t last_ns = 0;
  uint32_t steps = 0;
  for (const Plant::Change& change : plant.changes) {
    CAPTURE(change.from, change.to);
    REQUIRE(change.reason == Reason::kStarved);
    if (change.from >= 64) {
      REQUIRE(change.to <= static_cast<uint32_t>(std::lround(1.5 * change.from)));
      REQUIRE(change.at_ns - last_ns >= 100'000'000);  // persist
      ++steps;
    }
    last_ns = change.at_ns;
  }
  CHECK(steps >= 6);
  CHECK(steps <= 8);
}

TEST_CASE("a step is paced while nothing tells whether the one before has paid", "[limit_search]") {
  Plant plant(Sleeps);
  while (plant.target < 64) plant.Tick();
  const Decision decision = plant.Tick();
  CHECK(decision.workers == 64);
  CHECK(decision.reason == Reason::kPaced);
}

TEST_CASE("where nothing at all ends a step is made all the same, or all would wait for ever",
          "[limit_search]") {
  Plant plant([](double) { return 0.0; });
  plant.Run(20);
  CHECK(plant.target == 1024);
}

TEST_CASE("a step that does not pay is taken back, and the level with the most goodput is kept",
          "[limit_search]") {
  for (const double knee : {12.0, 24.0, 40.0}) {
    CAPTURE(knee);
    Plant plant(Collapse(knee));
    plant.Run(20);
    CHECK(plant.Saw(Reason::kSearchDown));
    CHECK_FALSE(plant.search.open());
    const double mean = plant.Mean(60);
    CAPTURE(mean);
    CHECK(mean >= 0.7 * knee);
    CHECK(mean <= 1.5 * knee);
  }
}

TEST_CASE("workers beyond what is served at once are found to be useless", "[limit_search]") {
  Plant plant(Connections(24));
  plant.Run(20);
  const double mean = plant.Mean(60);
  CAPTURE(mean);
  CHECK(mean >= 20);
  CHECK(mean <= 45);  // each trial of more costs nothing but threads
}

TEST_CASE("less than the base is never asked for", "[limit_search]") {
  Plant plant(Connections(2));
  plant.Run(60);
  CHECK(plant.Saw(Reason::kSearchDown));
  for (const Plant::Change& change : plant.changes) REQUIRE(change.to >= plant.base);
  CHECK(plant.Mean(60) <= 2.0 * plant.base);
}

TEST_CASE("tasks that begin to fail make it look for a better level, and the goodput decides",
          "[limit_search]") {
  SECTION("fewer do as much") {
    Plant plant(Connections(16));
    plant.target = 48;
    plant.free_level = 48;
    plant.starved = false;
    plant.Run(1);
    plant.fail_share = 0.3;
    plant.Run(0.1);
    plant.starved = true;
    REQUIRE_FALSE(plant.changes.empty());
    CHECK(plant.changes[0].reason == Reason::kSearchDown);
    CHECK(plant.changes[0].to == 24);
    plant.Run(20);
    CHECK(plant.Mean(30) <= 32);
  }
  SECTION("fewer do less: they come back") {
    Plant plant(Sleeps);
    plant.target = 64;
    plant.starved = false;
    plant.Run(1);
    plant.fail_share = 0.3;
    plant.Run(0.1);
    plant.starved = true;
    CHECK(plant.Saw(Reason::kSearchDown));
    CHECK(plant.Mean(30) >= 48);
  }
  SECTION("a usual share of failures is none") {
    LimitSearchOptions options;
    options.error_memory_s = 5;
    Plant plant(Sleeps, options);
    plant.target = plant.base;
    plant.free_level = plant.base;
    plant.fail_share = 0.3;
    plant.starved = false;
    plant.Run(30);  // at the base there is nothing to look for
    CHECK(plant.changes.empty());
    plant.target = 32;
    plant.free_level = 32;
    plant.Run(5);
    CHECK_FALSE(plant.Saw(Reason::kSearchDown));
  }
}

TEST_CASE("the limit is let go once nobody has starved for some seconds", "[limit_search]") {
  Plant plant(Collapse(24));
  plant.Run(10);
  REQUIRE_FALSE(plant.search.open());
  plant.starved = false;
  plant.changes.clear();
  plant.Run(2.5);
  CHECK(plant.search.open());
  plant.starved = true;
  plant.Tick();
  CHECK(plant.target > 24);
}

TEST_CASE("a bottleneck that is gone is found out by trial", "[limit_search]") {
  double knee = 24;
  Plant plant([&](double workers) { return Collapse(knee)(workers); });
  plant.Run(20);
  REQUIRE(plant.Mean(20) <= 36);
  knee = 1e9;
  plant.Run(60);
  CHECK(plant.target >= 200);
}

TEST_CASE("between two trials lies a rest that doubles up to its bound while they fail",
          "[limit_search]") {
  Plant plant(Connections(24));
  plant.Run(60);
  plant.changes.clear();
  plant.Run(120);
  // A trial is a step up and the way back, or a step down and the way back; four seconds of rest at
  // least.
  CHECK(plant.changes.size() >= 20);
  CHECK(plant.changes.size() <= 2 * 120 / 4 + 2);
}

TEST_CASE("after a reset it is as new, but for what has been proven", "[limit_search]") {
  Plant plant(Collapse(24));
  plant.Run(10);
  const double proven = plant.search.proven();
  plant.search.Reset();
  CHECK(plant.search.open());
  CHECK(plant.search.proven() == proven);
  plant.target = 8;
  plant.changes.clear();
  while (plant.target < 64) REQUIRE(plant.Tick().reason == Reason::kStarved);
}

}  // namespace
}  // namespace workpool
