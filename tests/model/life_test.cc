// The life of a task, through the C interface: times, attempts, cancels, order. As large as pool_test.cc, so searched in the
// same way. Time is the explorer's: it passes when nobody can go on.
#include "model/explorer.h"
#include "workpool/workpool.h"

namespace workpool::model {
namespace {

constexpr int64_t kMs = 1'000'000;

// What happened to one task. Counts are the test's own: virtual threads take turns.
struct Job {
  int runs = 0;
  int running = 0;
  int drops = 0;
  int outcome = -1;
  int32_t returns = 0;  // by every run
  int fails_first = 0;  // so many runs ask for a retry
  uint64_t started_ns = 0;
  uint64_t ended_ns = 0;

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* job = static_cast<Job*>(arg);
    MODEL_CHECK(job->drops == 0 && job->running == 0);
    ++job->running;
    MODEL_CHECK(pool_ctx_attempt(ctx) == static_cast<uint32_t>(job->runs + 1));
    job->started_ns = pool_now_ns();
    (void)pool_ctx_should_stop(ctx);
    --job->running;
    return ++job->runs <= job->fails_first ? POOL_RETRY : job->returns;
  }
  static void Drop(void* arg, int32_t outcome) {
    auto* job = static_cast<Job*>(arg);
    ++job->drops;
    job->outcome = outcome;
    job->ended_ns = pool_now_ns();
  }
  pool_task_t Task() {
    pool_task_t task;
    MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
    task.run = &Run;
    task.drop = &Drop;
    task.arg = this;
    return task;
  }
  void CheckEnded(int wanted) const {
    MODEL_CHECK(drops == 1);
    MODEL_CHECK(outcome == wanted);
    MODEL_CHECK(running == 0);
  }
};

pool_options_t Options(uint32_t workers) {
  pool_options_t options;
  MODEL_CHECK(pool_options_init(&options, sizeof(options)) == POOL_OK);
  options.workers_max = workers;
  options.workers_limit = workers + 1;
  options.keep_alive_ns = POOL_FOREVER;
  options.drop = &Job::Drop;
  return options;
}

pool_t Create(const pool_options_t& options) {
  pool_t pool = 0;
  MODEL_CHECK(pool_create(&options, &pool) == POOL_OK);
  return pool;
}
pool_t Create(uint32_t workers) { return Create(Options(workers)); }

pool_ticket_t Submit(pool_t pool, const pool_task_t& task) {
  pool_ticket_t ticket = 0;
  MODEL_CHECK(pool_submit_task(pool, &task, &ticket) == POOL_OK);
  return ticket;
}

// Every accepted task has one outcome.
void CloseAndDestroy(pool_t pool, int32_t mode = POOL_DRAIN) {
  MODEL_CHECK(pool_close(pool, mode, POOL_FOREVER) == POOL_OK);
  pool_stats_t stats;
  MODEL_CHECK(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  MODEL_CHECK(stats.submitted == stats.done + stats.failed + stats.cancelled + stats.expired + stats.shed);
  MODEL_CHECK(stats.queued == 0);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
}

// However the others ended, the last one was run. Gives the tickets back.
void CheckEachEnded(const Job (&jobs)[3], const pool_ticket_t (&tickets)[3]) {
  for (const Job& job : jobs) MODEL_CHECK(job.drops == 1);
  for (const pool_ticket_t ticket : tickets) MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  jobs[2].CheckEnded(POOL_DONE);
}

MODEL_TEST("a delayed task runs when its time has come, not before, and a drain waits for it",
           .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.delay_ns = 5 * kMs;
  const uint64_t before_ns = pool_now_ns();
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CloseAndDestroy(pool);
  job.CheckEnded(POOL_DONE);
  MODEL_CHECK(job.runs == 1);
  MODEL_CHECK(job.started_ns >= before_ns + 5 * kMs);
}

// The start that fails counts for a moment as a worker that lives, and who tries leaves.
MODEL_TEST("E1: a task that becomes due while another thread fails to start a worker is run without a further call",
           .preemptions = 2, .stale_reads = 0, .early_timeouts = 1, .start_failures = 1, .spins_max = 0) {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.delay_ns = 1;
  pool_ticket_t ticket = 0;
  // The thread of the timers may be the one that cannot be started.
  while (pool_submit_task(pool, &task, &ticket) != POOL_OK) {
  }
  (void)pool_wait_idle(pool, 0);
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  CloseAndDestroy(pool);
  job.CheckEnded(POOL_DONE);
}

MODEL_TEST("close against a timer: a cancelling close ends a delayed task once, also as it becomes due",
           .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.delay_ns = 1;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CloseAndDestroy(pool, POOL_CANCEL_QUEUED);
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(job.outcome == (job.runs == 1 ? POOL_DONE : POOL_CANCELLED));
}

void CancelAgainstDelayedStart() {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.delay_ns = 1;
  const pool_ticket_t ticket = Submit(pool, task);
  const pool_status_t status = pool_cancel(ticket);
  MODEL_CHECK(status == POOL_OK || status == POOL_E_ALREADY);
  if (status == POOL_OK) MODEL_CHECK(job.runs == 0 && job.drops == 1);
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
  CloseAndDestroy(pool);
  job.CheckEnded(status == POOL_OK ? POOL_CANCELLED : POOL_DONE);
  MODEL_CHECK(job.runs == (status == POOL_OK ? 0 : 1));
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Observe(status == POOL_OK ? "cancelled" : "done");
}

MODEL_TEST("H10: cancel against a delayed start: cancelled and never run, or run", .preemptions = 1,
           .outcomes = "cancelled done") {
  CancelAgainstDelayedStart();
}

// Small enough for a complete search where all threads see the newest values.
MODEL_TEST("H10: cancel against a delayed start, with two preemptions", .preemptions = 2, .stale_reads = 0,
           .outcomes = "cancelled done") {
  CancelAgainstDelayedStart();
}

// Time may pass at any point, once: then the thread of the timers is at the task, too.
MODEL_TEST("deadline against start: a task expires and never runs, or runs before its deadline",
           .preemptions = 1, .early_timeouts = 1, .outcomes = "done expired") {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.deadline_ns = pool_now_ns() + kMs;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CloseAndDestroy(pool);
  job.CheckEnded(job.runs == 1 ? POOL_DONE : POOL_EXPIRED);
  Observe(job.runs == 1 ? "done" : "expired");
}

MODEL_TEST("a submit whose deadline has passed is refused and calls nothing", .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  pool_task_t task = job.Task();
  task.deadline_ns = pool_now_ns() + 1;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_EXPIRED);
  CloseAndDestroy(pool);
  MODEL_CHECK(job.runs == 0 && job.drops == 0);
}

MODEL_TEST("a task behind a blocked worker expires although no worker is free", .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  struct Blocker {
    Atomic<int> over{0};
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* blocker = static_cast<Blocker*>(arg);
      while (blocker->over.load(kAcquire) == 0) SleepNs(kMs);
      return 0;
    }
  } blocker;
  pool_task_t blocking = job.Task();
  blocking.run = &Blocker::Run;
  blocking.drop = nullptr;
  blocking.arg = &blocker;
  MODEL_CHECK(pool_submit_task(pool, &blocking, nullptr) == POOL_OK);
  pool_task_t task = job.Task();
  task.queue_timeout_ns = 3 * kMs;
  const pool_ticket_t ticket = Submit(pool, task);
  pool_result_t result;
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, &result, sizeof(result)) == POOL_OK);
  MODEL_CHECK(result.outcome == (job.runs == 1 ? POOL_DONE : POOL_EXPIRED));
  blocker.over.store(1, kRelease);
  CloseAndDestroy(pool);
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
}

