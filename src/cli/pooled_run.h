// The same work in the pool: every file is a member of one group, the pieces of a big file are
// forks of its task.
#pragma once

#include <workpool/workpool.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "demo.h"
#include "file_list.h"
#include "file_work.h"

namespace workpool_cli {

// Threads: one thread owns it. list must outlive it and stay as it is.
class PooledRun {
 public:
  // Makes the pool with its minimum of workers. Throws std::runtime_error with the library's text.
  PooledRun(const DemoOptions& options, const FileList& list);
  // Waits for what was submitted and destroys the pool.
  ~PooledRun();
  PooledRun(const PooledRun&) = delete;
  PooledRun& operator=(const PooledRun&) = delete;

  // Submits the next files, at most count of them. False when all have been submitted. Throws as
  // the constructor.
  [[nodiscard]] bool SubmitNext(size_t count);
  // True when every task submitted has ended, whether well or not.
  [[nodiscard]] bool WaitFor(std::chrono::nanoseconds timeout);

  [[nodiscard]] pool_stats_t Stats() const;
  uint64_t files_done() const { return files_done_; }
  uint64_t bytes_done() const { return bytes_done_; }
  // The most workers that lived at once, counted by each worker as it starts: no sampling misses
  // it.
  uint32_t workers_most() const { return workers_most_; }
  // How long after the first submit there were that many.
  double grown_after_seconds() const;
  // In the order of the files; complete when WaitFor has said so.
  const std::vector<FileResult>& results() const { return results_; }

 private:
  // A task's arg: which file of which run.
  struct Job {
    PooledRun* run;
    size_t index;
  };

  static int32_t RunFile(void* arg, pool_ctx_t* ctx);
  static void CountStart(void* user, pool_t pool, int32_t worker);
  static void CountStop(void* user, pool_t pool, int32_t worker);

  const FileList& list_;
  std::vector<Job> jobs_;
  size_t submitted_ = 0;  // of jobs_
  uint64_t first_submit_ns_ = 0;
  std::vector<FileResult> results_;  // each element written by its own task only
  pool_t pool_ = 0;
  pool_group_t group_ = 0;
  std::atomic<uint64_t> files_done_{0};
  std::atomic<uint64_t> bytes_done_{0};
  std::atomic<uint32_t> workers_now_{0};
  std::atomic<uint32_t> workers_most_;
  std::atomic<uint64_t> most_at_ns_{0};
};

}  // namespace workpool_cli
