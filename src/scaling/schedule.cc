#include "scaling/schedule.h"

#include <algorithm>

#include "base/error.h"
#include "base/file_text.h"
#include "base/limits.h"
#include "base/memory.h"
#include "scaling/civil_day.h"
#include "scaling/policy_text.h"

namespace workpool {
namespace {

// The year 5138; no arithmetic on times before that overflows.
constexpr int64_t kWallMaxS = 100'000'000'000;

}  // namespace

Status Schedule::Parse(std::string_view text, std::string_view zone, Floor** out) {
  auto* schedule = New<Schedule>();
  if (schedule == nullptr) return FailConst(POOL_E_NOMEM, "no memory for a schedule");
  Status status = schedule->zone_.Open(zone);
  for (std::string_view word; status == POOL_OK && !(word = TakeWord(&text)).empty();) status = schedule->Add(word);
  if (status == POOL_OK && schedule->size_ == 0) {
    status = FailConst(POOL_E_INVALID, "a schedule needs times, such as '09:00=50 18:00=5'");
  }
  if (status != POOL_OK) {
    Delete(schedule);
    return status;
  }
  *out = schedule;
  return POOL_OK;
}

Status Schedule::Add(std::string_view word) {
  std::string_view rest = word;
  const std::string_view time = TakeUntil(&rest, '=');
  uint32_t time_s = 0;
  uint64_t workers = 0;
  if (!ReadTimeOfDay(time, &time_s) || !ReadWhole(rest, &workers) || workers > kWorkersMax) {
    return Fail(POOL_E_INVALID, "'%.*s' in a schedule is no time and number such as 09:00=50, up to %u workers",
                static_cast<int>(std::min<size_t>(word.size(), 40)), word.data(), kWorkersMax);
  }
  if (size_ == kEntriesMax) return Fail(POOL_E_INVALID, "a schedule has at most %u times", kEntriesMax);
  Entry* const end = entries_ + size_;
  Entry* const at = std::lower_bound(entries_, end, time_s, [](const Entry& e, uint32_t s) { return e.time_s < s; });
  if (at != end && at->time_s == time_s) {
    return Fail(POOL_E_INVALID, "the time %.*s is twice in a schedule", static_cast<int>(time.size()), time.data());
  }
  std::copy_backward(at, end, end + 1);
  *at = {time_s, static_cast<uint32_t>(workers)};
  ++size_;
  return POOL_OK;
}

Floor::Level Schedule::At(const LoadSample& sample) {
  const int64_t wall_s = std::clamp(sample.wall_s, -kWallMaxS, kWallMaxS);
  if (wall_s < from_s_ || wall_s >= until_s_) Find(wall_s);
  const auto seconds = static_cast<uint64_t>(until_s_ - wall_s);
  return {workers_, TimeAfter(sample.now_ns, seconds * 1'000'000'000)};
}

void Schedule::Find(int64_t wall_s) {
  const int64_t today = FloorDiv(wall_s + zone_.OffsetAt(wall_s), kDayS);
  // Those of yesterday have all been; those of tomorrow may have been already, where clocks go back over midnight.
  for (int64_t day = today - 1;; ++day) {
    for (uint32_t i = 0; i < size_; ++i) {
      until_s_ = zone_.FirstAt(day * kDayS + entries_[i].time_s);
      if (until_s_ > wall_s) return;
      workers_ = entries_[i].workers;
      from_s_ = until_s_;
    }
  }
}

}  // namespace workpool
