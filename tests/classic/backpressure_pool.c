/* The backpressure pool: a fast producer, a slow consumer and a short queue between them. When it is full, a submit waits
 * for room, but not for ever: the producer learns that it is too fast. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>
#include <workpool/workpool.h>

enum { QUEUE = 4, ORDERS = 40 };

static const int64_t IMPATIENT_NS = 30 * 1000000;            /* 30 ms */
static const int64_t PATIENT_NS = (int64_t)20 * 1000000000;  /* 20 s */

typedef struct kitchen {
  int cooked;  /* one worker */
  int dropped; /* orders that nobody owns any more */
} kitchen_t;

static int32_t cook(void *arg, pool_ctx_t *ctx) {
  kitchen_t *kitchen = arg;
  const struct timespec two_ms = {0, 2000000};
  (void)ctx;
  nanosleep(&two_ms, NULL);
  ++kitchen->cooked;
  return 0;
}

static void forget(void *arg, int32_t outcome) {
  (void)outcome;
  ++((kitchen_t *)arg)->dropped;
}

static pool_status_t order(pool_t pool, kitchen_t *kitchen, int64_t patience_ns) {
  pool_task_t task;
  pool_task_init(&task, sizeof task);
  task.run = cook;
  task.drop = forget;
  task.arg = kitchen;
  task.on_full = POOL_ON_FULL_BLOCK;
  task.submit_timeout_ns = patience_ns;
  return pool_submit_task(pool, &task, NULL);
}

static int wrong(const char *what) {
  char text[256];
  pool_last_error(NULL, text, sizeof text, NULL);
  fprintf(stderr, "wrong: %s (last error: %s)\n", what, text);
  return 1;
}

int main(void) {
  kitchen_t kitchen = {0, 0};
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "kitchen";
  options.workers_max = 1;
  options.queue_limit = QUEUE;
  pool_t pool;
  if (pool_create(&options, &pool) != POOL_OK) return wrong("pool_create");

  /* The cook is out: the queue fills, and the next order waits in vain. */
  pool_pause(pool);
  for (int i = 0; i < QUEUE; ++i) {
    if (order(pool, &kitchen, IMPATIENT_NS) != POOL_OK) return wrong("there was room");
  }
  const uint64_t asked_ns = pool_now_ns();
  const pool_status_t status = order(pool, &kitchen, IMPATIENT_NS);
  const uint64_t waited_ns = pool_now_ns() - asked_ns;
  printf("%d orders queued; the next one: %s, after %.1f ms\n", QUEUE, pool_strerror(status), (double)waited_ns / 1e6);
  if (status != POOL_E_TIMEOUT) return wrong("the queue was full");
  if (waited_ns < (uint64_t)IMPATIENT_NS) return wrong("the submit did not wait");
  if (kitchen.cooked != 0 || kitchen.dropped != 0) return wrong("a refused order was called back");

  /* The cook is back: who waits long enough is served, at the cook's pace. */
  pool_resume(pool);
  uint64_t longest_queue = 0;
  for (int i = 0; i < ORDERS; ++i) {
    pool_stats_t stats;
    if (order(pool, &kitchen, PATIENT_NS) != POOL_OK) return wrong("a patient order was refused");
    if (pool_stats(pool, &stats, sizeof stats) != POOL_OK) return wrong("pool_stats");
    if (stats.queued > longest_queue) longest_queue = stats.queued;
  }
  pool_stats_t stats;
  if (pool_close(pool, POOL_DRAIN, POOL_FOREVER) != POOL_OK) return wrong("pool_close");
  if (pool_stats(pool, &stats, sizeof stats) != POOL_OK) return wrong("pool_stats");
  if (pool_destroy(pool) != POOL_OK) return wrong("pool_destroy");

  printf("%d orders cooked, %d forgotten, at most %d waiting, %d refused\n", kitchen.cooked, kitchen.dropped,
         (int)longest_queue, (int)stats.rejected);
  if (kitchen.cooked != QUEUE + ORDERS || kitchen.dropped != QUEUE + ORDERS) return wrong("an order was lost");
  if (longest_queue > QUEUE) return wrong("the queue was longer than its limit");
  if (stats.rejected != 1 || stats.done != QUEUE + ORDERS) return wrong("the statistics disagree");
  return 0;
}
