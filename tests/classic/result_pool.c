/* The result pool: every job has a context of its own, and its submitter is told what came of it, how long it waited and
 * how long it ran. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>
#include <workpool/workpool.h>

enum { JOBS = 8, E_ODD = -1001 };

static const uint64_t SLEEP_NS = 3000000;

/* What one job is about: read and written by its task, then by its submitter. */
typedef struct job {
  uint32_t limit;
  uint32_t primes;
  uint32_t largest;
} job_t;

/* Counts the primes up to a limit; will not hear of odd ones. */
static int32_t count_primes(void *arg, pool_ctx_t *ctx) {
  job_t *job = arg;
  const struct timespec pause = {0, (long)SLEEP_NS};
  nanosleep(&pause, NULL);
  if (job->limit % 2 != 0) return E_ODD;
  for (uint32_t n = 2; n <= job->limit; ++n) {
    uint32_t divisor = 2;
    while (divisor * divisor <= n && n % divisor != 0) ++divisor;
    if (divisor * divisor <= n) continue;
    ++job->primes;
    job->largest = n;
  }
  return pool_ctx_set_value(ctx, job->primes);
}

static int wrong(const char *what, int job) {
  char text[256];
  pool_last_error(NULL, text, sizeof text, NULL);
  fprintf(stderr, "wrong: job %d: %s (last error: %s)\n", job, what, text);
  return 1;
}

int main(void) {
  static const uint32_t limits[JOBS] = {10, 100, 1000, 7, 10000, 20000, 99, 2};
  static const uint32_t primes[JOBS] = {4, 25, 168, 0, 1229, 2262, 0, 1};
  job_t jobs[JOBS] = {{0, 0, 0}};
  pool_ticket_t tickets[JOBS];
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "primes";
  options.workers_max = 2;
  pool_t pool;
  if (pool_create(&options, &pool) != POOL_OK) return wrong("pool_create", -1);

  const uint64_t begin_ns = pool_now_ns();
  for (int i = 0; i < JOBS; ++i) {
    pool_task_t task;
    pool_task_init(&task, sizeof task);
    jobs[i].limit = limits[i];
    task.name = "count_primes";
    task.run = count_primes;
    task.arg = &jobs[i];
    if (pool_submit_task(pool, &task, &tickets[i]) != POOL_OK) return wrong("pool_submit_task", i);
  }
  if (pool_wait_many(tickets, JOBS, 1, POOL_FOREVER, NULL) != POOL_OK) return wrong("pool_wait_many", -1);
  const uint64_t elapsed_ns = pool_now_ns() - begin_ns;

  uint64_t run_ns = 0;
  for (int i = 0; i < JOBS; ++i) {
    pool_result_t result;
    if (pool_wait(tickets[i], 0, POOL_FOREVER, &result, sizeof result) != POOL_OK) return wrong("pool_wait", i);
    pool_ticket_release(tickets[i]);
    printf("job %d: up to %5u: %4u primes, code %5d, waited %5.1f ms, ran %5.1f ms on worker %d\n", i,
           (unsigned)limits[i], (unsigned)result.value, (int)result.code, (double)result.wait_ns / 1e6,
           (double)result.run_ns / 1e6, (int)result.worker);
    run_ns += result.run_ns;
    if (limits[i] % 2 != 0) {
      if (result.outcome != POOL_FAILED || result.code != E_ODD) return wrong("should have failed", i);
    } else {
      if (result.outcome != POOL_DONE || result.code != 0) return wrong("should be done", i);
      if (result.value != primes[i] || jobs[i].primes != primes[i]) return wrong("miscounted", i);
    }
    if (result.attempts != 1 || result.worker < 0) return wrong("did not run once, on a worker", i);
    if (result.run_ns < SLEEP_NS) return wrong("its run time is too short", i);
    if (result.wait_ns + result.run_ns > elapsed_ns) return wrong("its times are too long", i);
  }
  if (pool_destroy(pool) != POOL_OK) return wrong("pool_destroy", -1);

  printf("%.1f ms of work in %.1f ms\n", (double)run_ns / 1e6, (double)elapsed_ns / 1e6);
  return 0;
}
