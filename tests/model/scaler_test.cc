// The scaler (scaling/README.md): who queues a task that nobody can take calls it, and it sleeps while nothing waits. First
// the protocol of its sleep alone, then whole pools on one CPU: a pool of two workers begins with a target of one, so that a
// task which blocks until the next one has run ends only if the scaler is told, and has the second worker started.
#include "scaling/scaler.h"

#include "model/explorer.h"
#include "park/service.h"
#include "pool/options.h"
#include "worker/worker.h"
#include "workpool/workpool.h"

namespace workpool::model {
namespace {

constexpr int64_t kMs = 1'000'000;

// ---- the sleep

using SleepFunction = uint64_t (Scaler::*)(uint64_t);
using TakeSlotFunction = Worker* (WorkerSet::*)();
using EnterFunction = void (QuietOwner::*)(uint64_t);
template <SleepFunction kSleep, TakeSlotFunction kTakeSlot, EnterFunction kEnter, QuietOwner Worker::* kQuiet>
struct Reach {
  friend uint64_t Sleep(Scaler& scaler) { return (scaler.*kSleep)(kNever); }
  friend Worker* TakeSlot(WorkerSet& workers) { return (workers.*kTakeSlot)(); }
  friend void Enter(Worker& worker, uint64_t word) { (worker.*kQuiet.*kEnter)(word); }
};
uint64_t Sleep(Scaler& scaler);
Worker* TakeSlot(WorkerSet& workers);
void Enter(Worker& worker, uint64_t word);
template struct Reach<&Scaler::Sleep, &WorkerSet::TakeSlot, &QuietOwner::Enter, &Worker::quiet_>;

pool_options_t Options(uint32_t workers) {
  pool_options_t options;
  MODEL_CHECK(pool_options_init(&options, sizeof(options)) == POOL_OK);
  options.workers_max = workers;
  options.workers_limit = workers + 1;
  options.keep_alive_ns = POOL_FOREVER;
  return options;
}

// The floors below the pool, with as many workers at work as may be up, none of which has a thread.
class Bench {
 public:
  Bench() : engine_(Checked().engine), scaler(engine_) {
    MODEL_CHECK(engine_.dispatcher.Allocate() && engine_.workers.Allocate());
    engine_.owner = this;
    engine_.call_scaler = [](Engine& engine) { return ++static_cast<Bench*>(engine.owner)->calls > 0; };
    worker = TakeSlot(engine_.workers);
    MODEL_CHECK(engine_.idle.TryReserveStart(true));
    engine_.idle.EndSearch();
    MODEL_CHECK(!engine_.idle.Load().MayAdd() && !engine_.idle.Load().has(Census::kUnwatched));
  }

  // From outside, as Pool does.
  void Submit() {
    const Slot slot{&Run, nullptr};
    MODEL_CHECK(engine_.dispatcher.Push(&slot, 1, 0, Admission::kLimited, true).status == POOL_OK);
    FullFence();
    if (engine_.idle.Load().NeedsHelp()) engine_.workers.Help();
  }
  // A child, by the worker itself. A worker becomes quiet after thousands of fences at the same census.
  void BecomeQuiet() {
    const Census census = engine_.idle.Load();
    if (census.searching() == 0 && !census.NeedsHelp()) Enter(*worker, census.word());
  }
  void SubmitChild() { MODEL_CHECK(worker->TrySubmit({&Run, nullptr})); }

  // The scaler has gone to sleep, unless it goes on.
  void CheckTold(uint64_t again_ns) {
    MODEL_CHECK(again_ns != kNever || calls > 0);
    MODEL_CHECK(calls <= 1);
    MODEL_CHECK(!engine_.idle.Load().has(Census::kUnwatched));  // nobody else is to call
  }

 private:
  static PoolOptions Checked() {
    PoolOptions checked;
    MODEL_CHECK(CheckOptions(Options(2), &checked) == POOL_OK);
    return checked;
  }
  static int32_t Run(void*, pool_ctx_t*) { return 0; }

  Engine engine_;

