/* A C program that does not link the library: it loads the files named after the first argument
 * until the loader has no room left for their static thread storage, then the library (the first
 * argument) with RTLD_LOCAL, runs tasks, and unloads it while one still runs. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <workpool/workpool.h>

static volatile int g_started, g_finish;
static int g_count; /* summed after each wait, so no two threads write at once */

static int32_t count(void *arg, pool_ctx_t *ctx) {
  (void)ctx;
  ++*(int *)arg;
  return 0;
}

static int32_t run_on(void *arg, pool_ctx_t *ctx) {
  (void)arg;
  (void)ctx;
  g_started = 1;
  while (!g_finish) nanosleep(&(struct timespec){0, 1000000}, NULL);
  g_finish = 2;
  return 0;
}

static int fail(const char *what) {
  fprintf(stderr, "%s failed: %s\n", what, dlerror());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int room_left = argc > 2;
  for (int i = 2; i < argc && room_left; ++i) {
    int (*touch)(void);
    void *other = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    if (other == NULL) {
      printf("no room for %s: %s\n", argv[i], dlerror());
      room_left = 0;
      continue;
    }
    *(void **)&touch = dlsym(other, "touch");
    if (touch == NULL || touch() != 1) return fail("touch");
  }
  if (room_left) return fail("using up the room for thread storage");
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return fail("dlopen");
  /* POSIX: dlsym's result is an object pointer that holds the function's address. */
  pool_status_t (*create)(const pool_options_t *, pool_t *);
  pool_status_t (*submit)(pool_t, pool_run_fn, void *);
  pool_status_t (*wait_idle)(pool_t, int64_t);
  *(void **)&create = dlsym(library, "pool_create");
  *(void **)&submit = dlsym(library, "pool_submit");
  *(void **)&wait_idle = dlsym(library, "pool_wait_idle");
  if (create == NULL || submit == NULL || wait_idle == NULL) return fail("dlsym");

  pool_t pool;
  if (create(NULL, &pool) != POOL_OK) return fail("pool_create");
  for (int i = 0; i < 100; ++i) {
    if (submit(pool, count, &g_count) != POOL_OK) return fail("pool_submit");
    if (wait_idle(pool, POOL_FOREVER) != POOL_OK) return fail("pool_wait_idle");
  }
  if (g_count != 100) return fail("counting");
  if (submit(pool, run_on, NULL) != POOL_OK) return fail("pool_submit");
  while (!g_started) nanosleep(&(struct timespec){0, 1000000}, NULL);
  if (dlclose(library) != 0) return fail("dlclose");
  g_finish = 1;
  while (g_finish != 2) nanosleep(&(struct timespec){0, 1000000}, NULL);
  /* The worker returns into the library's code, which must still be there: wait until it has. */
  if (wait_idle(pool, POOL_FOREVER) != POOL_OK) return fail("pool_wait_idle after dlclose");
  puts("ok");
  return 0;
}
