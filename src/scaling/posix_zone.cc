#include "scaling/posix_zone.h"

#include "scaling/civil_day.h"

namespace workpool {

class PosixZone::Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // "CET", "<+03>": at least three letters, or anything that names itself within angle brackets.
  [[nodiscard]] bool TakeName() {
    if (Take('<')) {
      const size_t end = rest_.find('>');
      if (end == rest_.npos || end < 3) return false;
      rest_.remove_prefix(end + 1);
      return true;
    }
    size_t letters = 0;
    while (letters < rest_.size() && IsLetter(rest_[letters])) ++letters;
    rest_.remove_prefix(letters);
    return letters >= 3;
  }
  [[nodiscard]] bool TakeNumber(int64_t min, int64_t max, int64_t* out) {
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < rest_.size() && digits < 4 && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      value = value * 10 + (rest_[digits] - '0');
    }
    rest_.remove_prefix(digits);
    *out = value;
    return digits > 0 && value >= min && value <= max;
  }
  // "-1", "+5:30", "3:00:00".
  [[nodiscard]] bool TakeTime(int64_t hours_max, int64_t* out_s) {
    const bool below = Take('-');
    if (!below) (void)Take('+');
    int64_t hours = 0, minutes = 0, seconds = 0;
    if (!TakeNumber(0, hours_max, &hours)) return false;
    if (Take(':') && (!TakeNumber(0, 59, &minutes) || (Take(':') && !TakeNumber(0, 59, &seconds)))) return false;
    *out_s = (hours * 60 + minutes) * 60 + seconds;
    if (below) *out_s = -*out_s;
    return true;
  }
  // "M3.5.0/2", "J60", "59".
  [[nodiscard]] bool TakeChange(Change* out) {
    if (Take('M')) {
      out->kind = Change::Kind::kWeek;
      if (!TakeNumber(1, 12, &out->month) || !Take('.') || !TakeNumber(1, 5, &out->week) || !Take('.') ||
          !TakeNumber(0, 6, &out->day)) {
        return false;
      }
    } else if (Take('J')) {
      out->kind = Change::Kind::kJulian;
      if (!TakeNumber(1, 365, &out->day)) return false;
    } else {
      out->kind = Change::Kind::kDay;
      if (!TakeNumber(0, 365, &out->day)) return false;
    }
    return !Take('/') || TakeTime(167, &out->time_s);
  }

 private:
  static bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

  std::string_view rest_;
};

bool PosixZone::Parse(std::string_view text) {
  PosixZone zone;
  Reader reader(text);
  int64_t west_s = 0;
  if (!reader.TakeName() || !reader.TakeTime(24, &west_s)) return false;
  zone.standard_s_ = -west_s;
  if (!reader.done()) {
    zone.has_summer_ = true;
    if (!reader.TakeName()) return false;
    zone.summer_s_ = zone.standard_s_ + 3600;
    if (!reader.done() && !reader.Take(',')) {
      if (!reader.TakeTime(24, &west_s)) return false;
      zone.summer_s_ = -west_s;
      if (!reader.done() && !reader.Take(',')) return false;
    }
    // Without a rule it is up to the system; most take that of the United States.
    Reader usual("M3.2.0,M11.1.0");
    Reader& rule = reader.done() ? usual : reader;
    if (!rule.TakeChange(&zone.begin_) || !rule.Take(',') || !rule.TakeChange(&zone.end_) || !rule.done()) return false;
  }
  *this = zone;
  return true;
}

int64_t PosixZone::LocalOf(const Change& change, int64_t year) {
  const int64_t first = DayOf(year, 1, 1);
  int64_t day = first;
  switch (change.kind) {
    case Change::Kind::kJulian:
      // The 29th of February is not counted.
      day = first + change.day - 1 + (IsLeap(year) && change.day >= 60 ? 1 : 0);
      break;
    case Change::Kind::kDay:
      day = first + change.day;
      break;
    case Change::Kind::kWeek: {
      const int64_t month = DayOf(year, change.month, 1);
      const int64_t next = change.month == 12 ? DayOf(year + 1, 1, 1) : DayOf(year, change.month + 1, 1);
      // Day 0 of the epoch was a Thursday.
      const int64_t weekday = (month + 4) - FloorDiv(month + 4, 7) * 7;
      day = month + (change.day - weekday + 7) % 7 + (change.week - 1) * 7;
      if (day >= next) day -= 7;
      break;
    }
  }
  return day * kDayS + change.time_s;
}

int64_t PosixZone::OffsetAt(int64_t utc_s) const {
  if (!has_summer_) return standard_s_;
  const int64_t year = YearOf(FloorDiv(utc_s + standard_s_, kDayS));
  const int64_t begin_s = LocalOf(begin_, year) - standard_s_;
  const int64_t end_s = LocalOf(end_, year) - summer_s_;
  const bool summer = begin_s < end_s ? utc_s >= begin_s && utc_s < end_s : utc_s >= begin_s || utc_s < end_s;
  return summer ? summer_s_ : standard_s_;
}

}  // namespace workpool
