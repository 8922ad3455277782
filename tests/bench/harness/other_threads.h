// The threads of this process besides its main thread, which is the one that looks.
#pragma once

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "bench/harness/arguments.h"

namespace bench {

// Since the thread began.
struct ThreadUse {
  uint64_t switches = 0;
  uint64_t cpu_ns = 0;
};

// By thread id.
inline std::map<std::string, ThreadUse> UseOfOtherThreads() {
  std::map<std::string, ThreadUse> uses;
  const std::string own = std::to_string(getpid());
  DIR* folder = opendir("/proc/self/task");
  Require(folder != nullptr, "/proc/self/task");
  while (const dirent* entry = readdir(folder)) {
    const std::string id = entry->d_name;
    if (id == own || id[0] == '.') continue;
    ThreadUse use;
    char line[256];
    if (FILE* status = std::fopen(("/proc/self/task/" + id + "/status").c_str(), "r")) {
      while (std::fgets(line, sizeof line, status) != nullptr) {
        unsigned long long n = 0;
        if (std::sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
            std::sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1) {
          use.switches += n;
        }
      }
      std::fclose(status);
    }
    if (FILE* schedstat = std::fopen(("/proc/self/task/" + id + "/schedstat").c_str(), "r")) {
      unsigned long long n = 0;
      if (std::fscanf(schedstat, "%llu", &n) == 1) use.cpu_ns = n;
      std::fclose(schedstat);
    }
    uses[id] = use;
  }
  closedir(folder);
  return uses;
}

// Binds the calling (main) thread to one core and all the others to another one.
inline void BindOtherThreadsApart() {
  cpu_set_t all, first, second;
  sched_getaffinity(0, sizeof all, &all);
  CPU_ZERO(&first);
  CPU_ZERO(&second);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    if (CPU_COUNT(&first) == 0) {
      CPU_SET(cpu, &first);
    } else if (CPU_COUNT(&second) == 0) {
      CPU_SET(cpu, &second);
    }
  }
  Require(CPU_COUNT(&second) == 1, "two cores");
  for (const auto& [thread, use] : UseOfOtherThreads()) {
    sched_setaffinity(std::stoi(thread), sizeof second, &second);
  }
  sched_setaffinity(0, sizeof first, &first);
}

}  // namespace bench
