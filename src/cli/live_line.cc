#include "live_line.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace workpool_cli {

LiveLine::LiveLine(uint64_t files, bool plain, std::chrono::milliseconds plain_interval)
    : files_(files),
      overwrite_(!plain && isatty(STDOUT_FILENO) == 1),
      interval_(overwrite_ ? std::chrono::milliseconds(100) : plain_interval) {}

void LiveLine::Show(uint64_t files_done, uint64_t bytes_done, const pool_stats_t* stats) {
  if (Clock::now() < next_) return;
  ShowText(Text(files_done, bytes_done, stats));
}

void LiveLine::ShowLast(uint64_t files_done, uint64_t bytes_done, const pool_stats_t* stats) {
  ShowText(Text(files_done, bytes_done, stats));
  Keep();
}

void LiveLine::ShowText(const std::string& text) {
  if (overwrite_) {
    std::printf("\r%s\x1b[K", text.c_str());
    open_ = true;
  } else {
    std::printf("%s\n", text.c_str());
  }
  std::fflush(stdout);
  next_ = Clock::now() + interval_;
}

void LiveLine::Keep() {
  if (open_) std::printf("\n");
  open_ = false;
  std::fflush(stdout);
}

std::string LiveLine::Text(uint64_t files_done, uint64_t bytes_done,
                           const pool_stats_t* stats) const {
  const double seconds =
      std::max(1e-9, std::chrono::duration<double>(Clock::now() - start_).count());
  char text[256];
  int used = std::snprintf(text, sizeof text,
                           "%6.1f s  %6" PRIu64 "/%" PRIu64 " files  %6.0f files/s  %6.1f MB/s",
                           seconds, files_done, files_, static_cast<double>(files_done) / seconds,
                           static_cast<double>(bytes_done) / 1e6 / seconds);
  if (stats != nullptr && used > 0 && static_cast<size_t>(used) < sizeof text) {
    std::snprintf(text + used, sizeof text - static_cast<size_t>(used),
                  "  workers %" PRIu32 " (%" PRIu32 " busy)  queue %" PRIu64 "  steals %" PRIu64
                  "  wait p99 %.1f ms",
                  stats->workers_live, stats->workers_busy, stats->queued, stats->steals,
                  static_cast<double>(stats->wait_p99_ns) / 1e6);
  }
  return text;
}

}  // namespace workpool_cli
