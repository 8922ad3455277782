/* The adaptive multi-queue pool: three short queues before the workers. A job goes into the first; if that is full, into
 * the next; if all are full, it is rejected. Workers come while jobs wait, and go when they have had nothing to do for a
 * while. Here the queues are lanes, each with a limit. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>
#include <workpool/workpool.h>

enum { QUEUES = 3, QUEUE_LIMIT = 5, JOBS = 18, WORKERS_MIN = 1, WORKERS_MAX = 4 };

/* The lane of each queue. 0 is the one without a limit of its own, and is not used. */
static const int32_t lanes[QUEUES] = {3, 2, 1};

static void sleep_ms(long ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static int32_t work(void *arg, pool_ctx_t *ctx) {
  (void)ctx;
  sleep_ms(20); /* a job that waits for something, so that more workers do more */
  *(int *)arg += 1;
  return 0;
}

/* The queue it found room in, or -1. */
static int submit(pool_t pool, int *runs) {
  pool_task_t task;
  pool_task_init(&task, sizeof task);
  task.run = work;
  task.arg = runs;
  for (int queue = 0; queue < QUEUES; ++queue) {
    task.priority = lanes[queue];
    if (pool_submit_task(pool, &task, NULL) == POOL_OK) return queue;
  }
  return -1;
}

static uint32_t live_workers(pool_t pool) {
  pool_stats_t stats;
  return pool_stats(pool, &stats, sizeof stats) == POOL_OK ? stats.workers_live : 0;
}

static int wrong(const char *what) {
  fprintf(stderr, "wrong: %s\n", what);
  return 1;
}

int main(void) {
  int runs[JOBS] = {0}, accepted[QUEUES] = {0}, rejected = 0;
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "adaptive";
  options.workers_min = WORKERS_MIN;
  options.workers_max = WORKERS_MAX;
  options.keep_alive_ns = 50 * 1000000;
  options.lanes = 6; /* priorities -2 ... 3 */
  options.lane_limit = QUEUE_LIMIT;
  pool_t pool;
  if (pool_create(&options, &pool) != POOL_OK) return wrong("pool_create");

  pool_pause(pool); /* so that every queue fills */
  for (int i = 0; i < JOBS; ++i) {
    const int queue = submit(pool, &runs[i]);
    if (queue >= 0) ++accepted[queue];
    if (queue < 0) ++rejected;
    if (queue >= 0) printf("job %2d: queue %d\n", i, queue + 1);
    if (queue < 0) printf("job %2d: rejected, all queues are full\n", i);
  }
  for (int queue = 0; queue < QUEUES; ++queue) {
    if (accepted[queue] != QUEUE_LIMIT) return wrong("a queue took more or fewer jobs than its limit");
  }
  if (rejected != JOBS - QUEUES * QUEUE_LIMIT) return wrong("not all that was too much was rejected");

  pool_resume(pool);
  uint32_t most_workers = 0;
  while (pool_wait_idle(pool, 1000000) == POOL_E_TIMEOUT) {
    const uint32_t workers = live_workers(pool);
    if (workers > most_workers) most_workers = workers;
  }
  printf("%u workers at most\n", (unsigned)most_workers);
  if (most_workers < 2 || most_workers > WORKERS_MAX) return wrong("the pool did not grow, or too much");
  for (int i = 0; i < JOBS; ++i) {
    if (runs[i] != (i < QUEUES * QUEUE_LIMIT ? 1 : 0)) return wrong("a job did not run once, or a rejected one did");
  }

  uint32_t workers = live_workers(pool);
  for (int i = 0; i < 2000 && workers > WORKERS_MIN; ++i, workers = live_workers(pool)) sleep_ms(10);
  printf("%u workers after a rest\n", (unsigned)workers);
  if (workers != WORKERS_MIN) return wrong("idle workers did not go, or too many did");

  /* And it takes jobs again. */
  if (submit(pool, &runs[0]) != 0 || pool_destroy(pool) != POOL_OK || runs[0] != 2) return wrong("no work after a rest");
  return 0;
}
