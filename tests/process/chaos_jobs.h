// What a chaos run (chaos.cc) knows of each of its tasks, and the books it keeps over all of them. A job is what a task's
// argument points to; jobs lie in an arena and are looked at again when their pool has ended, so that a task that was lost,
// dropped twice, or called back though it was refused is found by its own counts.
#pragma once

#include <pthread.h>

#include <cinttypes>
#include <cstdarg>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <vector>

#include "test_support.h"

namespace chaos {

using namespace workpool_test;

// ---- complaints ----------------------------------------------------------------------------------

inline std::atomic<uint32_t> g_complaints{0};

[[gnu::format(printf, 1, 2)]] inline void Complain(const char* format, ...) {
  if (g_complaints.fetch_add(1) >= 40) return;  // more of them tell nothing more
  va_list args;
  va_start(args, format);
  std::fputs("chaos: ", stderr);
  std::vfprintf(stderr, format, args);
  std::fputc('\n', stderr);
  va_end(args);
}

// ---- work ----------------------------------------------------------------------------------------

inline uint64_t CpuNs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// About 20 us of computing for each unit.
inline void Work(uint32_t units) {
  volatile uint64_t sink = 1;
  uint64_t x = sink;
  for (uint32_t i = 0; i < units * 12'000; ++i) x = (x ^ x >> 12) * 0x2545F4914F6CDD1Du;
  sink = x;
}

// ---- jobs ----------------------------------------------------------------------------------------

enum class Kind : uint8_t {
  kPlain,
  kArray,
  kRecord,
  kBatch,
  kTicket,
  kCancel,
  kToken,
  kGroup,
  kKey,
  kClass,
  kRate,
  kCompletion,
  kDeadline,
  kDelay,
  kRetry,
  kPeriod,
  kParent,
  kOverrun,
  kFull,
  kChild,  // of a parent; never submitted from outside
};
constexpr size_t kKinds = static_cast<size_t>(Kind::kChild) + 1;
constexpr const char* kKindNames[kKinds] = {"plain", "array", "record", "batch",      "ticket",   "cancel", "token",
                                            "group", "key",   "class",  "rate",       "completion", "deadline", "delay",
                                            "retry", "period", "parent", "overrun",   "full",     "child"};

struct Round;

struct Job {
  // ---- the submitter's
  Round* round = nullptr;
  Kind kind = Kind::kPlain;
  bool accepted = false;
  bool told = false;      // it has a done
  bool completes = false; // in the completion queue
  bool prompt = false;    // nothing but the queue keeps it from starting
  bool throws = false;
  bool slow = false;
  bool exits = false;     // it ends its thread
  bool joins = false;     // a group or a token
  bool expires = false;
  uint8_t failures = 0;   // how often it fails before it succeeds; how often it runs, if it is periodic
  uint8_t children = 0;
  uint16_t key = 0;
  uint32_t sequence = 0;  // among those of its key
  // ---- what has happened
  std::atomic<uint32_t> runs{0}, dones{0}, drops{0}, completions{0};
  std::atomic<int32_t> outcome{-1};
};

// Room for the jobs of one round, all of it touched at the beginning, so that it does not look like a leak.
class Arena {
 public:
  explicit Arena(size_t size) : jobs_(size) {}

  void Reset() {
    const size_t used = std::min<size_t>(next_, jobs_.size());
    for (size_t i = 0; i < used; ++i) {
      std::destroy_at(&jobs_[i]);
      std::construct_at(&jobs_[i]);
    }
    next_ = 0;
  }
  // nullptr: the round is over. Some are kept for the children of tasks that are under way.
  Job* Take(bool child) {
    constexpr size_t kForChildren = 50'000;
    if (!child && next_ + kForChildren >= jobs_.size()) return nullptr;
    const size_t index = next_.fetch_add(1);
    return index < jobs_.size() ? &jobs_[index] : nullptr;
  }
  template <typename Body>
  void ForEach(Body body) {
    const size_t used = std::min<size_t>(next_, jobs_.size());
    for (size_t i = 0; i < used; ++i) body(jobs_[i]);
  }

 private:
  std::vector<Job> jobs_;
  std::atomic<size_t> next_{0};
};

// ---- books ---------------------------------------------------------------------------------------

// Times in buckets, eight for each power of two.
class Times {
 public:
  void Add(uint64_t ns) {
    counts_[Bucket(ns)].fetch_add(1, std::memory_order_relaxed);
    for (uint64_t longest = longest_; longest < ns && !longest_.compare_exchange_weak(longest, ns);) {
    }
  }
  [[nodiscard]] uint64_t Longest() const { return longest_; }
  // Upper bound of the bucket in which the quantile lies; 0: there are none.
  [[nodiscard]] uint64_t Quantile(double quantile) const {
    uint64_t total = 0, seen = 0;
    for (const auto& count : counts_) total += count;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (total > 0 && static_cast<double>(seen) >= quantile * static_cast<double>(total)) return Upper(i);
    }
    return 0;
  }
  void Clear() {
    for (auto& count : counts_) count = 0;
    longest_ = 0;
  }

 private:
  static constexpr size_t kBuckets = 64 * 8;
  static size_t Bucket(uint64_t ns) {
    if (ns < 16) return static_cast<size_t>(ns) / 2;
    const auto power = static_cast<size_t>(63 - __builtin_clzll(ns));
    return power * 8 + (ns >> (power - 3) & 7);
  }
  static uint64_t Upper(size_t bucket) {
    const size_t power = bucket / 8;
    return power < 4 ? 2 * bucket + 2 : (8 + bucket % 8 + 1) << (power - 3);
  }
  std::atomic<uint64_t> counts_[kBuckets]{};
  std::atomic<uint64_t> longest_{0};
};

constexpr uint32_t kKeys = 64;
constexpr uint32_t kClassMost = 5;  // so many of class 1 at once, at most

// One pool and all that is submitted to it.
struct Round {
  explicit Round(Arena& its_arena) : arena(its_arena) {}

