#include "task/timer_wheel.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"

namespace workpool {
namespace {

constexpr uint64_t kTickNs = TimerWheel::kTickNs;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kYear = 365 * 24 * 3600 * kSecond;
constexpr uint64_t kLastNs = kNever - 1;
// Where the width of a number or of a level ends, and where an ordinary machine is after an hour.
constexpr uint64_t kStarts[] = {
    0, 3600 * kSecond, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63, 0 - (uint64_t{1} << 40)};

uint64_t Random64(Random& random) { return uint64_t{random.Next()} << 32 | random.Next(); }

// Any magnitude is as likely as any other.
uint64_t AnyDelay(Random& random) { return Random64(random) >> random.Below(64); }

// Not beyond the last due time.
uint64_t After(uint64_t now_ns, uint64_t delay_ns) { return now_ns + std::min(delay_ns, kLastNs - now_ns); }

// The first moment of the tick at which a timer may come, counted without the wheel's arithmetic.
uint64_t RoundedUp(uint64_t due_ns) {
  const uint64_t over = due_ns % kTickNs;
  return over == 0 ? due_ns : After(due_ns, kTickNs - over);
}

// The delays at which a level begins and ends, and their neighbours.
std::vector<uint64_t> EdgesOfLevels() {
  std::vector<uint64_t> delays = {0, 1};
  for (uint32_t bit = TimerWheel::kTickBits; bit < 64; ++bit) {
    for (uint64_t ticks : {uint64_t{1}, uint64_t{2}, uint64_t{63}}) {
      const uint64_t delay_ns = ticks << bit;
      if (delay_ns >> bit == ticks) delays.insert(delays.end(), {delay_ns - 1, delay_ns, delay_ns + 1});
    }
  }
  return delays;
}

std::vector<Timer*> TakeAllDue(TimerWheel& wheel, uint64_t now_ns) {
  std::vector<Timer*> taken;
  while (Timer* timer = wheel.TakeDue(now_ns)) taken.push_back(timer);
  return taken;
}

TEST_CASE("a timer is three words and a wheel about a page", "[timer]") {
  CHECK(sizeof(Timer) == 3 * sizeof(void*));
  CHECK(sizeof(TimerWheel) <= 4096 + 128);
}

TEST_CASE("an empty wheel gives nothing and asks for no call", "[timer]") {
  for (uint64_t start_ns : kStarts) {
    TimerWheel wheel(start_ns);
    CHECK(wheel.size() == 0);
    CHECK(wheel.NextNs() == kNever);
    CHECK(wheel.TakeAny() == nullptr);
    CHECK(wheel.TakeDue(start_ns) == nullptr);
    CHECK(wheel.TakeDue(kLastNs) == nullptr);
    CHECK(wheel.NextNs() == kNever);
  }
}

TEST_CASE("a timer comes never early and at most a tick late, on every level and from every start", "[timer]") {
  for (uint64_t start_ns : kStarts) {
    for (uint64_t delay_ns : EdgesOfLevels()) {
      for (uint64_t offset_ns : {uint64_t{0}, kTickNs / 3}) {
        const uint64_t due_ns = After(start_ns + offset_ns, delay_ns);
        TimerWheel wheel(start_ns + offset_ns);
        Timer timer;
        wheel.Add(timer, due_ns);
        REQUIRE(timer.armed());
        if (delay_ns > 0) REQUIRE(timer.due_ns == due_ns);
        if (due_ns > start_ns + offset_ns) REQUIRE(wheel.TakeDue(due_ns - 1) == nullptr);
        REQUIRE(wheel.NextNs() <= RoundedUp(due_ns));
        REQUIRE(wheel.TakeDue(RoundedUp(due_ns)) == &timer);
        REQUIRE_FALSE(timer.armed());
        REQUIRE(wheel.size() == 0);
        REQUIRE(wheel.NextNs() == kNever);
      }
    }
  }
}

TEST_CASE("the last due time there is comes at its time", "[timer]") {
  for (uint64_t start_ns : {uint64_t{0}, kLastNs - kTickNs, kLastNs - 2}) {
    TimerWheel wheel(start_ns);
    Timer tick_before, last, before;
    wheel.Add(tick_before, 0 - kTickNs);
    CHECK(wheel.NextNs() <= 0 - kTickNs);
    CHECK(wheel.TakeDue(std::max(start_ns, 0 - kTickNs)) == &tick_before);
    wheel.Add(last, kLastNs);
    wheel.Add(before, kLastNs - 1);
    CHECK(wheel.TakeDue(kLastNs - 2) == nullptr);
    CHECK(wheel.NextNs() == kLastNs);
    CHECK(TakeAllDue(wheel, kLastNs) == std::vector<Timer*>{&last, &before});  // of one tick
    CHECK(wheel.NextNs() == kNever);
  }
}

TEST_CASE("a timer can be removed on every level, and only once", "[timer]") {
  for (uint64_t start_ns : kStarts) {
    for (uint64_t delay_ns : EdgesOfLevels()) {
      TimerWheel wheel(start_ns);
      Timer timer;
      CHECK_FALSE(wheel.Remove(timer));
      wheel.Add(timer, After(start_ns, delay_ns));
      REQUIRE(wheel.Remove(timer));
      REQUIRE_FALSE(timer.armed());
      REQUIRE_FALSE(wheel.Remove(timer));
      REQUIRE(wheel.size() == 0);
      REQUIRE(wheel.NextNs() == kNever);
      REQUIRE(wheel.TakeDue(kLastNs) == nullptr);
    }
  }
}

TEST_CASE("a timer can be removed from every level to which it has moved down", "[timer]") {
  const uint64_t due_ns = 3 * kYear + 12'345;
  for (uint64_t left_ns = kTickNs; left_ns < due_ns; left_ns *= 2) {
    TimerWheel wheel(0);
    Timer timer, neighbour;
    wheel.Add(timer, due_ns);
    wheel.Add(neighbour, due_ns);
    REQUIRE(wheel.TakeDue(due_ns - left_ns) == nullptr);
    REQUIRE(wheel.Remove(timer));
    REQUIRE(TakeAllDue(wheel, RoundedUp(due_ns)) == std::vector<Timer*>{&neighbour});
  }
}

TEST_CASE("the first, a middle and the last of a slot can be removed, in any order", "[timer]") {
  for (uint64_t due_ns : {10 * kTickNs, 10'000 * kTickNs}) {
    std::vector<size_t> order = {0, 1, 2, 3};
    do {
      TimerWheel wheel(0);
      Timer timers[4];
      for (Timer& timer : timers) wheel.Add(timer, due_ns);
      std::vector<Timer*> left = {&timers[0], &timers[1], &timers[2], &timers[3]};
      for (size_t i = 0; i < 2; ++i) {
        REQUIRE(wheel.Remove(timers[order[i]]));
        left.erase(std::find(left.begin(), left.end(), &timers[order[i]]));
      }
      // The ends of the slot are right if what is added now comes last.
      wheel.Add(timers[order[0]], due_ns);
      left.push_back(&timers[order[0]]);
      REQUIRE(TakeAllDue(wheel, due_ns) == left);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("timers with the same due time come in the order in which they were added", "[timer]") {
  const uint64_t due_ns = 100 * kSecond + 1;
  TimerWheel wheel(0);
  std::vector<Timer> timers(60);
  std::vector<Timer*> expected;
  // Each is added from nearer, so that the first ones have moved down several levels when the last ones come.
  for (Timer& timer : timers) {
    wheel.Add(timer, due_ns);
    expected.push_back(&timer);
    const auto added = static_cast<uint64_t>(expected.size());
    REQUIRE(wheel.TakeDue(due_ns - (due_ns >> (added / 2))) == nullptr);
  }
  CHECK(TakeAllDue(wheel, RoundedUp(due_ns)) == expected);
}

TEST_CASE("what is due already comes at the next call", "[timer]") {
  for (uint64_t start_ns : kStarts) {
    if (start_ns == 0) continue;
    TimerWheel wheel(start_ns);
    Timer now, past, long_past, later;
    wheel.Add(later, start_ns + 5 * kTickNs);
    wheel.Add(now, start_ns);
    wheel.Add(past, start_ns - 1);
    wheel.Add(long_past, 0);
    CHECK(wheel.NextNs() <= start_ns);
    CHECK(TakeAllDue(wheel, start_ns) == std::vector<Timer*>{&now, &past, &long_past});
    wheel.Add(past, 1);
    CHECK(wheel.Remove(past));
    wheel.Add(past, 1);
    CHECK(TakeAllDue(wheel, start_ns + 6 * kTickNs) == std::vector<Timer*>{&past, &later});
  }
}

TEST_CASE("a clock that goes back counts as standing still", "[timer]") {
  TimerWheel wheel(kYear);
  Timer due, later;
  CHECK(wheel.TakeDue(2 * kYear) == nullptr);
  wheel.Add(due, kYear + 1);
  wheel.Add(later, 2 * kYear + kTickNs);
  CHECK(wheel.TakeDue(0) == &due);
  CHECK(wheel.TakeDue(kYear) == nullptr);
  CHECK(wheel.TakeDue(RoundedUp(2 * kYear + kTickNs)) == &later);
}

TEST_CASE("a timer may be added and removed while others are taken", "[timer]") {
  TimerWheel wheel(0);
  std::vector<Timer> timers(100);
  for (size_t i = 0; i < timers.size(); ++i) wheel.Add(timers[i], (i + 1) * 3 * kTickNs);
  // Each one taken comes back 10 ticks later; every third one removes another, which comes back, too.
  const uint64_t end_ns = 1000 * kTickNs;
  size_t taken = 0;
  for (uint64_t now_ns : {end_ns / 2, end_ns}) {
    uint64_t last_ns = 0;
    while (Timer* timer = wheel.TakeDue(now_ns)) {
      REQUIRE(timer->due_ns >= last_ns);
      REQUIRE(timer->due_ns <= now_ns);
      last_ns = timer->due_ns;
      wheel.Add(*timer, last_ns + 10 * kTickNs);
      if (++taken % 3 != 0) continue;
      Timer& other = timers[taken % timers.size()];
      REQUIRE(wheel.Remove(other));
      wheel.Add(other, last_ns + 5 * kTickNs);
    }
    REQUIRE(wheel.NextNs() > now_ns);
    REQUIRE(wheel.size() == timers.size());
  }
  // 100 timers that come every 10 of 1000 ticks, but for the first 300.
  CHECK(taken > 85 * 100);
}

TEST_CASE("a gap of fifty years costs no more than one of a second", "[timer]") {
  // Ten thousand times 10^13 ticks: this ends only if they are not counted.
  TimerWheel wheel(0);
  Timer timer, far;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t start_ns = static_cast<uint64_t>(i % 10) * 50 * kYear;
    if (i % 10 == 0) {
      std::destroy_at(&wheel);
      std::construct_at(&wheel, start_ns);
    }
    wheel.Add(timer, start_ns + 50 * kYear - 1);
    wheel.Add(far, start_ns + 51 * kYear);
    REQUIRE(wheel.TakeDue(start_ns + 49 * kYear) == nullptr);
    REQUIRE(wheel.TakeDue(start_ns + 50 * kYear) == &timer);
    REQUIRE(wheel.Remove(far));
    REQUIRE(wheel.TakeDue(start_ns + 50 * kYear) == nullptr);
  }
}

TEST_CASE("a thread that sleeps until NextNs takes every timer in time", "[timer]") {
  Random random(7);
  for (uint64_t start_ns : kStarts) {
    TimerWheel wheel(start_ns);
    std::vector<Timer> timers(2000);
    std::multimap<uint64_t, Timer*> by_due;
    for (Timer& timer : timers) {
      wheel.Add(timer, After(start_ns, AnyDelay(random)));
      by_due.emplace(timer.due_ns, &timer);
    }
    uint64_t now_ns = start_ns;
    size_t calls = 0;
    while (wheel.size() != 0) {
      const uint64_t next_ns = wheel.NextNs();
      REQUIRE(next_ns != kNever);
      REQUIRE(next_ns <= RoundedUp(std::max(by_due.begin()->first, start_ns)));
      now_ns = std::max(now_ns, next_ns);
      ++calls;
      for (Timer* timer : TakeAllDue(wheel, now_ns)) {
        REQUIRE(timer->due_ns <= now_ns);
        REQUIRE(now_ns - timer->due_ns < kTickNs);
        const auto [first, last] = by_due.equal_range(timer->due_ns);
        by_due.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == timer; }));
      }
      if (wheel.size() != 0) REQUIRE(wheel.NextNs() > now_ns);
    }
    CHECK(by_due.empty());
    // Some calls only move timers down.
    CHECK(calls <= timers.size() + 8 * 64);
  }
}

TEST_CASE("a lone timer needs one call, however far it is", "[timer]") {
  for (uint64_t delay_ns : EdgesOfLevels()) {
    TimerWheel wheel(kTickNs - 1);
    Timer timer;
    wheel.Add(timer, After(kTickNs, delay_ns));
    REQUIRE(wheel.NextNs() == RoundedUp(timer.due_ns));
    REQUIRE(wheel.TakeDue(wheel.NextNs()) == &timer);
  }
}

TEST_CASE("TakeAny empties a wheel", "[timer]") {
  Random random(3);
  TimerWheel wheel(kYear);
  std::vector<Timer> timers(1000);
  for (Timer& timer : timers) wheel.Add(timer, After(0, AnyDelay(random)));
  for (size_t left = timers.size(); left > 0; --left) {
    REQUIRE(wheel.size() == left);
    Timer* timer = wheel.TakeAny();
    REQUIRE(timer != nullptr);
    REQUIRE_FALSE(timer->armed());
  }
  CHECK(wheel.TakeAny() == nullptr);
  CHECK(wheel.NextNs() == kNever);
  CHECK(std::none_of(timers.begin(), timers.end(), [](const Timer& timer) { return timer.armed(); }));
}

// The model: the same timers in an ordered map, by the tick at which they come; equal ones in the order of their adds.
class Model {
 public:
  explicit Model(uint64_t now_ns) : reached_ns_(now_ns), front_ns_(now_ns / kTickNs * kTickNs) {}

