// Schedule: a floor by the time of day, "09:00=50 18:00=5": from nine on at least 50 workers, from six in the evening 5,
// until nine the next day. Times are local, of the process or of a named zone, and daylight saving is right: a time that is
// skipped takes effect when clocks go forward, one that comes twice takes effect the first time only.
// The wall clock is looked at whenever the pool is; if it is set, or the machine sleeps, the next look comes as late or
// early as that.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string_view>

#include "scaling/floor.h"
#include "scaling/time_zone.h"

namespace workpool {

class Schedule final : public Floor {
 public:
  // zone as in TimeZone::Open. OK, INVALID, NOMEM. The caller owns it: Delete.
  [[nodiscard]] static Status Parse(std::string_view text, std::string_view zone, Floor** out);

  [[nodiscard]] Level At(const LoadSample& sample) override;

 private:
  template <typename T, typename... Args>
  friend T* New(Args&&... args);
  Schedule() = default;

  static constexpr uint32_t kEntriesMax = 64;

  struct Entry {
    uint32_t time_s;  // of the day
    uint32_t workers;
  };

  [[nodiscard]] Status Add(std::string_view word);
  void Find(int64_t wall_s);

  TimeZone zone_;
  uint32_t size_ = 0;
  Entry entries_[kEntriesMax];  // by time
  // What Find has found: so many workers from then until then.
  uint32_t workers_ = 0;
  int64_t from_s_ = 0;
  int64_t until_s_ = 0;
};

}  // namespace workpool
