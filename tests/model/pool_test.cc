// Whole pools, through the C interface. Too large for a complete search: a depth-first search with
// few preemptions, then random schedules.
#include "base/limits.h"
#include "model/explorer.h"
#include "workpool/workpool.h"

namespace workpool::model {
namespace {

// What happened to one task. Counts are the test's own: virtual threads take turns.
struct Job {
  Plain<int> input{0};
  int runs = 0;
  int drops = 0;
  int outcome = -1;

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* job = static_cast<Job*>(arg);
    ++job->runs;
    MODEL_CHECK(job->drops == 0);
    job->input.Write(job->input.Read() + 1);  // what came before the submit is visible
    return 0;
  }
  static void Drop(void* arg, int32_t outcome) {
    auto* job = static_cast<Job*>(arg);
    ++job->drops;
    job->outcome = outcome;
    job->input.Write(-1);
  }
  void Submit(pool_t pool) { MODEL_CHECK(pool_submit(pool, &Run, this) == POOL_OK); }
  void CheckRan() {
    MODEL_CHECK(runs == 1);
    MODEL_CHECK(drops == 1);
    MODEL_CHECK(outcome == POOL_DONE);
    MODEL_CHECK(input.Read() == -1);
  }
};

pool_t Create(uint32_t workers, int64_t keep_alive_ns = POOL_FOREVER, uint32_t prestart = 0,
              pool_drop_fn drop = &Job::Drop) {
  pool_options_t options;
  MODEL_CHECK(pool_options_init(&options, sizeof(options)) == POOL_OK);
  options.workers_max = workers;
  options.workers_limit = workers + 1;
  options.keep_alive_ns = keep_alive_ns;
  options.prestart = prestart;
  options.drop = drop;
  pool_t pool = 0;
  MODEL_CHECK(pool_create(&options, &pool) == POOL_OK);
  return pool;
}

void Destroy(pool_t pool) { MODEL_CHECK(pool_destroy(pool) == POOL_OK); }

pool_ticket_t SubmitWithTicket(pool_t pool, Job& job, pool_group_t group = 0) {
  pool_task_t task;
  MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
  task.run = &Job::Run;
  task.drop = &Job::Drop;
  task.arg = &job;
  task.group = group;
  pool_ticket_t ticket = 0;
  MODEL_CHECK(pool_submit_task(pool, &task, &ticket) == POOL_OK);
  return ticket;
}

MODEL_TEST("a submitted task has run when destroy returns", .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  job.Submit(pool);
  Destroy(pool);
  job.CheckRan();
}

void SubmitFromTwoThreads() {
  const pool_t pool = Create(2);
  Job jobs[3];
  Thread other([&] {
    jobs[0].Submit(pool);
    jobs[1].Submit(pool);
  });
  jobs[2].Submit(pool);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) job.CheckRan();
  Destroy(pool);
}

MODEL_TEST("A3: tasks from two threads are run by two workers that park and wake",
           .preemptions = 1) {
  SubmitFromTwoThreads();
}
MODEL_TEST("B8: the same with workers that never spin before they sleep", .preemptions = 1,
           .spins_max = 0) {
  SubmitFromTwoThreads();
}
MODEL_TEST("B8: the same with workers that spin once before they sleep", .preemptions = 1,
           .spins_max = 1) {
  SubmitFromTwoThreads();
}

// Without a drop tasks take the shortest way there is.
MODEL_TEST("A3: tasks of a pool without drop are run by two workers that park and wake",
           .preemptions = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 0, nullptr);
  Job jobs[3];
  Thread other([&] {
    jobs[0].Submit(pool);
    jobs[1].Submit(pool);
  });
  jobs[2].Submit(pool);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) MODEL_CHECK(job.runs == 1 && job.input.Read() == 1);
  Destroy(pool);
}

MODEL_TEST("B6: a task that takes the short way while the only worker goes to sleep is run",
           .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1, nullptr);
  Job jobs[3];
  for (Job& job : jobs) {
    job.Submit(pool);
    MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
    MODEL_CHECK(job.runs == 1);
  }
  Destroy(pool);
}

struct Family {
  pool_t pool;
  Job children[2];

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* family = static_cast<Family*>(arg);
    for (Job& child : family->children) child.Submit(family->pool);
    return 0;
  }
};

void RunFamily() {
  Family family;
  family.pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(family.pool, &Family::Run, &family) == POOL_OK);
  MODEL_CHECK(pool_wait_idle(family.pool, POOL_FOREVER) == POOL_OK);
  for (Job& child : family.children) MODEL_CHECK(child.runs == 1 && child.input.Read() == 1);
  Destroy(family.pool);
}