  void Add(Timer* timer, uint64_t due_ns) {
    const uint64_t tick_ns = due_ns > reached_ns_ ? RoundedUp(due_ns) : due_ns / kTickNs * kTickNs;
    timers_.emplace(std::max(tick_ns, front_ns_), timer);
  }
  void Remove(Timer* timer) {
    timers_.erase(std::find_if(timers_.begin(), timers_.end(), [&](auto& entry) { return entry.second == timer; }));
  }
  Timer* TakeDue(uint64_t now_ns) {
    reached_ns_ = std::max(now_ns, reached_ns_);
    if (timers_.empty() || timers_.begin()->first > reached_ns_) {
      front_ns_ = reached_ns_ / kTickNs * kTickNs;
      return nullptr;
    }
    front_ns_ = timers_.begin()->first;
    Timer* timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    return timer;
  }
  uint64_t NextNs() const { return timers_.empty() ? kNever : timers_.begin()->first; }
  size_t size() const { return timers_.size(); }

 private:
  uint64_t reached_ns_;
  uint64_t front_ns_;  // late ones line up behind those that come then
  std::multimap<uint64_t, Timer*> timers_;
};

TEST_CASE("a wheel does what an ordered map does", "[timer]") {
  constexpr int kOperations = 100'000;
  for (uint64_t start_ns : kStarts) {
    Random random(start_ns + 11);
    TimerWheel wheel(start_ns);
    Model model(start_ns);
    std::vector<Timer> timers(300);
    uint64_t now_ns = start_ns;
    for (int i = 0; i < kOperations; ++i) {
      Timer& timer = timers[random.Below(static_cast<uint32_t>(timers.size()))];
      const uint32_t dice = random.Below(16);
      if (dice < 9 && !timer.armed()) {
        uint64_t due_ns = After(now_ns, AnyDelay(random));
        if (dice == 0) due_ns = now_ns - std::min(now_ns, AnyDelay(random));
        if (dice == 1) due_ns = timers[0].due_ns;  // the same again
        wheel.Add(timer, due_ns);
        model.Add(&timer, due_ns);
      } else if (dice < 12) {
        const bool armed = timer.armed();
        REQUIRE(wheel.Remove(timer) == armed);
        if (armed) model.Remove(&timer);
      } else if (dice == 12) {
        // Mostly small steps: a large one brings the end of time near.
        now_ns = After(now_ns, AnyDelay(random) >> 20 >> random.Below(24));
      } else if (dice == 13 && wheel.NextNs() != kNever) {
        now_ns = std::max(now_ns, wheel.NextNs());
      } else {
        // Often not all that are due, so that adds come between.
        for (uint32_t takes = random.Below(8); takes > 0; --takes) {
          Timer* const expected = model.TakeDue(now_ns);
          REQUIRE(wheel.TakeDue(now_ns) == expected);
          if (expected == nullptr) break;
          REQUIRE(expected->due_ns <= now_ns);
          REQUIRE_FALSE(expected->armed());
        }
      }
      REQUIRE(wheel.size() == model.size());
      REQUIRE(wheel.NextNs() <= model.NextNs());
      REQUIRE((wheel.NextNs() == kNever) == (model.size() == 0));
      if (now_ns == kLastNs) {  // the end of time: begin again
        while (Timer* left = model.TakeDue(kLastNs)) REQUIRE(wheel.TakeDue(kLastNs) == left);
        REQUIRE(wheel.TakeDue(kLastNs) == nullptr);
        now_ns = start_ns;
        std::destroy_at(&wheel);
        std::construct_at(&wheel, start_ns);
        model = Model(start_ns);
      }
    }
    while (Timer* left = model.TakeDue(kLastNs)) REQUIRE(wheel.TakeDue(kLastNs) == left);
    REQUIRE(wheel.TakeDue(kLastNs) == nullptr);
  }
}

TEST_CASE("a million timers in one wheel come in time", "[timer]") {
  constexpr size_t kTimers = 1'000'000;
  Random random(5);
  TimerWheel wheel(kYear);
  std::vector<Timer> timers(kTimers);
  for (Timer& timer : timers) wheel.Add(timer, kYear + Random64(random) % (100 * kSecond));
  size_t removed = 0;
  for (size_t i = 0; i < kTimers; i += 4) removed += wheel.Remove(timers[i]) ? 1 : 0;
  REQUIRE(removed == kTimers / 4);
  REQUIRE(wheel.size() == kTimers / 4 * 3);
  size_t taken = 0, early = 0, late = 0;
  uint64_t before_ns = kYear;
  for (uint64_t now_ns = kYear; wheel.size() != 0; now_ns += kSecond / 10) {
    while (const Timer* timer = wheel.TakeDue(now_ns)) {
      ++taken;
      if (timer->due_ns > now_ns) ++early;
      if (RoundedUp(timer->due_ns) <= before_ns && before_ns != now_ns) ++late;
    }
    before_ns = now_ns;
  }
  CHECK(taken == kTimers / 4 * 3);
  CHECK(early == 0);
  CHECK(late == 0);  // a step earlier would have been in time
}

}  // namespace
}  // namespace workpool
