#include "base/thread_usage.h"

#include <cstdio>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/file_text.h"
#include "base/thread.h"

namespace workpool {
namespace {

// As much of the texts as is looked at: three numbers of 20 digits; an id, a name of 15 bytes in parentheses, the
// state.
constexpr size_t kTextMax = 80;

constexpr uint64_t kSpinNs = 200'000;
constexpr uint64_t kSpinWallNs = 10 * kSpinNs;
// Between two spins that show nothing the machine may have been busy with others.
constexpr int kSpins = 3;

int OpenUsageBelow(const char* root, UsageSource source, int32_t tid) {
  char path[512];
  const int size = std::snprintf(path, sizeof(path), "%s/proc/self/task/%d/%s", root, tid,
                                 source == UsageSource::kTaskState ? "stat" : "schedstat");
  return size < static_cast<int>(sizeof(path)) ? OpenFile(path) : -1;
}

// Only what the file says.
bool ReadUsageFile(UsageSource source, int fd, Usage* out) {
  char buffer[kTextMax];
  std::string_view text;
  if (!ReadOpenFile(fd, buffer, sizeof(buffer), &text)) return false;
  if (source == UsageSource::kSchedStat) return ParseSchedStat(text, out);
  const char state = ParseTaskState(text);
  out->runnable = state == 'R';
  // A thread that has ended and was not seen off yet.
  return state != 0 && state != 'Z' && state != 'X';
}

bool ReadBelow(const char* root, UsageSource source, int32_t tid, Usage* out) {
  const int fd = OpenUsageBelow(root, source, tid);
  if (fd < 0) return false;
  const bool read = ReadUsageFile(source, fd, out);
  CloseFile(fd);
  return read;
}

void Spin() {
  const uint64_t cpu_ns = OwnCpuNs(), wall_ns = NowNs();
  while (OwnCpuNs() - cpu_ns < kSpinNs && NowNs() - wall_ns < kSpinWallNs) {
  }
}

uint64_t Risen(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

// 0: not chosen yet. Two threads that choose at once do no harm.
constinit Atomic<uint32_t> g_source{0};

}  // namespace

int OpenUsage(UsageSource source, int32_t tid) {
  return source == UsageSource::kCpuClock ? -1 : OpenUsageBelow("", source, tid);
}

bool ReadUsage(UsageSource source, int fd, int32_t tid, Usage* out) {
  uint64_t cpu_ns = 0;
  // To read the clock makes the kernel bring the thread's account up to date.
  const bool exact = source == UsageSource::kSchedStat && ReadThreadCpuNs(tid, &cpu_ns);
  if (!ReadUsageFile(source, fd, out)) return false;
  // It is the same account, as it was a moment before the file was read.
  if (exact && cpu_ns > out->cpu_ns) out->cpu_ns = cpu_ns;
  return true;
}

bool ReadUsage(UsageSource source, int32_t tid, Usage* out) {
  if (source == UsageSource::kCpuClock) return ReadThreadCpuNs(tid, &out->cpu_ns);
  const int fd = OpenUsage(source, tid);
  if (fd < 0) return false;
  const bool read = ReadUsage(source, fd, tid, out);
  CloseFile(fd);
  return read;
}

double RunnableSecondsBetween(UsageSource source, const Usage& before, const Usage& now, uint64_t dt_ns) {
  if (source == UsageSource::kTaskState) return now.runnable ? static_cast<double>(dt_ns) * 1e-9 : 0;
  const uint64_t ns = Risen(before.cpu_ns, now.cpu_ns) + Risen(before.delay_ns, now.delay_ns);
  return static_cast<double>(ns) * 1e-9;
}

UsageSource ChooseUsageSource(const char* root) {
  const int32_t tid = CurrentTid();
  Usage before, after;
  for (int i = 0; i < kSpins && ReadBelow(root, UsageSource::kSchedStat, tid, &before); ++i) {
    Spin();
    // Its CPU clock was read by the thread itself.
    if (ReadBelow(root, UsageSource::kSchedStat, tid, &after) && after.cpu_ns > before.cpu_ns) {
      return UsageSource::kSchedStat;
    }
  }
  // Whoever reads this runs.
  if (ReadBelow(root, UsageSource::kTaskState, tid, &after) && after.runnable) return UsageSource::kTaskState;
  return UsageSource::kCpuClock;
}

UsageSource UsageSourceOfProcess() {
  const uint32_t known = g_source.load(kRelaxed);
  if (known != 0) return static_cast<UsageSource>(known - 1);
  const UsageSource source = ChooseUsageSource("");
  g_source.store(static_cast<uint32_t>(source) + 1, kRelaxed);
  return source;
}

bool ParseSchedStat(std::string_view text, Usage* out) {
  std::string_view line = TakeUntil(&text, '\n');
  uint64_t cpu_ns = 0, delay_ns = 0, slices = 0;
  if (!ParseNumber(TakeUntil(&line, ' '), &cpu_ns) || !ParseNumber(TakeUntil(&line, ' '), &delay_ns) ||
      !ParseNumber(line, &slices)) {
    return false;
  }
  out->cpu_ns = cpu_ns;
  out->delay_ns = delay_ns;
  out->slices = slices;
  return true;
}

char ParseTaskState(std::string_view text) {
  // After the name, which is in parentheses and may hold some.
  const size_t end = text.rfind(')');
  if (end == std::string_view::npos || text.size() - end < 3 || text[end + 1] != ' ') return 0;
  return text[end + 2];
}

}  // namespace workpool
