/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workpool.h: the C API of libworkpool, an elastic work-stealing worker pool.
 *
 * This header is the documentation of record. pool_ctx_... functions are for the thread that runs the task, while it
 * runs; every other one is tagged:
 *   [any-thread]     may be called from any thread, tasks and callbacks included
 *   [may-block]      may wait for another thread
 *   [not-in-task]    returns POOL_E_DEADLOCK from a task of the same pool
 *   [runs-user-code] may run tasks, done, drop or hook functions on the calling thread
 *   [fork-child-ok]  works in a forked child on inherited handles
 * and tells who owns what, units, every status and the version since which it exists.
 *
 * RULES FOR ALL FUNCTIONS
 *   Status      0 is success, library codes are -1 ... -999 and never change their number; a task's
 *               own failure codes are <= -1000. Every refused call leaves a text that names function,
 *               field, value, limit and remedy in pool_last_error(). Besides those listed, every
 *               function that takes a handle returns POOL_E_BADHANDLE for 0, stale, forged or
 *               wrong-kind handles, POOL_E_FORKED for a handle inherited through fork(), and, where it
 *               is the first call of a process or thread, POOL_E_NOMEM. One that takes the size of a
 *               struct returns POOL_E_TOOBIG above 64 KiB.
 *   Handles     numbers below 2^53, never pointers. 0 is "none". A stale handle is found out, also
 *               when the object is destroyed by another thread at the same moment.
 *   Structs     begin with struct_size, which the caller sets to sizeof (the _init functions do).
 *               Smaller than the library's: the missing tail counts as 0 (sizes 0 ... 3:
 *               POOL_E_INVALID). Larger: the tail must be 0, else POOL_E_TOOBIG. Reserved fields
 *               must be 0 (POOL_E_INVALID). Out-structs take their size as an argument, at most
 *               that much is written, and struct_size tells how much.
 *   Strings     UTF-8, NUL-terminated, copied during the call.
 *   Times       nanoseconds on CLOCK_MONOTONIC (pool_now_ns). A timeout of 0 polls, POOL_FOREVER (-1)
 *               waits without limit, any other negative value is POOL_E_INVALID, huge values saturate.
 *   Memory      what happened before a submit is visible to the task; what a task did is visible to
 *               the wait that returns its result.
 *   Callbacks   no user code ever runs with a lock of the library held. C++ exceptions do not cross
 *               this interface. No function here may be called from a signal handler. done and drop
 *               are part of their task, on whatever thread they run: one that waits for the task, its
 *               group or its pool gets POOL_E_DEADLOCK. A task's run, done and drop may each end their
 *               thread (pthread_exit, pthread_cancel); what is left to call then runs on one of its own.
 *               Those of a task that expires while it waits run on the library's thread for time, which
 *               all pools share: one that blocks outside this library's calls holds up all times.
 *
 * PROMISES (each is cited by a test in tests/)
 *   - While the process lives, every accepted task ends in exactly one outcome, and its drop is
 *     called exactly once. If a submit fails, no callback ever runs and the caller still owns arg.
 *   - A task never waits beside a worker that could run it. An idle pool uses no CPU.
 *   - Out of memory or out of threads is a return code. Nothing accepted is lost by it.
 *   - No call hangs because of a fork, an exit, an unload, a thrown exception or a stale handle.
 *
 * With POOL_STRICT=1 in the environment of the first pool_create, misuse (INVALID, BADHANDLE, TOOBIG,
 * DEADLOCK, FORKED) prints its text and aborts, for tests.
 */
#ifndef WORKPOOL_WORKPOOL_H_
#define WORKPOOL_WORKPOOL_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define POOL_API __attribute__((visibility("default")))
#else
#define POOL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define POOL_VERSION_MAJOR 0
#define POOL_VERSION_MINOR 1
#define POOL_VERSION_PATCH 0

/* ---- types ------------------------------------------------------------------------------- */

typedef uint64_t pool_t;        /* a pool */
typedef uint64_t pool_ticket_t; /* the caller's number for one task */
typedef uint64_t pool_group_t;  /* a set of tasks that is waited for as one */
typedef uint64_t pool_token_t;  /* asks many tasks to stop */
typedef uint64_t pool_cq_t;     /* a queue of results for one reader */
typedef uint64_t pool_budget_t; /* a cap on the workers of several pools */
typedef int32_t pool_status_t;

/* A running task's view of itself; valid during the run and on the running thread only. */
typedef struct pool_ctx pool_ctx_t;

/* Statuses. */
#define POOL_OK 0
#define POOL_E_INVALID (-1)     /* an argument is out of range; last_error names it */
#define POOL_E_BADHANDLE (-2)   /* not a live handle of this kind */
#define POOL_E_TOOBIG (-3)      /* a struct of a newer header uses fields this library lacks */
#define POOL_E_NOMEM (-4)       /* out of memory; nothing changed */
#define POOL_E_THREAD (-5)      /* no thread could be started; nothing was accepted */
#define POOL_E_FULL (-6)        /* the queue limit is reached */
#define POOL_E_TIMEOUT (-7)     /* the time is over */
#define POOL_E_CLOSED (-8)      /* the pool takes no more tasks */
#define POOL_E_CANCELLED (-9)   /* cancelled before it ran */
#define POOL_E_EXPIRED (-10)    /* its time to start has passed */
#define POOL_E_RATE (-11)       /* refused by a rate limit */
#define POOL_E_DEADLOCK (-12)   /* the call would wait for its own caller */
#define POOL_E_FORKED (-13)     /* the handle belongs to the parent process */
#define POOL_E_EXCEPTION (-14)  /* the task threw a C++ exception; text holds its what() */
#define POOL_E_THREADEXIT (-15) /* the task ended its thread (pthread_exit, pthread_cancel) */
#define POOL_E_ALREADY (-16)    /* too late: running or over */
#define POOL_E_NOTFOUND (-17)   /* no such hook, name or entry */
#define POOL_E_SYSTEM (-18)     /* the operating system refused; last_error holds its text */
#define POOL_E_STALLED (-19)    /* reserved: a health check found a stall */
#define POOL_E_INTERNAL (-20)   /* a bug of this library */

/* How a task ended. */
#define POOL_DONE 0
#define POOL_FAILED 1
#define POOL_CANCELLED 2
#define POOL_EXPIRED 3 /* its deadline or queue timeout passed while it waited for a run, or asked for another one */
#define POOL_SHED 4    /* dropped while it waited: to make room (code FULL), or because the queue was too slow (TIMEOUT) */

/* What a task may return besides 0 and a failure: try me again (pool_task_t.retries_max). */
#define POOL_RETRY 1

/* What a submit does when the queue limit is reached. */
#define POOL_ON_FULL_DEFAULT 0 /* in a task: as the pool says; in a pool: REJECT */
#define POOL_ON_FULL_REJECT 1  /* return POOL_E_FULL at once */
#define POOL_ON_FULL_BLOCK 2   /* wait for room, at most submit_timeout_ns */
#define POOL_ON_FULL_CALLER_RUNS 3 /* the submit runs the task on its own thread, and returns when it has ended. While it may
                                      not run yet, for others of its key or class, a rate, or until its next attempt, the
                                      submit waits, unless in a task. For a periodic task it does not wait. One with a
                                      delay gets POOL_E_FULL */
#define POOL_ON_FULL_DROP_OLDEST 4 /* the task that has waited longest in a queue is shed, and the next one, until there is
                                      room. What is held (behind its key, its class, a rate, until its time) is not shed:
                                      if only that takes up the limit, POOL_E_FULL. With POOL_STRATEGY_STEALING: the
                                      oldest of one injection queue, of which there are two a CPU; what a worker has
                                      taken to its own queue is not shed */