  Arena& arena;
  pool_t pool = 0;
  pool_cq_t completions = 0;
  bool priorities = false; // tasks may have one
  bool lanes = false;      // priorities are bounded
  bool throttled = false;  // submitters wait by themselves while many tasks wait, instead of at the queue limit
  std::atomic<bool> stop{false};

  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> by_kind[kKinds]{};
  std::atomic<uint64_t> outcomes[5]{};
  std::atomic<uint64_t> failed_records{0}, dead_letters{0};
  std::atomic<uint64_t> completing{0}, completed{0};
  std::atomic<uint64_t> body_ns{0};  // CPU time of the tasks' own work
  std::atomic<int32_t> key_inside[kKeys]{};
  std::atomic<uint32_t> key_last[kKeys]{};
  std::atomic<uint32_t> class_inside{0};
  std::atomic<int32_t> watermark{0};
  Times waits;

  void Throttle() {
    while (throttled && !stop && accepted - Ended() > 800) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  }

  // The submit of the job, with what it returned. False: the pool takes no more.
  bool Submitted(Job& job, pool_status_t status) {
    if (status == POOL_OK) {
      job.accepted = true;
      ++accepted;
      ++by_kind[static_cast<size_t>(job.kind)];
      if (job.completes) ++completing;
    } else if (!PoolIsOver(status) && !MayBe(job, status)) {
      Complain("a submit of kind %s: %s (%s)", kKindNames[static_cast<size_t>(job.kind)], pool_strerror(status),
               LastErrorText().c_str());
    }
    return !PoolIsOver(status);
  }
  // Where a submit blocks while the queue is full, FULL is only for a full completion queue.
  static bool MayBe(const Job& job, pool_status_t status) {
    return status == POOL_E_FULL        ? job.kind == Kind::kFull || job.completes
           : status == POOL_E_CANCELLED ? job.joins
                                        : status == POOL_E_EXPIRED && job.expires;
  }
  // Closed, or given up.
  static bool PoolIsOver(pool_status_t status) { return status == POOL_E_CLOSED || status == POOL_E_BADHANDLE; }