MODEL_TEST("a task that asks for it runs again after its delay", .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  job.fails_first = 2;
  pool_task_t task = job.Task();
  task.retries_max = 2;
  task.backoff_first_ns = kMs;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  CloseAndDestroy(pool);
  job.CheckEnded(POOL_DONE);
  MODEL_CHECK(job.runs == 3);
}

// Unless time may pass early, the back-off outlasts the cancel.
MODEL_TEST("H9: retry against cancel: after a cancel no further attempt begins", .preemptions = 1, .early_timeouts = 1,
           .outcomes = "cancelled done") {
  const pool_t pool = Create(1);
  Job job;
  job.fails_first = 1;
  pool_task_t task = job.Task();
  task.retries_max = 1;
  task.backoff_first_ns = 1;
  const pool_ticket_t ticket = Submit(pool, task);
  const pool_status_t status = pool_cancel(ticket);
  const int runs_then = job.runs + job.running;
  MODEL_CHECK(status == POOL_OK || status == POOL_E_ALREADY);
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
  // One that runs may be at its end, and its last attempt or its retry already decided.
  MODEL_CHECK(status != POOL_OK || job.runs == runs_then);
  MODEL_CHECK(job.runs <= 2);
  CloseAndDestroy(pool);
  if (status == POOL_OK || job.runs < 2) {
    job.CheckEnded(POOL_CANCELLED);
  } else {
    job.CheckEnded(POOL_DONE);
  }
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Observe(job.outcome == POOL_CANCELLED ? "cancelled" : "done");
}