MODEL_TEST(
    "A3: children that a task leaves in its worker's deque are stolen or run, with another worker "
    "going to sleep",
    .preemptions = 1) {
  RunFamily();
}
MODEL_TEST("B8: the same with workers that never spin before they sleep", .preemptions = 1,
           .spins_max = 0) {
  RunFamily();
}
MODEL_TEST("B8: the same with workers that spin once before they sleep", .preemptions = 1,
           .spins_max = 1) {
  RunFamily();
}

// A task that waits, unseen by the pool, for another one to have run. While a worker sleeps that
// could run the other one, the two must not wait for ever.
struct Rendezvous {
  pool_t pool = 0;
  Atomic<uint32_t> met{0};

  static int32_t Await(void* arg, pool_ctx_t*) {
    auto* self = static_cast<Rendezvous*>(arg);
    while (self->met.load(kAcquire) == 0) (void)FutexWait(self->met, 0, kNever);
    return 0;
  }
  static int32_t Meet(void* arg, pool_ctx_t*) {
    auto* self = static_cast<Rendezvous*>(arg);
    self->met.store(1, kRelease);
    FutexWakeAll(self->met);
    return 0;
  }
  static int32_t SubmitAndAwait(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<Rendezvous*>(arg);
    MODEL_CHECK(pool_ctx_submit(ctx, &Meet, self) == POOL_OK);
    return Await(arg, ctx);
  }
};

// Destroy alone would look for tasks that nobody has seen, and find help.
void AwaitIdleAndDestroy(pool_t pool) {
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST("B2: a task does not wait beside a sleeping worker, whoever was searching when it came",
           .preemptions = 1, .spins_max = 0) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Await, &rendezvous) == POOL_OK);
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Meet, &rendezvous) == POOL_OK);
  AwaitIdleAndDestroy(pool);
}

// A worker that ends a task takes the next ones as a batch; on their way they are in no queue.
MODEL_TEST("B2: a task of a batch does not wait beside a worker that looked while the batch was on its way",
           .preemptions = 1, .spins_max = 0) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2, POOL_FOREVER, 2, nullptr);
  Job first;
  first.Submit(pool);
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Await, &rendezvous) == POOL_OK);
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Meet, &rendezvous) == POOL_OK);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("B2: a task does not wait beside a worker that was not started", .preemptions = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2, POOL_FOREVER, 0, nullptr);
  Thread other([&] { MODEL_CHECK(pool_submit(pool, &Rendezvous::Await, &rendezvous) == POOL_OK); });
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Meet, &rendezvous) == POOL_OK);
  other.Join();
  AwaitIdleAndDestroy(pool);
}

void ChildBesideSleeper() {
  Rendezvous rendezvous;
  rendezvous.pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(rendezvous.pool, &Rendezvous::SubmitAndAwait, &rendezvous) == POOL_OK);
  AwaitIdleAndDestroy(rendezvous.pool);
}

MODEL_TEST("B2: a child does not wait in its parent's deque beside a sleeping worker",
           .preemptions = 1) {
  ChildBesideSleeper();
}
MODEL_TEST("B8: the same with workers that never spin before they sleep", .preemptions = 1,
           .spins_max = 0) {
  ChildBesideSleeper();
}
MODEL_TEST("B8: the same with workers that spin once before they sleep", .preemptions = 1,
           .spins_max = 1) {
  ChildBesideSleeper();
}

// More children than the deque of a model's worker has places: the older ones go to an injection queue.
struct ManyChildren {
  Rendezvous rendezvous;
  int runs = 0;

  static int32_t Count(void* arg, pool_ctx_t*) {
    ++static_cast<ManyChildren*>(arg)->runs;
    return 0;
  }
  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<ManyChildren*>(arg);
    MODEL_CHECK(pool_ctx_submit(ctx, &Rendezvous::Meet, &self->rendezvous) == POOL_OK);
    for (size_t i = 0; i < kDequeCapacity; ++i) MODEL_CHECK(pool_ctx_submit(ctx, &Count, self) == POOL_OK);
    return Rendezvous::Await(&self->rendezvous, ctx);
  }
};

MODEL_TEST("B2: what a full deque gives away does not wait beside a sleeping worker, and runs once",
           .preemptions = 1, .spins_max = 0) {
  ManyChildren parent;
  parent.rendezvous.pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(parent.rendezvous.pool, &ManyChildren::Run, &parent) == POOL_OK);
  AwaitIdleAndDestroy(parent.rendezvous.pool);
  MODEL_CHECK(parent.runs == static_cast<int>(kDequeCapacity));
}

