// A program with a LeakSanitizer, which the library need not be built with: it ends while tasks with arguments from the
// heap are queued, more than the heap's own blocks take. What a pool holds is no leak, so the exit code is 0.
#include <stdlib.h>
#include <unistd.h>

#include "workpool/workpool.h"

static int32_t Block(void* arg, pool_ctx_t* ctx) {
  (void)arg, (void)ctx;
  pause();
  return 0;
}

static int32_t Nothing(void* arg, pool_ctx_t* ctx) {
  (void)ctx;
  free(arg);
  return 0;
}

int main(void) {
  pool_options_t options;
  pool_options_init(&options, sizeof(options));
  options.workers_max = 1;
  pool_t pool = 0;
  if (pool_create(&options, &pool) != POOL_OK || pool_submit(pool, Block, NULL) != POOL_OK) return 1;
  for (int i = 0; i < 100000; ++i) {
    if (pool_submit(pool, Nothing, malloc(8)) != POOL_OK) return 1;
  }
  return 0;
}