 public:
  Scaler scaler;
  Worker* worker;
  int calls = 0;
};

MODEL_TEST("B6: a task that arrives while the scaler goes to sleep is seen by it, or it is called", .cores = 1) {
  Bench bench;
  Thread submitter([&] { bench.Submit(); });
  const uint64_t again_ns = Sleep(bench.scaler);
  submitter.Join();
  bench.CheckTold(again_ns);
}

MODEL_TEST("B6: of two submitters that find the scaler asleep one calls it", .preemptions = 2, .stale_reads = 1,
           .cores = 1) {
  Bench bench;
  Thread submitter([&] { bench.Submit(); });
  Thread other([&] { bench.Submit(); });
  const uint64_t again_ns = Sleep(bench.scaler);
  submitter.Join();
  other.Join();
  bench.CheckTold(again_ns);
}

MODEL_TEST("B6: a child that a worker queues while the scaler goes to sleep is seen by it, or it is called", .cores = 1) {
  Bench bench;
  Thread worker([&] { bench.SubmitChild(); });
  const uint64_t again_ns = Sleep(bench.scaler);
  worker.Join();
  bench.CheckTold(again_ns);
}

MODEL_TEST("B6: the same with a quiet worker, who leaves its fences out while the census stays the same", .cores = 1) {
  Bench bench;
  Thread worker([&] {
    bench.BecomeQuiet();
    bench.SubmitChild();
  });
  const uint64_t again_ns = Sleep(bench.scaler);
  worker.Join();
  bench.CheckTold(again_ns);
}

// ---- whole pools

pool_t Create(const pool_options_t& options) {
  pool_t pool = 0;
  MODEL_CHECK(pool_create(&options, &pool) == POOL_OK);
  return pool;
}
pool_t Create(uint32_t workers) { return Create(Options(workers)); }

void Submit(pool_t pool, pool_run_fn run, void* arg) { MODEL_CHECK(pool_submit(pool, run, arg) == POOL_OK); }

// Destroy alone would look for tasks that nobody has seen, and find help.
void AwaitIdleAndDestroy(pool_t pool) {
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
}

struct Job {
  Plain<int> input{0};
  int runs = 0;

  static int32_t Run(void* arg, pool_ctx_t*) {
    auto* job = static_cast<Job*>(arg);
    ++job->runs;
    job->input.Write(job->input.Read() + 1);
    return 0;
  }
};

// A task that waits, unseen by the pool, for another one to have run.
struct Rendezvous {
  pool_t pool = 0;
  Atomic<uint32_t> begun{0};
  Atomic<uint32_t> met{0};

