// Lanes: which task goes first by its priority, what a worker does with its own, aging, limits of a lane.
#include <catch2/catch.hpp>
#include <ctime>
#include <random>
#include <thread>
#include <utility>

#include "order_support.h"

namespace workpool_test {
namespace {

using std::chrono::microseconds;

constexpr int64_t kMs = 1'000'000;

pool_options_t LaneOptions(uint32_t workers, uint32_t lanes, int64_t aging_ns = POOL_FOREVER) {
  pool_options_t options = MarkOptions(workers);
  options.lanes = lanes;
  options.aging_ns = aging_ns;
  return options;
}

int32_t Lowest(uint32_t lanes) { return -static_cast<int32_t>((lanes - 1) / 2); }
int32_t Highest(uint32_t lanes) { return static_cast<int32_t>(lanes / 2); }

pool_task_t WithPriority(pool_task_t task, int32_t priority) {
  task.priority = priority;
  return task;
}

pool_status_t SubmitWith(pool_t pool, Mark& mark, int32_t priority) {
  const pool_task_t task = WithPriority(mark.Task(), priority);
  return pool_submit_task(pool, &task, nullptr);
}

// Tasks of one priority that submit themselves again until they are stopped, so that some always wait. Each computes, or
// sleeps, for a time.
class Stream {
 public:
  Stream(pool_t pool, int32_t priority, int copies, microseconds time = microseconds(100), bool sleeps = false)
      : pool_(pool), time_(time), sleeps_(sleeps) {
    task_ = WithPriority(Task(Run, this), priority);
    for (int i = 0; i < copies; ++i) Must(pool_submit_task(pool_, &task_, nullptr), "submit a stream");
  }
  ~Stream() { Stop(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void AskToStop() { stop_ = true; }
  // Returns when none of them is left.
  void Stop() {
    AskToStop();
    Must(pool_wait_idle(pool_, kBoundNs), "stop a stream");
  }
  [[nodiscard]] uint64_t runs() { return starts_.size(); }
  // How many of them have begun at a time, and before another. A count, unlike a time, is no longer on a busy machine.
  [[nodiscard]] int64_t RunsBetween(uint64_t begin_ns, uint64_t end_ns) {
    const std::vector<int64_t> starts = starts_.numbers();
    return std::count_if(starts.begin(), starts.end(), [&](int64_t start_ns) {
      return start_ns >= static_cast<int64_t>(begin_ns) && start_ns < static_cast<int64_t>(end_ns);
    });
  }

 private:
  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* stream = static_cast<Stream*>(arg);
    stream->starts_.Add(static_cast<int64_t>(pool_now_ns()));
    if (stream->sleeps_) {
      std::this_thread::sleep_for(stream->time_);
    } else {
      SpinFor(stream->time_);
    }
    return stream->stop_ ? 0 : pool_submit_task(stream->pool_, &stream->task_, nullptr);
  }

  const pool_t pool_;
  const microseconds time_;
  const bool sleeps_;
  pool_task_t task_;
  Journal starts_;
  std::atomic<bool> stop_{false};
};

// A task that tells how long it waited.
class Timed {
 public:
  void Submit(pool_t pool, int32_t priority, const std::function<void(pool_task_t&)>& change = nullptr) {
    pool_task_t task = WithPriority(Task(Run, this), priority);
    if (change) change(task);
    before_ns_ = pool_now_ns();
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    after_ns_ = pool_now_ns();
  }
  // It begins, and not before a stream of higher ones had kept it waiting for due_ns.
  void CheckStart(int64_t due_ns) {
    REQUIRE(PollUntil([&] { return start_ns_ != 0; }));
    CHECK(static_cast<int64_t>(start_ns_ - before_ns_) >= due_ns);
  }
  // How many of the stream began when it was due and had not begun.
  [[nodiscard]] int64_t Late(Stream& stream, int64_t due_ns) const {
    return stream.RunsBetween(after_ns_ + static_cast<uint64_t>(due_ns), start_ns_);
  }

 private:
  static int32_t Run(void* arg, pool_ctx_t*) {
    static_cast<Timed*>(arg)->start_ns_ = pool_now_ns();
    return 0;
  }

