/* A C99 program that brings its own policy: a signal, a decision and a cooldown, with data of its
 * own, and without atomics. Exit code 0 if all of it worked. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "workpool/workpool.h"

static int failures = 0;

#define EXPECT(condition)                                                               \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      char expect_text[512];                                                            \
      pool_last_error(NULL, expect_text, sizeof(expect_text), NULL);                    \
      fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, expect_text); \
      ++failures;                                                                       \
    }                                                                                   \
  } while (0)

static int64_t const kBoundNs = 20000000000;

static void sleep_ms(long ms) {
  struct timespec time;
  time.tv_sec = ms / 1000;
  time.tv_nsec = ms % 1000 * 1000000;
  nanosleep(&time, NULL);
}

/* What the tasks and this program's main thread share. */
typedef struct gate {
  pthread_mutex_t mu;
  pthread_cond_t opened;
  int open;
  int inside;
  int most;
} gate_t;

static int32_t pass(void *arg, pool_ctx_t *ctx) {
  gate_t *gate = arg;
  (void)ctx;
  pthread_mutex_lock(&gate->mu);
  ++gate->inside;
  if (gate->inside > gate->most) gate->most = gate->inside;
  while (!gate->open) pthread_cond_wait(&gate->opened, &gate->mu);
  --gate->inside;
  pthread_mutex_unlock(&gate->mu);
  return 0;
}

static int inside(gate_t *gate) {
  int count;
  pthread_mutex_lock(&gate->mu);
  count = gate->inside;
  pthread_mutex_unlock(&gate->mu);
  return count;
}

static void set_open(gate_t *gate, int open) {
  pthread_mutex_lock(&gate->mu);
  gate->open = open;
  gate->most = 0;
  pthread_cond_broadcast(&gate->opened);
  pthread_mutex_unlock(&gate->mu);
}

static int await_inside(gate_t *gate, int count) {
  int tries;
  for (tries = 0; tries < 20000; ++tries) {
    if (inside(gate) == count) return 1;
    sleep_ms(1);
  }
  return 0;
}

/* The policy's own. The lock is for what the main thread changes while the policy is asked; the
 * counts it reads only when the policy is no longer asked. */
typedef struct own {
  pthread_mutex_t mu;
  uint32_t wanted;
  int32_t may_change;
  pthread_t main_thread;
  int step; /* 1 signal, 2 decide, 3 cooldown: the function called last */
  unsigned signals, decides, cooldowns, refusals, wrong;
} own_t;

static double backlog(void *user, const pool_load_t *load) {
  own_t *own = user;
  if (pthread_equal(pthread_self(), own->main_thread)) ++own->wrong;
  if (load->struct_size != sizeof(*load)) ++own->wrong;
  if (load->cores < 1 || load->target < 1 || load->target > load->workers_max) ++own->wrong;
  if (load->workers_idle > load->workers_live || load->queued > 1000 || load->now_ns == 0)
    ++own->wrong;
  if (load->runnable < 0 || load->others < 0 || load->wall_s < 1) ++own->wrong;
  ++own->signals;
  own->step = 1;
  return (double)load->queued + 0.5;
}

static uint32_t follow(void *user, const pool_load_t *load, double signal) {
  own_t *own = user;
  uint32_t wanted;
  if (own->step != 1 || signal != (double)load->queued + 0.5) ++own->wrong;
  ++own->decides;
  own->step = 2;
  pthread_mutex_lock(&own->mu);
  wanted = own->wanted;
  pthread_mutex_unlock(&own->mu);
  return wanted;
}

static int32_t allow(void *user, const pool_load_t *load, uint32_t workers) {
  own_t *own = user;
  int32_t may;
  if (own->step != 2 || workers == load->target) ++own->wrong;
  ++own->cooldowns;
  own->step = 3;
  pthread_mutex_lock(&own->mu);
  may = own->may_change;
  if (!may) ++own->refusals;
  pthread_mutex_unlock(&own->mu);
  return may;
}

