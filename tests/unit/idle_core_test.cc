#include "scaling/idle_core.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "virtual_pool.h"

namespace workpool {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

// Eight CPUs; ten tasks wait for 10 ms beside twelve workers, all at work, which use no CPU.
struct Load {
  uint32_t live = 12;
  uint32_t target = 12;
  uint32_t idle = 0;
  uint32_t blocked = 0;
  uint32_t hung = 0;
  uint64_t queued = 10;
  uint64_t head_ms = 10;
  double runnable = 0;
  double others = 0;
  double service_s = 0.03;
  double cores = 8;
  uint32_t workers_min = 0;
  uint32_t workers_max = 1024;
  uint64_t dt_ms = 5;
  uint64_t ended = 2;

  operator LoadSample() const {
    LoadSample sample;
    sample.now_ns = 1000 * kSecond;
    sample.dt_ns = dt_ms * kMs;
    sample.queued = queued;
    sample.head_age_ns = head_ms * kMs;
    sample.started = sample.ended = ended;
    sample.service_s = service_s;
    sample.live = live;
    sample.idle = idle;
    sample.blocked = blocked;
    sample.hung = hung;
    sample.cores = cores;
    sample.runnable = runnable;
    sample.others = others;
    sample.workers_min = workers_min;
    sample.workers_max = workers_max;
    sample.target = target;
    return sample;
  }
};

struct Row {
  const char* what;
  Load load;
  uint32_t workers;
  Reason reason;
};

TEST_CASE("more workers only while tasks wait for long and CPUs are idle", "[idle_core]") {
  const Row rows[] = {
      {"as many as wait", {}, 22, Reason::kStarved},
      {"nothing waits", {.queued = 0, .head_ms = 0}, 12, Reason::kHold},
      {"not for long", {.head_ms = 1}, 12, Reason::kHold},
      {"just long enough", {.head_ms = 2}, 22, Reason::kStarved},
      {"what is to be at work within 30 ms",
       {.queued = 10, .service_s = 0.003},
       13,
       Reason::kStarved},
      {"one at least", {.queued = 1, .service_s = 0.0001}, 13, Reason::kStarved},
      {"no task has ended yet", {.queued = 6, .service_s = 0}, 18, Reason::kStarved},
      {"the CPUs are at work", {.runnable = 8}, 12, Reason::kHold},
      {"half a CPU is not idle enough", {.runnable = 7.5}, 12, Reason::kHold},
      {"five of a hundred CPUs neither",
       {.live = 200, .target = 200, .runnable = 95, .cores = 100},
       200,
       Reason::kHold},
      {"others use them", {.runnable = 2, .others = 5.6}, 12, Reason::kHold},
      {"as much as fits in", {.runnable = 6}, 16, Reason::kStarved},
      {"those that may be up are on their way", {.live = 10}, 12, Reason::kHold},
      {"or asleep", {.idle = 1}, 12, Reason::kHold},
      {"that some wait inside their tasks is allowed for already",
       {.live = 14, .blocked = 2},
       22,
       Reason::kStarved},
      {"these do not count", {.live = 13, .blocked = 2}, 12, Reason::kHold},
      {"all hang", {.hung = 12}, 22, Reason::kCompensated},
      {"some hang", {.hung = 5}, 22, Reason::kStarved},
      {"nobody watched", {.dt_ms = 0}, 12, Reason::kHold},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    IdleCore core;
    const Decision decision = core.Decide(row.load);
    CHECK(decision.workers == row.workers);
    CHECK(decision.reason == row.reason);
  }
}

TEST_CASE("however much waits, a step is one of so many times as many at most", "[idle_core]") {
  IdleCore core;
  const Decision decision = core.Decide(Load{.queued = 1'000'000});
  CHECK(decision.workers >= 24);
  CHECK(decision.workers <= static_cast<uint32_t>(12 * IdleCoreOptions{}.growth));
}

TEST_CASE("never less than one worker for each CPU, and the minimum", "[idle_core]") {
  for (const uint64_t dt_ms : {0u, 5u}) {
    IdleCore core;
    CHECK(core.Decide(Load{.live = 1, .target = 1, .queued = 0, .head_ms = 0, .dt_ms = dt_ms})
              .workers == 8);
    CHECK(core
              .Decide(Load{
                  .live = 1, .target = 1, .queued = 0, .head_ms = 0, .cores = 2.5, .dt_ms = dt_ms})
              .workers == 3);
    CHECK(core.Decide(Load{.live = 1,
                           .target = 1,
                           .queued = 0,
                           .head_ms = 0,
                           .workers_min = 20,
                           .dt_ms = dt_ms})
              .workers == 20);
    CHECK(core.Decide(Load{.live = 1,
                           .target = 1,
                           .queued = 0,
                           .head_ms = 0,
                           .workers_max = 3,
                           .dt_ms = dt_ms})
              .workers == 3);
  }
}

// What comes of a load that lasts for some seconds.
Decision After(const Load& load) {
  IdleCore core;
  for (int tick = 1; tick < 2'000; ++tick) (void)core.Decide(load);
  return core.Decide(load);
}

TEST_CASE("far more that can run than there are CPUs are trimmed, not below the base",
          "[idle_core]") {
  CHECK(After({.live = 24, .target = 24, .runnable = 24}).workers ==
        24);  // three for each CPU: not yet
  const Decision decision = After({.live = 40, .target = 40, .runnable = 40});
  CHECK(decision.workers == 12);
  CHECK(decision.reason == Reason::kTrimmed);
  CHECK(After({.live = 400, .target = 400, .runnable = 40}).workers == 120);  // one in ten computes
  CHECK(After({.live = 40, .target = 40, .runnable = 400}).workers == 8);
  CHECK(After({.live = 30, .target = 8, .runnable = 30}).workers == 8);
}

TEST_CASE("that all workers can run for a moment is no reason to trim them", "[idle_core]") {
  IdleCore core;
  for (int tick = 0; tick < 400; ++tick) {
    const bool moment = tick % 20 < 2;
    CHECK(core.Decide(Load{.live = 60,
                           .target = 60,
                           .queued = 0,
                           .head_ms = 0,
                           .runnable = moment ? 60.0 : 3.0})
              .workers == 60);
  }
}

TEST_CASE("growth stops at the free level, beside hung workers, until it has paid", "[idle_core]") {
  {
    IdleCore core;
    CHECK(core.Decide(Load{.live = 100, .target = 100, .queued = 1000}).workers == 160);
    CHECK(core.Decide(Load{.live = 160, .target = 160, .queued = 1000}).reason == Reason::kPaced);
    CHECK(core.Decide(Load{.live = 160, .target = 160, .hung = 20, .queued = 1000}).workers == 180);
  }
  IdleCore core({.free_workers = 16, .search = {}});
  CHECK(core.Decide(Load{.queued = 1000}).workers == 16);
  IdleCore many;  // twice the CPUs, where these are more
  CHECK(many.Decide(Load{.live = 150, .target = 150, .queued = 1000, .cores = 90}).workers == 180);
}

// ---- in time

struct Offered {
  double per_second;
  uint64_t service_ms;
  [[nodiscard]] double workers() const {
    return per_second * static_cast<double>(service_ms) / 1000;
  }
};

TEST_CASE("G2: under equal tasks at equal distances the size settles, and stays within one",
          "[idle_core]") {
  for (const Offered load :
       {Offered{400, 50}, {100, 120}, {1000, 33}, {930, 21}, {50, 30}, {97, 203}, {2000, 25}}) {
    CAPTURE(load.per_second, load.service_ms);
    IdleCore core;
    VirtualPool pool(core, 5 * kSecond, 8);
    pool.service_ns = [&](bool*) { return load.service_ms * kMs; };
    const auto distance_ns = static_cast<uint64_t>(1e9 / load.per_second);
    const auto arrivals = static_cast<uint64_t>(600 * load.per_second);
    uint32_t changes = 0, least = UINT32_MAX, most = 0;
    for (uint64_t i = 1; i <= arrivals; ++i) {
      const size_t before = pool.sizes.size();
      pool.Arrive(distance_ns);
      if (i * distance_ns < 30 * kSecond) continue;
      changes += static_cast<uint32_t>(pool.sizes.size() - before);
      least = std::min(least, pool.live());
      most = std::max(most, pool.live());
    }
    CAPTURE(least, most, load.workers());
    CHECK(changes <= 4);
    CHECK(most - least <= 2);
    CHECK(pool.live() <= std::max(load.workers() + 2, 8.0));
    CHECK(pool.ended + 2 * most >= arrivals);  // none was left behind
  }
}

TEST_CASE(
    "G2: under arrivals by chance the decisions do not swing, nor does the size beyond what chance "
    "needs",
    "[idle_core]") {
  for (const Offered load : {Offered{400, 50}, {600, 50}, {300, 40}, {1000, 100}}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      CAPTURE(load.per_second, load.service_ms, seed);
      IdleCore core;
      VirtualPool pool(core, 5 * kSecond, 8);
      pool.service_ns = [&](bool*) { return load.service_ms * kMs; };
      Random random(seed);
      const double n = load.workers(), spread = 4 * std::sqrt(n);
      std::deque<uint64_t> running;  // ends of tasks, if nobody ever had to wait
      size_t needed = 0;
      uint32_t most = 0;
      double mean = 0, beyond_s = 0, total_s = 0;
      for (uint64_t now_ns = 0; now_ns < 600 * kSecond;) {
        const double u = (random.Next() + 0.5) / 4294967296.0;
        const auto distance_ns = static_cast<uint64_t>(-std::log(u) / load.per_second * 1e9);
        const double live = pool.live(), distance_s = static_cast<double>(distance_ns) * 1e-9;
        now_ns += distance_ns;
        pool.Arrive(distance_ns);
        running.push_back(now_ns + load.service_ms * kMs);
        while (running.front() <= now_ns) running.pop_front();
        needed = std::max(needed, running.size());
        if (now_ns < 30 * kSecond) continue;
        most = std::max(most, pool.live());
        total_s += distance_s;
        mean += live * distance_s;
        if (std::abs(live - n) > spread) beyond_s += distance_s;
      }
      mean /= total_s;
      CAPTURE(n, mean, most, needed);
      // Within four sigmas mostly, as chance itself is; and never more than were needed at once.
      CHECK(beyond_s <= 0.05 * total_s);
      CHECK(mean >= n);
      CHECK(mean <= n + spread);
      CHECK(most <= needed);
      // Down is left to expiry: no decision takes back another one.
      for (size_t i = 1; i < pool.decisions.size(); ++i) {
        const VirtualPool::Change &a = pool.decisions[i - 1], &b = pool.decisions[i];
        const bool opposite = (a.to > a.from) != (b.to > b.from);
        CAPTURE(a.at_ns, a.from, a.to, b.at_ns, b.from, b.to);
        REQUIRE((!opposite || b.at_ns - a.at_ns > VirtualPool::kExpiryNs));
      }
    }
  }
}

// A day in half a minute: quiet, a burst, a service that gets slow under pressure, failures, work
// that computes.
std::vector<VirtualPool::Change> HardDay(uint64_t start_ns) {
  IdleCore core({.free_workers = 16, .search = {}});
  VirtualPool pool(core, start_ns, 8);
  uint64_t now_ns = 0;
  double computing = 0;
  pool.runnable = [&] { return computing * pool.busy(); };
  uint64_t tasks = 0;
  pool.service_ns = [&](bool* fails) {
    ++tasks;
    const double busy = pool.busy();
    const bool slow = now_ns > 8 * kSecond && now_ns < 18 * kSecond;
    *fails = now_ns > 14 * kSecond && now_ns < 20 * kSecond && tasks % 3 == 0;
    return static_cast<uint64_t>((slow ? std::pow(std::max(1.0, busy / 12), 1.3) : 1.0) * 40e6) +
           tasks % 17 * kMs;
  };
  Random random(7);
  while (now_ns < 34 * kSecond) {
    const uint64_t second = now_ns / kSecond;
    const double per_second = second < 3 ? 20 : second < 22 ? 900 : second < 26 ? 1 : 1200;
    computing = second >= 30 ? 0.9 : 0.01;
    const auto distance_ns =
        static_cast<uint64_t>((0.2 + 1.6 * random.Below(1 << 20) / (1 << 20)) / per_second * 1e9);
    now_ns += distance_ns;
    pool.Arrive(distance_ns);
  }
  return pool.decisions;
}

TEST_CASE("G1: what the clock shows at the start changes no decision", "[idle_core]") {
  const auto decisions = HardDay(0);
  REQUIRE(decisions.size() >= 25);
  for (const Reason reason :
       {Reason::kStarved, Reason::kSearchDown, Reason::kSearchUp, Reason::kTrimmed}) {
    INFO(ReasonName(reason));
    CHECK(std::any_of(decisions.begin(), decisions.end(),
                      [&](const auto& change) { return change.reason == reason; }));
  }
  for (const uint64_t start_ns :
       {(uint64_t{1} << 31) * kSecond - 5 * kSecond, (uint64_t{1} << 32) * kMs - 5 * kMs,
        (uint64_t{1} << 63) - kSecond, kSecond, uint64_t{3}}) {
    CAPTURE(start_ns);
    CHECK(HardDay(start_ns) == decisions);
  }
}

}  // namespace
}  // namespace workpool
