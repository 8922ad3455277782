// Replays a schedule on a pool, open loop, and prints what came of it as one line of JSON:
//   SUBJECT SCHEDULE [--duration S] [--drain S] [--threads N]
// The main thread submits at the scheduled times, whatever the pool does; another one counts the process's threads every
// 10 ms. What the pool made is what is there beyond the threads that were there before it.
//   wait     scheduled arrival to start            queue    submit to start
//   sojourn  scheduled arrival to end              late     scheduled arrival to submit
//   thread_s threads over time, from the start until all is done and the duration is over; peak: most of them
//   cpu_s    of the process without the submitter and the counter: tasks included
//   dropped  not ended --drain seconds after the last arrival. A job that has not begun has waited until then.
// A pool has: Threads(), its number of threads where none is given; Pool(threads); Submit(Job&), on the main thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/load/job_clock.h"

namespace bench_load {

struct Options {
  const char* schedule = nullptr;
  double duration_s = 0;
  double drain_s = 30;
  unsigned threads = 0;  // 0: the pool's own choice
};

inline Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (name == "--duration" && value != nullptr) {
      options.duration_s = std::atof(argv[++i]);
    } else if (name == "--drain" && value != nullptr) {
      options.drain_s = std::atof(argv[++i]);
    } else if (name == "--threads" && value != nullptr) {
      options.threads = static_cast<unsigned>(std::atoi(argv[++i]));
    } else if (name[0] != '-' && options.schedule == nullptr) {
      options.schedule = argv[i];
    } else {
      options.schedule = nullptr;
      break;
    }
  }
  if (options.schedule != nullptr) return options;
  std::fprintf(stderr, "usage: %s SCHEDULE [--duration S] [--drain S] [--threads N]\n", argv[0]);
  std::exit(2);
}

// Threads of this process, as the kernel counts them.
inline unsigned CountThreads() {
  static const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  char text[1024];
  const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
  if (size <= 0) return 0;
  text[size] = 0;
  // The name in brackets may contain anything; the number of threads is the 18th field after it.
  const char* at = std::strrchr(text, ')');
  for (int field = 0; at != nullptr && field < 18; ++field) at = std::strchr(at + 1, ' ');
  return at != nullptr ? static_cast<unsigned>(std::atoi(at + 1)) : 0;
}

class ThreadCount {
 public:
  explicit ThreadCount(unsigned others) : others_(others), thread_([this] { Count(); }) {}
  // No further look.
  void End() {
    end_ = true;
    thread_.join();
  }
  double thread_s() const { return thread_s_; }
  unsigned peak() const { return peak_; }
  double cpu_s() const { return cpu_s_; }

 private:
  static constexpr uint64_t kStepNs = 10'000'000;

  void Count() {
    uint64_t last_ns = NowNs();
    for (uint64_t next_ns = last_ns + kStepNs; !end_; next_ns = std::max(next_ns + kStepNs, last_ns)) {
      SleepUntil(next_ns);
      const uint64_t now_ns = NowNs();
      const unsigned threads = CountThreads(), own = threads - std::min(threads, others_ + 1);
      thread_s_ += own * static_cast<double>(now_ns - last_ns) * 1e-9;
      peak_ = std::max(peak_, own);
      last_ns = now_ns;
    }
    cpu_s_ = static_cast<double>(ThreadCpuNs()) * 1e-9;
  }

  const unsigned others_;
  std::atomic<bool> end_{false};
  double thread_s_ = 0;
  unsigned peak_ = 0;
  double cpu_s_ = 0;
  std::thread thread_;
};

// The smallest value that a share of q does not exceed, in ms.
inline double QuantileMs(std::vector<uint64_t>& times_ns, double q) {
  if (times_ns.empty()) return 0;
  const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(q * static_cast<double>(times_ns.size())))) - 1;
  std::nth_element(times_ns.begin(), times_ns.begin() + static_cast<ptrdiff_t>(rank), times_ns.end());
  return static_cast<double>(times_ns[rank]) * 1e-6;
}

