#include "pool/option_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "pool/option_text.h"

namespace workpool {
namespace {

constexpr uint64_t kForever = static_cast<uint64_t>(POOL_FOREVER);
constexpr uint64_t kTimeMax = INT64_MAX;

#define WORKPOOL_FIELD(field) .offset = offsetof(pool_options_t, field), .bytes = sizeof(pool_options_t::field)
#define WORKPOOL_UINT(field) .name = #field, .type = POOL_OPTION_UINT, WORKPOOL_FIELD(field)
#define WORKPOOL_CHOICE(field) .name = #field, .type = POOL_OPTION_CHOICE, WORKPOOL_FIELD(field)
#define WORKPOOL_TIME(stem) .name = #stem "_ms", .type = POOL_OPTION_TIME, WORKPOOL_FIELD(stem##_ns)

// In the order of the header.
constexpr OptionRow kRows[] = {
    {WORKPOOL_UINT(workers_min), .fallback = "0", .min = 0, .max = kWorkersMax, .live = true,
     .doc = "Workers that are kept when idle, once started."},
    {WORKPOOL_UINT(workers_max), .fallback = "0", .min = 0, .max = kWorkersMax, .live = true,
     .doc = "The most workers that run tasks at once; 0 is automatic: 1024, or what limits on threads leave."},
    {WORKPOOL_UINT(workers_limit), .fallback = "4096", .min = 1, .max = kWorkersMax,
     .doc = "Bound of worker indices, with the workers that stand in for waiting ones."},
    {WORKPOOL_TIME(keep_alive), .fallback = "1000", .min = 1, .max = kTimeMax, .words = "forever",
     .word_value = kForever, .live = true,
     .doc = "Idle time after which a worker above the minimum ends; set anew, it counts from then."},
    {WORKPOOL_UINT(queue_limit), .fallback = "1048576", .min = 1, .max = POOL_UNLIMITED - 1, .words = "unlimited",
     .word_value = POOL_UNLIMITED, .doc = "Tasks that are accepted and have not started."},
    {WORKPOOL_TIME(submit_timeout), .fallback = "forever", .min = 1, .max = kTimeMax, .words = "forever",
     .word_value = kForever, .doc = "How long a submit that blocks waits."},
    {WORKPOOL_CHOICE(on_full), .fallback = "reject", .min = POOL_ON_FULL_REJECT, .max = POOL_ON_FULL_DROP_LOWEST,
     .words = "reject block caller-runs drop-oldest drop-lowest",
     .doc = "What a submit does when the queue limit is reached."},
    {WORKPOOL_UINT(prestart), .fallback = "0", .min = 0, .max = kWorkersMax,
     .doc = "Workers that pool_create starts, and waits for."},
    {WORKPOOL_CHOICE(on_exception), .fallback = "capture", .min = POOL_EXC_CAPTURE, .max = POOL_EXC_TERMINATE,
     .words = "capture terminate", .doc = "What becomes of a task that throws: it fails, or the process ends."},
    {WORKPOOL_UINT(inherit_affinity), .fallback = "0", .min = 0, .max = 1,
     .doc = "1: workers run on the CPUs of the thread that makes the pool; 0: on all of the process."},
    {WORKPOOL_UINT(stack_bytes), .fallback = "1048576", .min = kStackMinBytes, .max = kStackMaxBytes,
     .doc = "Stack of a worker."},
    {WORKPOOL_CHOICE(log_level), .fallback = "off", .min = POOL_LOG_OFF, .max = POOL_LOG_DEBUG,
     .words = "off error warn info debug", .doc = "Messages of this level and above reach log_fn."},
    {WORKPOOL_CHOICE(strategy), .fallback = "stealing", .min = POOL_STRATEGY_STEALING, .max = POOL_STRATEGY_PRIORITY,
     .words = "stealing fifo lifo priority", .doc = "Which waiting task a worker takes."},
    {WORKPOOL_UINT(lanes), .fallback = "3", .min = 1, .max = POOL_LANES_MAX,
     .doc = "Priorities with the strategy stealing; with another one there are none, and the default is 1."},
    {WORKPOOL_TIME(aging), .fallback = "100", .min = 1, .max = kTimeMax, .words = "forever", .word_value = kForever,
     .live = true,
     .doc = "A task that has waited so long times the lanes above its own gets a share of the takes."},
    {WORKPOOL_UINT(lane_limit), .fallback = "0", .min = 0, .max = UINT64_MAX, .live = true,
     .doc = "Tasks that may wait in each lane but that of priority 0; 0: no limit of its own."},
    {WORKPOOL_UINT(queue_limit_bytes), .fallback = "0", .min = 0, .max = UINT64_MAX, .live = true,
     .doc = "Sum of cost_bytes of the tasks that are accepted and have not started; 0: no limit."},
    {WORKPOOL_UINT(rate_count), .fallback = "0", .min = 0, .max = UINT64_MAX, .live = true,
     .doc = "At most so many tasks start in each rate_period_ms; 0: no limit. As a rule only a pool that was made with a "
            "rate can get another one."},
    {WORKPOOL_TIME(rate_period), .fallback = "1000", .min = 1, .max = kTimeMax, .live = true,
     .doc = "The period of rate_count."},
    {WORKPOOL_UINT(rate_burst), .fallback = "1", .min = 1, .max = UINT32_MAX, .live = true,
     .doc = "So many tasks may start at once, after a pause."},
    {WORKPOOL_CHOICE(on_rate), .fallback = "delay", .min = POOL_ON_RATE_REJECT, .max = POOL_ON_RATE_DELAY,
     .words = "reject block delay", .doc = "What a submit does when a rate limit has no token for it."},
    {WORKPOOL_TIME(codel_target), .fallback = "0", .min = 0, .max = kTimeMax,
     .doc = "Tasks are shed while all have waited longer than this for an interval (CoDel); 0: off."},
    {WORKPOOL_TIME(codel_interval), .fallback = "100", .min = 1, .max = kTimeMax,
     .doc = "The interval of codel_target_ms."},
    {WORKPOOL_UINT(retry_count), .fallback = "0", .min = 0, .max = UINT64_MAX, .live = true,
     .doc = "At most so many retries begin in each retry_period_ms; 0: no limit."},
    {WORKPOOL_TIME(retry_period), .fallback = "1000", .min = 1, .max = kTimeMax, .live = true,
     .doc = "The period of retry_count."},
    {WORKPOOL_UINT(dead_letter_limit), .fallback = "0", .min = 0, .max = UINT32_MAX,
     .doc = "The last so many dead letters are kept for pool_dead_letters; 0: none."},
    {WORKPOOL_UINT(queue_high), .fallback = "0", .min = 0, .max = UINT64_MAX,
     .doc = "watermark is called when so many tasks wait; 0: off."},
    {WORKPOOL_UINT(queue_low), .fallback = "0", .min = 0, .max = UINT64_MAX,
     .doc = "And again when so many or fewer do; below queue_high."},
    {WORKPOOL_TIME(stuck_after), .fallback = "0", .min = kStuckAfterMinNs, .max = kTimeMax, .words = "0", .word_value = 0,
     .doc = "stuck is called once for every run that lasts longer; 0: off."},
    {WORKPOOL_CHOICE(task_isolation), .fallback = "none", .min = POOL_ISOLATION_NONE, .max = POOL_ISOLATION_FULL,
     .words = "none fp full", .doc = "What a worker puts back after a task that has changed it."},
};

#undef WORKPOOL_TIME
#undef WORKPOOL_CHOICE
#undef WORKPOOL_UINT
#undef WORKPOOL_FIELD

struct Range {
  char text[64] = {};
};

constexpr auto kRanges = [] {
  std::array<Range, std::size(kRows)> ranges{};
  for (size_t i = 0; i < ranges.size(); ++i) {
    const OptionRow& row = kRows[i];
    if (row.type == POOL_OPTION_CHOICE) continue;
    char* at = AppendValue(ranges[i].text, row, row.min);
    at = AppendValue(Append(at, " ... "), row, row.max);
    if (row.words != nullptr) Append(Append(at, " or "), row.words);
  }
  return ranges;
}();

constexpr size_t kNameLengthMax = 32;

// How many letters have to be put in, left out or changed (Levenshtein).
size_t Distance(std::string_view a, std::string_view b) {
  std::array<size_t, kNameLengthMax + 1> row;
  for (size_t i = 0; i <= b.size(); ++i) row[i] = i;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

const OptionRow* Nearest(std::string_view name) {
  if (name.size() > kNameLengthMax) return nullptr;
  const OptionRow* nearest = nullptr;
  size_t least = std::min<size_t>(name.size() / 3, 3) + 1;  // a third of it may be wrong, and at most three letters
  for (const OptionRow& row : kRows) {
    const size_t distance = Distance(name, row.name);
    if (distance >= least) continue;
    least = distance;
    nearest = &row;
  }
  return nearest;
}

}  // namespace

std::span<const OptionRow> OptionRows() { return kRows; }

const char* RangeText(const OptionRow& row) {
  return row.type == POOL_OPTION_CHOICE ? row.words : kRanges[static_cast<size_t>(&row - kRows)].text;
}

Status FindOption(const char* name, const OptionRow** out) {
  for (const OptionRow& row : kRows) {
    if (std::strcmp(name, row.name) != 0) continue;
    *out = &row;
    return POOL_OK;
  }
  const OptionRow* nearest = Nearest(name);
  if (nearest == nullptr) {
    return Fail(POOL_E_NOTFOUND, "no option is named '%.40s'; pool_option_list tells all names", name);
  }
  return Fail(POOL_E_NOTFOUND, "no option is named '%.40s'; use %s, if you mean that", name, nearest->name);
}

}  // namespace workpool