  uint64_t before_ns_ = 0, after_ns_ = 0;
  std::atomic<uint64_t> start_ns_{0};
};

TEST_CASE("H17: options.lanes says which priorities a task may have", "[lanes]") {
  for (uint32_t lanes = 0; lanes <= POOL_LANES_MAX; ++lanes) {
    ScopedPool pool(LaneOptions(1, lanes));
    const uint32_t count = lanes == 0 ? 3 : lanes;
    std::atomic<uint64_t> runs{0};
    for (int32_t priority = Lowest(count); priority <= Highest(count); ++priority) {
      const pool_task_t task = WithPriority(Task(CountRun, &runs), priority);
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
    }
    for (const int32_t priority : {Lowest(count) - 1, Highest(count) + 1, INT32_MIN, INT32_MAX}) {
      const pool_task_t task = WithPriority(Task(CountRun, &runs), priority);
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
      CHECK(LastErrorText().find("task.priority = " + std::to_string(priority)) != std::string::npos);
    }
    CheckSettled(pool);
    CHECK(runs == count);
    CHECK(Stats(pool).submitted == count);
  }
  pool_t pool = 0;
  pool_options_t options = LaneOptions(1, POOL_LANES_MAX + 1);
  CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
  options = LaneOptions(1, 3, -2);
  CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
  CHECK(LastErrorText().find("aging_ns") != std::string::npos);
}

TEST_CASE("with one worker higher lanes go first, each in the order of its submits", "[lanes]") {
  std::mt19937 numbers(1);
  for (uint32_t lanes = 1; lanes <= POOL_LANES_MAX; ++lanes) {
    constexpr size_t kTasks = 300;
    Marks marks(kTasks);
    Barrier barrier;
    ScopedPool pool(LaneOptions(1, lanes));
    barrier.Occupy(pool);
    std::vector<int32_t> priorities;
    for (size_t i = 0; i < kTasks; ++i) {
      priorities.push_back(Lowest(lanes) + static_cast<int32_t>(numbers() % lanes));
      const pool_task_t task = WithPriority(marks[i].Task(), priorities[i]);
      if (priorities[i] == 0 && i % 2 == 0) {
        Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
      } else {
        Must(pool_submit_task(pool, &task, nullptr), "submit");
      }
    }
    barrier.Open();
    CheckSettled(pool);
    // Ordinary tasks have no order among themselves.
    const auto key = [&](int64_t number) {
      const int32_t priority = priorities[static_cast<size_t>(number)];
      return std::pair(-priority, priority == 0 ? 0 : number);
    };
    const std::vector<int64_t> order = marks.order();
    CHECK(std::is_sorted(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) < key(b); }));
    CHECK(marks.CountEnded(POOL_DONE) == kTasks);
  }
}

TEST_CASE("a pause does not change the order of the lanes", "[lanes]") {
  constexpr size_t kTasks = 400;
  for (int round = 0; round < 5; ++round) {
    Marks marks(kTasks);
    ScopedPool pool(LaneOptions(1, 4));
    Must(pool_pause(pool), "pause");
    for (size_t i = 0; i < kTasks; ++i) {
      const pool_task_t task = WithPriority(marks[i].Task(), static_cast<int32_t>(i % 4) - 1);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    for (const size_t pause_after : {1u, 120u, 250u, 399u}) {
      Must(pool_resume(pool), "resume");
      REQUIRE(PollUntil([&] { return marks.journal().size() >= pause_after; }));
      Must(pool_pause(pool), "pause");
    }
    Must(pool_resume(pool), "resume");
    CheckSettled(pool);
    const auto key = [](int64_t number) { return std::pair(-(number % 4), number % 4 == 1 ? 0 : number); };
    const std::vector<int64_t> order = marks.order();
    CHECK(order.size() == kTasks);
    CHECK(std::is_sorted(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) < key(b); }));
  }
}

TEST_CASE("G12: a high task goes before a worker's own ordinary ones at its next task boundary", "[lanes]") {
  constexpr size_t kChildren = 200;
  Marks marks(kChildren + 4);
  Mark& outside_high = marks[kChildren];
  Mark& inside_high = marks[kChildren + 1];
  Mark& parent = marks[kChildren + 2];
  Mark& plain_outside = marks[kChildren + 3];
  Gate gate;
  ScopedPool pool(LaneOptions(1, 3));
  const pool_task_t inside = WithPriority(inside_high.Task(), 1);
  // Children run newest first: the last one stands at the gate, and the one after it submits a high task itself.
  marks[kChildren - 1].then = [&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  };
  marks[kChildren - 2].then = [&](pool_ctx_t*) { return pool_submit_task(pool, &inside, nullptr); };
  parent.then = [&](pool_ctx_t* ctx) {
    for (size_t i = 0; i < kChildren; ++i) {
      const pool_status_t status =
          i % 2 == 0 ? pool_submit(pool, Mark::Run, &marks[i]) : pool_ctx_submit(ctx, Mark::Run, &marks[i]);
      if (status != POOL_OK) return status;
    }
    return 0;
  };
  Must(pool_submit(pool, Mark::Run, &parent), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, Mark::Run, &plain_outside), "submit");
  const pool_task_t high = WithPriority(outside_high.Task(), 1);
  Must(pool_submit_task(pool, &high, nullptr), "submit");
  gate.Open();
  CheckSettled(pool);
  const std::vector<int64_t> order = marks.order();
  REQUIRE(order.size() == marks.size());
  CHECK(order[1] == marks[kChildren - 1].number);
  CHECK(order[2] == outside_high.number);
  CHECK(order[3] == marks[kChildren - 2].number);
  CHECK(order[4] == inside_high.number);
  CHECK(marks.CountEnded(POOL_DONE) == marks.size());
}

