/* A C program that has the installed header and library, and nothing else of the project. */
#include <stdio.h>
#include <workpool/workpool.h>

static int32_t square(void *arg, pool_ctx_t *ctx) {
  uint64_t n = *(const uint64_t *)arg;
  return pool_ctx_set_value(ctx, n * n);
}

static int fail(const char *what, pool_status_t status) {
  fprintf(stderr, "%s: %s\n", what, pool_strerror(status));
  return 1;
}

int main(void) {
  pool_t pool;
  pool_status_t status = pool_create(NULL, &pool);
  if (status != POOL_OK) return fail("pool_create", status);
  uint64_t sum = 0;
  for (uint64_t n = 0; n < 1000; ++n) {
    pool_task_t task;
    pool_ticket_t ticket;
    pool_result_t result;
    pool_task_init(&task, sizeof task);
    task.run = square;
    task.arg = &n;
    if ((status = pool_submit_task(pool, &task, &ticket)) != POOL_OK) return fail("submit", status);
    if ((status = pool_wait(ticket, 0, POOL_FOREVER, &result, sizeof result)) != POOL_OK) {
      return fail("pool_wait", status);
    }
    pool_ticket_release(ticket);
    sum += result.value;
  }
  if ((status = pool_destroy(pool)) != POOL_OK) return fail("pool_destroy", status);
  printf("%llu\n", (unsigned long long)sum);
  return sum == 332833500u ? 0 : 1;
}
