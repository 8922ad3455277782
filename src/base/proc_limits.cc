#include "base/proc_limits.h"

#include <algorithm>
#include <sys/resource.h>

#include "base/cgroup.h"
#include "base/file_text.h"
#include "base/mul_div.h"

namespace workpool {
namespace {

uint64_t LimitOf(const rlimit& limit) { return limit.rlim_cur == RLIM_INFINITY ? kNoLimit : limit.rlim_cur; }

uint64_t PidsLeftInChain(const char* root, std::string_view controller) {
  uint64_t left = kNoLimit;
  CgroupDir dir;
  if (!FindCgroup(root, controller, &dir)) return left;
  do {
    char max_text[64], current_text[64];
    std::string_view max, current;
    if (!dir.Read("pids.max", max_text, sizeof(max_text), &max)) continue;
    if (!dir.Read("pids.current", current_text, sizeof(current_text), &current)) current = "0";
    left = std::min(left, PidsLeftOf(max, current));
  } while (dir.Up());
  return left;
}

}  // namespace

uint64_t UserThreadsMax() {
  rlimit limit;
  return getrlimit(RLIMIT_NPROC, &limit) == 0 ? LimitOf(limit) : kNoLimit;
}

uint64_t OpenFilesMax() {
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? LimitOf(limit) : kNoLimit;
}

uint64_t PidsLeft(const char* root) { return std::min(PidsLeftInChain(root, kUnified), PidsLeftInChain(root, "pids")); }

uint32_t ThreadsAllowed(uint32_t own, const char* root) {
  return ThreadsAllowedOf(UserThreadsMax(), PidsLeft(root), own);
}

uint64_t PidsLeftOf(std::string_view pids_max, std::string_view pids_current) {
  uint64_t max = 0, current = 0;
  if (!ParseNumber(TakeUntil(&pids_max, '\n'), &max)) return kNoLimit;  // "max", too
  if (!ParseNumber(TakeUntil(&pids_current, '\n'), &current)) current = 0;
  return max - std::min(max, current);
}

uint32_t ThreadsAllowedOf(uint64_t user_threads_max, uint64_t pids_left, uint32_t own) {
  const uint64_t share = std::min(user_threads_max, AddSaturated(pids_left, own)) / 2;
  return static_cast<uint32_t>(std::clamp<uint64_t>(share, 1, kThreadsAutoMax));
}

}  // namespace workpool