struct Totals {
  double elapsed_s, thread_s, cpu_s;
  unsigned peak;
};

inline void Print(const std::string& peer, const std::deque<Job>& jobs, uint64_t start_ns, uint64_t stop_ns,
                  const Totals& totals) {
  std::vector<uint64_t> wait, queue, sojourn, late;
  size_t dropped = 0;
  const auto since = [](uint64_t from_ns, uint64_t to_ns) { return to_ns - std::min(to_ns, from_ns); };
  for (const Job& job : jobs) {
    const uint64_t due_ns = start_ns + job.at_us * 1'000, end_ns = job.end_ns.load(std::memory_order_acquire);
    uint64_t begun_ns = job.start_ns.load(std::memory_order_relaxed);
    if (end_ns == 0) ++dropped;
    if (begun_ns == 0) begun_ns = stop_ns;
    late.push_back(since(due_ns, job.submit_ns));
    wait.push_back(since(due_ns, begun_ns));
    queue.push_back(since(job.submit_ns, begun_ns));
    sojourn.push_back(since(due_ns, end_ns != 0 ? end_ns : stop_ns));
  }
  std::printf("{\"peer\": \"%s\", \"tasks\": %zu, \"dropped\": %zu, \"elapsed_s\": %.3f, \"wait_p50_ms\": %.4f, "
              "\"wait_p99_ms\": %.4f, \"queue_p99_ms\": %.4f, \"sojourn_p99_ms\": %.4f, \"thread_s\": %.3f, "
              "\"cpu_s\": %.3f, \"peak\": %u, \"late_p99_ms\": %.4f}\n",
              peer.c_str(), jobs.size(), dropped, totals.elapsed_s, QuantileMs(wait, 0.5), QuantileMs(wait, 0.99),
              QuantileMs(queue, 0.99), QuantileMs(sojourn, 0.99), totals.thread_s, totals.cpu_s, totals.peak,
              QuantileMs(late, 0.99));
  std::fflush(stdout);
}

template <typename Pool>
int Replay(int argc, char** argv, const std::string& peer) {
  const Options options = ReadOptions(argc, argv);
  std::deque<Job> jobs = ReadSchedule(options.schedule);
  const unsigned others = CountThreads();
  Pool pool(options.threads != 0 ? options.threads : Pool::Threads());
  const uint64_t cpu_before_ns = ProcessCpuNs(), own_before_ns = ThreadCpuNs();
  const uint64_t start_ns = NowNs() + 20'000'000;
  SleepUntil(start_ns);
  ThreadCount count(others);
  for (Job& job : jobs) {
    WaitUntilExactly(start_ns + job.at_us * 1'000);
    job.submit_ns.store(NowNs(), std::memory_order_relaxed);
    pool.Submit(job);
  }
  const auto duration_ns = static_cast<uint64_t>(options.duration_s * 1e9);
  const uint64_t drained_ns = NowNs() + static_cast<uint64_t>(options.drain_s * 1e9);
  auto open = jobs.begin();
  for (;;) {
    while (open != jobs.end() && open->end_ns.load(std::memory_order_acquire) != 0) ++open;
    const uint64_t now_ns = NowNs();
    if (now_ns >= drained_ns || (open == jobs.end() && now_ns >= start_ns + duration_ns)) break;
    SleepUntil(now_ns + 1'000'000);
  }
  const uint64_t stop_ns = NowNs();
  count.End();
  const uint64_t own_ns = ThreadCpuNs() - own_before_ns;
  const double cpu_s = static_cast<double>(ProcessCpuNs() - cpu_before_ns - own_ns) * 1e-9 - count.cpu_s();
  Print(peer, jobs, start_ns, stop_ns,
        {static_cast<double>(stop_ns - start_ns) * 1e-9, count.thread_s(), cpu_s, count.peak()});
  _exit(0);  // what was not drained in time is not waited for
}

inline unsigned Cores() { return std::max(1u, std::thread::hardware_concurrency()); }

}  // namespace bench_load
