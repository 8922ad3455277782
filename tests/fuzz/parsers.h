// Feeds one text to every parser of files that the kernel writes, and says what does not hold of the answers. Shared by
// the fuzz target, which looks for the text, and by the unit tests, which throw mutated ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/cgroup.h"
#include "base/cpu_quota.h"
#include "base/file_text.h"
#include "base/proc_limits.h"
#include "base/thread_usage.h"

namespace workpool_fuzz {

using std::string_view;

// Each returns what is wrong, or nullptr.

inline const char* WrongInDir(workpool::CgroupDir& dir, string_view root) {
  using Dir = workpool::CgroupDir;
  if (dir.top > dir.size || dir.size > Dir::kSizeMax) return "sizes of a directory";
  if (std::memchr(dir.text, 0, sizeof(dir.text)) != dir.text + dir.size) return "a directory's text does not end";
  if (!string_view(dir.text, dir.size).starts_with(root)) return "a directory outside of the root";
  string_view below(dir.text + dir.top, dir.size - dir.top);
  if (!below.empty() && below.front() != '/') return "a name runs into the mount point's";
  while (!below.empty()) {
    if (workpool::TakeUntil(&below, '/') == "..") return "a way out of the mount point";
  }
  while (dir.size > dir.top) {
    const size_t size = dir.size;
    if (!dir.Up() || dir.size >= size || dir.size < dir.top) return "the chain does not rise to its top";
  }
  if (dir.Up() || dir.text[dir.size] != 0) return "the chain does not end at its top";
  return nullptr;
}

// The first line with every other as path and mount.
inline const char* WrongInCgroup(string_view text) {
  for (string_view controller : {workpool::kUnified, string_view("cpu"), string_view("pids")}) {
    string_view path = "/a/b c/d";
    for (string_view rest = text; !rest.empty();) {
      const string_view line = workpool::TakeUntil(&rest, '\n');
      if (workpool::ParseCgroupLine(line, controller, &path) && !path.starts_with('/')) return "a path without root";
      workpool::CgroupMount mount;
      if (!workpool::ParseMountLine(line, controller, &mount)) continue;
      for (const char* root : {"", "/fixture"}) {
        workpool::CgroupDir dir;
        if (workpool::PlaceCgroup(root, path, mount, &dir) == workpool::CgroupView::kNone) continue;
        if (const char* wrong = WrongInDir(dir, root)) return wrong;
      }
    }
  }
  return nullptr;
}

inline const char* WrongInQuota(string_view text) {
  string_view second = text;
  const string_view first = workpool::TakeUntil(&second, '\n');
  for (double cpus : {workpool::ParseCpuMax(text), workpool::ParseCfsQuota(first, second)}) {
    if (!(cpus > 0)) return "a quota that is not above 0";
  }
  (void)workpool::ParseThrottled(text);
  return nullptr;
}

inline const char* WrongInPids(string_view text) {
  string_view second = text;
  const string_view first = workpool::TakeUntil(&second, '\n');
  uint64_t max = 0;
  const bool limited = workpool::ParseNumber(first, &max);
  const uint64_t left = workpool::PidsLeftOf(first, second);
  if (limited ? left > max : left != workpool::kNoLimit) return "more is left than may be";
  for (uint32_t own : {0u, 1u, UINT32_MAX}) {
    const uint32_t allowed = workpool::ThreadsAllowedOf(workpool::kNoLimit, left, own);
    if (allowed < 1 || allowed > workpool::kThreadsAutoMax) return "workers out of bounds";
  }
  return nullptr;
}

inline const char* WrongInUsage(string_view text) {
  using workpool::UsageSource;
  constexpr uint64_t kUntouched = 7;
  workpool::Usage usage{.cpu_ns = kUntouched, .delay_ns = kUntouched, .slices = kUntouched, .runnable = false};
  const bool parsed = workpool::ParseSchedStat(text, &usage);
  if (!parsed && (usage.cpu_ns != kUntouched || usage.delay_ns != kUntouched || usage.slices != kUntouched)) {
    return "a refused text has been taken";
  }
  const double seconds = workpool::RunnableSecondsBetween(UsageSource::kSchedStat, {}, usage, 1);
  if (!(seconds >= 0) || !std::isfinite(seconds)) return "time runs backwards";
  const char state = workpool::ParseTaskState(text);
  if (state != 0 && text.find(state) == string_view::npos) return "a state from nowhere";
  return nullptr;
}

inline const char* WrongInAny(string_view text) {
  for (auto wrong : {WrongInCgroup, WrongInQuota, WrongInPids, WrongInUsage}) {
    if (const char* what = wrong(text)) return what;
  }
  return nullptr;
}

}  // namespace workpool_fuzz