static void want(own_t *own, uint32_t workers, int32_t may_change) {
  pthread_mutex_lock(&own->mu);
  own->wanted = workers;
  own->may_change = may_change;
  pthread_mutex_unlock(&own->mu);
}

static unsigned refusals(own_t *own) {
  unsigned count;
  pthread_mutex_lock(&own->mu);
  count = own->refusals;
  pthread_mutex_unlock(&own->mu);
  return count;
}

static uint32_t live(pool_t pool) {
  pool_stats_t stats;
  EXPECT(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  return stats.workers_live;
}

static int await_live(pool_t pool, uint32_t workers) {
  int tries;
  for (tries = 0; tries < 20000; ++tries) {
    if (live(pool) == workers) return 1;
    sleep_ms(1);
  }
  return 0;
}

/* How many tasks run at once while more of them wait. */
static void expect_follows(pool_t pool, gate_t *gate, own_t *own) {
  int i;
  want(own, 7, 1);
  set_open(gate, 0);
  for (i = 0; i < 40; ++i) EXPECT(pool_submit(pool, pass, gate) == POOL_OK);
  EXPECT(await_inside(gate, 7));
  want(own, 11, 1);
  EXPECT(await_inside(gate, 11));
  sleep_ms(50);
  EXPECT(inside(gate) == 11);

  want(own, 20, 0); /* but not yet */
  for (i = 0; i < 20000 && refusals(own) < 5; ++i) sleep_ms(1);
  EXPECT(refusals(own) >= 5);
  EXPECT(inside(gate) == 11);
  want(own, 20, 1);
  EXPECT(await_inside(gate, 20));
  set_open(gate, 1);
  EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
}

static void expect_listed(pool_t pool) {
  pool_decision_t list[16];
  uint32_t n = 0, i;
  EXPECT(pool_decisions(pool, 0, list, sizeof(list[0]), 16, &n) == POOL_OK);
  EXPECT(n >= 3);
  for (i = 0; i < n; ++i) {
    EXPECT(list[i].struct_size == sizeof(list[i]));
    EXPECT(list[i].number == i + 1);
    EXPECT(strcmp(pool_reason_name(list[i].reason), "load") == 0);
  }
}

int main(void) {
  static gate_t gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};
  static own_t own = {PTHREAD_MUTEX_INITIALIZER, 7, 1, 0, 0, 0, 0, 0, 0, 0};
  pool_options_t options;
  pool_policy_t policy;
  pool_t pool = 0;
  unsigned decides;

  EXPECT(pool_options_init(&options, sizeof(options)) == POOL_OK);
  options.workers_max = 64;
  options.keep_alive_ns = 20000000;
  options.policy = "auto";
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  own.main_thread = pthread_self();
  EXPECT(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
  policy.signal = backlog;
  policy.decide = follow;
  policy.cooldown = allow;
  policy.user = &own;
  policy.tick_ns = 1000000;
  policy.patience_ns = 1000000;
  EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
  expect_follows(pool, &gate, &own);
  expect_listed(pool);
  EXPECT(await_live(pool, 0)); /* idle workers expire */

  policy.flags = POOL_POLICY_KEEP;
  want(&own, 5, 1);
  EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
  EXPECT(await_live(pool, 5));
  sleep_ms(100);
  EXPECT(live(pool) == 5);

  EXPECT(pool_policy_init(&policy, sizeof(policy)) == POOL_OK);
  policy.name = "fixed,n=2";
  EXPECT(pool_set_policy(pool, &policy) == POOL_OK);
  decides = own.decides; /* it is asked no more */
  EXPECT(await_live(pool, 2));
  sleep_ms(50);
  EXPECT(own.decides == decides);
  EXPECT(own.signals == own.decides);
  EXPECT(own.cooldowns >= 5);
  EXPECT(own.wrong == 0);
  EXPECT(pool_health(pool) == POOL_OK);
  EXPECT(pool_destroy(pool) == POOL_OK);
  return failures == 0 ? 0 : 1;
}
