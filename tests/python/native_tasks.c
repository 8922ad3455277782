/* SPDX-License-Identifier: Apache-2.0 */
/* Native functions that the tests of the Python binding run as tasks. */
#include <stdint.h>

#include "workpool/workpool.h"

/* arg: an int64_t that is incremented. */
POOL_API int32_t task_increment(void *arg, pool_ctx_t *ctx);
int32_t task_increment(void *arg, pool_ctx_t *ctx) {
  (void)ctx;
  __atomic_fetch_add((int64_t *)arg, 1, __ATOMIC_SEQ_CST);
  return 0;
}

/* arg: a number, not an address. The task's value is its square. */
POOL_API int32_t task_square(void *arg, pool_ctx_t *ctx);
int32_t task_square(void *arg, pool_ctx_t *ctx) {
  uint64_t number = (uint64_t)(uintptr_t)arg;
  return pool_ctx_set_value(ctx, number * number);
}

/* arg: a failure code, not an address. */
POOL_API int32_t task_fail(void *arg, pool_ctx_t *ctx);
int32_t task_fail(void *arg, pool_ctx_t *ctx) {
  (void)ctx;
  return (int32_t)(intptr_t)arg;
}

/* arg: an int64_t gate. Says that it has arrived (+1) and waits until somebody adds 1000, or asks
 * it to stop: then it fails with -1001. */
POOL_API int32_t task_gate(void *arg, pool_ctx_t *ctx);
int32_t task_gate(void *arg, pool_ctx_t *ctx) {
  int64_t *gate = (int64_t *)arg;
  __atomic_fetch_add(gate, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(gate, __ATOMIC_SEQ_CST) < 1000) {
    if (pool_ctx_should_stop(ctx)) return -1001;
  }
  return 0;
}

/* arg: one int64_t for each index, incremented. */
POOL_API int32_t range_increment(void *arg, uint64_t begin, uint64_t end, uint32_t participant,
                                 pool_ctx_t *ctx);
int32_t range_increment(void *arg, uint64_t begin, uint64_t end, uint32_t participant,
                        pool_ctx_t *ctx) {
  (void)participant;
  (void)ctx;
  for (uint64_t i = begin; i < end; ++i) ((int64_t *)arg)[i] += 1;
  return 0;
}

/* arg: a code, not an address. */
POOL_API int32_t range_fail(void *arg, uint64_t begin, uint64_t end, uint32_t participant,
                            pool_ctx_t *ctx);
int32_t range_fail(void *arg, uint64_t begin, uint64_t end, uint32_t participant, pool_ctx_t *ctx) {
  (void)begin;
  (void)end;
  (void)participant;
  (void)ctx;
  return (int32_t)(intptr_t)arg;
}

/* arg: a number, not an address. Asks to be run again until it is the attempt of that number, which is its value. */
POOL_API int32_t task_again(void *arg, pool_ctx_t *ctx);
int32_t task_again(void *arg, pool_ctx_t *ctx) {
  uint32_t attempt = pool_ctx_attempt(ctx);
  if (attempt < (uintptr_t)arg) return POOL_RETRY;
  return pool_ctx_set_value(ctx, attempt);
}

/* arg: as task_again, but the attempts before fail with -1000 - attempt. */
POOL_API int32_t task_fail_first(void *arg, pool_ctx_t *ctx);
int32_t task_fail_first(void *arg, pool_ctx_t *ctx) {
  uint32_t attempt = pool_ctx_attempt(ctx);
  if (attempt < (uintptr_t)arg) return -1000 - (int32_t)attempt;
  return pool_ctx_set_value(ctx, attempt);
}

/* Whether to try again: after the first attempt of task_fail_first, not after the second. */
POOL_API int32_t retry_once(void *arg, int32_t code, uint32_t attempt);
int32_t retry_once(void *arg, int32_t code, uint32_t attempt) {
  (void)arg;
  return code == -1001 && attempt == 1;
}
