// Days since 1970-01-01 from a date of the Gregorian calendar, and back the year.
// Origin: Howard Hinnant, chrono-compatible low-level date algorithms.
// Threads: all, any thread. Pure.
#pragma once

#include <cstdint>

namespace workpool {

inline constexpr int64_t kDayS = 86'400;

constexpr int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

constexpr bool IsLeap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

constexpr int64_t DayOf(int64_t year, int64_t month, int64_t day) {
  // Years begin in March, so that the odd day is the last one.
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t era = FloorDiv(y, 400);
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

constexpr int64_t YearOf(int64_t day) {
  int64_t year = 1970 + FloorDiv(day * 400, 146'097);
  while (DayOf(year + 1, 1, 1) <= day) ++year;
  while (DayOf(year, 1, 1) > day) --year;
  return year;
}

}  // namespace workpool
