// Where a run stands, now: one line that is written over on a terminal, plain lines elsewhere.
#pragma once

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace workpool_cli {

// Threads: one.
class LiveLine {
 public:
  // plain: lines also on a terminal. plain_interval is the time between them; a terminal's line is
  // renewed ten times a second.
  LiveLine(uint64_t files, bool plain, std::chrono::milliseconds plain_interval);

  // How often Show is worth calling.
  std::chrono::milliseconds interval() const { return interval_; }

  // Shows the progress, and of a pool its workers, if interval() has passed since the last line.
  // stats may be nullptr.
  void Show(uint64_t files_done, uint64_t bytes_done, const pool_stats_t* stats);
  // The same, at once; the line stays.
  void ShowLast(uint64_t files_done, uint64_t bytes_done, const pool_stats_t* stats);
  // A line of its own text, written over by the next one on a terminal.
  void ShowText(const std::string& text);
  // Ends a line that would be written over.
  void Keep();

 private:
  using Clock = std::chrono::steady_clock;

  std::string Text(uint64_t files_done, uint64_t bytes_done, const pool_stats_t* stats) const;

  const uint64_t files_;
  const bool overwrite_;
  const std::chrono::milliseconds interval_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_;
  bool open_ = false;  // the cursor stands in a line that may be written over
};

}  // namespace workpool_cli