  static void Await(Atomic<uint32_t>& word) {
    while (word.load(kAcquire) == 0) (void)FutexWait(word, 0, kNever);
  }
  static void Tell(Atomic<uint32_t>& word) {
    word.store(1, kRelease);
    FutexWakeAll(word);
  }
  static int32_t Await(void* arg, pool_ctx_t*) {
    auto* self = static_cast<Rendezvous*>(arg);
    Tell(self->begun);
    Await(self->met);
    return 0;
  }
  static int32_t Meet(void* arg, pool_ctx_t*) {
    Tell(static_cast<Rendezvous*>(arg)->met);
    return 0;
  }
  static int32_t SubmitAndAwait(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<Rendezvous*>(arg);
    MODEL_CHECK(pool_ctx_submit(ctx, &Meet, self) == POOL_OK);
    return Await(arg, ctx);
  }
  // Says for a while that it blocks, and then that it does not.
  static int32_t BlockShortlyAndAwait(void* arg, pool_ctx_t* ctx) {
    auto* self = static_cast<Rendezvous*>(arg);
    MODEL_CHECK(pool_ctx_block_begin(ctx) == POOL_OK);
    Tell(self->begun);
    MODEL_CHECK(pool_ctx_block_end(ctx) == POOL_OK);
    Await(self->met);
    return 0;
  }
};

MODEL_TEST("B6: a task that blocks until the next one has run ends, because the next one's submitter calls the scaler",
           .preemptions = 1, .stale_reads = 1, .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  Thread other([&] { Submit(pool, &Rendezvous::Await, &rendezvous); });
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  other.Join();
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("B6: the same with a child, which lies in its parent's deque", .preemptions = 1, .stale_reads = 1,
           .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  Submit(pool, &Rendezvous::SubmitAndAwait, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

// Grows at once, without patience. Tells when the scaler is about to go to sleep.
struct Watcher {
  Plain<int> alive{0};
  int looks = 0;
  bool stands_in = false;  // as a function of the user's that waits for something
  Atomic<uint32_t> tired{0};

  static uint32_t Decide(void* user, const pool_load_t* load, double) {
    auto* self = static_cast<Watcher*>(user);
    self->alive.Write(1);
    if (++self->looks == 5) {
      if (self->stands_in) Service::StandIn();
      Rendezvous::Tell(self->tired);
    }
    return load->queued > 0 ? 2 : load->target;
  }
  pool_policy_t Policy() {
    pool_policy_t policy;
    MODEL_CHECK(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
    policy.decide = &Decide;
    policy.user = this;
    policy.tick_ns = policy.patience_ns = 1;
    return policy;
  }
};

void SubmitWhileItFallsAsleep(bool stands_in) {
  Rendezvous rendezvous;
  Watcher watcher;
  watcher.stands_in = stands_in;
  const pool_t pool = Create(2);
  Submit(pool, &Rendezvous::Await, &rendezvous);
  const pool_policy_t policy = watcher.Policy();
  MODEL_CHECK(pool_set_policy(pool, &policy) == POOL_OK);
  Rendezvous::Await(watcher.tired);
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("B6: a task that arrives while the scaler of its pool goes to sleep is not left alone", .preemptions = 1,
           .stale_reads = 1, .cores = 1) {
  SubmitWhileItFallsAsleep(false);
}
MODEL_TEST("B6: the same when its policy's own function waits, and another thread is there for the call", .preemptions = 2,
           .stale_reads = 0, .spins_max = 0, .cores = 1) {
  SubmitWhileItFallsAsleep(true);
}

// Where no thread can be started for the scaler the next submit tries again.
MODEL_TEST("E1: the scaler is called anew after a thread for it was refused, and starts a worker anew", .preemptions = 1,
           .stale_reads = 0, .start_failures = 2, .spins_max = 0, .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  while (pool_submit(pool, &Rendezvous::Await, &rendezvous) != POOL_OK) {
  }
  Job jobs[4];
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  for (Job& job : jobs) {
    SleepNs(100 * kMs);
    Submit(pool, &Job::Run, &job);
  }
  AwaitIdleAndDestroy(pool);
  for (Job& job : jobs) MODEL_CHECK(job.runs == 1);
}

MODEL_TEST("E1: a pool that is handed back while threads are refused calls its scaler when the next task comes",
           .preemptions = 1, .stale_reads = 0, .start_failures = 1, .spins_max = 0, .cores = 1) {
  Rendezvous first;
  Rendezvous second;
  Job jobs[2];
  const pool_t pool = Create(2);
  while (pool_tune(pool, 1) != POOL_OK) {
  }
  Submit(pool, &Rendezvous::Await, &first);
  Rendezvous::Await(first.begun);
  Submit(pool, &Job::Run, &jobs[0]);  // calls it; where the number is set by hand it has nothing to do
  SleepNs(10'000 * kMs);              // its thread has gone
  (void)Rendezvous::Meet(&first, nullptr);
  MODEL_CHECK(pool_tune(pool, 0) == POOL_OK);
  Submit(pool, &Rendezvous::Await, &second);
  Submit(pool, &Rendezvous::Meet, &second);
  SleepNs(100 * kMs);
  Submit(pool, &Job::Run, &jobs[1]);
  AwaitIdleAndDestroy(pool);
  for (Job& job : jobs) MODEL_CHECK(job.runs == 1);
}

MODEL_TEST("E1: a worker that the scaler could not start is tried again without a further submit", .preemptions = 1,
           .stale_reads = 0, .start_failures = 1, .spins_max = 0, .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  // The scaler has its thread before the worst begins.
  pool_policy_t policy;
  MODEL_CHECK(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
  while (pool_set_policy(pool, &policy) != POOL_OK) {
  }
  while (pool_submit(pool, &Rendezvous::Await, &rendezvous) != POOL_OK) {
  }
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("E1: the same of a worker that a submitter could not start", .preemptions = 1, .stale_reads = 0,
           .start_failures = 1, .spins_max = 0, .cores = 2) {
  Rendezvous rendezvous;
  const pool_t pool = Create(3);
  while (pool_submit(pool, &Rendezvous::Await, &rendezvous) != POOL_OK) {
  }
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

// ---- a ceiling that comes down

MODEL_TEST("B6: a task whose worker must not work any more, because a block is over, is not left alone", .preemptions = 2,
           .stale_reads = 0, .spins_max = 0, .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  Submit(pool, &Rendezvous::BlockShortlyAndAwait, &rendezvous);
  Rendezvous::Await(rendezvous.begun);
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

// Two workers may be up, one of which is about to expire.
pool_t CreateGrown(uint32_t workers, int64_t keep_alive_ns) {
  pool_options_t options = Options(workers);
  options.keep_alive_ns = keep_alive_ns;
  const pool_t pool = Create(options);
  MODEL_CHECK(pool_tune(pool, 2) == POOL_OK);
  MODEL_CHECK(pool_tune(pool, 0) == POOL_OK);  // the target stays
  return pool;
}

MODEL_TEST("G4: a task that arrives when a worker expires and takes the target down with it is not left alone",
           .preemptions = 1, .stale_reads = 0, .early_timeouts = 2, .spins_max = 0, .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = CreateGrown(2, kMs);
  Submit(pool, &Rendezvous::Await, &rendezvous);
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("G4: the same at the very end of its keep-alive", .preemptions = 1, .stale_reads = 0, .spins_max = 0,
           .cores = 1) {
  Rendezvous rendezvous;
  const pool_t pool = CreateGrown(2, kMs);
  Submit(pool, &Rendezvous::Await, &rendezvous);
  SleepNs(kMs);
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

void CheckLive(pool_t pool, uint32_t workers) {
  pool_stats_t stats;
  MODEL_CHECK(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  MODEL_CHECK(stats.workers_live == workers);
}

MODEL_TEST("G3: tuned down and up again while workers expire, the pool has as many as it was told", .preemptions = 1,
           .stale_reads = 0, .early_timeouts = 1, .spins_max = 0, .cores = 1) {
  const pool_t pool = CreateGrown(2, kMs);
  SleepNs(kMs);
  MODEL_CHECK(pool_tune(pool, 2) == POOL_OK);
  for (int i = 0; i < 2; ++i) SleepNs(1000 * kMs);
  CheckLive(pool, 2);
  Rendezvous rendezvous;
  Submit(pool, &Rendezvous::Await, &rendezvous);
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("G3: handed back while workers expire, a pool keeps none of them, and its next task runs", .preemptions = 1,
           .stale_reads = 0, .early_timeouts = 1, .spins_max = 0, .cores = 1) {
  pool_options_t options = Options(2);
  options.keep_alive_ns = kMs;
  const pool_t pool = Create(options);
  MODEL_CHECK(pool_tune(pool, 2) == POOL_OK);
  Thread other([&] { MODEL_CHECK(pool_tune(pool, 0) == POOL_OK); });
  MODEL_CHECK(pool_tune(pool, 1) == POOL_OK);
  other.Join();
  MODEL_CHECK(pool_tune(pool, 0) == POOL_OK);
  // One of the two sleeps is as long as it says.
  for (int i = 0; i < 2; ++i) SleepNs(1000 * kMs);
  CheckLive(pool, 0);
  Job job;
  Submit(pool, &Job::Run, &job);
  AwaitIdleAndDestroy(pool);
  MODEL_CHECK(job.runs == 1);
}

struct Family {
  Job children[3];

  static int32_t Run(void* arg, pool_ctx_t* ctx) {
    for (Job& child : static_cast<Family*>(arg)->children) MODEL_CHECK(pool_ctx_submit(ctx, &Job::Run, &child) == POOL_OK);
    return 0;
  }
};

// Whichever worker it is that ends, its tasks are run, each once.
template <typename Lower>
void LowerWhileStealing(Lower lower) {
  Family family;
  const pool_t pool = Create(2);
  MODEL_CHECK(pool_tune(pool, 2) == POOL_OK);
  Submit(pool, &Family::Run, &family);
  lower(pool);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  for (Job& child : family.children) MODEL_CHECK(child.runs == 1 && child.input.Read() == 1);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
}

MODEL_TEST("G3: a worker that ends by a lower target loses no task to a thief, and none twice", .preemptions = 1,
           .stale_reads = 1, .cores = 1) {
  LowerWhileStealing([](pool_t pool) { MODEL_CHECK(pool_tune(pool, 1) == POOL_OK); });
}
MODEL_TEST("G3: the same when the target is handed back and its bound lowered", .preemptions = 1, .stale_reads = 0,
           .spins_max = 0, .cores = 1) {
  LowerWhileStealing([](pool_t pool) {
    MODEL_CHECK(pool_tune(pool, 0) == POOL_OK);
    MODEL_CHECK(pool_set(pool, "workers_max", "1") == POOL_OK);
  });
}

// ---- bounds

void RaiseAgainstSubmit() {
  Rendezvous rendezvous;
  const pool_t pool = Create(2);
  MODEL_CHECK(pool_set(pool, "workers_max", "1") == POOL_OK);
  Submit(pool, &Rendezvous::Await, &rendezvous);
  Thread other([&] { MODEL_CHECK(pool_set(pool, "workers_max", "2") == POOL_OK); });
  Submit(pool, &Rendezvous::Meet, &rendezvous);
  other.Join();
  AwaitIdleAndDestroy(pool);
}

MODEL_TEST("a task that arrives while workers_max is raised has a worker", .preemptions = 1, .stale_reads = 1,
           .cores = 1) {
  RaiseAgainstSubmit();
}
MODEL_TEST("the same in a pool that has no scaler", .preemptions = 1, .stale_reads = 1) { RaiseAgainstSubmit(); }

void LowerAgainstSubmit() {
  Job jobs[3];
  const pool_t pool = Create(2);
  Submit(pool, &Job::Run, &jobs[0]);
  Thread other([&] { MODEL_CHECK(pool_set(pool, "workers_max", "1") == POOL_OK); });
  Submit(pool, &Job::Run, &jobs[1]);
  Submit(pool, &Job::Run, &jobs[2]);
  other.Join();
  AwaitIdleAndDestroy(pool);
  for (Job& job : jobs) MODEL_CHECK(job.runs == 1);
}

MODEL_TEST("tasks that arrive while workers_max is lowered run", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  LowerAgainstSubmit();
}
MODEL_TEST("tasks that arrive while workers_max of a pool without a scaler is lowered run", .preemptions = 1,
           .stale_reads = 1) {
  LowerAgainstSubmit();
}

// ---- against the end of the pool

bool MayEndIn(pool_status_t status) {
  return status == POOL_OK || status == POOL_E_CLOSED || status == POOL_E_BADHANDLE;
}

template <typename Change>
void ChangeAgainstEnd(Change change, bool release) {
  const pool_t pool = Create(2);
  Job job;
  Submit(pool, &Job::Run, &job);
  Thread other([&] { MODEL_CHECK(MayEndIn(change(pool))); });
  if (release) {
    MODEL_CHECK(pool_release(pool) == POOL_OK);
  } else {
    MODEL_CHECK(pool_close(pool, POOL_DRAIN, POOL_FOREVER) == POOL_OK);
    MODEL_CHECK(pool_destroy(pool) == POOL_OK);
    MODEL_CHECK(job.runs == 1);
  }
  other.Join();
  SleepNs(10'000 * kMs);  // what was released ends by itself
}

pool_status_t RaiseMax(pool_t pool) { return pool_set(pool, "workers_max", "3"); }
pool_status_t HandBack(pool_t pool) { return pool_tune(pool, 0); }

MODEL_TEST("a bound that is set against close and destroy is taken, or refused", .preemptions = 1, .stale_reads = 1,
           .cores = 1) {
  ChangeAgainstEnd(RaiseMax, false);
}
MODEL_TEST("a bound that is set against release is taken, or refused", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  ChangeAgainstEnd(RaiseMax, true);
}
MODEL_TEST("a target that is handed back against close and destroy is taken, or refused", .preemptions = 1,
           .stale_reads = 1, .cores = 1) {
  ChangeAgainstEnd(HandBack, false);
}

MODEL_TEST("no function of a policy runs after another one has replaced it, nor after its pool was destroyed",
           .preemptions = 1, .stale_reads = 1, .cores = 1) {
  Watcher watcher;
  const pool_t pool = Create(2);
  Job job;
  Submit(pool, &Job::Run, &job);
  pool_status_t replaced = POOL_E_CLOSED;
  Thread other([&] {
    const pool_policy_t own = watcher.Policy();
    pool_policy_t standard;
    MODEL_CHECK(pool_policy_init(&standard, sizeof(standard)) == POOL_OK);
    MODEL_CHECK(MayEndIn(pool_set_policy(pool, &own)));
    replaced = pool_set_policy(pool, &standard);
    MODEL_CHECK(MayEndIn(replaced));
    if (replaced == POOL_OK) watcher.alive.Write(2);
  });
  MODEL_CHECK(pool_close(pool, POOL_DRAIN, POOL_FOREVER) == POOL_OK);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
  other.Join();
  if (replaced != POOL_OK) watcher.alive.Write(2);
  MODEL_CHECK(job.runs == 1);
}

MODEL_TEST("no function of a policy runs after its pool was destroyed", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  Watcher watcher;
  const pool_t pool = Create(2);
  const pool_policy_t policy = watcher.Policy();
  MODEL_CHECK(pool_set_policy(pool, &policy) == POOL_OK);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
  watcher.alive.Write(2);
}

MODEL_TEST("a policy's own function may give its pool up", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  struct Last {
    pool_t pool;
    bool released = false;
    static uint32_t Decide(void* user, const pool_load_t* load, double) {
      auto* self = static_cast<Last*>(user);
      if (!self->released) MODEL_CHECK(pool_release(self->pool) == POOL_OK);
      self->released = true;
      return load->target;
    }
  } last;
  last.pool = Create(2);
  pool_policy_t policy;
  MODEL_CHECK(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
  policy.decide = &Last::Decide;
  policy.user = &last;
  MODEL_CHECK(MayEndIn(pool_set_policy(last.pool, &policy)));
  for (int i = 0; i < 2; ++i) SleepNs(10'000 * kMs);
  MODEL_CHECK(last.released);
}

// ---- announced blocks

struct Forgetful {
  int refused = 0;

  static int32_t Begin(void*, pool_ctx_t* ctx) {
    MODEL_CHECK(pool_ctx_block_begin(ctx) == POOL_OK);
    return 0;
  }
  // What one task has begun is no other's to end.
  static int32_t End(void* arg, pool_ctx_t* ctx) {
    static_cast<Forgetful*>(arg)->refused += pool_ctx_block_end(ctx) == POOL_E_INVALID;
    return 0;
  }
};

void ForgetToEnd(uint32_t workers_limit) {
  Forgetful forgetful;
  pool_options_t options = Options(1);
  options.workers_limit = workers_limit;
  const pool_t pool = Create(options);
  Submit(pool, &Forgetful::Begin, &forgetful);
  Submit(pool, &Forgetful::End, &forgetful);
  MODEL_CHECK(pool_wait_idle(pool, POOL_FOREVER) == POOL_OK);
  MODEL_CHECK(forgetful.refused == 1);
  SleepNs(1000 * kMs);
  pool_stats_t stats;
  MODEL_CHECK(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  MODEL_CHECK(stats.workers_blocked == 0);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
}

MODEL_TEST("a block that its task does not end ends with it", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  ForgetToEnd(2);
}
MODEL_TEST("the same where the limit leaves no worker to stand in, and the census stays as it was", .preemptions = 1,
           .stale_reads = 1, .cores = 1) {
  ForgetToEnd(1);
}

void BlockAgainstEnd(int32_t mode) {
  Forgetful forgetful;
  const pool_t pool = Create(1);
  Submit(pool, &Forgetful::Begin, &forgetful);
  Submit(pool, &Forgetful::End, &forgetful);
  MODEL_CHECK(pool_close(pool, mode, POOL_FOREVER) == POOL_OK);
  MODEL_CHECK(mode != POOL_DRAIN || forgetful.refused == 1);
  MODEL_CHECK(pool_destroy(pool) == POOL_OK);
}

MODEL_TEST("a pool whose task forgets to end a block drains", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  BlockAgainstEnd(POOL_DRAIN);
}
MODEL_TEST("a pool whose task forgets to end a block can be cancelled", .preemptions = 1, .stale_reads = 1, .cores = 1) {
  BlockAgainstEnd(POOL_CANCEL_QUEUED);
}

}  // namespace
}  // namespace workpool::model
