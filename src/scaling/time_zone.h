// TimeZone: how far local time is ahead of UTC at a moment: of the process (TZ), of a zone of the system's database, or by
// a rule. The one home of localtime_r and of zone files. The process's TZ is not touched: other threads use it.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/api.h"
#include "scaling/posix_zone.h"

namespace workpool {

class TimeZone {
 public:
  // name: "" for that of the process, "Europe/Berlin", "UTC", "CET-1CEST,M3.5.0,M10.5.0/3". OK; INVALID, and it is as before.
  [[nodiscard]] Status Open(std::string_view name);

  // Seconds east of UTC.
  [[nodiscard]] int64_t OffsetAt(int64_t utc_s) const;

  // The first moment at which local time, as seconds since the epoch, is local_s or later: where clocks go forward over it
  // that is the moment when they do, and where it is twice it is the first time.
  [[nodiscard]] int64_t FirstAt(int64_t local_s) const;

 private:
  // The latest ones of a file: from then on, so far east.
  static constexpr uint32_t kChangesMax = 256;

  [[nodiscard]] Status ReadFile(std::string_view name);
  [[nodiscard]] bool ReadBytes(std::string_view bytes);

  bool process_ = true;
  uint32_t changes_ = 0;
  int64_t change_at_s_[kChangesMax];
  int32_t change_offset_s_[kChangesMax];
  bool has_rule_ = false;  // after the last change
  PosixZone rule_;
};

}  // namespace workpool