#define POOL_ON_FULL_DROP_LOWEST 5 /* the same with tasks of the lowest priority that wait, while that is below the new
                                      one's; else POOL_E_FULL. With FIFO and LIFO there is no lower one */

/* What a submit does when a rate limit has no token for it. */
#define POOL_ON_RATE_DEFAULT 0 /* in a task: as its class, else as the pool says; there: DELAY */
#define POOL_ON_RATE_REJECT 1  /* return POOL_E_RATE at once */
#define POOL_ON_RATE_BLOCK 2   /* wait for a token, at most submit_timeout_ns */
#define POOL_ON_RATE_DELAY 3   /* accept the task; it waits for its token in the pool, without a worker */

/* options.strategy: which waiting task a worker takes. The order is that of takes: when a task starts, at
 * most workers - 1 of those taken before it have not started yet. With one worker it is exact. */
#define POOL_STRATEGY_STEALING 0 /* own newest, then injection queues in turn, then others' oldest; lanes by priority: a
                                    higher task is the next one that a worker takes, before its own */
#define POOL_STRATEGY_FIFO 1     /* one queue for all, in the order of arrival; what is held arrives when it is not any more */
#define POOL_STRATEGY_LIFO 2     /* one queue for all, newest first */
#define POOL_STRATEGY_PRIORITY 3 /* one queue for all, highest priority (any int32_t) first, FIFO among equals */

/* task.period_mode */
#define POOL_PERIOD_FIXED_RATE 0  /* runs begin on a grid; those that are missed are left out */
#define POOL_PERIOD_FIXED_DELAY 1 /* period_ns from the end of one run to the beginning of the next */

/* task.backoff_jitter: how a delay is spread at random */
#define POOL_JITTER_DEFAULT 0 /* FULL */
#define POOL_JITTER_FULL 1    /* between 0 and the delay */
#define POOL_JITTER_EQUAL 2   /* between half of the delay and the delay */
#define POOL_JITTER_NONE 3

/* task.retry_on */
#define POOL_RETRY_ON_DEFAULT 0 /* REQUEST */
#define POOL_RETRY_ON_REQUEST 1 /* when the task returns POOL_RETRY */
#define POOL_RETRY_ON_FAILURE 2 /* and when it fails or throws */

/* result.flags */
#define POOL_RESULT_OVERRAN 1u /* it ran longer than run_timeout_ns, at least once */

/* How pool_close treats what is queued. */
#define POOL_DRAIN 0         /* run everything accepted, also what waits for its time, a retry or a rate; own tasks may still
                                submit children. Periodic tasks are not waited for: one that waits for its next run, a
                                retry or its delay ends at once, DONE if its last run succeeded, else CANCELLED with code
                                CLOSED. What is in a queue still gets that run */
#define POOL_CANCEL_QUEUED 1 /* cancel what has not started */
#define POOL_CANCEL_ALL 2    /* and ask running tasks to stop (pool_ctx_should_stop) */

/* options.on_exception */
#define POOL_EXC_CAPTURE 0   /* a throwing task fails with POOL_E_EXCEPTION */
#define POOL_EXC_TERMINATE 1 /* let it escape: std::terminate with the throwing frames on the stack (what runs inside a
                                wait, under a C++ handler of the waiting code, is unwound up to the wait first) */

/* options.task_isolation: what a worker puts back after a task that has changed it. A log line of level DEBUG tells. */
#define POOL_ISOLATION_NONE 0 /* nothing */
#define POOL_ISOLATION_FP 1   /* floating-point control and errno; costs some nanoseconds a task */
#define POOL_ISOLATION_FULL 2 /* and signal mask, thread name, nice value, CPUs, locale, cancel state: some microseconds */

/* options.log_level: messages of this level and above reach log_fn. */
#define POOL_LOG_OFF 0
#define POOL_LOG_ERROR 1
#define POOL_LOG_WARN 2
#define POOL_LOG_INFO 3
#define POOL_LOG_DEBUG 4

#define POOL_FOREVER ((int64_t)-1)
#define POOL_UNLIMITED UINT64_MAX /* options.queue_limit */
#define POOL_WAIT_HELP 1u         /* pool_wait: run the task on this thread if it has not started */
#define POOL_WORKERS_MAX 4096u    /* the largest workers_max and workers_limit */
#define POOL_NAME_MAX 63u         /* longest name in bytes */
#define POOL_LANES_MAX 16u        /* most lanes */
#define POOL_CLASS_MAX 255u       /* largest class_id */
#define POOL_HISTORY_MAX 8u       /* most attempts in the history of a dead letter */
#define POOL_CQ_CAPACITY_MAX 16777216u /* largest completion queue */

typedef struct pool_result {
  uint32_t struct_size;
  int32_t outcome;      /* POOL_DONE ... POOL_SHED */
  int32_t code;         /* 0, the task's own code, POOL_RETRY, or a POOL_E_ code that tells the cause */
  uint32_t attempts;    /* runs begun; 0 if it never ran */
  int32_t worker;       /* index of the worker that ran it; -1: none, or an outside thread */
  uint32_t flags;       /* POOL_RESULT_... */
  pool_ticket_t ticket; /* 0 if none was asked for */
  uint64_t value;       /* what the task set with pool_ctx_set_value */
  uint64_t wait_ns;     /* from submit to the first start (to the end, if it never ran) */
  uint64_t run_ns;      /* of the last run */
  char text[256];       /* an exception's what(), cut at 255 bytes; "" if none */
} pool_result_t;

/* A task's function. Returns 0: done. Negative: failed with that code (use <= -1000 for your own). POOL_RETRY: to be run
 * again, see pool_task_t.retries_max; where there is no further attempt it has failed with that code. Other positive
 * numbers: failed with POOL_E_INVALID. */
typedef int32_t (*pool_run_fn)(void *arg, pool_ctx_t *ctx);
/* Called once when a task has ended, whatever its outcome, before drop. r is valid during the call. */
typedef void (*pool_done_fn)(void *arg, const pool_result_t *r);
/* Called exactly once for every accepted task, as the last use of arg: frees what arg owns. */
typedef void (*pool_drop_fn)(void *arg, int32_t outcome);
/* Whether a task that failed with code in its attempt-th run, counted from 1, is to be tried again: 0 no. Runs where the
 * task ran. */
typedef int32_t (*pool_retry_fn)(void *arg, int32_t code, uint32_t attempt);
/* One run of a task that did not succeed. */
typedef struct pool_attempt {
  uint32_t struct_size;
  int32_t code;
  int32_t worker;    /* as in pool_result_t */
  uint32_t reserved;
  uint64_t start_ns; /* as of pool_now_ns */
  uint64_t run_ns;
} pool_attempt_t;
/* Called once for every task with rules, a ticket or a group, and for every one of pool_submit_task, that failed for good,
 * after done and before drop. history: its last attempts, at most POOL_HISTORY_MAX, oldest first, the one that *r tells of
 * included; of a periodic task those since it last succeeded. Without memory it may lack some. */
typedef void (*pool_dead_letter_fn)(void *user, void *arg, const pool_result_t *r, const pool_attempt_t *history,
                                    uint32_t history_count);
