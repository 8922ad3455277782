// What the tests of time and failure share: a pool whose workers all stand at a gate, tasks that remember their result
// and when it came, and times.
//
// Rule: a lower bound of a time is exact, because nothing may come early. An upper bound is generous, or that of the
// better half of many tries, or of the best, in a test that runs alone.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "test_support.h"

namespace workpool_test {

inline constexpr int64_t kUs = 1'000;
inline constexpr int64_t kMs = 1'000'000;
inline constexpr int64_t kHour = 3'600'000'000'000;

inline uint64_t FromNow(int64_t ns) { return pool_now_ns() + static_cast<uint64_t>(ns); }

inline void SleepNs(int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

// A pool whose workers are all busy until it is opened.
class BlockedPool {
 public:
  explicit BlockedPool(const pool_options_t& options) : pool_(options) {
    for (uint32_t i = 0; i < options.workers_max; ++i) Must(pool_submit(pool_, PassGate, &gate_), "submit a gate");
    if (gate_.AwaitArrivals(options.workers_max)) return;
    std::fprintf(stderr, "the workers did not come to the gate\n");
    std::abort();
  }
  explicit BlockedPool(uint32_t workers) : BlockedPool(Options(workers)) {}
  ~BlockedPool() { Open(); }
  BlockedPool(const BlockedPool&) = delete;
  BlockedPool& operator=(const BlockedPool&) = delete;

  operator pool_t() const { return pool_; }
  void Open() { gate_.Open(); }

 private:
  Gate gate_;
  ScopedPool pool_;
};

// A task from a lambda that remembers how it ended. It has to outlive the task.
class Story {
 public:
  explicit Story(std::function<int32_t(pool_ctx_t*)> body) : body_(std::move(body)) {}
  // Returns code.
  explicit Story(int32_t code = 0) : Story([code](pool_ctx_t*) { return code; }) {}
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;

  std::atomic<uint64_t> runs{0}, dones{0}, drops{0};
  std::atomic<uint64_t> begun_ns{0};  // the last run
  std::atomic<uint64_t> ended_ns{0};  // done was called
  std::atomic<int32_t> drop_outcome{-1};
  pool_result_t result{};             // from done on; read it after drops
  std::function<void(const pool_result_t&)> in_done;  // or nothing

  [[nodiscard]] pool_task_t Task() {
    pool_task_t task = workpool_test::Task(Run, this);
    task.done = Done;
    task.drop = Drop;
    return task;
  }
  // Within half of the bound, so that no gate has given up meanwhile.
  [[nodiscard]] bool AwaitDrop() {
    return PollUntil([&] { return drops.load() != 0; }, kBoundNs / 2);
  }
  // Ended once, this way.
  [[nodiscard]] bool Ended(int32_t outcome, int32_t code) const {
    return drops == 1 && dones == 1 && drop_outcome == outcome && result.outcome == outcome && result.code == code;
  }

 private:
  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto& story = *static_cast<Story*>(arg);
    story.begun_ns = pool_now_ns();
    story.runs.fetch_add(1);
    return story.body_(ctx);
  }
  static void Done(void* arg, const pool_result_t* result) {
    auto& story = *static_cast<Story*>(arg);
    story.ended_ns = pool_now_ns();
    story.result = *result;
    story.dones.fetch_add(1);
    if (story.in_done) story.in_done(*result);
  }
  static void Drop(void* arg, int32_t outcome) {
    auto& story = *static_cast<Story*>(arg);
    story.drop_outcome = outcome;
    story.drops.fetch_add(1);
  }

  std::function<int32_t(pool_ctx_t*)> body_;
};

// A story's task, submitted with a ticket that is given back with the scope.
class Told {
 public:
  Told(pool_t pool, const pool_task_t& task) : ticket_(Submit(pool, task)) {}
  ~Told() { Must(pool_ticket_release(ticket_), "pool_ticket_release"); }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  operator pool_ticket_t() const { return ticket_; }

 private:
  pool_ticket_t ticket_;
};

// The middle one of the values.
inline uint64_t Median(std::vector<uint64_t> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// True as soon as one of several tries is in time: what else the machine does makes a try late, a defect all of them.
template <typename Try>
[[nodiscard]] bool OneIsInTime(Try in_time) {
  for (int i = 0; i < 8; ++i) {
    if (in_time()) return true;
  }
  return false;
}

// Tried again at once, or nearly.
inline pool_task_t Retried(pool_task_t task, uint32_t retries_max, int64_t backoff_first_ns = 50 * kUs) {
  task.retries_max = retries_max;
  task.backoff_first_ns = backoff_first_ns;
  task.backoff_jitter = POOL_JITTER_NONE;
  return task;
}

inline int32_t AskForRetry(void*, pool_ctx_t*) { return POOL_RETRY; }

}  // namespace workpool_test