  [[nodiscard]] uint64_t Ended() const {
    uint64_t ended = 0;
    for (const auto& outcome : outcomes) ended += outcome;
    return ended;
  }
};

// Who holds a key, or a place in the class, for one run.
class Inside {
 public:
  explicit Inside(Job& job) : job_(job) {
    if (job.kind == Kind::kKey) {
      if (job.round->key_inside[job.key].fetch_add(1) != 0) Complain("two tasks of key %u run at once", job.key);
      const uint32_t last = job.round->key_last[job.key].exchange(job.sequence);
      if (last > job.sequence) Complain("key %u: %u runs after %u", job.key, job.sequence, last);
    } else if (job.kind == Kind::kClass) {
      if (job.round->class_inside.fetch_add(1) >= kClassMost) Complain("more tasks of a class run than may");
    }
  }
  ~Inside() {
    if (job_.kind == Kind::kKey) job_.round->key_inside[job_.key].fetch_sub(1);
    if (job_.kind == Kind::kClass) job_.round->class_inside.fetch_sub(1);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Job& job_;
};

// ---- callbacks -----------------------------------------------------------------------------------

inline void Done(void* arg, const pool_result_t* result) {
  auto& job = *static_cast<Job*>(arg);
  if (job.dones.fetch_add(1) != 0 || job.drops != 0) Complain("a done came twice, or after drop");
  job.outcome = result->outcome;
  if (result->attempts != job.runs) Complain("%u attempts are told of %u", result->attempts, job.runs.load());
  if (job.prompt && result->outcome == POOL_DONE) job.round->waits.Add(result->wait_ns);
}

inline void Drop(void* arg, int32_t outcome) {
  auto& job = *static_cast<Job*>(arg);
  if (job.drops.fetch_add(1) != 0) Complain("a drop came twice");
  if (job.told && (job.dones != 1 || job.outcome != outcome)) Complain("a drop does not fit its done");
  job.outcome = outcome;
  ++job.round->outcomes[outcome];
  // Members of a group have a record, too.
  if (outcome == POOL_FAILED && (job.told || job.kind == Kind::kGroup)) ++job.round->failed_records;
  const bool ran = outcome == POOL_DONE || outcome == POOL_FAILED;
  const bool again = job.kind == Kind::kRetry || job.kind == Kind::kPeriod;
  if (ran ? job.runs == 0 : job.runs != 0 && !again) {
    Complain("a task of kind %s has run %u times and ends with outcome %d", kKindNames[static_cast<size_t>(job.kind)],
             job.runs.load(), outcome);
  }
}

inline void DeadLetter(void* user, void*, const pool_result_t*, const pool_attempt_t*, uint32_t) { ++static_cast<Round*>(user)->dead_letters; }

int32_t Run(void* arg, pool_ctx_t* ctx);

// Children of a task: plain ones, those with a record, of which some are waited for, a fork, a loop.
inline void RunChildren(Job& parent, pool_ctx_t* ctx) {
  Round& round = *parent.round;
  for (uint8_t i = 0; i < parent.children; ++i) {
    Job* child = round.arena.Take(true);
    if (child == nullptr) return;
    child->round = &round;
    child->kind = Kind::kChild;
    child->throws = parent.throws && i == 0;
    if (i % 2 == 0) {
      (void)round.Submitted(*child, pool_ctx_submit(ctx, Run, child));
      continue;
    }
    pool_task_t task = Task(Run, child);
    task.done = Done;
    task.drop = Drop;
    child->told = true;
    const bool waits = i == 3;
    pool_ticket_t ticket = 0;
    (void)round.Submitted(*child, pool_submit_task(round.pool, &task, waits ? &ticket : nullptr));
    if (!waits || !child->accepted) continue;
    if (pool_wait(ticket, 0, kBoundNs, nullptr, 0) != POOL_OK || child->drops != 1) Complain("a wait inside a task failed");
    if (pool_ticket_release(ticket) != POOL_OK) Complain("a ticket cannot be given back");
  }
  if (parent.children == 2) {
    std::atomic<uint32_t> sum{0};
    const pool_range_fn add = [](void* arg, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
      Work(1);
      static_cast<std::atomic<uint32_t>*>(arg)->fetch_add(static_cast<uint32_t>(end - begin));
      return int32_t{0};
    };
    const pool_status_t status = pool_parallel_for(round.pool, 0, 8, 2, 0, add, &sum, nullptr);
    if (status == POOL_OK ? sum != 8 : !Round::PoolIsOver(status)) Complain("a loop failed");
  }
  const pool_run_fn part = [](void*, pool_ctx_t*) {
    Work(1);
    return int32_t{0};
  };
  pool_fork_t fork;
  if (pool_ctx_fork(ctx, &fork, part, nullptr) != POOL_OK) Complain("a fork was refused");
  Work(1);
  int32_t code = 1;
  if (pool_ctx_join(ctx, &fork, &code) != POOL_OK || code != 0) Complain("a join failed");
  // On a worker a fork is counted like a task.
  if (pool_worker_index(round.pool) < 0) return;
  ++round.accepted;
  ++round.outcomes[POOL_DONE];
}

inline int32_t Run(void* arg, pool_ctx_t* ctx) {
  auto& job = *static_cast<Job*>(arg);
  Round& round = *job.round;
  const uint32_t run = job.runs.fetch_add(1) + 1;
  if (job.drops != 0) Complain("a task runs after its drop");
  const Inside inside(job);
  const uint64_t start_ns = CpuNs(CLOCK_THREAD_CPUTIME_ID);
  Work(job.slow ? 5 : 1);
  if (job.kind == Kind::kOverrun) {
    const Stopwatch watch;
    while (pool_ctx_should_stop(ctx) == 0) {
      if (watch.Seconds() > 10) {
        Complain("a run that lasts too long is not asked to stop");
        break;
      }
    }
  }
  round.body_ns.fetch_add(CpuNs(CLOCK_THREAD_CPUTIME_ID) - start_ns, std::memory_order_relaxed);
  if (job.kind == Kind::kParent) RunChildren(job, ctx);
  if (job.kind == Kind::kPeriod) return run < job.failures ? 0 : -1001;
  if (job.kind == Kind::kRetry && run <= job.failures) {
    if (run % 2 == 0) throw std::runtime_error("try me again");
    return POOL_RETRY;
  }
  if (job.exits) pthread_exit(nullptr);
  if (job.throws) throw std::runtime_error("chaos");
  return 0;
}

}  // namespace chaos