/* A task that failed for good, as pool_dead_letters lists it. */
typedef struct pool_dead_letter {
  uint32_t struct_size;
  int32_t code;
  uint32_t attempts;
  int32_t worker;
  uint32_t flags;         /* POOL_RESULT_... */
  uint32_t history_count; /* of history */
  pool_ticket_t ticket;   /* 0: none */
  void *arg;              /* its value; drop has been called for it, so what it points to may be gone */
  uint64_t value;
  uint64_t wait_ns;
  uint64_t run_ns;
  uint64_t ended_ns;      /* as of pool_now_ns */
  pool_attempt_t history[8]; /* as for pool_dead_letter_fn */
  char name[64];          /* or "" */
  char text[256];         /* as in pool_result_t */
} pool_dead_letter_t;
/* Called when the tasks that wait reach options.queue_high (above = 1), and then when they have fallen to queue_low (above
 * = 0), on a thread of the library's own, which other pools share: be quick. Changes that follow each other fast may be told
 * as one. */
typedef void (*pool_watermark_fn)(void *user, pool_t pool, int32_t above, uint64_t waiting);
/* A task that runs, as pool_running lists it. */
typedef struct pool_running_t {
  uint32_t struct_size;
  int32_t worker;       /* its index */
  int32_t thread;       /* the kernel's id of the thread */
  int32_t state;        /* what the kernel says of the thread: 'R' runs, 'S' sleeps, 'D' waits for a device, ...; 0: not known */
  pool_ticket_t ticket; /* 0: none */
  uint64_t wall_ns;     /* how long it has run; of tasks without a record within options.stuck_after_ns / 4 */
  uint64_t cpu_ns;      /* CPU time of its thread meanwhile */
  uint32_t attempt;
  uint32_t reserved;
  char name[64];        /* its name, or "" */
} pool_running_t;
/* Called once for a run that lasts longer than options.stuck_after_ns; where, as for pool_watermark_fn. */
typedef void (*pool_stuck_fn)(void *user, pool_t pool, const pool_running_t *task);
/* A part [begin, end) of a parallel loop. 0: go on; anything else: stop the loop with that code. */
typedef int32_t (*pool_range_fn)(void *arg, uint64_t begin, uint64_t end, uint32_t participant,
                                 pool_ctx_t *ctx);
/* Runs on a worker thread when it starts or stops. */
typedef void (*pool_hook_fn)(void *user, pool_t pool, int32_t worker);
/* Receives log lines, from any thread, possibly several at once. text is valid during the call. */
typedef void (*pool_log_fn)(void *user, int32_t level, const char *text);

/* ---- library ----------------------------------------------------------------------------- */

/* "0.1.0". [any-thread] [fork-child-ok] Since 0.1. */
POOL_API const char *pool_version(void);
/* major * 1000 + minor of the ABI the loaded library offers. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API uint32_t pool_abi_version(void);
/* A constant English sentence for a status; never NULL. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API const char *pool_strerror(int32_t code);
/* The last failure on the calling thread: its code in *code (may be NULL) and its text in buf, cut to
 * cap bytes with its NUL (buf may be NULL if cap is 0); *needed (may be NULL) is the size it takes
 * with its NUL. Successful calls do not clear it; with no failure yet: 0 and "".
 * Returns OK, INVALID (buf NULL with cap > 0). [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_last_error(int32_t *code, char *buf, size_t cap, size_t *needed);
/* CLOCK_MONOTONIC in nanoseconds. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API uint64_t pool_now_ns(void);

/* ---- life of a pool ---------------------------------------------------------------------- */

typedef struct pool_options {
  uint32_t struct_size;
  uint32_t workers_min;      /* workers kept when idle once started; default 0; <= workers_max */
  uint32_t workers_max;      /* 0 = automatic: 1024, or what limits on threads leave; how many there are is the
                                policy's decision (an explicit 1 ... 4096 is kept exactly) */
  uint32_t workers_limit;    /* bound of worker indices, including workers that stand in for waiting
                                ones; 0 = 4096; >= workers_max. Indices are given out lowest first */
  int64_t keep_alive_ns;     /* idle time after which a worker above the minimum ends; 0 = 1 s;
                                POOL_FOREVER. A policy may have its own (cpu, batch) */
  uint64_t queue_limit;      /* tasks accepted and not yet started; 0 = 1048576; POOL_UNLIMITED. Up to 4096
                                it is exact; a larger one may be passed by what workers hold in their own
                                queues (256 tasks each), and tasks that were cancelled and still lie in a
                                queue may take up an eighth of it, at least 1024. In a task of the pool
                                ON_FULL_BLOCK admits over the limit, because it might wait for itself */
  int64_t submit_timeout_ns; /* how long ON_FULL_BLOCK waits; 0 = POOL_FOREVER */
  int32_t on_full;           /* POOL_ON_FULL_...; default REJECT */
  uint32_t prestart;         /* workers that pool_create starts, and waits for; <= workers_max. If not all
                                can be started, create fails with POOL_E_THREAD */
  int32_t on_exception;      /* POOL_EXC_...; default CAPTURE */
  uint32_t inherit_affinity; /* 0: workers may run on every CPU of the process; 1: on those of the
                                thread that calls pool_create */
  uint64_t stack_bytes;      /* stack of a worker; 0 = 1 MiB; 65536 ... 1 GiB */
  const char *name;          /* shown in thread names and logs; NULL = "pool"; <= POOL_NAME_MAX bytes */
  pool_drop_fn drop;         /* the drop of pool_submit, pool_submit_many and pool_ctx_submit; or NULL */
  pool_log_fn log_fn;        /* NULL: silent */
  void *log_user;
  int32_t log_level;         /* POOL_LOG_...; default OFF */
  uint32_t reserved;
  int32_t strategy;          /* POOL_STRATEGY_...; default STEALING */
  uint32_t lanes;            /* priorities with STEALING: task.priority is -(lanes - 1) / 2 ... lanes / 2; 0 = 3;
                                at most POOL_LANES_MAX. With FIFO and LIFO there are none */
  int64_t aging_ns;          /* with lanes: the first task of a lane that has waited for so long times the levels above it
                                is the next one that a worker takes, and those behind it get a share of one in eight
                                takes while higher ones wait; 0 = 100 ms; POOL_FOREVER: no aging. One of priority 0
                                waits since a worker first passed it over */
  uint64_t lane_limit;       /* tasks that may wait in each lane but that of priority 0, those that are held not counted;
                                0 = no limit of its own */
  uint64_t queue_limit_bytes; /* sum of task.cost_bytes of the tasks accepted and not yet started; 0 = no limit. A task
                                that costs more than the limit is admitted when nothing else counts */
  uint64_t rate_count;       /* at most so many runs are let begin in each rate_period_ns, retries and periods included;
                                0 = no limit. Tasks wait for it in line, in the order in which they are ready */
  int64_t rate_period_ns;    /* 0 = 1 s */
  uint32_t rate_burst;       /* and so many at once; 0 = 1 */
  int32_t on_rate;           /* POOL_ON_RATE_...; default DELAY */
  int64_t codel_target_ns;   /* sheds tasks while all waited longer than this for an interval (CoDel, RFC 8289); 0 = off */
  int64_t codel_interval_ns; /* 0 = 100 ms */
  uint64_t retry_count;      /* at most so many retries begin in each retry_period_ns, with a burst of as many; what
                                exceeds that has failed; 0 = no limit */
  int64_t retry_period_ns;   /* 0 = 1 s */
  pool_dead_letter_fn dead_letter; /* or NULL */
  void *dead_letter_user;
  uint64_t queue_high;       /* watermark is called when so many tasks wait, and again when it is queue_low or fewer;
                                0 = off. Counting them makes each submit slower */
  uint64_t queue_low;        /* below queue_high */
  pool_watermark_fn watermark; /* required with queue_high */
  void *watermark_user;
  int64_t stuck_after_ns;    /* stuck is called once for every run that lasts longer; 0 = off; else at least 1 ms */
  pool_stuck_fn stuck;       /* or NULL: only pool_running tells */
  void *stuck_user;
  int32_t task_isolation;    /* POOL_ISOLATION_...; default NONE */
  uint32_t dead_letter_limit; /* the last so many dead letters are kept for pool_dead_letters; 0 = none */
  const char *policy;        /* how the number of workers is found, as in pool_policy_t.name; NULL = "auto" */
  pool_budget_t budget;      /* the pool's workers count against it; 0 = none. Not with prestart, nor with pool_tune */
  uint32_t budget_floor;     /* so many are the pool's whenever its tasks wait */
  uint32_t budget_weight;    /* its share of the rest, relative to the others: 1 ... 1000; 0 = 1 */
} pool_options_t;