// Three blocked workers on one CPU are a crowd: who takes a task then sees to several others at once.
MODEL_TEST("B2: a task does not wait beside a sleeping worker where a crowd of tasks waits",
           .preemptions = 0, .spins_max = 0) {
  Rendezvous rendezvous;
  const pool_t pool = Create(4, POOL_FOREVER, 4, nullptr);
  for (int i = 0; i < 3; ++i) MODEL_CHECK(pool_submit(pool, &Rendezvous::Await, &rendezvous) == POOL_OK);
  MODEL_CHECK(pool_submit(pool, &Rendezvous::Meet, &rendezvous) == POOL_OK);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("C12: of two workers of a draining pool the one that idles stays for a child of the other's task",
           .preemptions = 1, .spins_max = 0) {
  Rendezvous rendezvous;
  rendezvous.pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(rendezvous.pool, &Rendezvous::SubmitAndAwait, &rendezvous) == POOL_OK);
  Destroy(rendezvous.pool);
}

// A task with two children in its frame.
struct Forking {
  Plain<int> runs[2];

  static int32_t Child(void* arg, pool_ctx_t*) {
    auto& runs = *static_cast<Plain<int>*>(arg);
    runs.Write(runs.Read() + 1);
    return 0;
  }
  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<Forking*>(arg);
    pool_fork_t forks[2];
    for (int i = 0; i < 2; ++i) pool_ctx_fork(ctx, &forks[i], &Child, &self->runs[i]);
    for (int i = 1; i >= 0; --i) MODEL_CHECK(pool_ctx_join(ctx, &forks[i], nullptr) == POOL_OK);
    for (Plain<int>& runs : self->runs) MODEL_CHECK(runs.Read() == 1);
    return 0;
  }
  pool_ticket_t Submit(pool_t pool) {
    pool_task_t task;
    MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
    task.run = &Run;
    task.arg = this;
    pool_ticket_t ticket = 0;
    MODEL_CHECK(pool_submit_task(pool, &task, &ticket) == POOL_OK);
    return ticket;
  }
};

void ForkAndJoin() {
  const pool_t pool = Create(2, POOL_FOREVER, 2);
  Forking parent;
  const pool_ticket_t ticket = parent.Submit(pool);
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST("B17: a join ends when the fork does, whoever ran it", .preemptions = 1) {
  ForkAndJoin();
}
MODEL_TEST("B8: the same with workers that never spin before they sleep", .preemptions = 1,
           .spins_max = 0) {
  ForkAndJoin();
}
MODEL_TEST("B8: the same with workers that spin once before they sleep", .preemptions = 1,
           .spins_max = 1) {
  ForkAndJoin();
}

// A task that is stolen together with forks of another one may block for as long as that one has not joined them.
struct ForksBesideBlocker {
  Rendezvous rendezvous;
  Forking forking;

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<ForksBesideBlocker*>(arg);
    MODEL_CHECK(pool_submit(self->rendezvous.pool, &Rendezvous::Await, &self->rendezvous) == POOL_OK);
    (void)Forking::Run(&self->forking, ctx);
    return Rendezvous::Meet(&self->rendezvous, ctx);
  }
};

MODEL_TEST("H13: a fork never lies behind a task that may wait for its parent", .preemptions = 1, .spins_max = 0) {
  ForksBesideBlocker parent;
  parent.rendezvous.pool = Create(2, POOL_FOREVER, 2, nullptr);
  MODEL_CHECK(pool_submit(parent.rendezvous.pool, &ForksBesideBlocker::Run, &parent) == POOL_OK);
  // For the worker that stands in for the parent.
  MODEL_CHECK(pool_submit(parent.rendezvous.pool, &Rendezvous::Await, &parent.rendezvous) == POOL_OK);
  AwaitIdleAndDestroy(parent.rendezvous.pool);
}

MODEL_TEST("a running task joins its forks while the pool is paused, also those a thief has",
           .preemptions = 1, .spins_max = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 2);
  Forking parent;
  const pool_ticket_t ticket = parent.Submit(pool);
  MODEL_CHECK(pool_pause(pool) == POOL_OK);
  const pool_status_t cancelled = pool_cancel(ticket);
  if (cancelled != POOL_OK) {
    MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
  }
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST("B10: destroy at any moment of two starting workers ends them", .preemptions = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 2);
  Destroy(pool);
}

