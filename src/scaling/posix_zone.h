// PosixZone: a time zone as a rule, in the form of the variable TZ in POSIX: "CET-1CEST,M3.5.0,M10.5.0/3". The footers of
// zone files have it too, with hours up to 167 and below 0 (RFC 8536, 3.3.1).
// Threads: one at a time. Pure: no environment, no file.
#pragma once

#include <cstdint>
#include <string_view>

namespace workpool {

class PosixZone {
 public:
  // False: it is no such rule, and nothing is changed.
  [[nodiscard]] bool Parse(std::string_view text);

  // Seconds east of UTC.
  [[nodiscard]] int64_t OffsetAt(int64_t utc_s) const;

 private:
  // The day of a year and the time of that day at which summer time begins or ends.
  struct Change {
    enum class Kind { kJulian, kDay, kWeek } kind = Kind::kWeek;
    int64_t month = 0, week = 0, day = 0;
    int64_t time_s = 2 * 3600;
  };
  class Reader;

  // In local time, as seconds since the epoch.
  static int64_t LocalOf(const Change& change, int64_t year);

  int64_t standard_s_ = 0;
  bool has_summer_ = false;
  int64_t summer_s_ = 0;
  Change begin_, end_;
};

}  // namespace workpool