/* Fills *options with defaults; size is sizeof(pool_options_t) as the caller knows it.
 * INVALID (NULL, size < 4), TOOBIG (size > 64 KiB). [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_options_init(pool_options_t *options, uint32_t size);

/* Makes a pool; options may be NULL (all defaults). Workers start when tasks arrive. The caller owns
 * the handle: pool_destroy or pool_release. INVALID, TOOBIG, NOMEM, THREAD (prestart).
 * A filter of system calls (seccomp) may refuse membarrier(2) before the process's first pool, which then does
 * without, but not later: the process would end, with a text. [any-thread] [may-block] (prestart) Since 0.1. */
POOL_API pool_status_t pool_create(const pool_options_t *options_or_null, pool_t *out);

/* The one pool that all libraries in a process share, with default options; made by the first call.
 * Each call is one count, given back by pool_release; the last one releases the pool. It has no drop
 * (use pool_submit_task for owned arguments) and cannot be closed, destroyed, paused or tuned
 * (INVALID). INVALID (NULL), NOMEM. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_shared(pool_t *out);

/* Stops accepting tasks and waits until those accepted have ended, or timeout_ns is over (TIMEOUT: it is
 * still closing; call again, also with a stronger mode). DRAIN runs what is queued and accepts
 * submits from the pool's own tasks until they end; CANCEL_QUEUED and CANCEL_ALL refuse those too and
 * end what has not started as CANCELLED with code CLOSED. A paused pool is resumed.
 * Afterwards workers end; stats, waits and cancels still work. From a task of the same pool only
 * timeout_ns = 0 is allowed, otherwise DEADLOCK. OK, TIMEOUT, DEADLOCK, INVALID (mode, timeout, shared
 * pool). [any-thread] [may-block] [runs-user-code] (drop of cancelled tasks) Since 0.1. */
POOL_API pool_status_t pool_close(pool_t pool, int32_t mode, int64_t timeout_ns);

/* Drains, joins all workers and frees the pool: pool_close(DRAIN, POOL_FOREVER), and no thread of the
 * pool is left on return. So it waits for delayed tasks, retries and tasks in line for a rate, too; to leave at
 * once, call pool_close(pool, POOL_CANCEL_QUEUED, POOL_FOREVER) first, which waits for running tasks only.
 * From a task of the same pool DEADLOCK, and nothing changes. Of two
 * concurrent destroys one gets BADHANDLE. Tickets and groups outlive the pool, settled. In a forked
 * child it drops the inherited handle, touches nothing else and returns OK.
 * OK, DEADLOCK, INVALID (shared pool). [any-thread] [may-block] [not-in-task] [runs-user-code]
 * [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_destroy(pool_t pool);

/* Gives the pool up without waiting: the handle ends at once, queued tasks are cancelled with code
 * CLOSED, running ones finish, the last worker frees the pool. Safe in a task, a finaliser, a garbage
 * collector. In a forked child as pool_destroy.
 * OK. [any-thread] [runs-user-code] (drop of cancelled tasks) [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_release(pool_t pool);

/* Workers take no further task until pool_resume; running ones go on; submits are still accepted. In-task
 * waits and joins still run what they wait for. Idempotent.
 * OK, CLOSED, INVALID (shared pool). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_pause(pool_t pool);
/* Ends a pause: workers take tasks again. Idempotent. OK, CLOSED, INVALID (shared pool). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_resume(pool_t pool);

/* ---- options by name --------------------------------------------------------------------- */

/* pool_option_t.type: how a value is written. */
#define POOL_OPTION_UINT 0   /* in digits */
#define POOL_OPTION_TIME 1   /* in milliseconds, with at most six decimals: "0.5" */
#define POOL_OPTION_CHOICE 2 /* as one of the words of the range */

/* One option of a pool, as text. The strings are constants of the library. */
typedef struct pool_option {
  uint32_t struct_size;
  int32_t type;              /* POOL_OPTION_... */
  uint32_t live;             /* 1: pool_set can change it; 0: it is fixed at create */
  uint32_t reserved;
  const char *name;          /* of the field in pool_options_t, but _ms where that is in nanoseconds */
  const char *default_value; /* what 0 in the field means */
  const char *range;         /* "0 ... 4096"; "1 ... 255 or unlimited", with a word that stands for a value; of a choice
                                its words, "reject block caller-runs drop-oldest drop-lowest" */
  const char *doc;           /* in a sentence or two */
} pool_option_t;

/* The option with this index, counted from 0; size = sizeof *out. Every field of pool_options_t that is a number has
 * one. options.name, functions and user pointers have none: they are set in the struct.
 * OK, NOTFOUND (beyond the last), INVALID (out NULL, size < 4). [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_option_list(uint32_t index, pool_option_t *out, uint32_t size);
/* Sets the field of *options, which pool_options_init has filled, that belongs to an option. How values go together is
 * checked by pool_create. OK, NOTFOUND (the name), INVALID (the value, which the text tells with the range; NULL),
 * TOOBIG (options->struct_size ends before the field). [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_options_set(pool_options_t *options, const char *name, const char *value);
/* Sets several options to what suits a kind of task; others stay, and any may be set afterwards. "cpu", for tasks that
 * compute: automatic workers_max, workers stay 10 s, stealing. "io", for tasks that wait for others: up to 256 workers,
 * which stay 10 s; a submit blocks behind 4096 tasks. "batch", for much at once and then nothing: automatic workers_max,
 * workers go after 100 ms, no queue limit (but a submit that blocks, if one is set afterwards), stealing.
 * OK, NOTFOUND, INVALID (NULL), TOOBIG (then nothing is set). [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_options_preset(pool_options_t *options, const char *preset);
/* Changes a live option of a pool at once, also for tasks that wait, but what is beyond a lower limit stays. A rate_count other than 0 is refused where plain submits do not ask for a
 * rate: the pool needs one at create, which may be set to 0 then. OK, NOTFOUND (the name), INVALID (the value; an option
 * that is fixed at create; NULL; shared pool), THREAD and NOMEM (aging_ms, which may need a thread of the library's
 * own). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_set(pool_t pool, const char *name, const char *value);
/* The value of an option as text that pool_options_set would take, in buf, cut to cap bytes with its NUL (buf may be
 * NULL if cap is 0); *needed (may be NULL) is the size it takes with its NUL.
 * OK, NOTFOUND, INVALID (name NULL, buf NULL with cap > 0). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_get(pool_t pool, const char *name, char *buf, size_t cap, size_t *needed);

/* ---- submit ------------------------------------------------------------------------------ */