MODEL_TEST("B13: spurious wake-ups lose no task", .preemptions = 1, .spurious = 2) {
  const pool_t pool = Create(2, POOL_FOREVER, 1);
  Job jobs[2];
  for (Job& job : jobs) job.Submit(pool);
  Destroy(pool);
  for (Job& job : jobs) job.CheckRan();
}

MODEL_TEST("B17: a wait for a ticket ends when its task does", .preemptions = 1, .spurious = 1) {
  const pool_t pool = Create(1);
  Job job;
  const pool_ticket_t ticket = SubmitWithTicket(pool, job);
  pool_result_t result;
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, &result, sizeof(result)) == POOL_OK);
  MODEL_CHECK(result.outcome == POOL_DONE);
  job.CheckRan();
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST("B17: the last task that ends wakes a thread that waits for an idle pool",
           .preemptions = 1) {
  const pool_t pool = Create(2);
  Job jobs[2];
  for (Job& job : jobs) job.Submit(pool);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) job.CheckRan();
  Destroy(pool);
}

MODEL_TEST("B17: a wait for any of two tickets ends with the first", .preemptions = 1) {
  const pool_t pool = Create(2);
  Job jobs[2];
  const pool_ticket_t tickets[2] = {SubmitWithTicket(pool, jobs[0]),
                                    SubmitWithTicket(pool, jobs[1])};
  uint32_t index = 2;
  MODEL_CHECK(pool_wait_many(tickets, 2, 0, POOL_FOREVER, &index) == POOL_OK);
  MODEL_CHECK(index < 2);
  jobs[index].CheckRan();
  MODEL_CHECK(pool_wait_many(tickets, 2, 1, POOL_FOREVER, &index) == POOL_OK);
  for (Job& job : jobs) job.CheckRan();
  for (pool_ticket_t ticket : tickets) MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Destroy(pool);
}

void SubmitAgainstClose(int32_t mode) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Job jobs[2];
  pool_status_t statuses[2];
  Thread other([&] {
    for (int i = 0; i < 2; ++i) statuses[i] = pool_submit(pool, &Job::Run, &jobs[i]);
  });
  MODEL_CHECK(pool_close(pool, mode, POOL_FOREVER) == POOL_OK);
  other.Join();
  Destroy(pool);
  for (int i = 0; i < 2; ++i) {
    const Job& job = jobs[i];
    MODEL_CHECK(statuses[i] == POOL_OK || statuses[i] == POOL_E_CLOSED);
    MODEL_CHECK(job.drops == (statuses[i] == POOL_OK ? 1 : 0));
    MODEL_CHECK(job.runs == (job.outcome == POOL_DONE ? 1 : 0));
    MODEL_CHECK(mode != POOL_DRAIN || job.outcome != POOL_CANCELLED);
  }
}

MODEL_TEST("C4: a submit against a draining close is refused, or its task runs", .preemptions = 1) {
  SubmitAgainstClose(POOL_DRAIN);
}

MODEL_TEST("C4: a submit against a cancelling close is refused, or its task runs or is cancelled",
           .preemptions = 1) {
  SubmitAgainstClose(POOL_CANCEL_QUEUED);
}

struct Parent {
  Job job;
  Job child;

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    // job is the first member.
    MODEL_CHECK(pool_ctx_submit(ctx, &Job::Run, &static_cast<Parent*>(arg)->child) == POOL_OK);
    return Job::Run(arg, ctx);
  }
};

MODEL_TEST("C12: a child submitted while its pool drains runs", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Parent parent;
  MODEL_CHECK(pool_submit(pool, &Parent::Run, &parent) == POOL_OK);
  Destroy(pool);
  parent.job.CheckRan();
  parent.child.CheckRan();
}

MODEL_TEST("H10: a cancel against the start of its task wins, or the task runs", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Job job;
  const pool_ticket_t ticket = SubmitWithTicket(pool, job);
  const pool_status_t status = pool_cancel(ticket);
  if (status == POOL_OK) {
    MODEL_CHECK(job.drops == 1);
    MODEL_CHECK(job.outcome == POOL_CANCELLED);
  } else {
    MODEL_CHECK(status == POOL_E_ALREADY);
  }
  pool_result_t result;
  MODEL_CHECK(pool_wait(ticket, 0, POOL_FOREVER, &result, sizeof(result)) == POOL_OK);
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(job.runs == (status == POOL_OK ? 0 : 1));
  MODEL_CHECK(result.outcome == job.outcome);
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
  Destroy(pool);
  MODEL_CHECK(job.drops == 1);
}