MODEL_TEST("H9: retry against a token's cancel and a close: one outcome, one drop", .preemptions = 1) {
  const pool_t pool = Create(1);
  pool_token_t token = 0;
  MODEL_CHECK(pool_token_create(0, &token) == POOL_OK);
  Job job;
  job.fails_first = 1;
  pool_task_t task = job.Task();
  task.retries_max = 1;
  task.backoff_first_ns = 1;
  task.token = token;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  Thread canceller([&] { MODEL_CHECK(pool_token_cancel(token, -1000) == POOL_OK); });
  CloseAndDestroy(pool, POOL_CANCEL_QUEUED);
  canceller.Join();
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(pool_token_release(token) == POOL_OK);
}

MODEL_TEST("a group's cancel ends a member that waits for another attempt", .preemptions = 1) {
  const pool_t pool = Create(1);
  pool_group_t group = 0;
  MODEL_CHECK(pool_group_create(pool, nullptr, &group) == POOL_OK);
  Job job;
  job.fails_first = 1;
  pool_task_t task = job.Task();
  task.retries_max = 1;
  task.backoff_first_ns = 1;
  task.group = group;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  MODEL_CHECK(pool_group_cancel(group) == POOL_OK);
  MODEL_CHECK(pool_group_wait(group, POOL_FOREVER, nullptr) == POOL_OK);
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(pool_group_release(group) == POOL_OK);
  CloseAndDestroy(pool);
}

// With one value that is old a complete search goes through in a minute.
MODEL_TEST("drop-oldest of two submitters against take: each task runs or is shed, and the newest is never refused",
           .preemptions = 1, .stale_reads_total = 1) {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_DROP_OLDEST;
  const pool_t pool = Create(options);
  Job jobs[3];
  const auto submit = [&](Job& job) { MODEL_CHECK(pool_submit(pool, &Job::Run, &job) == POOL_OK); };
  Thread other([&] { submit(jobs[2]); });
  submit(jobs[0]);
  submit(jobs[1]);
  other.Join();
  CloseAndDestroy(pool);
  for (Job& job : jobs) {
    MODEL_CHECK(job.drops == 1);
    MODEL_CHECK(job.outcome == (job.runs == 1 ? POOL_DONE : POOL_SHED));
  }
  // Nothing sheds the last one of all, and that is the last one of either.
  MODEL_CHECK(jobs[1].outcome == POOL_DONE || jobs[2].outcome == POOL_DONE);
}

