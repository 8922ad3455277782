/* The rate-limited pool: a service may be called so many times a second, and so many times at once after a pause. What
 * exceeds that waits for its turn in the pool, without a worker, or is refused: the caller's choice. */
#include <stdio.h>
#include <workpool/workpool.h>

enum { PER_SECOND = 50, BURST = 8, CALLS = 20 };

static const uint64_t INTERVAL_NS = 1000000000u / PER_SECOND;

typedef struct call {
  int number;
  uint64_t started_ns;
} call_t;

static int32_t make_call(void *arg, pool_ctx_t *ctx) {
  call_t *call = arg;
  (void)ctx;
  call->started_ns = pool_now_ns();
  return 0;
}

static int fail(const char *what, pool_status_t status) {
  fprintf(stderr, "wrong: %s: %s\n", what, pool_strerror(status));
  return 1;
}

/* Calls are made at the rate, after a burst. */
static int delayed_calls(void) {
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "polite";
  options.workers_max = 2;
  options.rate_count = PER_SECOND;
  options.rate_burst = BURST; /* options.on_rate is DELAY by default */
  pool_t pool;
  pool_status_t status = pool_create(&options, &pool);
  if (status != POOL_OK) return fail("pool_create", status);

  call_t calls[CALLS];
  const uint64_t begin_ns = pool_now_ns();
  for (int i = 0; i < CALLS; ++i) {
    calls[i].number = i;
    if ((status = pool_submit(pool, make_call, &calls[i])) != POOL_OK) return fail("pool_submit", status);
  }
  const uint64_t submitted_ns = pool_now_ns();
  if ((status = pool_destroy(pool)) != POOL_OK) return fail("pool_destroy", status);

  printf("%d submits took %.1f ms\n", CALLS, (double)(submitted_ns - begin_ns) / 1e6);
  for (int i = 0; i < CALLS; ++i) {
    const uint64_t after_ns = calls[i].started_ns - begin_ns;
    const uint64_t earliest_ns = i < BURST ? 0 : (uint64_t)(i - BURST + 1) * INTERVAL_NS;
    printf("call %2d after %6.1f ms, allowed after %6.1f ms%s\n", i, (double)after_ns / 1e6,
           (double)earliest_ns / 1e6, i < BURST ? " (burst)" : "");
    if (after_ns < earliest_ns) {
      fprintf(stderr, "wrong: call %d was made too early\n", i);
      return 1;
    }
  }
  return 0;
}

/* The same with a caller who would rather be told: the burst is accepted, the next call is refused. */
static int refused_calls(void) {
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "strict";
  options.workers_max = 2;
  options.rate_count = 1;
  options.rate_period_ns = (int64_t)3600 * 1000000000;
  options.rate_burst = BURST;
  options.on_rate = POOL_ON_RATE_REJECT;
  pool_t pool;
  pool_status_t status = pool_create(&options, &pool);
  if (status != POOL_OK) return fail("pool_create", status);

  call_t calls[CALLS];
  int accepted = 0, refused = 0;
  for (int i = 0; i < CALLS; ++i) {
    status = pool_submit(pool, make_call, &calls[i]);
    if (status == POOL_OK) {
      ++accepted;
    } else if (status == POOL_E_RATE) {
      ++refused;
    } else {
      return fail("pool_submit", status);
    }
  }
  if ((status = pool_destroy(pool)) != POOL_OK) return fail("pool_destroy", status);
  printf("one call an hour, %d at once: %d accepted, %d refused\n", BURST, accepted, refused);
  if (accepted != BURST || refused != CALLS - BURST) {
    fprintf(stderr, "wrong: %d should have been accepted\n", BURST);
    return 1;
  }
  return 0;
}

int main(void) { return delayed_calls() || refused_calls(); }