MODEL_TEST("H10: of two cancels and a worker exactly one ends the task", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Job job;
  const pool_ticket_t ticket = SubmitWithTicket(pool, job);
  pool_status_t other_status = POOL_OK;
  Thread other([&] { other_status = pool_cancel(ticket); });
  const pool_status_t status = pool_cancel(ticket);
  other.Join();
  Destroy(pool);
  MODEL_CHECK((status == POOL_OK) + (other_status == POOL_OK) + job.runs == 1);
  MODEL_CHECK(job.drops == 1);
  MODEL_CHECK(pool_ticket_release(ticket) == POOL_OK);
}

MODEL_TEST("a group is empty when its wait ends, and a waiting thread sees what its members did",
           .preemptions = 1) {
  const pool_t pool = Create(2);
  pool_group_t group = 0;
  MODEL_CHECK(pool_group_create(pool, nullptr, &group) == POOL_OK);
  Job jobs[2];
  for (Job& job : jobs) MODEL_CHECK(pool_group_submit(group, &Job::Run, &job) == POOL_OK);
  int32_t code = 1;
  MODEL_CHECK(pool_group_wait(group, POOL_FOREVER, &code) == POOL_OK);
  MODEL_CHECK(code == 0);
  for (Job& job : jobs) job.CheckRan();
  MODEL_CHECK(pool_group_release(group) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST("H10: a group's cancel against the start of its members ends each exactly once",
           .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  pool_group_t group = 0;
  MODEL_CHECK(pool_group_create(pool, nullptr, &group) == POOL_OK);
  Job jobs[2];
  pool_status_t second = POOL_OK;
  MODEL_CHECK(pool_group_submit(group, &Job::Run, &jobs[0]) == POOL_OK);
  Thread other([&] { second = pool_group_submit(group, &Job::Run, &jobs[1]); });
  MODEL_CHECK(pool_group_cancel(group) == POOL_OK);
  other.Join();
  MODEL_CHECK(pool_group_wait(group, POOL_FOREVER, nullptr) == POOL_OK);
  MODEL_CHECK(second == POOL_OK || second == POOL_E_CANCELLED);
  MODEL_CHECK(jobs[0].drops == 1);
  MODEL_CHECK(jobs[1].drops == (second == POOL_OK ? 1 : 0));
  for (const Job& job : jobs) MODEL_CHECK(job.runs == (job.outcome == POOL_DONE ? 1 : 0));
  MODEL_CHECK(pool_group_release(group) == POOL_OK);
  Destroy(pool);
}

MODEL_TEST(
    "a submit against destroy and a new pool in the same place reaches neither of the two twice",
    .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  pool_status_t status = POOL_OK;
  Thread other([&] { status = pool_submit(pool, &Job::Run, &job); });
  Destroy(pool);
  const pool_t next = Create(1);
  MODEL_CHECK(next != pool);
  other.Join();
  MODEL_CHECK(status == POOL_OK || status == POOL_E_BADHANDLE || status == POOL_E_CLOSED);
  if (status == POOL_OK) job.CheckRan();  // before destroy returned, so not by the new pool
  MODEL_CHECK(job.drops == (status == POOL_OK ? 1 : 0));
  Destroy(next);
  MODEL_CHECK(job.drops == (status == POOL_OK ? 1 : 0));
}

MODEL_TEST(
    "the second submit of a thread against destroy and a new pool in the same place reaches "
    "neither of the two twice",
    .preemptions = 1) {
  const pool_t pool = Create(1);
  Job jobs[2];
  pool_status_t statuses[2] = {};
  Thread other([&] {
    for (int i = 0; i < 2; ++i) statuses[i] = pool_submit(pool, &Job::Run, &jobs[i]);
  });
  Destroy(pool);
  const pool_t next = Create(1);
  other.Join();
  for (int i = 0; i < 2; ++i) {
    MODEL_CHECK(statuses[i] == POOL_OK || statuses[i] == POOL_E_BADHANDLE ||
                statuses[i] == POOL_E_CLOSED);
    if (statuses[i] == POOL_OK) jobs[i].CheckRan();
    MODEL_CHECK(jobs[i].drops == (statuses[i] == POOL_OK ? 1 : 0));
  }
  Destroy(next);
}

MODEL_TEST("of two destroys at once one gets a bad handle", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  pool_status_t status = POOL_OK;
  Thread other([&] { status = pool_destroy(pool); });
  const pool_status_t mine = pool_destroy(pool);
  other.Join();
  MODEL_CHECK((mine == POOL_OK) + (status == POOL_OK) == 1);
  MODEL_CHECK(mine == POOL_OK || mine == POOL_E_BADHANDLE);
  MODEL_CHECK(status == POOL_OK || status == POOL_E_BADHANDLE);
}

MODEL_TEST("a released pool ends its task and its workers by itself", .preemptions = 1) {
  const pool_t pool = Create(1);
  Job job;
  job.Submit(pool);
  MODEL_CHECK(pool_release(pool) == POOL_OK);
  while (job.drops == 0) SleepNs(1'000'000);
  MODEL_CHECK(job.runs == (job.outcome == POOL_DONE ? 1 : 0));
}

MODEL_TEST("G4: a task that arrives while the last worker expires runs", .preemptions = 1,
           .early_timeouts = 2) {
  const pool_t pool = Create(1, 1'000'000);
  Job jobs[2];
  jobs[0].Submit(pool);
  Thread other([&] { jobs[1].Submit(pool); });
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) job.CheckRan();
  Destroy(pool);
}

MODEL_TEST("G4: a task that arrives exactly when the keep-alive of the only worker ends runs",
           .preemptions = 1) {
  const pool_t pool = Create(1, 1'000'000);
  Job jobs[2];
  jobs[0].Submit(pool);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  SleepNs(1'000'000);
  jobs[1].Submit(pool);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) job.CheckRan();
  Destroy(pool);
}

