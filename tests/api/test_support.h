// What the tests of the C interface share, in tests/api and tests/process: gates that give an
// order, a bounded poll, tasks from lambdas, tasks that count their callbacks, a pool that is
// destroyed with its scope. It knows no test framework, so that programs without one use it too.
//
// Rule: nothing here sleeps to be right. A wait has a generous bound, after which the test fails; a
// task that waits for a gate gives up after the same bound, so that a failed test still ends.
#pragma once

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "workpool/workpool.h"

namespace workpool_test {

// Long enough for two slow cores under a sanitizer.
inline constexpr int64_t kBoundNs = 20'000'000'000;
// Long enough to see something that must not happen, where only time can show it.
inline constexpr std::chrono::milliseconds kWatchTime{100};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// Rounds of a stress test: fewer where every step costs ten times as much.
inline constexpr uint64_t Rounds(uint64_t rounds) {
  return kSanitized ? (rounds + 19) / 20 : rounds;
}

// ThreadSanitizer has a thread of its own, which comes with the first other thread of a process.
// Started here, it is part of every later count.
inline const bool g_sanitizer_thread_started = [] {
  if (kSanitized) std::thread([] {}).join();
  return true;
}();

// True as soon as pred() is, false if it is not within the bound.
template <typename Pred>
[[nodiscard]] bool PollUntil(Pred pred, int64_t bound_ns = kBoundNs) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(bound_ns);
  while (!pred()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// False as soon as pred() is, true if it held all the while.
template <typename Pred>
[[nodiscard]] bool HoldsThroughout(Pred pred, std::chrono::milliseconds time = kWatchTime) {
  const auto end = std::chrono::steady_clock::now() + time;
  do {
    if (!pred()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } while (std::chrono::steady_clock::now() < end);
  return true;
}

// Busy for so long, to meet another thread at some moment of a race.
inline void SpinFor(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

class Stopwatch {
 public:
  [[nodiscard]] double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Those who pass stop until it is opened; it counts them, so that a test knows who stands there.
// It may go when all who arrived have left; whoever sends tasks to it sees to it that none arrives
// later.
class Gate {
 public:
  Gate() = default;
  ~Gate() {
    std::unique_lock<std::mutex> lock(mu_);
    left_.wait(lock, [&] { return inside_ == 0; });
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void Open() {
    const std::lock_guard<std::mutex> lock(mu_);
    open_ = true;
    opened_.notify_all();
  }

  void Pass() {
    std::unique_lock<std::mutex> lock(mu_);
    ++arrivals_;
    ++inside_;
    opened_.wait_for(lock, std::chrono::nanoseconds(kBoundNs), [&] { return open_; });
    --inside_;
    left_.notify_all();
  }

  [[nodiscard]] uint64_t arrivals() {
    const std::lock_guard<std::mutex> lock(mu_);
    return arrivals_;
  }

  [[nodiscard]] bool AwaitArrivals(uint64_t count) {
    return PollUntil([&] { return arrivals() >= count; });
  }

 private:
  std::mutex mu_;
  std::condition_variable opened_, left_;
  bool open_ = false;
  uint64_t arrivals_ = 0;
  uint64_t inside_ = 0;
};

// Run functions. arg is a Gate, or an atomic counter.
inline int32_t PassGate(void* arg, pool_ctx_t*) {
  static_cast<Gate*>(arg)->Pass();
  return 0;
}

inline int32_t CountRun(void* arg, pool_ctx_t*) {
  static_cast<std::atomic<uint64_t>*>(arg)->fetch_add(1);
  return 0;
}

inline int32_t DoNothing(void*, pool_ctx_t*) { return 0; }

// A task from a lambda: pool_submit(pool, Body::Run, &body). It has to outlive the task.
class Body {
 public:
  explicit Body(std::function<int32_t(pool_ctx_t*)> body) : body_(std::move(body)) {}
  static int32_t Run(void* arg, pool_ctx_t* ctx) { return static_cast<Body*>(arg)->body_(ctx); }

 private:
  std::function<int32_t(pool_ctx_t*)> body_;
};

// Counts what happens to a task, or to several. code is what its run returns.
struct Tally {
  std::atomic<uint64_t> runs{0}, dones{0}, drops{0};
  std::atomic<int32_t> code{0};
  std::atomic<int32_t> done_outcome{-1}, done_code{1}, drop_outcome{-1};
  std::atomic<bool> done_before_drop{true};

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* tally = static_cast<Tally*>(arg);
    tally->runs.fetch_add(1);
    return tally->code;
  }
  static void Done(void* arg, const pool_result_t* result) {
    auto* tally = static_cast<Tally*>(arg);
    tally->done_outcome = result->outcome;
    tally->done_code = result->code;
    tally->dones.fetch_add(1);
  }
  static void Drop(void* arg, int32_t outcome) {
    auto* tally = static_cast<Tally*>(arg);
    tally->drop_outcome = outcome;
    if (tally->drops.load() >= tally->dones.load()) tally->done_before_drop = false;
    tally->drops.fetch_add(1);  // last: who waits for it may take the tally away
  }
};

inline pool_task_t Task(pool_run_fn run, void* arg) {
  pool_task_t task;
  pool_task_init(&task, sizeof(task));
  task.run = run;
  task.arg = arg;
  return task;
}

inline pool_task_t TallyTask(Tally& tally) {
  pool_task_t task = Task(Tally::Run, &tally);
  task.done = Tally::Done;
  task.drop = Tally::Drop;
  return task;
}

inline pool_options_t Options(uint32_t workers_max = 0) {
  pool_options_t options;
  pool_options_init(&options, sizeof(options));
  options.workers_max = workers_max;
  return options;
}

inline std::string LastErrorText() {
  char text[512];
  pool_last_error(nullptr, text, sizeof(text), nullptr);
  return text;
}

// For steps that are not what a test is about: they succeed, or the program ends.
inline void Must(pool_status_t status, const char* what) {
  if (status == POOL_OK) return;
  std::fprintf(stderr, "%s: %s (%s)\n", what, pool_strerror(status), LastErrorText().c_str());
  std::abort();
}

// Counts of a pool that has nothing to do: each accepted task has had one outcome. Or the program ends.
inline void CheckOutcomes(const pool_stats_t& stats) {
  const uint64_t outcomes = stats.done + stats.failed + stats.cancelled + stats.expired + stats.shed;
  if (stats.submitted == outcomes && stats.queued == 0) return;
  std::fprintf(stderr, "%llu submitted, %llu outcomes, %llu queued\n",
               static_cast<unsigned long long>(stats.submitted), static_cast<unsigned long long>(outcomes),
               static_cast<unsigned long long>(stats.queued));
  std::abort();
}

// A pool destroyed with its scope, unless the test has given it up itself. It is closed first, and then each of its tasks
// has had one outcome, whatever the test is about; unless the test has failed already and leaves by an exception.
class ScopedPool {
 public:
  explicit ScopedPool(const pool_options_t& options) {
    Must(pool_create(&options, &pool_), "pool_create");
  }
  explicit ScopedPool(uint32_t workers_max) : ScopedPool(Options(workers_max)) {}
  ~ScopedPool() {
    if (pool_ == 0) return;
    if (std::uncaught_exceptions() == exceptions_) CloseAndCheck();
    Must(pool_destroy(pool_), "pool_destroy");
  }
  ScopedPool(const ScopedPool&) = delete;
  ScopedPool& operator=(const ScopedPool&) = delete;

  operator pool_t() const { return pool_; }
  pool_t GiveUp() { return std::exchange(pool_, 0); }

 private:
  void CloseAndCheck() const {
    const pool_status_t status = pool_close(pool_, POOL_DRAIN, 3 * kBoundNs);
    if (status == POOL_E_FORKED) return;  // it is the parent's
    Must(status, "pool_close");
    pool_stats_t stats;
    Must(pool_stats(pool_, &stats, sizeof(stats)), "pool_stats");
    CheckOutcomes(stats);
  }

  pool_t pool_ = 0;
  const int exceptions_ = std::uncaught_exceptions();
};

inline pool_ticket_t Submit(pool_t pool, const pool_task_t& task) {
  pool_ticket_t ticket = 0;
  Must(pool_submit_task(pool, &task, &ticket), "pool_submit_task");
  return ticket;
}

// Waits within the bound; the ticket stays.
inline pool_result_t WaitForResult(pool_ticket_t ticket, uint32_t flags = 0) {
  pool_result_t result;
  Must(pool_wait(ticket, flags, kBoundNs, &result, sizeof(result)), "pool_wait");
  return result;
}

inline pool_stats_t Stats(pool_t pool) {
  pool_stats_t stats;
  Must(pool_stats(pool, &stats, sizeof(stats)), "pool_stats");
  return stats;
}

inline uint64_t Misuse(pool_t pool) { return Stats(pool).misuse; }

inline bool WaitIdle(pool_t pool) { return pool_wait_idle(pool, kBoundNs) == POOL_OK; }

// Every accepted task ends, and has had one outcome when nothing waits or runs any more; or the program ends.
inline void CheckSettled(pool_t pool) {
  Must(pool_wait_idle(pool, kBoundNs), "pool_wait_idle");
  CheckOutcomes(Stats(pool));
}

// Kernel ids of the threads of this process.
inline std::set<int> ThreadIds() {
  std::set<int> ids;
  DIR* dir = opendir("/proc/self/task");
  if (dir == nullptr) return ids;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') ids.insert(std::atoi(entry->d_name));
  }
  closedir(dir);
  return ids;
}

inline size_t ThreadCount() { return ThreadIds().size(); }

// Bytes of memory that this process has.
inline size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// How often threads of this process have left their CPU so far, by themselves or not.
inline uint64_t ContextSwitches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

// Open descriptors of this process.
inline std::set<int> Descriptors() {
  std::set<int> fds;
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return fds;
  while (const dirent* entry = readdir(dir)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(dir)) fds.insert(fd);
  }
  closedir(dir);
  return fds;
}

// Threads that have come since before, e.g. the workers of a pool.
inline std::set<int> ThreadsSince(const std::set<int>& before) {
  std::set<int> fresh;
  for (int id : ThreadIds()) {
    if (before.count(id) == 0) fresh.insert(id);
  }
  return fresh;
}

// A joined thread is listed by the kernel a moment longer.
[[nodiscard]] inline bool AwaitThreadCount(size_t count) {
  return PollUntil([&] { return ThreadCount() <= count; });
}

// The value of a field of /proc/self/task/<id>/status, e.g. "SigBlk"; "" if the thread is gone.
inline std::string ThreadStatus(int id, const std::string& field) {
  std::ifstream status("/proc/self/task/" + std::to_string(id) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.compare(0, field.size() + 1, field + ":") != 0) continue;
    const size_t begin = line.find_first_not_of(" \t", field.size() + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace workpool_test