/* The fast path: run(arg) on some worker. No ticket; options.drop ends arg's life. From a worker of the
 * pool the task goes to that worker's own queue.
 * OK, INVALID (run NULL), FULL, RATE, TIMEOUT (of a submit that blocks), CLOSED, THREAD (no worker lives and none
 * could be started), NOMEM. [any-thread] [may-block] (as on_full and on_rate say) [runs-user-code]
 * (CALLER_RUNS; drop of a task that is shed) Since 0.1. */
POOL_API pool_status_t pool_submit(pool_t pool, pool_run_fn run, void *arg);

/* The fast path for arrays: run(args[i]) for i < n. *accepted (may be NULL) tells how many, a prefix of
 * args; fewer than n come with the status that stopped it. As pool_submit; INVALID also for args NULL
 * with n > 0. [any-thread] [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_submit_many(pool_t pool, pool_run_fn run, void *const *args, uint32_t n,
                                        uint32_t *accepted);

typedef struct pool_task {
  uint32_t struct_size;
  int32_t on_full;           /* POOL_ON_FULL_...; 0 = the pool's */
  pool_run_fn run;           /* required */
  pool_done_fn done;         /* or NULL */
  pool_drop_fn drop;         /* or NULL: nothing to free (the pool's drop is not used) */
  void *arg;
  pool_group_t group;        /* makes it a member; 0 = none */
  int64_t submit_timeout_ns; /* for ON_FULL_BLOCK; 0 = the pool's */
  const char *name;          /* for logs and errors; or NULL; <= POOL_NAME_MAX bytes */
  pool_token_t token;        /* puts it under a token; 0 = none */
  pool_cq_t cq;              /* where its completion goes; 0 = nowhere */
  uint64_t key;              /* tasks of one key run one after another, in the order of their submits, whatever their
                                priority (one with a delay, or for another period, joins the line when its time has
                                come); 0 = none */
  int32_t priority;          /* higher goes first; see options.lanes and POOL_STRATEGY_PRIORITY */
  uint32_t class_id;         /* see pool_class_set; 0 = none */
  uint64_t cost_bytes;       /* counts against options.queue_limit_bytes while it waits */
  uint64_t deadline_ns;      /* no run begins after this time (pool_now_ns): then it has expired; 0 = none */
  int64_t queue_timeout_ns;  /* the same, counted from the submit and its delay, for the first run; 0 = none */
  int64_t run_timeout_ns;    /* a run that lasts longer is asked to stop, and the result says so; it is not killed;
                                0 = none */
  int64_t delay_ns;          /* the first run begins so long after the submit; 0 = at once */
  int64_t period_ns;         /* and then one run after another, while they succeed; until it is cancelled, fails or the
                                pool closes, with the outcome of its last run. Runs of one task never overlap; 0 = one run */
  int32_t period_mode;       /* POOL_PERIOD_... */
  int32_t on_rate;           /* POOL_ON_RATE_...; 0 = its class's, else the pool's */
  uint32_t retries_max;      /* runs beyond the first, in a row without success; 0 = those of its class, else none. They
                                are for a task that returns POOL_RETRY; for other failures only if retry_on says so */
  uint32_t backoff_factor_percent; /* each delay is so much of the one before; 0 = 200; at least 100 */
  int64_t backoff_first_ns;  /* delay before the first retry; 0 = 10 ms */
  int64_t backoff_max_ns;    /* no delay is longer; 0 = 30 s */
  int32_t backoff_jitter;    /* POOL_JITTER_... */
  int32_t retry_on;          /* POOL_RETRY_ON_... */
  pool_retry_fn retry_if;    /* asked before each retry, if not NULL */
} pool_task_t;

/* As pool_options_init, for a task. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_task_init(pool_task_t *task, uint32_t size);

/* Submits one task with all its fields. *out (may be NULL) is a ticket, owned by the caller:
 * pool_ticket_release. As pool_submit (FULL also for a full lane or completion queue), and BADHANDLE for a bad group, token
 * or queue, CANCELLED for a cancelled one, CLOSED for a detached queue, EXPIRED for a deadline that has passed,
 * INVALID for a bad field, NOTFOUND for a class that was not set, TOOBIG. What waits for a time needs a thread of the
 * library's own, one for the process: THREAD if it cannot be started.
 * [any-thread] [may-block] [runs-user-code] (CALLER_RUNS; drop of a task that is shed) Since 0.1. */
POOL_API pool_status_t pool_submit_task(pool_t pool, const pool_task_t *task,
                                        pool_ticket_t *out_or_null);

/* Submits n tasks; tasks[i] begins stride bytes after tasks[i - 1]. tickets (may be NULL) has room for n.
 * *accepted as in pool_submit_many. [any-thread] [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_submit_batch(pool_t pool, const pool_task_t *tasks, uint32_t stride,
                                         uint32_t n, pool_ticket_t *tickets_or_null,
                                         uint32_t *accepted);

/* Runs body over [begin, end) in parallel and returns when all of it is done. The caller takes part, so it
 * finishes with no free worker; it nests and is legal in tasks. participant < participants_max is never
 * shared by two bodies that run at once (0 = pool_participants(pool)). With grain > 0 every range begins at
 * begin + k * grain and is at most grain long; 0 = chosen. The first body that returns non-zero stops the
 * rest; the call still returns OK and *body_code (may be NULL) holds that code, else 0. A body that
 * throws: *body_code = POOL_E_EXCEPTION. begin == end is legal.
 * OK, INVALID (body NULL, begin > end, participants_max > 8192), CLOSED, NOMEM.
 * [any-thread] [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_parallel_for(pool_t pool, uint64_t begin, uint64_t end, uint64_t grain,
                                         uint32_t participants_max, pool_range_fn body, void *arg,
                                         int32_t *body_code);

/* workers_max + 1, the most bodies of one loop that run at once by default; fixed at create, so that callers
 * can size arrays. A negative status on error. [any-thread] Since 0.1. */
POOL_API int32_t pool_participants(pool_t pool);

/* ---- inside a task ----------------------------------------------------------------------- */

/* Room for one fork, in the caller's frame. Its size is frozen. */
typedef struct pool_fork {
  uint64_t opaque[8];
} pool_fork_t;

/* Makes run(arg) available to other workers while the caller goes on; it must be joined, newest first, by the
 * same task before it returns (or throws, or ends its thread), with mem untouched in between. Never allocates,
 * never fails for want of room: what finds no room is run by its join. INVALID (NULL), FORKED. Since 0.1. */
POOL_API pool_status_t pool_ctx_fork(pool_ctx_t *ctx, pool_fork_t *mem, pool_run_fn run, void *arg);

/* Waits for a fork: runs it here if nobody took it. *code_out (may be NULL) is 0 or its failure code; THREADEXIT if
 * the thread that had taken it ended.
 * INVALID (not a fork of this task), FORKED. [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_ctx_join(pool_ctx_t *ctx, pool_fork_t *mem, int32_t *code_out);

/* A child that nobody joins, on the running worker's own queue. Exempt from the queue limit and counted.
 * options.drop is its drop. INVALID, CLOSED (cancelling close), NOMEM, FORKED, and, in a task that runs inside the wait
 * of a thread that is no worker, THREAD as in pool_submit. Since 0.1. */
POOL_API pool_status_t pool_ctx_submit(pool_ctx_t *ctx, pool_run_fn run, void *arg);