MODEL_TEST(
    "G4: a thread's second task, which takes the short way, runs while the last worker expires",
    .preemptions = 1, .early_timeouts = 1) {
  const pool_t pool = Create(1, 1'000'000, 0, nullptr);
  Job jobs[3];
  for (Job& job : jobs) {
    job.Submit(pool);
    MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
    MODEL_CHECK(job.runs == 1 && job.input.Read() == 1);
  }
  Destroy(pool);
}

MODEL_TEST("G3: a target lowered by one stops exactly one of two workers", .preemptions = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 2);
  Job job;
  Thread other([&] { job.Submit(pool); });
  MODEL_CHECK(pool_tune(pool, 1) == POOL_OK);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  SleepNs(10'000'000'000);
  pool_stats_t stats;
  MODEL_CHECK(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  MODEL_CHECK(stats.workers_live == 1);
  job.CheckRan();
  Destroy(pool);
}

MODEL_TEST("C11: with thread starts that fail, destroy returns and every accepted task ran",
           .preemptions = 1, .start_failures = 2) {
  const pool_t pool = Create(2);
  Job jobs[2];
  pool_status_t statuses[2];
  for (int i = 0; i < 2; ++i) {
    statuses[i] = pool_submit(pool, &Job::Run, &jobs[i]);
    MODEL_CHECK(statuses[i] == POOL_OK || statuses[i] == POOL_E_THREAD);
  }
  Destroy(pool);
  for (int i = 0; i < 2; ++i) {
    MODEL_CHECK(jobs[i].runs == (statuses[i] == POOL_OK ? 1 : 0));
    MODEL_CHECK(jobs[i].drops == jobs[i].runs);
  }
}

MODEL_TEST(
    "C11: a task that arrives while another's thread start fails is run by the worker that lives",
    .preemptions = 1, .start_failures = 1, .spins_max = 0) {
  const pool_t pool = Create(2, POOL_FOREVER, 1, nullptr);
  Job jobs[3];
  jobs[0].Submit(pool);
  Thread other([&] { jobs[1].Submit(pool); });
  jobs[2].Submit(pool);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& job : jobs) MODEL_CHECK(job.runs == 1);
  Destroy(pool);
}

int32_t ForkTwo(void* arg, pool_ctx_t* ctx) {
  auto* jobs = static_cast<Job*>(arg);
  pool_fork_t forks[2];
  for (int i = 0; i < 2; ++i)
    MODEL_CHECK(pool_ctx_fork(ctx, &forks[i], &Job::Run, &jobs[i]) == POOL_OK);
  for (int i = 1; i >= 0; --i) {
    int32_t code = 1;
    MODEL_CHECK(pool_ctx_join(ctx, &forks[i], &code) == POOL_OK);
    MODEL_CHECK(code == 0);
    MODEL_CHECK(jobs[i].runs == 1);
    MODEL_CHECK(jobs[i].input.Read() == 1);
  }
  return 0;
}

MODEL_TEST("forks are joined when they have run, here or on a thief", .preemptions = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 2);
  Job jobs[2];
  pool_task_t task;
  MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
  task.run = &ForkTwo;
  task.arg = jobs;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  Destroy(pool);
  for (const Job& job : jobs) MODEL_CHECK(job.runs == 1);
}

struct LoopSum {
  Plain<int> visited[3];