// More of them than the worker takes before it looks at the injection queues to be fair.
TEST_CASE("a low task goes after a worker's own ordinary ones", "[lanes]") {
  constexpr size_t kChildren = 200;
  Marks marks(kChildren + 2);
  Mark& low = marks[kChildren];
  Mark& parent = marks[kChildren + 1];
  Gate gate;
  ScopedPool pool(LaneOptions(1, 3));
  parent.then = [&](pool_ctx_t*) {
    for (size_t i = 0; i < kChildren; ++i) {
      if (pool_submit(pool, Mark::Run, &marks[i]) != POOL_OK) return -1001;
    }
    gate.Pass();
    return 0;
  };
  Must(pool_submit(pool, Mark::Run, &parent), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  const pool_task_t task = WithPriority(low.Task(), -1);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  gate.Open();
  CheckSettled(pool);
  REQUIRE(marks.order().size() == marks.size());
  CHECK(marks.order().back() == low.number);
  CHECK(parent.Ended(POOL_DONE));
}

TEST_CASE("a high task does not wait behind a batch that a worker has taken", "[lanes]") {
  Marks marks(101);
  Gate gate;
  Barrier barrier;
  ScopedPool pool(LaneOptions(1, 3));
  barrier.Occupy(pool);
  marks[0].then = [&](pool_ctx_t*) {
    gate.Pass();
    return 0;
  };
  for (size_t i = 0; i < 100; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
  barrier.Open();
  REQUIRE(gate.AwaitArrivals(1));  // it has taken some of those behind, too
  const pool_task_t high = WithPriority(marks[100].Task(), 1);
  Must(pool_submit_task(pool, &high, nullptr), "submit");
  gate.Open();
  CheckSettled(pool);
  REQUIRE(marks.order().size() == 101);
  CHECK(marks.order()[0] == 0);
  CHECK(marks.order()[1] == 100);
}

// Ten percent of the time, and one task, are the promise; on a busy machine a number of tasks says more: once a lane is
// due, one take in eight is from it.
constexpr int64_t kLateRuns = 8;
// Where the start waits for another thread, too, which may be held up.
constexpr int64_t kLateRunsOfOthers = 4'000;

TEST_CASE("G11: while a high stream saturates the workers, a task of a lower lane starts when its lane is due", "[lanes]") {
  struct Row {
    uint32_t lanes, workers;
    int64_t aging_ns;
  };
  constexpr Row kRows[] = {{2, 1, 60 * kMs}, {3, 1, 60 * kMs}, {3, 2, 60 * kMs}, {8, 1, 40 * kMs}, {16, 2, 20 * kMs}};
  for (const Row& row : kRows) {
    CAPTURE(row.lanes, row.workers);
    ScopedPool pool(LaneOptions(row.workers, row.lanes, row.aging_ns));
    Stream stream(pool, Highest(row.lanes), static_cast<int>(4 * row.workers));
    REQUIRE(PollUntil([&] { return stream.runs() > 100; }));
    std::vector<Timed> tasks(row.lanes - 1);
    for (size_t i = 0; i < tasks.size(); ++i) {
      tasks[i].Submit(pool, Highest(row.lanes) - 1 - static_cast<int32_t>(i));
    }
    for (size_t i = 0; i < tasks.size(); ++i) {
      CAPTURE(i);
      const int64_t due_ns = row.aging_ns * static_cast<int64_t>(i + 1);
      tasks[i].CheckStart(due_ns);
      // One of priority 0 begins to age when it is first passed over, which may be late, too.
      const bool own_time = Highest(row.lanes) - 1 != static_cast<int32_t>(i);
      const int64_t late = tasks[i].Late(stream, due_ns + due_ns / 10);
      CHECK(late <= (row.workers == 1 && own_time ? kLateRuns : kLateRunsOfOthers));
    }
    stream.Stop();
    CheckSettled(pool);
  }
}

// Tasks as long as the aging: whoever waited for a share of one take in eight would be late by seven of them.
TEST_CASE("G11: a lone task of a lower lane starts at the first take after it is due", "[lanes][serial]") {
  for (const uint32_t workers : {1u, 2u, 4u}) {
    for (const int32_t priority : {-1, 0}) {
      CAPTURE(workers, priority);
      ScopedPool pool(LaneOptions(workers, 3, 5 * kMs));
      Stream stream(pool, 1, static_cast<int>(4 * workers), microseconds(5'000), true);
      REQUIRE(PollUntil([&] { return stream.runs() > 4 * workers; }));
      // Several, one after another: what one had is not at the cost of the next.
      std::vector<int64_t> late;
      for (int i = 0; i < 5; ++i) {
        Timed timed;
        timed.Submit(pool, priority);
        // An ordinary one begins to age when a worker first passes it over, or had passed the one before it.
        timed.CheckStart(priority != 0 ? 10 * kMs : workers == 1 ? 5 * kMs : 0);
        late.push_back(timed.Late(stream, 10 * kMs));
      }
      std::sort(late.begin(), late.end());
      CAPTURE(late);
      CHECK(late[2] <= static_cast<int64_t>(2 * workers));
      stream.Stop();
      CheckSettled(pool);
    }
  }
}

TEST_CASE("G11: a worker remains fair to injection queues and its own tasks beside a stream of high ones", "[lanes]") {
  // Some high tasks come just when it is to be fair: they must not cost it that turn for ever.
  for (const int32_t priority : {1, -1}) {
    CAPTURE(priority);
    ScopedPool pool(LaneOptions(1, 3));
    Stream own(pool, 0, 2, microseconds(1));
    std::atomic<uint64_t> runs{0};
    const pool_task_t task = WithPriority(Task(CountRun, &runs), priority);
    for (int i = 0; i < 500; ++i) {
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      SpinFor(microseconds(20));
    }
    if (priority > 0) REQUIRE(PollUntil([&] { return runs == 500; }));
    Marks outside(1);
    const uint64_t before = own.runs();
    Must(pool_submit(pool, Mark::Run, &outside[0]), "submit");
    CHECK(PollUntil([&] { return outside[0].drops == 1; }));
    CHECK(own.runs() - before < 100'000);
    own.Stop();
    CheckSettled(pool);
  }
}

// They were not simply queued: each came by way of a timer, a key, a class.
TEST_CASE("G11: a low task that was held before it was queued ages, too", "[lanes]") {
  ScopedPool pool(LaneOptions(1, 3, 20 * kMs));
  pool_class_options_t rules;
  Must(pool_class_options_init(&rules, sizeof(rules)), "init");
  rules.concurrency_max = 1;
  Must(pool_class_set(pool, 7, &rules), "class_set");
  Stream stream(pool, 1, 4);
  for (int how = 0; how < 5; ++how) {
    CAPTURE(how);
    // One at a time, so that none starts on the time of another.
    Timed timed;
    timed.Submit(pool, -1, [&](pool_task_t& task) {
      if (how == 0) task.delay_ns = 5 * kMs;
      if (how == 1) task.key = 99;
      if (how == 2) task.class_id = 7;
      if (how == 3) task.deadline_ns = pool_now_ns() + 3'600'000 * uint64_t{kMs};
      if (how == 4) task.queue_timeout_ns = 3'600'000 * kMs;
    });
    const int64_t due_ns = (how == 0 ? 45 : 40) * kMs;
    timed.CheckStart(due_ns);
    CHECK(timed.Late(stream, due_ns) <= kLateRunsOfOthers);
  }
  stream.Stop();
  CheckSettled(pool);
}

TEST_CASE("G11: plain tasks do not starve beside a high stream, from outside or from a task", "[lanes]") {
  for (const uint32_t workers : {1u, 2u}) {
    CAPTURE(workers);
    constexpr int64_t kAgingNs = 10 * kMs;
    Marks marks(40);
    ScopedPool pool(LaneOptions(workers, 3, kAgingNs));
    Stream stream(pool, 1, static_cast<int>(4 * workers));
    REQUIRE(PollUntil([&] { return stream.runs() > 50; }));
    marks[19].then = [&](pool_ctx_t* ctx) {
      for (size_t i = 20; i < 40; ++i) {
        if (pool_ctx_submit(ctx, Mark::Run, &marks[i]) != POOL_OK) return -1001;
      }
      return 0;
    };
    const uint64_t before_ns = pool_now_ns();
    for (size_t i = 0; i < 20; ++i) Must(pool_submit(pool, Mark::Run, &marks[i]), "submit");
    REQUIRE(PollUntil([&] { return marks.journal().size() == 40; }));
    const int64_t runs = stream.RunsBetween(before_ns + 2 * uint64_t{kAgingNs}, pool_now_ns());
    CHECK(runs <= 40 * kLateRuns + kLateRunsOfOthers);
    stream.Stop();
    CheckSettled(pool);
    CHECK(marks.CountEnded(POOL_DONE) == 40);
  }
}

TEST_CASE("G12: while low tasks are due, seven of eight takes are high", "[lanes]") {
  constexpr size_t kLow = 1'000, kHigh = 8'000;
  for (const int32_t low : {-1, 0}) {
    Marks marks(kLow + kHigh);
    Barrier barrier;
    ScopedPool pool(LaneOptions(1, 3, 1));
    barrier.Occupy(pool);
    for (size_t i = 0; i < kLow + kHigh; ++i) {
      const pool_task_t task = WithPriority(marks[i].Task(), i < kLow ? low : 1);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    barrier.Open();
    CheckSettled(pool);
    const std::vector<int64_t> order = marks.order();
    REQUIRE(order.size() == kLow + kHigh);
    // Over any stretch in which both wait.
    for (size_t begin = 0; begin < 7'200; begin += 800) {
      const auto lows = std::count_if(order.begin() + static_cast<ptrdiff_t>(begin),
                                      order.begin() + static_cast<ptrdiff_t>(begin + 800),
                                      [](int64_t number) { return number < static_cast<int64_t>(kLow); });
      CHECK(lows >= 95);
      CHECK(lows <= 105);
    }
    CHECK(marks.CountEnded(POOL_DONE) == marks.size());
  }
}

TEST_CASE("G12: all lanes that are due share one take in eight, each in turn", "[lanes]") {
  constexpr size_t kEach = 200;
  Marks marks(9 * kEach);
  Barrier barrier;
  ScopedPool pool(LaneOptions(1, 5, 1));
  barrier.Occupy(pool);
  for (size_t i = 0; i < marks.size(); ++i) {
    const int32_t priority = i < kEach ? -2 : i < 2 * kEach ? 1 : 2;
    const pool_task_t task = WithPriority(marks[i].Task(), priority);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  barrier.Open();
  CheckSettled(pool);
  const std::vector<int64_t> order = marks.order();
  REQUIRE(order.size() == marks.size());
  const auto upper = static_cast<int64_t>(2 * kEach);
  const auto lows = std::count_if(order.begin(), order.begin() + 8 * kEach, [&](int64_t n) { return n < upper; });
  CHECK(lows >= 190);
  CHECK(lows <= 210);
  // The lowest lane began to wait first, and the two have their turns one after the other.
  std::vector<bool> lowest;
  for (size_t i = 0; i < 8 * kEach; ++i) {
    if (order[i] < upper) lowest.push_back(order[i] < static_cast<int64_t>(kEach));
  }
  for (size_t i = 0; i < 180; ++i) CHECK(lowest[i] == (i % 2 == 0));
}

TEST_CASE("G11: the lowest lane starts beside several that are never empty", "[lanes][serial]") {
  ScopedPool pool(LaneOptions(1, 4, 10 * kMs));
  Stream highest(pool, 2, 3), high(pool, 1, 3), ordinary(pool, 0, 3);
  REQUIRE(PollUntil([&] { return highest.runs() > 100; }));
  Marks marks(5);
  for (size_t i = 0; i < marks.size(); ++i) {
    const pool_ticket_t ticket = Submit(pool, WithPriority(marks[i].Task(), -1));
    const pool_result_t result = WaitForResult(ticket);
    CHECK(result.outcome == POOL_DONE);
    // Due after three times 10 ms; then it is one of three that share every eighth take.
    CHECK(result.wait_ns >= 30 * kMs);
    CHECK(result.wait_ns <= (kSanitized ? 1'000 : 300) * kMs);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
  }
  for (Stream* stream : {&highest, &high, &ordinary}) stream->AskToStop();
  CheckSettled(pool);
}

TEST_CASE("G12: while nothing lower is due, every take is high", "[lanes]") {
  constexpr int64_t kHourNs = 3'600'000 * kMs;
  for (const int64_t aging_ns : {POOL_FOREVER, kHourNs, INT64_MAX}) {
    Marks marks(1'200);
    Barrier barrier;
    ScopedPool pool(LaneOptions(1, 3, aging_ns));
    barrier.Occupy(pool);
    for (size_t i = 0; i < marks.size(); ++i) {
      const pool_task_t task = WithPriority(marks[i].Task(), i < 200 ? -1 : i < 400 ? 0 : 1);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    barrier.Open();
    CheckSettled(pool);
    std::vector<int64_t> order = marks.order();
    REQUIRE(order.size() == marks.size());
    std::sort(order.begin() + 800, order.begin() + 1'000);  // ordinary tasks have no order among themselves
    std::vector<int64_t> expected = Range(400, 1'200);
    for (const int64_t number : Range(200, 400)) expected.push_back(number);
    for (const int64_t number : Range(0, 200)) expected.push_back(number);
    CHECK(order == expected);
  }
}

TEST_CASE("with aging_ns = POOL_FOREVER a low task waits as long as higher ones come", "[lanes]") {
  Marks marks(2);
  ScopedPool pool(LaneOptions(1, 3, POOL_FOREVER));
  {
    Stream stream(pool, 1, 4, microseconds(50));
    const pool_task_t low = WithPriority(marks[0].Task(), -1);
    Must(pool_submit_task(pool, &low, nullptr), "submit");
    Must(pool_submit(pool, Mark::Run, &marks[1]), "submit");
    CHECK(PollUntil([&] { return stream.runs() > 3'000; }));
    CHECK(marks.journal().size() == 0);
  }
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{1, 0});
}

TEST_CASE("H17: the default of aging_ns is 100 ms for each level", "[lanes]") {
  pool_options_t options = LaneOptions(1, 0);
  options.aging_ns = 0;
  ScopedPool pool(options);
  Stream stream(pool, 1, 4);
  Timed timed;
  timed.Submit(pool, -1);
  timed.CheckStart(200 * kMs);
  CHECK(timed.Late(stream, 200 * kMs) <= kLateRuns);
  stream.Stop();
  CheckSettled(pool);
}

TEST_CASE("H17: options.lane_limit bounds each lane but that of priority 0", "[lanes]") {
  constexpr uint64_t kLimit = 5;
  for (const uint64_t queue_limit : {uint64_t{0}, uint64_t{100}, uint64_t{5'000}, POOL_UNLIMITED}) {
    CAPTURE(queue_limit);
    Marks marks(64);
    Barrier barrier;
    pool_options_t options = LaneOptions(1, 4);
    options.queue_limit = queue_limit;
    options.lane_limit = kLimit;
    ScopedPool pool(options);
    barrier.Occupy(pool);
    size_t next = 0;
    std::vector<Mark*> refused;
    for (const int32_t priority : {-1, 1, 2}) {
      for (uint64_t i = 0; i < kLimit; ++i) {
        const pool_task_t task = WithPriority(marks[next++].Task(), priority);
        CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
      }
      refused.push_back(&marks[next++]);
      const pool_task_t task = WithPriority(refused.back()->Task(), priority);
      CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
      CHECK(LastErrorText().find("options.lane_limit = 5") != std::string::npos);
    }
    for (int i = 0; i < 20; ++i) CHECK(pool_submit(pool, Mark::Run, &marks[next++]) == POOL_OK);
    CHECK(Stats(pool).rejected == 3);
    barrier.Open();
    CheckSettled(pool);
    for (const Mark* mark : refused) CHECK(mark->Untouched());
    CHECK(marks.CountEnded(POOL_DONE) == 3 * kLimit + 20);
    const pool_task_t task = WithPriority(refused[0]->Task(), -1);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);  // there is room again
    CheckSettled(pool);
  }
}

TEST_CASE("a lane's limit holds for tasks with a deadline, a key or a class as well", "[lanes]") {
  Marks marks(8);
  Barrier barrier;
  pool_options_t options = LaneOptions(1, 3);
  options.lane_limit = 2;
  ScopedPool pool(options);
  pool_class_options_t rules;
  Must(pool_class_options_init(&rules, sizeof(rules)), "init");
  Must(pool_class_set(pool, 1, &rules), "class_set");
  barrier.Occupy(pool);
  size_t next = 0;
  const auto submit = [&](auto change) {
    pool_task_t task = WithPriority(marks[next++].Task(), 1);
    change(task);
    return pool_submit_task(pool, &task, nullptr);
  };
  const auto deadline = [](pool_task_t& task) { task.deadline_ns = pool_now_ns() + 3'600'000 * kMs; };
  const auto key = [&](pool_task_t& task) { task.key = next; };
  const auto of_class = [](pool_task_t& task) { task.class_id = 1; };
  CHECK(submit(deadline) == POOL_OK);
  CHECK(submit(key) == POOL_OK);
  CHECK(submit(deadline) == POOL_E_FULL);
  CHECK(submit(key) == POOL_E_FULL);
  CHECK(submit(of_class) == POOL_E_FULL);
  CHECK(submit([](pool_task_t& task) { task.queue_timeout_ns = 3'600'000 * kMs; }) == POOL_E_FULL);
  // What waits for its time does not wait in the lane.
  CHECK(submit([](pool_task_t& task) { task.delay_ns = 20 * kMs; }) == POOL_OK);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.CountEnded(POOL_DONE) == 3);
}

TEST_CASE("a cancelled task makes room in its lane", "[lanes]") {
  for (const uint64_t queue_limit : {uint64_t{100}, POOL_UNLIMITED}) {
    Marks marks(20);
    Barrier barrier;
    pool_options_t options = LaneOptions(1, 3);
    options.lane_limit = 2;
    options.queue_limit = queue_limit;
    ScopedPool pool(options);
    barrier.Occupy(pool);
    Must(SubmitWith(pool, marks[0], -1), "submit");
    for (size_t i = 1; i < 18; ++i) {
      const pool_ticket_t ticket = Submit(pool, WithPriority(marks[i].Task(), -1));
      CHECK(SubmitWith(pool, marks[18], -1) == POOL_E_FULL);
      CHECK(pool_cancel(ticket) == POOL_OK);
      CHECK(pool_ticket_release(ticket) == POOL_OK);
    }
    // Also for one that waits.
    const pool_ticket_t ticket = Submit(pool, WithPriority(marks[18].Task(), -1));
    std::atomic<int32_t> status{1};
    std::thread submitter([&] {
      pool_task_t task = WithPriority(marks[19].Task(), -1);
      task.on_full = POOL_ON_FULL_BLOCK;
      status = pool_submit_task(pool, &task, nullptr);
    });
    CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
    CHECK(pool_cancel(ticket) == POOL_OK);
    CHECK(pool_ticket_release(ticket) == POOL_OK);
    CHECK(PollUntil([&] { return status == POOL_OK; }, 5'000 * kMs));
    barrier.Open();
    submitter.join();
    CheckSettled(pool);
    CHECK(marks.order() == std::vector<int64_t>{0, 19});
    CHECK(marks.EachDroppedOnce());
  }
}

TEST_CASE("a submit that blocks for a full lane waits for room in that lane, at most its timeout", "[lanes]") {
  Marks marks(4);
  Barrier barrier;
  pool_options_t options = LaneOptions(1, 3);
  options.lane_limit = 1;
  options.on_full = POOL_ON_FULL_BLOCK;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  pool_task_t task = WithPriority(marks[0].Task(), 1);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  std::atomic<int32_t> limited{1}, unlimited{1};
  std::thread with_timeout([&] {
    pool_task_t blocked = WithPriority(marks[1].Task(), 1);
    blocked.submit_timeout_ns = 30 * kMs;
    limited = pool_submit_task(pool, &blocked, nullptr);
  });
  const bool timed_out = PollUntil([&] { return limited != 1; }, 5'000 * kMs);
  CHECK(timed_out);
  CHECK(limited == POOL_E_TIMEOUT);
  // It sleeps meanwhile: no CPU is used.
  std::thread without([&] {
    const pool_task_t blocked = WithPriority(marks[2].Task(), 1);
    unlimited = pool_submit_task(pool, &blocked, nullptr);
  });
  const std::clock_t cpu = std::clock();
  CHECK(HoldsThroughout([&] { return unlimited == 1; }, std::chrono::milliseconds(300)));
  if (timed_out) CHECK(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC < 0.15);
  CHECK(pool_submit(pool, Mark::Run, &marks[3]) == POOL_OK);  // the others are not full
  barrier.Open();
  with_timeout.join();
  without.join();
  CHECK(unlimited == POOL_OK);
  CheckSettled(pool);
  CHECK(marks[2].Ended(POOL_DONE));
}

TEST_CASE("what is shed for a full lane is its own oldest, and no bystander", "[lanes]") {
  Marks marks(8);
  Barrier barrier;
  pool_options_t options = LaneOptions(1, 3);
  options.lane_limit = 2;
  options.on_full = POOL_ON_FULL_DROP_OLDEST;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  Must(pool_submit(pool, Mark::Run, &marks[0]), "submit");
  const int32_t priorities[] = {0, -1, -1, 1, 1, 1};
  for (size_t i = 1; i < 6; ++i) {
    const pool_task_t task = WithPriority(marks[i].Task(), priorities[i]);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  CHECK(Stats(pool).shed == 1);
  CHECK(marks[3].Ended(POOL_SHED));
  CHECK(marks[3].code == POOL_E_FULL);
  // A higher lane that is full finds no room by shedding what is lower: that waits in other lanes.
  pool_task_t task = WithPriority(marks[6].Task(), 1);
  task.on_full = POOL_ON_FULL_DROP_LOWEST;
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  CHECK(Stats(pool).shed == 1);
  barrier.Open();
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{4, 5, 0, 1, 2});
  CHECK(marks[6].Untouched());
}

TEST_CASE("several queues with fall-through: a full lane passes the task to the next, all full rejects", "[lanes]") {
  constexpr uint64_t kLimit = 4;
  constexpr uint32_t kLanes = 5;
  Marks marks(kLanes * kLimit + 1);
  Barrier barrier;
  pool_options_t options = LaneOptions(1, kLanes);
  options.lane_limit = kLimit;
  options.queue_limit = kLanes * kLimit;
  ScopedPool pool(options);
  barrier.Occupy(pool);
  // Asks the queues in turn, that of priority 0 last: it takes what the pool has room for.
  const auto submit = [&](Mark& mark) {
    for (const int32_t priority : {2, 1, -1, -2, 0}) {
      const pool_task_t task = WithPriority(mark.Task(), priority);
      const pool_status_t status = pool_submit_task(pool, &task, nullptr);
      if (status != POOL_E_FULL) return status;
    }
    return POOL_E_FULL;
  };
  for (size_t i = 0; i < kLanes * kLimit; ++i) CHECK(submit(marks[i]) == POOL_OK);
  CHECK(submit(marks[kLanes * kLimit]) == POOL_E_FULL);
  CHECK(marks[kLanes * kLimit].Untouched());
  barrier.Open();
  CheckSettled(pool);
  // The first lanes to be filled were 2, 1, -1, -2.
  const std::vector<int64_t> expected = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15};
  CHECK(marks.order() == expected);
  CHECK(submit(marks[kLanes * kLimit]) == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("B14: a task of any lane wakes a sleeping worker", "[lanes]") {
  for (const uint32_t workers : {1u, 2u}) {
    pool_options_t options = LaneOptions(workers, 3);
    options.keep_alive_ns = POOL_FOREVER;
    options.prestart = workers;
    std::atomic<uint64_t> runs{0};
    ScopedPool pool(options);
    for (uint64_t round = 0; round < Rounds(300); ++round) {
      REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == workers; }));
      const pool_task_t task = WithPriority(Task(CountRun, &runs), static_cast<int32_t>(round % 3) - 1);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      REQUIRE(PollUntil([&] { return runs == round + 1; }));
    }
    CheckSettled(pool);
  }
}

TEST_CASE("B14: a high task wakes the worker that sleeps beside one that is busy", "[lanes]") {
  Barrier barrier;
  pool_options_t options = LaneOptions(2, 3);
  options.keep_alive_ns = POOL_FOREVER;
  options.prestart = 2;
  std::atomic<uint64_t> runs{0};
  ScopedPool pool(options);
  barrier.Occupy(pool);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 1; }));
    const pool_task_t task = WithPriority(Task(CountRun, &runs), static_cast<int32_t>(round % 3) - 1);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(PollUntil([&] { return runs == round + 1; }));
  }
  barrier.Open();
  CheckSettled(pool);
}

// A worker that takes several takes them for all: none waits beside one that sleeps.
TEST_CASE("B14: several tasks of a lane occupy as many workers", "[lanes]") {
  for (const int32_t priority : {1, -1}) {
    Gate gate;
    ScopedPool pool(LaneOptions(4, 3));
    const pool_task_t task = WithPriority(Task(PassGate, &gate), priority);
    for (int i = 0; i < 4; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
    CHECK(gate.AwaitArrivals(4));
    gate.Open();
    CheckSettled(pool);
  }
}

TEST_CASE("batches and groups take their tasks' priorities", "[lanes]") {
  Marks marks(6);
  Barrier barrier;
  ScopedPool pool(LaneOptions(1, 3));
  barrier.Occupy(pool);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  std::vector<pool_task_t> tasks;
  for (size_t i = 0; i < 6; ++i) {
    tasks.push_back(WithPriority(marks[i].Task(), static_cast<int32_t>(i % 3) - 1));
    if (i >= 3) tasks.back().group = group;
  }
  uint32_t accepted = 0;
  CHECK(pool_submit_batch(pool, tasks.data(), sizeof(pool_task_t), 6, nullptr, &accepted) == POOL_OK);
  CHECK(accepted == 6);
  barrier.Open();
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  CheckSettled(pool);
  CHECK(marks.order() == std::vector<int64_t>{2, 5, 1, 4, 0, 3});
}

TEST_CASE("tasks of all lanes from many threads are each run once", "[lanes]") {
  constexpr size_t kThreads = 4;
  const size_t each = Rounds(10'000);
  std::vector<Tally> tallies(kThreads * each);
  pool_options_t options = LaneOptions(3, POOL_LANES_MAX, 1 * kMs);
  ScopedPool pool(options);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < each; ++i) {
        const pool_task_t task = WithPriority(TallyTask(tallies[t * each + i]), static_cast<int32_t>(i % 16) - 7);
        Must(pool_submit_task(pool, &task, nullptr), "submit");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CheckSettled(pool);
  CHECK(std::all_of(tallies.begin(), tallies.end(),
                    [](const Tally& tally) { return tally.runs == 1 && tally.dones == 1 && tally.drops == 1; }));
}

}  // namespace
}  // namespace workpool_test
