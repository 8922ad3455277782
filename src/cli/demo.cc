#include "demo.h"

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <thread>

#include "comparison.h"
#include "file_list.h"
#include "live_line.h"
#include "pooled_run.h"
#include "serial_run.h"
#include "stats_table.h"

namespace workpool_cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// How long beyond the keep-alive the pool may take to be back at its minimum.
constexpr std::chrono::seconds kShrinkGrace{10};

void PrintList(const DemoOptions& options, const FileList& list) {
  std::printf("%zu files, %.1f MB below %s", list.files.size(),
              static_cast<double>(list.bytes) / 1e6, options.directory.c_str());
  if (list.limited) {
    std::printf(" (there is more; limits: --limit %" PRIu64 " files, --limit-mib %" PRIu64 ")",
                options.files_max, options.mebibytes_max);
  }
  std::printf("\n");
}

// Files submitted between two looks at the line.
constexpr size_t kSubmitSlice = 256;

double WatchRun(PooledRun& run, LiveLine& line, Clock::time_point start) {
  const auto show = [&] {
    const pool_stats_t stats = run.Stats();
    line.Show(run.files_done(), run.bytes_done(), &stats);
  };
  show();
  while (run.SubmitNext(kSubmitSlice)) show();
  while (!run.WaitFor(line.interval())) show();
  const double seconds = SecondsSince(start);
  const pool_stats_t stats = run.Stats();
  line.ShowLast(run.files_done(), run.bytes_done(), &stats);
  return seconds;
}

// Watches idle workers end. False unless the pool is back at its minimum in time, and not below it.
bool WatchShrink(const DemoOptions& options, PooledRun& run, LiveLine& line) {
  const Clock::time_point start = Clock::now();
  const Clock::time_point end =
      start + std::chrono::milliseconds(options.keep_alive_ms) + kShrinkGrace;
  pool_stats_t stats = run.Stats();
  uint32_t shown = UINT32_MAX;
  while (stats.workers_live > options.workers_min && Clock::now() < end) {
    if (stats.workers_live != shown) {
      shown = stats.workers_live;
      char text[64];
      std::snprintf(text, sizeof text, "idle %.2f s: %" PRIu32 " workers live", SecondsSince(start),
                    shown);
      line.ShowText(text);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stats = run.Stats();
  }
  line.Keep();
  const bool back = stats.workers_live == options.workers_min;
  std::printf("workers: min %" PRIu32 ", max %" PRIu32 ", most at once %" PRIu32
              " after %.3f s of work, %s %" PRIu32 " after %.2f s idle\n",
              options.workers_min, options.workers_max, run.workers_most(),
              run.grown_after_seconds(), back ? "back to" : "NOT BACK, but", stats.workers_live,
              SecondsSince(start));
  return back;
}

double WatchSerialRun(const FileList& list, bool plain, std::vector<FileResult>& results) {
  std::printf("the same, serially\n");
  const Clock::time_point start = Clock::now();
  LiveLine line(list.files.size(), plain, std::chrono::seconds(2));
  uint64_t files = 0;
  uint64_t bytes = 0;
  results = RunSerially(list, [&](uint64_t files_done, uint64_t bytes_done) {
    files = files_done;
    bytes = bytes_done;
    line.Show(files, bytes, nullptr);
  });
  const double seconds = SecondsSince(start);
  line.ShowLast(files, bytes, nullptr);
  return seconds;
}

// Spoils the digest of the first file that could be read.
void FlipOneDigest(std::vector<FileResult>& results) {
  for (FileResult& r : results) {
    if (r.error != 0) continue;
    r.digest[0] ^= 1;
    return;
  }
}

}  // namespace

int RunDemo(const DemoOptions& options) {
  const FileList list =
      ListFiles(options.directory, options.files_max, options.mebibytes_max * 1024 * 1024);
  PrintList(options, list);

  const Clock::time_point start = Clock::now();
  PooledRun run(options, list);
  LiveLine line(list.files.size(), options.plain, std::chrono::milliseconds(500));
  const double pooled_seconds = WatchRun(run, line, start);
  const bool shrank = WatchShrink(options, run, line);
  const pool_stats_t stats = run.Stats();

  std::vector<FileResult> serial;
  const double serial_seconds = WatchSerialRun(list, options.plain, serial);
  if (options.flip_one_digest) FlipOneDigest(serial);

  const Comparison c = CompareRuns(list, run.results(), serial);
  PrintStats(stats);
  std::printf("pooled %.2f s, serial %.2f s, speed-up %.2f on %u CPUs (tasks that sleep overlap)\n", pooled_seconds,
              serial_seconds, serial_seconds / pooled_seconds, std::thread::hardware_concurrency());
  std::printf("unreadable files: pooled %" PRIu64 ", serial %" PRIu64 "; failed tasks: %" PRIu64
              "\n",
              c.unreadable_pooled, c.unreadable_serial, stats.failed + stats.cancelled);
  std::printf("%" PRIu64 " of %zu results are equal (SHA-256, %" PRIu64
              " compressed bytes), %" PRIu64 " differ\n",
              c.equal, list.files.size(), c.compressed_bytes, c.different);
  const bool good = shrank && c.different == 0 && stats.failed + stats.cancelled == 0;
  std::printf("%s\n", good ? "OK" : "FAILED");
  return good ? 0 : 1;
}

}  // namespace workpool_cli