  static int32_t Body(void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
    auto* sum = static_cast<LoopSum*>(arg);
    for (uint64_t i = begin; i < end; ++i) sum->visited[i].Write(sum->visited[i].Read() + 1);
    return 0;
  }
};

MODEL_TEST("a parallel loop visits every index once, and its caller sees what helpers did",
           .preemptions = 1) {
  const pool_t pool = Create(2, POOL_FOREVER, 1);
  LoopSum sum;
  int32_t code = 1;
  MODEL_CHECK(pool_parallel_for(pool, 0, 3, 1, 0, &LoopSum::Body, &sum, &code) == POOL_OK);
  MODEL_CHECK(code == 0);
  for (Plain<int>& visited : sum.visited) MODEL_CHECK(visited.Read() == 1);
  Destroy(pool);
}

MODEL_TEST("B2: a helper of a parallel loop does not lie beside a worker that goes to sleep", .preemptions = 1,
           .spins_max = 0) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Rendezvous rendezvous;
  const auto body = [](void* arg, uint64_t begin, uint64_t, uint32_t, pool_ctx_t* ctx) {
    return begin == 0 ? Rendezvous::Await(arg, ctx) : Rendezvous::Meet(arg, ctx);
  };
  MODEL_CHECK(pool_parallel_for(pool, 0, 2, 1, 0, body, &rendezvous, nullptr) == POOL_OK);
  Destroy(pool);
}

void GetCodeOfHelper() {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  const auto body = [](void*, uint64_t begin, uint64_t, uint32_t, pool_ctx_t*) -> int32_t {
    return begin == 0 ? 0 : -7;
  };
  int32_t code = 0;
  MODEL_CHECK(pool_parallel_for(pool, 0, 2, 1, 0, body, nullptr, &code) == POOL_OK);
  MODEL_CHECK(code == -7);
  Destroy(pool);
}

MODEL_TEST("the caller of a parallel loop gets the code that a body on a helper returned", .preemptions = 1) {
  GetCodeOfHelper();
}
MODEL_TEST("B8: the same with a caller that never spins before it sleeps", .preemptions = 1, .spins_max = 0) {
  GetCodeOfHelper();
}

MODEL_TEST("statistics read while the first worker starts find it whole, or not yet", .preemptions = 1) {
  const pool_t pool = Create(1);
  Thread reader([&] {
    pool_stats_t stats;
    MODEL_CHECK(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
    MODEL_CHECK(stats.started <= stats.submitted);
  });
  Job job;
  job.Submit(pool);
  reader.Join();
  Destroy(pool);
  job.CheckRan();
}

struct HookUser {
  Plain<int> running{0};
  int starts = 0;
  int stops = 0;

  static void Start(void* user, pool_t, int32_t) { ++static_cast<HookUser*>(user)->starts; }
  static void Stop(void* user, pool_t, int32_t) {
    auto* hook = static_cast<HookUser*>(user);
    ++hook->stops;
    hook->running.Write(1);
  }
};

MODEL_TEST("a removed hook has stopped on the worker that started it, and is not used any more",
           .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  {
    HookUser user;
    uint64_t id = 0;
    MODEL_CHECK(pool_hook_add(pool, &HookUser::Start, &HookUser::Stop, &user, &id) == POOL_OK);
    Job job;
    job.Submit(pool);
    MODEL_CHECK(pool_hook_remove(pool, id) == POOL_OK);
    MODEL_CHECK(user.starts == user.stops);
    user.running.Write(2);
    MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
    job.CheckRan();
    MODEL_CHECK(user.starts == user.stops);
  }
  Destroy(pool);
}

MODEL_TEST("a hook is removed from a worker that looks at a resumed pool just then", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  {
    HookUser user;
    uint64_t id = 0;
    MODEL_CHECK(pool_hook_add(pool, &HookUser::Start, &HookUser::Stop, &user, &id) == POOL_OK);
    Job job;
    job.Submit(pool);
    MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
    Thread other([&] {
      MODEL_CHECK(pool_pause(pool) == POOL_OK);
      MODEL_CHECK(pool_resume(pool) == POOL_OK);
    });
    MODEL_CHECK(pool_hook_remove(pool, id) == POOL_OK);
    MODEL_CHECK(user.starts == user.stops);
    user.running.Write(2);
    other.Join();
  }
  Destroy(pool);
}

struct HookedJob {
  HookUser user;
  bool started_first = false;

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* job = static_cast<HookedJob*>(arg);
    job->started_first = job->user.starts == 1;
    return 0;
  }
};

