#include "dispatch/codel.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <vector>

#include "base/random.h"

namespace workpool {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kTarget = 5 * kMs;
constexpr uint64_t kInterval = 100 * kMs;
constexpr uint64_t kStart = 1000 * kMs;

// Asks every millisecond from from_ns to before until_ns, always with the same wait; the times of the sheds.
std::vector<uint64_t> Sheds(Codel& codel, uint64_t from_ns, uint64_t until_ns,
                            uint64_t sojourn_ns) {
  std::vector<uint64_t> sheds;
  for (uint64_t now_ns = from_ns; now_ns < until_ns; now_ns += kMs) {
    if (codel.ShouldShed(now_ns, sojourn_ns, false)) sheds.push_back(now_ns);
  }
  return sheds;
}

TEST_CASE("nothing is shed before the wait was above the target for a whole interval", "[codel]") {
  Codel codel(kTarget, kInterval);
  CHECK_FALSE(codel.ShouldShed(kStart, kTarget, false));
  CHECK_FALSE(codel.ShouldShed(kStart + kInterval - 1, kTarget, false));
  CHECK(codel.ShouldShed(kStart + kInterval, kTarget, false));
  CHECK_FALSE(codel.ShouldShed(kStart + kInterval + 1, kTarget, false));
}

TEST_CASE("one task that has waited less starts the interval again", "[codel]") {
  Codel codel(kTarget, kInterval);
  CHECK(Sheds(codel, kStart, kStart + kInterval, kTarget).empty());
  CHECK_FALSE(codel.ShouldShed(kStart + kInterval, kTarget - 1, false));
  CHECK(Sheds(codel, kStart + kInterval + kMs, kStart + 2 * kInterval + kMs, kTarget).empty());
  CHECK(codel.ShouldShed(kStart + 2 * kInterval + kMs, kTarget, false));
}

TEST_CASE("waits below the target cost nothing, however long they last", "[codel]") {
  Codel codel(kTarget, kInterval);
  CHECK(Sheds(codel, 0, 10'000 * kMs, kTarget - 1).empty());
}

TEST_CASE("the last task in the queue is never shed", "[codel]") {
  Codel codel(kTarget, kInterval);
  for (uint64_t now_ns = 0; now_ns < 1000 * kMs; now_ns += kMs)
    REQUIRE_FALSE(codel.ShouldShed(now_ns, now_ns, true));
  // It counts as being in time: the interval starts again after it, and shedding ends with it.
  CHECK(Sheds(codel, kStart, kStart + kInterval, kTarget).empty());
  CHECK(codel.ShouldShed(kStart + kInterval, kTarget, false));
  CHECK_FALSE(codel.ShouldShed(kStart + 10 * kInterval, kTarget, true));
  CHECK_FALSE(codel.ShouldShed(kStart + 10 * kInterval, kTarget, false));
}

TEST_CASE("sheds follow each other by the interval over the root of their number", "[codel]") {
  Codel codel(kTarget, kInterval);
  CHECK_FALSE(codel.ShouldShed(0, kTarget, false));
  long double due_ns = static_cast<long double>(kInterval);
  uint32_t wrong = 0;
  for (int count = 1; count <= 20'000; ++count) {
    // Each step is off by less than a nanosecond, and by 2^-30 of it.
    const long double slack_ns = due_ns * 0x1p-30L + count;
    const auto before_ns = static_cast<uint64_t>(due_ns - slack_ns) - 1;
    const auto after_ns = static_cast<uint64_t>(due_ns + slack_ns) + 1;
    if (count > 1 && codel.ShouldShed(before_ns, kTarget, false)) ++wrong;
    if (!codel.ShouldShed(after_ns, kTarget, false)) ++wrong;
    // Shed at 100 ms, entered by the clock of the call: the first step starts there.
    if (count == 1) due_ns = static_cast<long double>(after_ns);
    due_ns += static_cast<long double>(kInterval) / std::sqrt(static_cast<long double>(count));
  }
  CHECK(wrong == 0);
}

TEST_CASE("sheds that are late, because tasks are taken seldom, are made up for", "[codel]") {
  Codel codel(kTarget, kInterval);
  CHECK_FALSE(codel.ShouldShed(0, kTarget, false));
  CHECK(codel.ShouldShed(kInterval, kTarget, false));
  // Due meanwhile: after 100, 70.7, 57.7 and 50 ms more, but not after 44.7 ms more.
  const uint64_t late_ns = kInterval + 300 * kMs;
  int sheds = 0;
  while (codel.ShouldShed(late_ns, kTarget, false)) ++sheds;
  CHECK(sheds == 4);
}

TEST_CASE("shedding that begins again soon starts at the pace that it had, later at the slowest",
          "[codel]") {
  // From 1 s on: at 1.1 s, 1.2 s, 1.27 s ... the wait goes below the target at 2 s.
  const auto once = [](Codel& codel) {
    const std::vector<uint64_t> sheds = Sheds(codel, kStart, 2 * kStart, kTarget);
    REQUIRE(sheds.size() > 20);
    REQUIRE_FALSE(codel.ShouldShed(2 * kStart, 0, false));
    return sheds.size();
  };
  SECTION("soon") {
    Codel codel(kTarget, kInterval);
    const size_t count = once(codel);
    const uint64_t again_ns = 2 * kStart + kMs;
    const std::vector<uint64_t> sheds = Sheds(codel, again_ns, again_ns + 2 * kInterval, kTarget);
    // Gained: all but the first.
    const double step_ms = 100 / std::sqrt(static_cast<double>(count - 1));
    REQUIRE(sheds.size() >= 3);
    CHECK(sheds[0] == again_ns + kInterval);
    CHECK(static_cast<double>(sheds[1] - sheds[0]) / kMs == Approx(step_ms).margin(1));
  }
  SECTION("up to 16 intervals after the next shed would have been due, not after") {
    for (bool late : {false, true}) {
      Codel codel(kTarget, kInterval);
      (void)once(codel);
      // The next one would have been due within a step of 2 s.
      const uint64_t again_ns = 2 * kStart + 15 * kInterval - 10 * kMs + (late ? kInterval / 2 : 0);
      const std::vector<uint64_t> sheds = Sheds(codel, again_ns, again_ns + 3 * kInterval, kTarget);
      REQUIRE(sheds.size() >= 2);
      CHECK((sheds[1] - sheds[0] == kInterval) == late);
    }
  }
  SECTION("not after one shed alone") {
    Codel codel(kTarget, kInterval);
    REQUIRE(Sheds(codel, kStart, kStart + kInterval + kMs, kTarget).size() == 1);
    REQUIRE_FALSE(codel.ShouldShed(kStart + kInterval + kMs, 0, false));
    const uint64_t again_ns = kStart + kInterval + 2 * kMs;
    const std::vector<uint64_t> sheds = Sheds(codel, again_ns, again_ns + 3 * kInterval, kTarget);
    REQUIRE(sheds.size() >= 2);
    CHECK(sheds[1] - sheds[0] == kInterval);
  }
}

TEST_CASE("extreme targets, intervals and times do not overflow", "[codel]") {
  Codel never(UINT64_MAX, kInterval);
  CHECK(Sheds(never, 0, 1000 * kMs, UINT64_MAX - 1).empty());
  Codel endless(0, UINT64_MAX);
  CHECK(Sheds(endless, 1, 1000 * kMs, UINT64_MAX).empty());
  CHECK_FALSE(endless.ShouldShed(UINT64_MAX, UINT64_MAX, false));
  Codel at_once(0, 0);
  CHECK_FALSE(at_once.ShouldShed(5, 0, false));
  for (int i = 0; i < 100; ++i) REQUIRE(at_once.ShouldShed(5, 0, false));
  Codel slow(kTarget, uint64_t{1} << 61);
  CHECK_FALSE(slow.ShouldShed(0, kTarget, false));
  CHECK(slow.ShouldShed(uint64_t{1} << 61, kTarget, false));
  CHECK_FALSE(slow.ShouldShed((uint64_t{1} << 62) - 1, kTarget, false));
  CHECK(slow.ShouldShed(uint64_t{1} << 62, kTarget, false));
  Codel late(kTarget, uint64_t{1} << 62);
  CHECK_FALSE(late.ShouldShed(uint64_t{1} << 63, kTarget, false));
  CHECK(late.ShouldShed(UINT64_MAX - 1, kTarget, false));
  CHECK_FALSE(late.ShouldShed(UINT64_MAX - 1, kTarget, false));
  CHECK_FALSE(late.ShouldShed(0, kTarget, false));  // a clock that steps back sheds nothing
}

// The RFC's routine over a whole queue, in floating point, with the next time set when a task is dropped.
class Reference {
 public:
  // Takes a task that is not dropped, if there is one; queue holds arrival times.
  bool Take(std::deque<uint64_t>& queue, uint64_t now_ns, uint64_t& dropped) {
    const auto now = static_cast<double>(now_ns);
    bool ok_to_drop = false;
    if (!TakeOne(queue, now_ns, ok_to_drop)) return false;
    if (dropping_ && !ok_to_drop) dropping_ = false;
    while (dropping_ && now >= drop_next_ns_) {
      ++dropped;
      ++count_;
      drop_next_ns_ += Step();
      const bool any = TakeOne(queue, now_ns, ok_to_drop);
      if (!ok_to_drop) dropping_ = false;
      if (!any || !dropping_) return any;
    }
    if (dropping_ || !ok_to_drop) return true;
    ++dropped;
    const bool any = TakeOne(queue, now_ns, ok_to_drop);
    const double delta = count_ - last_count_;
    count_ = delta > 1 && now - drop_next_ns_ < 16 * kIntervalNs ? delta : 1;
    drop_next_ns_ = now + Step();
    last_count_ = count_;
    dropping_ = ok_to_drop;
    return any;
  }

 private:
  static constexpr auto kIntervalNs = static_cast<double>(kInterval);
  // In whole nanoseconds; otherwise a task now and then falls into the rounding of thousands of steps.
  double Step() const { return std::floor(kIntervalNs / std::sqrt(count_)); }

  bool TakeOne(std::deque<uint64_t>& queue, uint64_t now_ns, bool& ok_to_drop) {
    const auto now = static_cast<double>(now_ns);
    ok_to_drop = false;
    if (queue.empty()) return false;
    const uint64_t arrived_ns = queue.front();
    queue.pop_front();
    if (now_ns - arrived_ns < kTarget || queue.empty()) {
      first_above_ns_ = -1;
    } else if (first_above_ns_ < 0) {
      first_above_ns_ = now + kIntervalNs;
    } else {
      ok_to_drop = now >= first_above_ns_;
    }
    return true;
  }

  double first_above_ns_ = -1;
  double drop_next_ns_ = 0;
  double count_ = 0, last_count_ = 0;
  bool dropping_ = false;
};

TEST_CASE("over a queue with changing load it sheds what the RFC's routine drops", "[codel]") {
  uint64_t shed = 0, dropped = 0, differences = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Codel codel(kTarget, kInterval);
    Reference reference;
    std::deque<uint64_t> queue, reference_queue;
    uint32_t arrivals_percent = 100;
    // One task is served in a millisecond; arrivals change every quarter of a second.
    for (uint64_t ms = 0; ms < 20'000; ++ms) {
      if (ms % 250 == 0) arrivals_percent = 40 + random.Below(130);
      // Anywhere in the millisecond, so that it hardly ever meets a time to shed exactly.
      const uint64_t now_ns = ms * kMs + random.Below(kMs);
      const uint32_t arrivals =
          arrivals_percent / 100 + (random.Below(100) < arrivals_percent % 100 ? 1 : 0);
      for (uint32_t i = 0; i < arrivals; ++i) {
        queue.push_back(now_ns);
        reference_queue.push_back(now_ns);
      }
      while (!queue.empty()) {
        const uint64_t arrived_ns = queue.front();
        queue.pop_front();
        if (!codel.ShouldShed(now_ns, now_ns - arrived_ns, queue.empty())) break;
        ++shed;
      }
      (void)reference.Take(reference_queue, now_ns, dropped);
      if (queue.size() != reference_queue.size()) ++differences;
    }
  }
  CHECK(shed > 1000);
  CHECK(shed == dropped);
  CHECK(differences == 0);
}

TEST_CASE("an overload is brought back to waits of about the target", "[codel]") {
  // A tenth more tasks come than can be served; without shedding the wait would be over 5 s at the end.
  Codel codel(kTarget, kInterval);
  std::deque<uint64_t> queue;
  uint64_t wait_ns = 0;
  for (uint64_t now_ns = 0; now_ns < 60'000 * kMs; now_ns += kMs) {
    queue.push_back(now_ns);
    if (now_ns / kMs % 10 == 0) queue.push_back(now_ns);
    while (!queue.empty()) {
      wait_ns = now_ns - queue.front();
      queue.pop_front();
      if (!codel.ShouldShed(now_ns, wait_ns, queue.empty())) break;
    }
  }
  CHECK(wait_ns < 500 * kMs);
}

}  // namespace
}  // namespace workpool