MODEL_TEST("tasks of one key run one after another in the order of their submits", .preemptions = 1) {
  const pool_t pool = Create(2);
  Job jobs[3];
  for (Job& job : jobs) {
    pool_task_t task = job.Task();
    task.key = 7;
    MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  CloseAndDestroy(pool);
  for (Job& job : jobs) job.CheckEnded(POOL_DONE);
  MODEL_CHECK(jobs[0].ended_ns <= jobs[1].started_ns && jobs[1].ended_ns <= jobs[2].started_ns);
}

MODEL_TEST("a cancel of the task inside a key against the end of the one behind: the line moves on",
           .preemptions = 1) {
  const pool_t pool = Create(1);
  Job jobs[3];
  pool_ticket_t tickets[3];
  for (int i = 0; i < 3; ++i) {
    pool_task_t task = jobs[i].Task();
    task.key = 7;
    tickets[i] = Submit(pool, task);
  }
  Thread other([&] { (void)pool_cancel(tickets[0]); });
  (void)pool_cancel(tickets[1]);
  other.Join();
  CloseAndDestroy(pool);
  CheckEachEnded(jobs, tickets);
}

MODEL_TEST("what is submitted after a pause is not taken even for a moment: its lane stays full", .preemptions = 2) {
  pool_options_t options = Options(1);
  options.lane_limit = 1;
  const pool_t pool = Create(options);
  Job first;
  const pool_task_t ordinary = first.Task();
  MODEL_CHECK(pool_submit_task(pool, &ordinary, nullptr) == POOL_OK);
  MODEL_CHECK(pool_pause(pool) == POOL_OK);
  Job jobs[2];
  const auto submit = [&](Job& job) {
    pool_task_t task = job.Task();
    task.priority = 1;
    return pool_submit_task(pool, &task, nullptr);
  };
  MODEL_CHECK(submit(jobs[0]) == POOL_OK);
  MODEL_CHECK(submit(jobs[1]) == POOL_E_FULL);
  MODEL_CHECK(pool_resume(pool) == POOL_OK);
  CloseAndDestroy(pool);
  first.CheckEnded(POOL_DONE);
  jobs[0].CheckEnded(POOL_DONE);
  MODEL_CHECK(jobs[1].drops == 0);
}

MODEL_TEST("a cancel ends what waits before it asks what runs to stop: a freed worker begins none of it", .preemptions = 1) {
  const pool_t pool = Create(1);
  pool_token_t tokens[2];
  MODEL_CHECK(pool_token_create(0, &tokens[0]) == POOL_OK);
  MODEL_CHECK(pool_token_create(tokens[0], &tokens[1]) == POOL_OK);
  struct Running {
    Atomic<int> begun{0};
    static int32_t Run(void* arg, pool_ctx_t* ctx) {
      static_cast<Running*>(arg)->begun.store(1, kRelease);
      while (pool_ctx_should_stop(ctx) == 0) SleepNs(kMs);
      return 0;
    }
  } running;
  Job waiting[2];
  pool_task_t task = waiting[0].Task();
  task.run = &Running::Run;
  task.drop = nullptr;
  task.arg = &running;
  task.token = tokens[0];
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  while (running.begun.load(kAcquire) == 0) SleepNs(kMs);
  for (int i = 0; i < 2; ++i) {
    task = waiting[i].Task();
    task.token = tokens[i];
    MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  MODEL_CHECK(pool_token_cancel(tokens[0], 0) == POOL_OK);
  CloseAndDestroy(pool);
  for (const Job& job : waiting) {
    job.CheckEnded(POOL_CANCELLED);
    MODEL_CHECK(job.runs == 0);
  }
  for (const pool_token_t token : tokens) MODEL_CHECK(pool_token_release(token) == POOL_OK);
}

MODEL_TEST("tokens: a cancel of one in line against its admission leaves the token to the next one", .preemptions = 1) {
  pool_options_t options = Options(1);
  options.rate_count = 1;
  options.rate_period_ns = kMs;
  const pool_t pool = Create(options);
  Job jobs[3];
  pool_ticket_t tickets[3];
  const uint64_t before_ns = pool_now_ns();
  for (int i = 0; i < 3; ++i) tickets[i] = Submit(pool, jobs[i].Task());
  Thread other([&] {
    SleepNs(kMs);
    (void)pool_cancel(tickets[1]);
  });
  CloseAndDestroy(pool);
  other.Join();
  CheckEachEnded(jobs, tickets);
  MODEL_CHECK(jobs[1].outcome == (jobs[1].runs == 1 ? POOL_DONE : POOL_CANCELLED));
  // A token a millisecond, from the first; when one was given back its own, or the one before.
  MODEL_CHECK(jobs[2].started_ns >= before_ns + kMs);
  MODEL_CHECK(jobs[1].runs == 0 || jobs[2].started_ns >= before_ns + 2 * kMs);
  Observe(jobs[1].runs == 1 ? "ran" : "cancelled");
}

MODEL_TEST("tokens: a cancel on the way from the gate of a class into line for a token takes no place with it", .preemptions = 1,
           .early_timeouts = 1) {
  pool_options_t options = Options(1);
  options.rate_count = 1;
  options.rate_period_ns = kMs;
  const pool_t pool = Create(options);
  pool_class_options_t rules;
  MODEL_CHECK(pool_class_options_init(&rules, sizeof(rules)) == POOL_OK);
  rules.concurrency_max = 1;
  MODEL_CHECK(pool_class_set(pool, 1, &rules) == POOL_OK);
  Job jobs[3];
  pool_ticket_t tickets[3];
  for (int i = 0; i < 3; ++i) {
    pool_task_t task = jobs[i].Task();
    task.class_id = 1;
    if (i > 0) task.delay_ns = i * kMs / 2;
    tickets[i] = Submit(pool, task);
  }
  Thread other([&] { (void)pool_cancel(tickets[1]); });
  CloseAndDestroy(pool);
  other.Join();
  CheckEachEnded(jobs, tickets);
}

// The first plain task of a thread carries time stamps.
MODEL_TEST("tokens: a task that is submitted while a rate is set runs, and is dropped as itself", .preemptions = 2) {
  pool_options_t options = Options(1);
  options.rate_count = 1;
  options.rate_period_ns = kMs;
  const pool_t pool = Create(options);
  MODEL_CHECK(pool_set(pool, "rate_count", "0") == POOL_OK);
  Job job;
  Thread other([&] { MODEL_CHECK(pool_set(pool, "rate_count", "1") == POOL_OK); });
  void* const args[] = {&job};
  uint32_t accepted = 0;
  MODEL_CHECK(pool_submit_many(pool, &Job::Run, args, 1, &accepted) == POOL_OK);
  other.Join();
  CloseAndDestroy(pool);
  job.CheckEnded(POOL_DONE);
}

MODEL_TEST("tokens: a close that cancels against one that comes into line: it ends once", .preemptions = 1) {
  pool_options_t options = Options(1);
  options.rate_count = 1;
  options.rate_period_ns = 1'000'000 * kMs;
  const pool_t pool = Create(options);
  Job jobs[2];
  const pool_task_t first = jobs[0].Task();
  MODEL_CHECK(pool_submit_task(pool, &first, nullptr) == POOL_OK);
  pool_status_t status = POOL_OK;
  Thread other([&] {
    const pool_task_t task = jobs[1].Task();
    status = pool_submit_task(pool, &task, nullptr);
  });
  MODEL_CHECK(pool_close(pool, POOL_CANCEL_QUEUED, POOL_FOREVER) == POOL_OK);
  other.Join();
  CloseAndDestroy(pool, POOL_CANCEL_QUEUED);
  MODEL_CHECK(jobs[0].drops == 1);
  MODEL_CHECK(status == POOL_OK || status == POOL_E_CLOSED);
  MODEL_CHECK(jobs[1].drops == (status == POOL_OK ? 1 : 0));
  MODEL_CHECK(jobs[1].runs == 0);
}

MODEL_TEST("a task waits for a delayed one that only it can run", .preemptions = 1) {
  pool_options_t options = Options(1);
  options.workers_limit = 1;
  const pool_t pool = Create(options);
  Job inner;
  struct Waiter {
    pool_t pool;
    Job* inner;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* waiter = static_cast<Waiter*>(arg);
      pool_task_t task = waiter->inner->Task();
      task.delay_ns = kMs;
      const pool_ticket_t ticket = Submit(waiter->pool, task);
      MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
      MODEL_CHECK(waiter->inner->runs == 1);
      return pool_ticket_release(ticket);
    }
  } waiter{pool, &inner};
  pool_task_t outer = inner.Task();
  outer.run = &Waiter::Run;
  outer.drop = nullptr;
  outer.arg = &waiter;
  MODEL_CHECK(pool_submit_task(pool, &outer, nullptr) == POOL_OK);
  CloseAndDestroy(pool);
  inner.CheckEnded(POOL_DONE);
}

MODEL_TEST("E1: a task that becomes due while the only worker waits for it runs though the start for it failed",
           .preemptions = 1, .stale_reads = 0, .start_failures = 2, .spins_max = 0) {
  const pool_t pool = Create(1);
  Job inner;
  struct Waiter {
    pool_t pool;
    Job* inner;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* waiter = static_cast<Waiter*>(arg);
      pool_group_t group = 0;
      MODEL_CHECK(pool_group_create(waiter->pool, nullptr, &group) == POOL_OK);
      pool_task_t task = waiter->inner->Task();
      task.delay_ns = kMs;
      task.group = group;
      // The thread of the timers may be the one that cannot be started.
      while (pool_submit_task(waiter->pool, &task, nullptr) != POOL_OK) {
      }
      MODEL_CHECK(pool_group_wait(group, POOL_FOREVER, nullptr) == POOL_OK);
      MODEL_CHECK(waiter->inner->runs == 1);
      return pool_group_release(group);
    }
  } waiter{pool, &inner};
  pool_task_t outer = inner.Task();
  outer.run = &Waiter::Run;
  outer.drop = nullptr;
  outer.arg = &waiter;
  while (pool_submit_task(pool, &outer, nullptr) != POOL_OK) {
  }
  CloseAndDestroy(pool);
  inner.CheckEnded(POOL_DONE);
}