MODEL_TEST("a task submitted after a hook was added runs on a worker that has run its start",
           .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1, nullptr);
  HookedJob job;
  Job before;
  before.Submit(pool);
  uint64_t id = 0;
  MODEL_CHECK(pool_hook_add(pool, &HookUser::Start, &HookUser::Stop, &job.user, &id) == POOL_OK);
  MODEL_CHECK(pool_submit(pool, &HookedJob::Run, &job) == POOL_OK);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  MODEL_CHECK(job.started_first);
  Destroy(pool);
  MODEL_CHECK(job.user.stops == 1);
}

MODEL_TEST("a paused pool runs its task when it is resumed", .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1);
  Job job;
  MODEL_CHECK(pool_pause(pool) == POOL_OK);
  Thread other([&] { job.Submit(pool); });
  MODEL_CHECK(pool_resume(pool) == POOL_OK);
  other.Join();
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  job.CheckRan();
  Destroy(pool);
}

MODEL_TEST("a task submitted to a paused pool does not start before the pool is resumed",
           .preemptions = 1) {
  const pool_t pool = Create(1, POOL_FOREVER, 1, nullptr);
  Job before;
  before.Submit(pool);
  MODEL_CHECK(pool_pause(pool) == POOL_OK);
  Job job;
  job.Submit(pool);
  SleepNs(1'000'000'000);
  MODEL_CHECK(job.runs == 0);
  MODEL_CHECK(pool_resume(pool) == POOL_OK);
  Destroy(pool);
  MODEL_CHECK(before.runs == 1 && job.runs == 1);
}

MODEL_TEST("a submit that waits for room goes on when a task starts", .preemptions = 1) {
  pool_options_t options;
  MODEL_CHECK(pool_options_init(&options, sizeof(options)) == POOL_OK);
  options.workers_max = options.workers_limit = 1;
  options.keep_alive_ns = POOL_FOREVER;
  options.queue_limit = 1;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.drop = &Job::Drop;
  pool_t pool = 0;
  MODEL_CHECK(pool_create(&options, &pool) == POOL_OK);
  Job jobs[3];
  for (Job& job : jobs) job.Submit(pool);
  Destroy(pool);
  for (Job& job : jobs) job.CheckRan();
}

// A task that waits for another one, which a second worker may run meanwhile.
struct WaitingPair {
  pool_t pool;
  Job job;
  pool_ticket_t ticket = 0;

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* pair = static_cast<WaitingPair*>(arg);
    MODEL_CHECK(pool_wait(pair->ticket, 0, POOL_FOREVER, nullptr, 0) == POOL_OK);
    pair->job.CheckRan();
    return 0;
  }
};

MODEL_TEST("a task that waits for another runs it or sees what it did", .preemptions = 1) {
  WaitingPair pair;
  pair.pool = Create(2, POOL_FOREVER, 1);
  pair.ticket = SubmitWithTicket(pair.pool, pair.job);
  pool_task_t task;
  MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
  task.run = &WaitingPair::Run;
  task.arg = &pair;
  pool_ticket_t outer = 0;
  MODEL_CHECK(pool_submit_task(pair.pool, &task, &outer) == POOL_OK);
  pool_result_t result;
  MODEL_CHECK(pool_wait(outer, 0, POOL_FOREVER, &result, sizeof(result)) == POOL_OK);
  MODEL_CHECK(result.outcome == POOL_DONE);
  MODEL_CHECK(pool_ticket_release(outer) == POOL_OK);
  MODEL_CHECK(pool_ticket_release(pair.ticket) == POOL_OK);
  Destroy(pair.pool);
}

// Room for one worker; a task that waits lets another be up, and a third task must not be forgotten
// by either.
int32_t WaitForGroup(void* arg, pool_ctx_t*) {
  MODEL_CHECK(pool_group_wait(*static_cast<pool_group_t*>(arg), POOL_FOREVER, nullptr) == POOL_OK);
  return 0;
}

MODEL_TEST("a task that sleeps inside a wait has a worker in its place for what is queued",
           .preemptions = 1) {
  const pool_t pool = Create(1);
  pool_group_t group = 0;
  MODEL_CHECK(pool_group_create(pool, nullptr, &group) == POOL_OK);
  Job job;
  pool_task_t task;
  MODEL_CHECK(pool_task_init(&task, sizeof(task)) == POOL_OK);
  task.run = &WaitForGroup;
  task.arg = &group;
  MODEL_CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  MODEL_CHECK(pool_group_submit(group, &Job::Run, &job) == POOL_OK);
  Destroy(pool);
  job.CheckRan();
  MODEL_CHECK(pool_group_release(group) == POOL_OK);
}

}  // namespace
}  // namespace workpool::model