/* 1 if the task was asked to stop (pool_cancel, group or token cancel, run timeout, POOL_CANCEL_ALL), else 0. Since 0.1. */
POOL_API int32_t pool_ctx_should_stop(pool_ctx_t *ctx);
/* Sets the 64-bit value of the result. INVALID (NULL). Since 0.1. */
POOL_API pool_status_t pool_ctx_set_value(pool_ctx_t *ctx, uint64_t value);

/* Which run of its task this is, from 1; 0: ctx is NULL. Since 0.1. */
POOL_API uint32_t pool_ctx_attempt(pool_ctx_t *ctx);
/* The task's deadline_ns, or UINT64_MAX. Since 0.1. */
POOL_API uint64_t pool_ctx_deadline_ns(pool_ctx_t *ctx);
/* The task's token, or 0; it stays the token's creator's. Since 0.1. */
POOL_API pool_token_t pool_ctx_token(pool_ctx_t *ctx);

/* ---- wait, cancel, results --------------------------------------------------------------- */

/* Waits until the task has ended and copies its result (out may be NULL; size = sizeof *out). From a task of
 * the same pool, or with POOL_WAIT_HELP, a task that has not started is run on the calling thread, to its end
 * also if that takes longer than timeout_ns (0 runs nothing); a worker that has to wait is stood in for, so that
 * waits cannot starve the pool. A stranger's task never runs inside a wait. The ticket stays valid.
 * OK, TIMEOUT, DEADLOCK (the task is the caller, one that the caller runs inside, or behind one of these by its key),
 * INVALID. [any-thread] [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_wait(pool_ticket_t ticket, uint32_t flags, int64_t timeout_ns,
                                 pool_result_t *out_or_null, uint32_t size);

/* Waits for one (all = 0; its index in *index, may be NULL) or all (all = 1) of n tickets; in a task of the same pool it
 * runs what has not started, as pool_wait does, but for one of n not at once if one of them runs. OK, TIMEOUT,
 * DEADLOCK, INVALID (n = 0, tickets NULL, all not 0 or 1), BADHANDLE (*index tells which), NOMEM.
 * [any-thread] [may-block] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_wait_many(const pool_ticket_t *tickets, uint32_t n, int32_t all,
                                      int64_t timeout_ns, uint32_t *index);

/* Waits until no task is queued, held or running. What waits for its time, another attempt, a rate, its key or its
 * class is held; so a periodic task is waited for until it is cancelled or fails. OK, TIMEOUT, DEADLOCK, INVALID.
 * [any-thread] [may-block] [not-in-task] Since 0.1. */
POOL_API pool_status_t pool_wait_idle(pool_t pool, int64_t timeout_ns);

/* Cancels a task that waits, also one that waits for its time or for another attempt. OK: this call won; it will not run
 * (again), its done and drop have been called, its outcome is CANCELLED (of a periodic task that has run: DONE).
 * ALREADY: it runs (is asked to stop, and gets no further attempt) or is over. [any-thread] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_cancel(pool_ticket_t ticket);

/* Gives the ticket back; the task goes on. OK. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_ticket_release(pool_ticket_t ticket);

/* The running task is about to block, or has come back: meanwhile another worker may be up in its place at once. Without
 * them the scaler finds that out by itself, within some milliseconds. They nest, and end with the task. INVALID (ctx NULL;
 * an end without its begin). Since 0.1. */
POOL_API pool_status_t pool_ctx_block_begin(pool_ctx_t *ctx);
POOL_API pool_status_t pool_ctx_block_end(pool_ctx_t *ctx);

/* ---- groups ------------------------------------------------------------------------------ */

typedef struct pool_group_options {
  uint32_t struct_size;
  uint32_t reserved;
} pool_group_options_t;

/* A set of tasks of one pool, empty at first. The caller owns the handle: pool_group_release.
 * INVALID, TOOBIG, NOMEM, CLOSED. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_group_create(pool_t pool, const pool_group_options_t *options_or_null,
                                         pool_group_t *out);
/* Adds and submits a task; options.drop of the pool is its drop. Exempt from the queue limit and counted.
 * As pool_submit, and CANCELLED if the group was cancelled. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_group_submit(pool_group_t group, pool_run_fn run, void *arg);
/* Waits until every member has ended; *first_code (may be NULL) is the first failure's code, else 0. Members
 * may add members. In a task of the pool it runs members that have not started. OK, TIMEOUT, DEADLOCK
 * (the caller is a member, runs inside one, or holds the key that one waits for), INVALID. [any-thread] [may-block] [runs-user-code]
 * Since 0.1. */
POOL_API pool_status_t pool_group_wait(pool_group_t group, int64_t timeout_ns,
                                       int32_t *first_code_or_null);
/* Cancels members that have not started, asks the others to stop, refuses new ones. Idempotent. OK.
 * [any-thread] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_group_cancel(pool_group_t group);
/* Gives the handle back; members go on. OK. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_group_release(pool_group_t group);

/* ---- tokens ------------------------------------------------------------------------------ */

/* A token asks many tasks to stop, of any pools. One made under a parent is cancelled with it. The caller owns the handle:
 * pool_token_release. INVALID (out NULL), BADHANDLE (parent), NOMEM. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_token_create(pool_token_t parent_or_0, pool_token_t *out);
/* Cancels tasks under it and under its children that wait, asks those that run to stop, refuses new ones. reason is the
 * code of those cancelled (a periodic task whose last run succeeded is DONE, with code 0): 0 = POOL_E_CANCELLED, or
 * <= -1000; that of the first cancel stays. Idempotent.
 * OK, INVALID (reason). [any-thread] [runs-user-code] Since 0.1. */
POOL_API pool_status_t pool_token_cancel(pool_token_t token, int32_t reason);
/* The reason it was cancelled for, 0 if it was not, BADHANDLE. [any-thread] Since 0.1. */
POOL_API int32_t pool_token_reason(pool_token_t token);
/* Gives the handle back; tasks go on. OK. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_token_release(pool_token_t token);

/* ---- completion queues ------------------------------------------------------------------- */

typedef struct pool_completion {
  uint32_t struct_size;
  int32_t outcome; /* these as in pool_result_t */
  int32_t code;
  uint32_t attempts;
  pool_ticket_t ticket;
  void *arg; /* the task's, as a number: its drop has been called */
  uint64_t value;
  uint64_t wait_ns;
  uint64_t run_ns;
} pool_completion_t;

/* A queue for the completions of at most capacity tasks at a time: a submit that names it reserves a place, so none is ever
 * lost. It outlives pools. The caller owns the handle: pool_cq_release. INVALID (capacity 0 or above
 * POOL_CQ_CAPACITY_MAX, out NULL), NOMEM. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_cq_create(uint32_t capacity, pool_cq_t *out);
/* A descriptor that is readable while completions wait (an eventfd; do not read or close it, pool_cq_poll does), or
 * SYSTEM, CLOSED. Made by the first call. [any-thread] Since 0.1. */
POOL_API int32_t pool_cq_fd(pool_cq_t cq);
/* Takes at most cap of the oldest completions, each elem_size (sizeof(pool_completion_t)) bytes apart, to out; *n tells how
 * many. Waits for the first one. OK, TIMEOUT, CLOSED (detached), INVALID, BADHANDLE also if it is released meanwhile and
 * nothing came. [any-thread] [may-block] Since 0.1. */
POOL_API pool_status_t pool_cq_poll(pool_cq_t cq, void *out, uint32_t elem_size, uint32_t cap,
                                    int64_t timeout_ns, uint32_t *n);
/* Gives up what its tasks have to tell: on return none of their done functions runs and none will (but one that makes this
 * call), completions are thrown away, submits that name it are refused. Their drops are called as ever. Who polls is told
 * CLOSED, and the descriptor is readable for good. Idempotent. OK.
 * [any-thread] [may-block] Since 0.1. */