MODEL_TEST("a run that begins while the watch falls asleep is watched", .preemptions = 2) {
  struct Watched {
    Atomic<int> told{0};
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* watched = static_cast<Watched*>(arg);
      for (int i = 0; i < 400 && watched->told.load(kRelaxed) == 0; ++i) SleepNs(kMs);
      MODEL_CHECK(watched->told.load(kRelaxed) == 1);
      return 0;
    }
    static void Stuck(void* user, pool_t, const pool_running_t*) {
      static_cast<Watched*>(user)->told.fetch_add(1, kRelaxed);
    }
  } watched;
  pool_options_t options = Options(1);
  options.drop = nullptr;
  options.stuck_after_ns = 4 * kMs;
  options.stuck = &Watched::Stuck;
  options.stuck_user = &watched;
  const pool_t pool = Create(options);
  SleepNs(kMs);  // its first look
  MODEL_CHECK(pool_submit(pool, &Watched::Run, &watched) == POOL_OK);
  CloseAndDestroy(pool);
}

MODEL_TEST("B14: an urgent task wakes a worker that sleeps, and goes before an ordinary one that waits",
           .preemptions = 1) {
  const pool_t pool = Create(1);
  Job ordinary;
  Job urgent;
  MODEL_CHECK(pool_pause(pool) == POOL_OK);
  MODEL_CHECK(pool_submit(pool, &Job::Run, &ordinary) == POOL_OK);
  pool_task_t task = urgent.Task();
  task.priority = 1;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  MODEL_CHECK(pool_resume(pool) == POOL_OK);
  CloseAndDestroy(pool);
  urgent.CheckEnded(POOL_DONE);
  ordinary.CheckEnded(POOL_DONE);
  MODEL_CHECK(urgent.ended_ns <= ordinary.started_ns);
}

MODEL_TEST("a completion is there when its task's drop has been called, and none is lost", .preemptions = 1) {
  const pool_t pool = Create(1);
  pool_cq_t cq = 0;
  MODEL_CHECK(pool_cq_create(2, &cq) == POOL_OK);
  Job jobs[2];
  for (Job& job : jobs) {
    pool_task_t task = job.Task();
    task.cq = cq;
    MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  }
  for (int i = 0; i < 2; ++i) {
    pool_completion_t completion;
    uint32_t n = 0;
    MODEL_CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n) == POOL_OK);
    MODEL_CHECK(n == 1 && completion.outcome == POOL_DONE);
    MODEL_CHECK(static_cast<Job*>(completion.arg)->drops == 1);
  }
  CloseAndDestroy(pool);
  MODEL_CHECK(pool_cq_release(cq) == POOL_OK);
}

}  // namespace
}  // namespace workpool::model
