// Schedule: the arrivals that a run replays, from lines "t_us cpu_us blocked_us cpu2_us" (workpool load --emit-schedule).
// Job: one of them, and when it was submitted, begun and ended. Threads: a Job's times are written by who submits and who
// runs it, and may be read at any time.
#pragma once

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>

namespace bench_load {

struct Job {
  uint64_t at_us = 0;  // since the start
  uint64_t cpu_us = 0;
  uint64_t blocked_us = 0;
  uint64_t cpu2_us = 0;
  // Monotonic; 0: not yet.
  std::atomic<uint64_t> submit_ns{0};
  std::atomic<uint64_t> start_ns{0};
  std::atomic<uint64_t> end_ns{0};
};

// Or the program ends.
inline std::deque<Job> ReadSchedule(const char* path) {
  FILE* file = std::fopen(path, "r");
  if (file == nullptr) {
    std::perror(path);
    std::exit(2);
  }
  std::deque<Job> jobs;
  uint64_t at_us, cpu_us, blocked_us, cpu2_us, last_us = 0;
  int fields;
  while ((fields = std::fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &at_us, &cpu_us, &blocked_us,
                               &cpu2_us)) == 4 &&
         at_us >= last_us) {
    Job& job = jobs.emplace_back();
    job.at_us = last_us = at_us;
    job.cpu_us = cpu_us;
    job.blocked_us = blocked_us;
    job.cpu2_us = cpu2_us;
  }
  std::fclose(file);
  if (fields != EOF || jobs.empty()) {
    std::fprintf(stderr, "%s: line %zu is no \"t_us cpu_us blocked_us cpu2_us\" in order of time\n", path, jobs.size() + 1);
    std::exit(2);
  }
  return jobs;
}

}  // namespace bench_load
