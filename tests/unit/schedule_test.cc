#include "scaling/schedule.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <ctime>
#include <string>

#include "scaling/civil_day.h"
#include "scaling/time_zone.h"
#include "scaling_support.h"

namespace workpool {
namespace {

constexpr char kBerlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";

int64_t Utc(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute = 0, int64_t second = 0) {
  return DayOf(year, month, day) * kDayS + (hour * 60 + minute) * 60 + second;
}

struct DeleteFloor {
  void operator()(Floor* floor) const { Delete(floor); }
};
using FloorPtr = std::unique_ptr<Floor, DeleteFloor>;

FloorPtr MakeSchedule(const char* text, const char* zone = "UTC") {
  Floor* floor = nullptr;
  const Status status = Schedule::Parse(text, zone, &floor);
  INFO(text << ", " << zone);
  REQUIRE(status == POOL_OK);
  return FloorPtr(floor);
}

Floor::Level At(Floor& floor, int64_t wall_s, uint64_t now_ns = 0) {
  LoadSample sample;
  sample.wall_s = wall_s;
  sample.now_ns = now_ns;
  return floor.At(sample);
}

// The floor now, and that what comes next comes after so long.
void CheckAt(Floor& floor, int64_t wall_s, uint32_t workers, int64_t next_s) {
  INFO("at " << wall_s);
  const Floor::Level level = At(floor, wall_s, 7);
  CHECK(level.workers == workers);
  CHECK(level.again_ns == 7 + static_cast<uint64_t>(next_s - wall_s) * kSecond);
}

TEST_CASE("a schedule's entry holds from its time until the next one's, over midnight too", "[scaling]") {
  const FloorPtr floor = MakeSchedule("18:00=5 09:00=50");
  CheckAt(*floor, Utc(2024, 5, 1, 0), 5, Utc(2024, 5, 1, 9));
  CheckAt(*floor, Utc(2024, 5, 1, 8, 59, 59), 5, Utc(2024, 5, 1, 9));
  CheckAt(*floor, Utc(2024, 5, 1, 9), 50, Utc(2024, 5, 1, 18));
  CheckAt(*floor, Utc(2024, 5, 1, 17, 59, 59), 50, Utc(2024, 5, 1, 18));
  CheckAt(*floor, Utc(2024, 5, 1, 18), 5, Utc(2024, 5, 2, 9));
  CheckAt(*floor, Utc(2024, 5, 1, 23, 59, 59), 5, Utc(2024, 5, 2, 9));
  // A clock that is set back.
  CheckAt(*floor, Utc(2024, 5, 1, 12), 50, Utc(2024, 5, 1, 18));
  CheckAt(*floor, Utc(1969, 12, 31, 12), 50, Utc(1969, 12, 31, 18));
}

TEST_CASE("an entry at midnight, and one alone, hold all day", "[scaling]") {
  const FloorPtr midnight = MakeSchedule("00:00=3 00:00:01=4");
  CheckAt(*midnight, Utc(2024, 2, 29, 0), 3, Utc(2024, 2, 29, 0, 0, 1));
  CheckAt(*midnight, Utc(2024, 2, 29, 0, 0, 1), 4, Utc(2024, 3, 1, 0));
  const FloorPtr one = MakeSchedule("12:00=7");
  CheckAt(*one, Utc(2024, 2, 29, 11), 7, Utc(2024, 2, 29, 12));
  CheckAt(*one, Utc(2024, 2, 29, 12), 7, Utc(2024, 3, 1, 12));
}

TEST_CASE("a time that clocks skip in spring takes effect when they do", "[scaling]") {
  const FloorPtr floor = MakeSchedule("02:15=20 02:30=30 09:00=90", kBerlin);
  // 2024-03-31: at 01:00 UTC it is 03:00 instead of 02:00.
  const int64_t jump_s = Utc(2024, 3, 31, 1);
  CheckAt(*floor, jump_s - 1, 90, jump_s);
  CheckAt(*floor, jump_s, 30, Utc(2024, 3, 31, 7));
  CheckAt(*floor, Utc(2024, 3, 31, 6, 59, 59), 30, Utc(2024, 3, 31, 7));
  CheckAt(*floor, Utc(2024, 3, 31, 7), 90, Utc(2024, 4, 1, 0, 15));
  CheckAt(*floor, Utc(2024, 4, 1, 0, 15), 20, Utc(2024, 4, 1, 0, 30));
}

TEST_CASE("a time that comes twice in autumn takes effect the first time only", "[scaling]") {
  const FloorPtr floor = MakeSchedule("02:15=20 02:45=40 09:00=90", kBerlin);
  // 2024-10-27: at 01:00 UTC it is 02:00 instead of 03:00.
  CheckAt(*floor, Utc(2024, 10, 27, 0, 14, 59), 90, Utc(2024, 10, 27, 0, 15));
  CheckAt(*floor, Utc(2024, 10, 27, 0, 15), 20, Utc(2024, 10, 27, 0, 45));
  CheckAt(*floor, Utc(2024, 10, 27, 0, 45), 40, Utc(2024, 10, 27, 8));
  for (int64_t minute = 0; minute < 120; ++minute) {
    REQUIRE(At(*floor, Utc(2024, 10, 27, 1, minute)).workers == 40);
  }
  CheckAt(*floor, Utc(2024, 10, 27, 8), 90, Utc(2024, 10, 28, 1, 15));
}

TEST_CASE("clocks that go back over midnight do not repeat the day before", "[scaling]") {
  // Back from 00:30 to 23:30 at the end of October.
  const FloorPtr floor = MakeSchedule("00:15=1 12:00=2", "XXT-1XXS,M3.5.0,M10.5.1/0:30");
  // 2024-10-28 00:15 in summer time, and from 22:30 UTC on it is once more 23:30 of the day before.
  CheckAt(*floor, Utc(2024, 10, 27, 22, 14), 2, Utc(2024, 10, 27, 22, 15));
  CheckAt(*floor, Utc(2024, 10, 27, 22, 15), 1, Utc(2024, 10, 28, 11));
  CheckAt(*floor, Utc(2024, 10, 27, 22, 45), 1, Utc(2024, 10, 28, 11));
  CheckAt(*floor, Utc(2024, 10, 27, 23, 15), 1, Utc(2024, 10, 28, 11));
}

TEST_CASE("every entry of a schedule takes effect once a day, on every day of a year", "[scaling]") {
  for (const char* zone : {"UTC", kBerlin, "NZST-12NZDT,M9.5.0,M4.1.0/3", "<-0330>3:30<-0230>,M3.2.0,M11.1.0"}) {
    const FloorPtr floor = MakeSchedule("00:00=1 01:30=2 02:30=3 12:00=4 23:59:59=5", zone);
    uint32_t seen[6] = {};
    uint32_t before = 0;
    // From noon to noon, from one change to the next.
    int64_t wall_s = Utc(2023, 1, 1, 12);
    while (wall_s < Utc(2024, 1, 1, 12)) {
      const Floor::Level level = At(*floor, wall_s);
      INFO(zone << " at " << wall_s);
      if (level.workers != before) ++seen[level.workers];
      before = level.workers;
      REQUIRE(level.again_ns > 0);
      wall_s += static_cast<int64_t>(level.again_ns / kSecond);
    }
    const bool skips = std::string(zone) != "UTC";
    for (uint32_t entry = 1; entry <= 5; ++entry) {
      INFO(zone << " entry " << entry);
      CHECK(seen[entry] + (skips ? 1 : 0) >= 365);
      CHECK(seen[entry] <= 366);
    }
  }
}

TEST_CASE("without a zone a schedule follows that of the process", "[scaling]") {
  const char* before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  for (const char* zone : {kBerlin, "UTC0", "EST5EDT,M3.2.0,M11.1.0"}) {
    setenv("TZ", zone, 1);
    tzset();
    const FloorPtr process = MakeSchedule("02:30=1 03:00=2 14:00=3", "");
    const FloorPtr named = MakeSchedule("02:30=1 03:00=2 14:00=3", zone);
    for (int64_t wall_s = Utc(2023, 12, 31, 23, 7); wall_s < Utc(2025, 1, 2, 0); wall_s += 47 * 60) {
      INFO(zone << " at " << wall_s);
      const Floor::Level a = At(*process, wall_s), b = At(*named, wall_s);
      REQUIRE(a.workers == b.workers);
      REQUIRE(a.again_ns == b.again_ns);
    }
  }
  if (before == nullptr) {
    unsetenv("TZ");
  } else {
    setenv("TZ", kept.c_str(), 1);
  }
  tzset();
}

TEST_CASE("a rule gives what the C library makes of the same TZ, on every hour of decades", "[scaling]") {
  const char* before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  for (const char* text :
       {kBerlin, "EST5EDT,M3.2.0,M11.1.0", "NZST-12NZDT,M9.5.0,M4.1.0/3", "IST-2IDT,M3.4.4/26,M10.5.0",
        "AAA3BBB,J60/0,J300/12:30", "AAA-5:45BBB-6:15,59,300", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"}) {
    setenv("TZ", text, 1);
    tzset();
    TimeZone process, rule;
    REQUIRE(process.Open("") == POOL_OK);
    REQUIRE(rule.Open(text) == POOL_OK);
    for (int64_t utc_s = Utc(1995, 1, 1, 0); utc_s < Utc(2030, 1, 1, 0); utc_s += 7199) {
      INFO(text << " at " << utc_s);
      REQUIRE(rule.OffsetAt(utc_s) == process.OffsetAt(utc_s));
    }
  }
  if (before == nullptr) {
    unsetenv("TZ");
  } else {
    setenv("TZ", kept.c_str(), 1);
  }
  tzset();
}

TEST_CASE("a zone of the system's database gives what its file says", "[scaling]") {
  TimeZone zone;
  if (zone.Open("Europe/Berlin") != POOL_OK) {
    WARN("there is no database of zones here");
    return;
  }
  CHECK(zone.OffsetAt(Utc(2024, 3, 31, 0, 59, 59)) == 3600);
  CHECK(zone.OffsetAt(Utc(2024, 3, 31, 1)) == 7200);
  CHECK(zone.OffsetAt(Utc(2024, 10, 27, 1)) == 3600);
  CHECK(zone.OffsetAt(Utc(2099, 7, 1, 0)) == 7200);
  // Without summer time, and before the rule of today.
  CHECK(zone.OffsetAt(Utc(1975, 7, 1, 0)) == 3600);
  CHECK(zone.OffsetAt(Utc(1980, 7, 1, 0)) == 7200);
}

TEST_CASE("what is no zone is refused, and the zone stays", "[scaling]") {
  TimeZone zone;
  REQUIRE(zone.Open("AAA-5") == POOL_OK);
  for (const char* name :
       {"Nowhere/Atall", "/etc/passwd", "../../etc/passwd", "CET-1CEST,M3", "CET-1CEST,M13.1.0,M1.1.0", "CET-25",
        "CET-1CEST,M3.5.0,M10.5.0/3x", "A-1", "<>1", "\xff\xfe", "Europe", ",", "CET-1CEST,J0,J1", "zone.tab"}) {
    INFO(name);
    CHECK(zone.Open(name) == POOL_E_INVALID);
    CHECK(TextOf(POOL_E_INVALID).find("zone") != std::string::npos);
    CHECK(zone.OffsetAt(0) == 5 * 3600);
  }
}

TEST_CASE("what is no schedule is refused with what is wrong", "[scaling]") {
  for (const char* text :
       {"", " ", "9:00=5", "09:00", "09:00=", "24:00=5", "09:60=5", "09:00=-1", "09:00=4097", "09:00=5x",
        "09:00=5 09:00=6", "09-00=5", "09:00:60=1", "09:00:00:00=1", "=5", "09:00=99999999999999999999"}) {
    INFO(text);
    Floor* floor = nullptr;
    CHECK(Schedule::Parse(text, "UTC", &floor) == POOL_E_INVALID);
    CHECK(floor == nullptr);
    CHECK(TextOf(POOL_E_INVALID).find("schedule") != std::string::npos);
  }
  std::string many;
  for (int i = 0; i < 65; ++i) {
    many += (i < 60 ? "00:" : "01:") + std::string(i % 60 < 10 ? "0" : "") + std::to_string(i % 60) + "=1 ";
  }
  Floor* floor = nullptr;
  CHECK(Schedule::Parse(many, "UTC", &floor) == POOL_E_INVALID);
}

TEST_CASE("any time of the wall clock has a floor", "[scaling]") {
  const FloorPtr floor = MakeSchedule("09:00=50 18:00=5", kBerlin);
  for (int64_t wall_s : {INT64_MIN, INT64_MIN + 1, int64_t{-1}, int64_t{0}, INT64_MAX - 1, INT64_MAX}) {
    const uint32_t workers = At(*floor, wall_s).workers;
    CHECK((workers == 50 || workers == 5));
  }
}

}  // namespace
}  // namespace workpool