POOL_API pool_status_t pool_cq_detach(pool_cq_t cq);
/* Gives the handle back, and closes the descriptor when the last task that names the queue is over. OK.
 * [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_cq_release(pool_cq_t cq);

/* ---- classes ----------------------------------------------------------------------------- */

/* What the tasks of one class share. Fields as in pool_options_t and pool_task_t. */
typedef struct pool_class_options {
  uint32_t struct_size;
  uint32_t concurrency_max;  /* at most so many of the class run at once, those that wait for a retry included; the others
                                wait in line, whatever their priority; 0 = any. A task must not wait for another one of
                                its class that may be in that line: it could wait for ever */
  uint64_t rate_count;
  int64_t rate_period_ns;
  uint32_t rate_burst;
  int32_t on_rate;
  uint32_t retries_max;      /* these for tasks whose own retries_max is 0 */
  uint32_t backoff_factor_percent;
  int64_t backoff_first_ns;
  int64_t backoff_max_ns;
  int32_t backoff_jitter;
  int32_t retry_on;
  pool_retry_fn retry_if;
} pool_class_options_t;

/* As pool_options_init. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_class_options_init(pool_class_options_t *options, uint32_t size);
/* Makes class class_id (1 ... POOL_CLASS_MAX) of a pool, or changes it for tasks submitted from now on; limits hold for
 * those that wait, too. OK, INVALID, TOOBIG, NOMEM, THREAD (with a rate). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_class_set(pool_t pool, uint32_t class_id, const pool_class_options_t *options);

/* ---- workers and hooks ------------------------------------------------------------------- */

/* Index of the calling worker in this pool, 0 ... workers_limit - 1; -1 on any other thread; below -1
 * never: a bad handle is -1 too. [any-thread] Since 0.1. */
POOL_API int32_t pool_worker_index(pool_t pool);

/* start runs on every worker before its first task (on those that exist before their next one), stop on every
 * worker that ran start, when it ends or the hook is removed (but not on a thread that a task has ended by pthread_exit
 * or pthread_cancel). Either may be NULL. *id names it for
 * pool_hook_remove. OK, INVALID (both or id NULL), NOMEM, CLOSED. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_hook_add(pool_t pool, pool_hook_fn start, pool_hook_fn stop, void *user,
                                     uint64_t *id);
/* Runs stop on each worker that ran start, at its next task boundary, and returns when none is running or will
 * run: user and the functions may go. OK, NOTFOUND, DEADLOCK. [any-thread] [may-block] [not-in-task]
 * Since 0.1. */
POOL_API pool_status_t pool_hook_remove(pool_t pool, uint64_t id);

/* ---- scale and see ----------------------------------------------------------------------- */

/* Sets the number of workers by hand, at once and under load: workers start, or end after their current task.
 * 0 hands back to workers_min ... workers_max and demand. OK, INVALID (above workers_limit, shared pool, a pool of a
 * budget), THREAD (fewer could be started; the target stays), CLOSED. [any-thread] [may-block] (at most 100 ms, where
 * threads are refused) Since 0.1. */
POOL_API pool_status_t pool_tune(pool_t pool, uint32_t workers);

/* What a policy sees of a pool. Counts are of the time since the load before, dt_ns. */
typedef struct pool_load {
  uint32_t struct_size;
  uint32_t workers_live;     /* those being started included */
  uint32_t workers_idle;     /* asleep, or looking for a task */
  uint32_t workers_blocked;  /* wait inside a task, and are stood in for beyond the target */
  uint32_t workers_hung;     /* in one task for long, and off the CPU */
  uint32_t workers_min;
  uint32_t workers_max;
  uint32_t target;           /* as many may be up now */
  uint64_t now_ns;           /* as of pool_now_ns */
  int64_t wall_s;            /* seconds since 1970 */
  uint64_t dt_ns;            /* 0: the time before was not watched */
  uint64_t queued;
  uint64_t queue_limit;
  uint64_t head_age_ns;      /* the oldest waiting task has waited at least so long */
  uint64_t arrived;          /* a task on its way from one queue to another may be counted twice, here and in queued */
  uint64_t started;
  uint64_t ended;
  uint64_t failed;           /* of these */
  double wait_mean_s;        /* over about a second */
  double wait_p99_s;
  double service_s;          /* a worker's time for one task */
  double cores;              /* CPUs that the process may use */
  double runnable;           /* threads of the pool that ran or waited for a CPU */
  double others;             /* the same of other pools of the process */
} pool_load_t;

/* A policy of your own, or parts of one. On a thread of the library's, without a lock. Other pools share the thread: where
 * three decisions in a row each take longer than call_max_ns, the policy goes, "auto" takes its place (in the shadow: nobody),
 * and a line in the log tells. After one of the functions has put another policy in the place of its own, none of them is
 * called any more. */
typedef double (*pool_signal_fn)(void *user, const pool_load_t *load);
/* How many workers there should be, at least 1. signal: what the function above returned, or 0. */
typedef uint32_t (*pool_decide_fn)(void *user, const pool_load_t *load, double signal);
/* Whether the number may change from load->target to workers now: 0 no. */
typedef int32_t (*pool_cooldown_fn)(void *user, const pool_load_t *load, uint32_t workers);

/* pool_policy_t.flags */
#define POOL_POLICY_SHADOW 1u /* decides beside the policy that holds, and is only listed by pool_decisions */
#define POOL_POLICY_KEEP 2u   /* own decide: exactly so many workers are kept, idle or not */

typedef struct pool_policy {
  uint32_t struct_size;
  uint32_t flags;            /* POOL_POLICY_... */
  const char *name;          /* a policy of the library with its options, "pid,setpoint=0.6"; NULL: decide, or auto.
                                With SHADOW also "none": nobody is in the shadow any more */
  pool_signal_fn signal;     /* or NULL. With a name the policy has to read it: "ewma,signal=own" */
  pool_decide_fn decide;     /* or NULL: that of name */
  pool_cooldown_fn cooldown; /* or NULL. With a name it is asked after those of its options */
  void *user;
  int64_t tick_ns;           /* how often to look while tasks wait, not more than once in 1 ms; 0 = as the policy says */
  int64_t patience_ns;       /* how long a task waits before somebody looks; 0 = as the policy says */
  int64_t call_max_ns;       /* the functions may take so long for one decision, not counting the time in which their
                                thread has to wait for a CPU; 0 = 10 ms */
  const char *history;       /* with "seasonal": what pool_policy_history gave, and it goes on from there; or NULL */
} pool_policy_t;

/* pool_decision_t.reason */
#define POOL_REASON_HOLD 0        /* nothing to do */
#define POOL_REASON_STARVED 1     /* tasks wait, and CPUs are idle */
#define POOL_REASON_EXPIRED 2     /* workers above a floor have ended by idle expiry; without one that is not listed */
#define POOL_REASON_TRIMMED 3     /* far more can run than there are CPUs */
#define POOL_REASON_PACED 4       /* growth waits until the last step has paid */
#define POOL_REASON_SEARCH_DOWN 5 /* fewer may do more */
#define POOL_REASON_SEARCH_UP 6
#define POOL_REASON_RELAXED 7     /* a bound that was found holds no longer */
#define POOL_REASON_COMPENSATED 8 /* for hung workers */
#define POOL_REASON_LOAD 9        /* the policy's own figure asks for it */
#define POOL_REASON_COOLDOWN 10   /* it would, but too soon */
#define POOL_REASON_MANUAL 11     /* pool_tune */
#define POOL_REASON_SCHEDULE 12   /* the floor of a schedule or a season */
#define POOL_REASON_BUDGET 13     /* the pools of a budget share it */
#define POOL_REASON_BOUNDS 14     /* workers_min or workers_max */

