// What the tests of order and admission share: tasks that write down when they begin and count their callbacks, and a
// worker that stands at a gate while a queue fills up behind it.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "test_support.h"

namespace workpool_test {

// Numbers in the order of their arrival, from any thread.
class Journal {
 public:
  void Add(int64_t number) {
    const std::lock_guard<std::mutex> lock(mu_);
    numbers_.push_back(number);
  }
  [[nodiscard]] std::vector<int64_t> numbers() {
    const std::lock_guard<std::mutex> lock(mu_);
    return numbers_;
  }
  [[nodiscard]] size_t size() {
    const std::lock_guard<std::mutex> lock(mu_);
    return numbers_.size();
  }

 private:
  std::mutex mu_;
  std::vector<int64_t> numbers_;
};

// A task that writes its number down when it runs. As a plain task it wants Mark::Drop as its pool's drop.
struct Mark {
  Journal* journal;
  int64_t number;
  std::function<int32_t(pool_ctx_t*)> then;  // what else it does, or nothing
  std::atomic<uint64_t> runs{0}, dones{0}, drops{0};
  std::atomic<int32_t> outcome{-1}, code{1};
  std::atomic<std::thread::id> ran_on{};

  Mark(Journal& its_journal, int64_t its_number) : journal(&its_journal), number(its_number) {}

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* mark = static_cast<Mark*>(arg);
    mark->journal->Add(mark->number);
    mark->runs.fetch_add(1);
    mark->ran_on = std::this_thread::get_id();
    return mark->then ? mark->then(ctx) : 0;
  }
  static void Done(void* arg, const pool_result_t* result) {
    auto* mark = static_cast<Mark*>(arg);
    mark->code = result->code;
    mark->dones.fetch_add(1);
  }
  // Also of the tasks that are no marks: those have no arg.
  static void Drop(void* arg, int32_t outcome) {
    if (arg == nullptr) return;
    auto* mark = static_cast<Mark*>(arg);
    mark->outcome = outcome;
    mark->drops.fetch_add(1);
  }

  [[nodiscard]] pool_task_t Task() {
    pool_task_t task = workpool_test::Task(Run, this);
    task.done = Done;
    task.drop = Drop;
    return task;
  }
  // Its whole story: accepted, and ended this way.
  [[nodiscard]] bool Ended(int32_t its_outcome) const {
    return drops == 1 && outcome == its_outcome && runs == (its_outcome == POOL_DONE || its_outcome == POOL_FAILED ? 1 : 0);
  }
  // Refused: nothing was ever called.
  [[nodiscard]] bool Untouched() const { return runs == 0 && dones == 0 && drops == 0; }
};

// Many of them, numbered from 0.
class Marks {
 public:
  explicit Marks(size_t count) {
    for (size_t i = 0; i < count; ++i) marks_.emplace_back(journal_, static_cast<int64_t>(i));
  }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  Mark& operator[](size_t i) { return marks_[i]; }
  [[nodiscard]] size_t size() const { return marks_.size(); }
  [[nodiscard]] Journal& journal() { return journal_; }
  [[nodiscard]] std::vector<int64_t> order() { return journal_.numbers(); }

  [[nodiscard]] size_t CountEnded(int32_t outcome) const {
    return static_cast<size_t>(
        std::count_if(marks_.begin(), marks_.end(), [&](const Mark& mark) { return mark.Ended(outcome); }));
  }
  [[nodiscard]] bool EachDroppedOnce() const {
    return std::all_of(marks_.begin(), marks_.end(), [](const Mark& mark) { return mark.drops == 1; });
  }

 private:
  Journal journal_;
  std::deque<Mark> marks_;
};

// Numbers from first up to, but without, last.
inline std::vector<int64_t> Range(int64_t first, int64_t last) {
  std::vector<int64_t> numbers;
  for (int64_t i = first; i < last; ++i) numbers.push_back(i);
  return numbers;
}

inline std::vector<int64_t> Reversed(std::vector<int64_t> numbers) {
  std::reverse(numbers.begin(), numbers.end());
  return numbers;
}

// Options of a pool whose plain tasks are marks.
inline pool_options_t MarkOptions(uint32_t workers, int32_t strategy = POOL_STRATEGY_STEALING) {
  pool_options_t options = Options(workers);
  options.strategy = strategy;
  options.drop = Mark::Drop;
  return options;
}

// Keeps workers of a pool busy until it is opened. The pool has to be destroyed first.
class Barrier {
 public:
  void Occupy(pool_t pool, uint64_t workers = 1) {
    pool_task_t task = Task(PassGate, &gate_);
    for (uint64_t i = 0; i < workers; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit a gate");
    occupied_ += workers;
    if (gate_.AwaitArrivals(occupied_)) return;
    std::fprintf(stderr, "the workers did not come to the gate\n");
    std::abort();
  }
  void Open() { gate_.Open(); }

 private:
  Gate gate_;
  uint64_t occupied_ = 0;
};

// The functions that submit a task.
enum class By { kSubmit, kMany, kTask, kBatch };
inline constexpr By kAll[] = {By::kSubmit, By::kMany, By::kTask, By::kBatch};

// One task, by any of the functions.
inline pool_status_t SubmitBy(By by, pool_t pool, Mark& mark, int32_t on_full = POOL_ON_FULL_DEFAULT, int32_t priority = 0) {
  pool_task_t task = mark.Task();
  task.on_full = on_full;
  task.priority = priority;
  void* arg = &mark;
  uint32_t accepted = 77;
  pool_status_t status = POOL_E_INTERNAL;
  switch (by) {
    case By::kSubmit: return pool_submit(pool, Mark::Run, &mark);
    case By::kTask: return pool_submit_task(pool, &task, nullptr);
    case By::kMany: status = pool_submit_many(pool, Mark::Run, &arg, 1, &accepted); break;
    case By::kBatch: status = pool_submit_batch(pool, &task, sizeof(task), 1, nullptr, &accepted); break;
  }
  return accepted == (status == POOL_OK ? 1 : 0) ? status : POOL_E_INTERNAL;
}

}  // namespace workpool_test
