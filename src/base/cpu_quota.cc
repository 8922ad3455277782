#include "base/cpu_quota.h"

#include <algorithm>

#include "base/cgroup.h"
#include "base/file_text.h"
#include "base/mul_div.h"

namespace workpool {
namespace {

double QuotaOf(std::string_view quota_us, std::string_view period_us) {
  uint64_t quota = 0, period = 0;
  // "max" and "-1" are no numbers without a sign.
  if (!ParseNumber(quota_us, &quota) || !ParseNumber(period_us, &period)) return kNoQuota;
  if (quota == 0 || period == 0) return kNoQuota;
  return static_cast<double>(quota) / static_cast<double>(period);
}

double QuotaOfGroup(CgroupDir& dir, bool unified) {
  char text[64], period_text[64];
  std::string_view quota, period;
  if (unified) return dir.Read("cpu.max", text, sizeof(text), &quota) ? ParseCpuMax(quota) : kNoQuota;
  if (!dir.Read("cpu.cfs_quota_us", text, sizeof(text), &quota)) return kNoQuota;
  if (!dir.Read("cpu.cfs_period_us", period_text, sizeof(period_text), &period)) return kNoQuota;
  return ParseCfsQuota(quota, period);
}

void ReadChain(const char* root, std::string_view controller, CpuQuota* out) {
  CgroupDir dir;
  if (!FindCgroup(root, controller, &dir)) return;
  do {
    const double cpus = QuotaOfGroup(dir, controller == kUnified);
    if (cpus == kNoQuota) continue;
    out->cpus = std::min(out->cpus, cpus);
    char text[1024];
    std::string_view stat;
    if (dir.Read("cpu.stat", text, sizeof(text), &stat)) {
      out->throttled = AddSaturated(out->throttled, ParseThrottled(stat));
    }
  } while (dir.Up());
}

}  // namespace

CpuQuota ReadCpuQuota(const char* root) {
  CpuQuota quota;
  for (std::string_view controller : {kUnified, std::string_view("cpu")}) ReadChain(root, controller, &quota);
  return quota;
}

double ParseCpuMax(std::string_view text) {
  std::string_view line = TakeUntil(&text, '\n');
  const std::string_view quota = TakeUntil(&line, ' ');
  return QuotaOf(quota, line);
}

double ParseCfsQuota(std::string_view quota_us, std::string_view period_us) {
  return QuotaOf(TakeUntil(&quota_us, '\n'), TakeUntil(&period_us, '\n'));
}

uint64_t ParseThrottled(std::string_view stat) {
  while (!stat.empty()) {
    std::string_view line = TakeUntil(&stat, '\n');
    uint64_t count = 0;
    if (TakeUntil(&line, ' ') == "nr_throttled") return ParseNumber(line, &count) ? count : 0;
  }
  return 0;
}

}  // namespace workpool