/* pool_decision_t.flags */
#define POOL_DECISION_SHADOW 1u /* what a policy in the shadow would have done */

/* One decision of the scaler that changed something. */
typedef struct pool_decision {
  uint32_t struct_size;
  int32_t reason;            /* POOL_REASON_... */
  uint32_t flags;            /* POOL_DECISION_... */
  uint32_t workers_before;   /* the target before, and since */
  uint32_t workers;
  uint32_t workers_live;     /* these as in pool_load_t */
  uint32_t workers_idle;
  uint32_t workers_hung;
  uint64_t number;           /* from 1, in order, without gaps: one that is missing was overwritten */
  uint64_t at_ns;            /* as of pool_now_ns */
  uint64_t queued;
  uint64_t head_age_ns;
  double runnable;
  double cores;
  double goodput;            /* tasks that ended well in a second, since the load before */
  double signal;             /* of a policy of your own */
} pool_decision_t;

/* As pool_options_init. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_policy_init(pool_policy_t *policy, uint32_t size);
/* Another policy from now on; what it asks for is bounded by workers_min and workers_max, and by pool_tune. When it
 * returns, no function of the one before is running (but one that makes this call) and none will be called.
 * OK, INVALID (an unknown name or option; a history that is damaged or of another period; shared pool), TOOBIG, NOMEM, THREAD, CLOSED.
 * [any-thread] [may-block] Since 0.1. */
POOL_API pool_status_t pool_set_policy(pool_t pool, const pool_policy_t *policy);
/* What the policy has learned, as text for pool_policy_t.history: at most cap bytes to buf with their NUL, *needed (or NULL)
 * of them in all, as pool_get. A day of "seasonal" takes up to 3 KiB, its largest period 15. OK, INVALID (buf NULL with
 * cap > 0; the policy learns nothing; called by a function of the pool's policy). [any-thread] [may-block] (while a decision
 * is made) Since 0.1. */
POOL_API pool_status_t pool_policy_history(pool_t pool, char *buf, size_t cap, size_t *needed);
/* The decisions after number `after` (0: all that are kept, the last 256), oldest first, at most cap of them to out,
 * elem_size (sizeof(pool_decision_t)) bytes apart; *n tells how many. OK, INVALID. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_decisions(pool_t pool, uint64_t after, void *out, uint32_t elem_size, uint32_t cap,
                                      uint32_t *n);
/* A cap on the workers of several pools together, those of options.budget. What one pool does not need others have
 * meanwhile, and give back at task boundaries; a pool with tasks that wait gets its floor, and of the rest its weight's
 * share. Workers that sleep, or wait inside a task, do not count. At most 256 pools. The caller owns the handle: pool_budget_release.
 * INVALID (out NULL, workers_max 0 or above POOL_WORKERS_MAX), NOMEM. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_budget_create(uint32_t workers_max, pool_budget_t *out);
/* The same, with the tokens of GNU make's jobserver as its cap, if make has started this process in a recipe that may have
 * them (MAKEFLAGS; both forms): one worker is always allowed, and one more for each token, which is taken when needed and
 * given back when not, at close and at exit. Tokens that a killed process held are lost to make. One a process is enough.
 * INVALID (out NULL), NOTFOUND (no jobserver), SYSTEM (it cannot be used; the text says why), NOMEM. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_budget_jobserver(pool_budget_t *out);
/* Another cap, at once for what is started from now on. INVALID (as pool_budget_create; a jobserver's). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_budget_set(pool_budget_t budget, uint32_t workers_max);
/* Gives the handle back; pools that have the budget keep it. OK. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API pool_status_t pool_budget_release(pool_budget_t budget);

/* The name of a POOL_REASON_, "starved"; never NULL. [any-thread] [fork-child-ok] Since 0.1. */
POOL_API const char *pool_reason_name(int32_t reason);

/* In every snapshot: started >= ended_run, submitted >= started + ended_unrun, and
 * done + failed + cancelled + expired + shed == ended_run + ended_unrun. */
typedef struct pool_stats_t {
  uint32_t struct_size;
  uint32_t workers_live;    /* gauges */
  uint32_t workers_busy;
  uint32_t workers_parked;
  uint32_t workers_blocked; /* waiting inside a task for another one */
  uint32_t workers_wanted;  /* what the scaler or pool_tune aims at; above live: not yet or not startable */
  uint64_t queued;          /* submitted - started - ended_unrun */
  uint64_t submitted;       /* counters from here on: tasks accepted */
  uint64_t started;         /* tasks with a first attempt */
  uint64_t ended_run;       /* tasks that ran and ended */
  uint64_t ended_unrun;     /* tasks that ended without having run */
  uint64_t done;            /* outcomes */
  uint64_t failed;
  uint64_t cancelled;
  uint64_t expired;
  uint64_t shed;
  uint64_t rejected;        /* submits refused for FULL, TIMEOUT, THREAD or RATE */
  uint64_t attempts;        /* runs begun */
  uint64_t steals;          /* tasks taken from another worker's queue */
  uint64_t parks;           /* times a worker went to sleep */
  uint64_t wakes;           /* times a worker was woken by another thread */
  uint64_t retired;         /* workers that ended */
  uint64_t start_failures;  /* threads the operating system refused */
  uint64_t misuse;          /* refused calls of this process: INVALID, BADHANDLE, TOOBIG, DEADLOCK, FORKED */
  uint64_t wait_p50_ns;     /* submit to start, 1 in 64 of plain tasks and every one with a ticket or rules; */
  uint64_t wait_p99_ns;     /* bucket upper bounds, within 7 % */
  uint64_t run_p50_ns;
  uint64_t run_p99_ns;
} pool_stats_t;

/* A snapshot; size = sizeof *out. OK, INVALID (NULL, size < 4). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_stats(pool_t pool, pool_stats_t *out, uint32_t size);

/* Whether the pool does its work: call it from time to time, at least once a second. STALLED: since the call before, and for
 * a second or more, tasks have waited beside workers that sleep or could be started; the counts are put right and the
 * workers woken, and the log tells. It must not be: please report it. OK, STALLED. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_health(pool_t pool);

/* Tasks that run for at least longer_than_ns, the longest first, at most cap of them to out, elem_size
 * (sizeof(pool_running_t)) bytes apart; *n tells how many. The pool needs options.stuck_after_ns.
 * OK, INVALID (no stuck_after_ns, too). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_running(pool_t pool, int64_t longer_than_ns, void *out, uint32_t elem_size,
                                    uint32_t cap, uint32_t *n);

/* Takes out dead letters, oldest first, at most cap of them to out, elem_size (sizeof(pool_dead_letter_t)) bytes apart; *n
 * tells how many. *lost (may be NULL): how many were not kept since the last call that asked, because there were more than
 * options.dead_letter_limit, which the pool needs. A letter is there before the callbacks of its task.
 * OK, INVALID (no dead_letter_limit, too). [any-thread] Since 0.1. */
POOL_API pool_status_t pool_dead_letters(pool_t pool, void *out, uint32_t elem_size, uint32_t cap, uint32_t *n,
                                         uint64_t *lost);

#ifdef __cplusplus
}
#endif
#endif /* WORKPOOL_WORKPOOL_H_ */
