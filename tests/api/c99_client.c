/* The header is C99, and a C program gets by with nothing else. Built with -std=c99 -Wpedantic;
 * every function, constant and struct is used once. Exit code 0 if all of it worked. */
#include <stdio.h>
#include <string.h>

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

enum { kCount = 100 };

static int64_t const kBoundNs = 20000000000;

/* Each task owns one of these, so that no C99 program needs atomics. */
typedef struct item {
  int runs;
  int dones;
  int drops;
  int32_t outcome;
  pool_fork_t fork;
  pool_t pool;
} item_t;

static int32_t run_item(void *arg, pool_ctx_t *ctx) {
  item_t *item = arg;
  ++item->runs;
  if (pool_ctx_should_stop(ctx) != 0) return -1001;
  return pool_ctx_set_value(ctx, 42) == POOL_OK ? 0 : -1002;
}

static void done_item(void *arg, const pool_result_t *result) {
  item_t *item = arg;
  ++item->dones;
  if (result->struct_size != sizeof(*result)) ++item->dones;
}

static void drop_item(void *arg, int32_t outcome) {
  item_t *item = arg;
  ++item->drops;
  item->outcome = outcome + 100; /* 100 more than any outcome by itself */
}

static int32_t run_parent(void *arg, pool_ctx_t *ctx) {
  item_t *items = arg; /* the parent and two children */
  int32_t code = 77;
  if (pool_worker_index(items[0].pool) < 0) return -1003;
  if (pool_ctx_submit(ctx, run_item, &items[1]) != POOL_OK) return -1004;
  if (pool_ctx_fork(ctx, &items[0].fork, run_item, &items[2]) != POOL_OK) return -1005;
  if (pool_ctx_join(ctx, &items[0].fork, &code) != POOL_OK || code != 0) return -1006;
  ++items[0].runs;
  return 0;
}

static int32_t run_range(void *arg, uint64_t begin, uint64_t end, uint32_t participant,
                         pool_ctx_t *ctx) {
  unsigned char *seen = arg;
  uint64_t i;
  (void)participant;
  (void)ctx;
  for (i = begin; i < end; ++i) ++seen[i];
  return 0;
}

static void hook(void *user, pool_t pool, int32_t worker) {
  (void)user;
  (void)pool;
  (void)worker;
}

static void log_line(void *user, int32_t level, const char *text) {
  (void)user;
  (void)level;
  (void)text;
}

static void submit_each_way(pool_t pool) {
  static item_t items[kCount + 4];
  void *args[kCount];
  pool_task_t task, tasks[2];
  pool_ticket_t ticket = 0, tickets[2] = {0, 0};
  pool_result_t result;
  uint32_t accepted = 0, index = 0;
  int i;
  for (i = 0; i < kCount; ++i) args[i] = &items[i];
  EXPECT(pool_submit_many(pool, run_item, args, kCount, &accepted) == POOL_OK);
  EXPECT(accepted == kCount);

  EXPECT(pool_task_init(&task, sizeof(task)) == POOL_OK);
  task.run = run_item;
  task.done = done_item;
  task.drop = drop_item;
  task.arg = &items[kCount];
  task.name = "a task";
  EXPECT(pool_submit_task(pool, &task, &ticket) == POOL_OK);
  EXPECT(pool_wait(ticket, POOL_WAIT_HELP, kBoundNs, &result, sizeof(result)) == POOL_OK);
  EXPECT(result.outcome == POOL_DONE && result.code == POOL_OK && result.value == 42);
  EXPECT(pool_cancel(ticket) == POOL_E_ALREADY);
  EXPECT(pool_ticket_release(ticket) == POOL_OK);

  tasks[0] = task;
  tasks[1] = task;
  tasks[0].arg = &items[kCount + 1];
  tasks[1].arg = &items[kCount + 2];
  EXPECT(pool_submit_batch(pool, tasks, sizeof(tasks[0]), 2, tickets, &accepted) == POOL_OK);
  EXPECT(pool_wait_many(tickets, 2, 1, kBoundNs, &index) == POOL_OK);
  EXPECT(pool_ticket_release(tickets[0]) == POOL_OK);
  EXPECT(pool_ticket_release(tickets[1]) == POOL_OK);

  EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
  for (i = 0; i < kCount + 3; ++i) {
    EXPECT(items[i].runs == 1);
    EXPECT(items[i].drops == 1);
    EXPECT(items[i].dones == (i < kCount ? 0 : 1));
    EXPECT(items[i].outcome == POOL_DONE + 100);
  }
}

static void use_groups_forks_and_loops(pool_t pool) {
  static item_t items[4];
  static unsigned char seen[1000];
  pool_group_options_t options;
  pool_group_t group = 0;
  int32_t code = 77;
  int i;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  items[0].pool = pool;
  EXPECT(pool_group_create(pool, &options, &group) == POOL_OK);
  EXPECT(pool_group_submit(group, run_parent, items) == POOL_OK);
  EXPECT(pool_group_wait(group, POOL_FOREVER, &code) == POOL_OK);
  EXPECT(code == 0);
  EXPECT(pool_group_cancel(group) == POOL_OK);
  EXPECT(pool_group_submit(group, run_item, &items[3]) == POOL_E_CANCELLED);
  EXPECT(pool_group_release(group) == POOL_OK);
  EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
  for (i = 0; i < 3; ++i) EXPECT(items[i].runs == 1);
  EXPECT(items[3].runs == 0 && items[3].drops == 0);

  EXPECT(pool_parallel_for(pool, 0, 1000, 10, 0, run_range, seen, &code) == POOL_OK);
  EXPECT(code == 0);
  for (i = 0; i < 1000; ++i) EXPECT(seen[i] == 1);
  EXPECT(pool_participants(pool) == 3);
}

int main(void) {
  pool_options_t options;
  pool_option_t option;
  char value[64];
  pool_stats_t stats;
  pool_t pool = 0, shared = 0;
  uint64_t hook_id = 0;
  int32_t code = 0;
  size_t needed = 0;
  static item_t plain;

  EXPECT(strlen(pool_version()) > 4);
  EXPECT(pool_abi_version() == POOL_VERSION_MAJOR * 1000 + POOL_VERSION_MINOR);
  EXPECT(pool_now_ns() > 0);
  EXPECT(pool_options_init(&options, sizeof(options)) == POOL_OK);
  EXPECT(pool_options_preset(&options, "batch") == POOL_OK);
  EXPECT(pool_options_set(&options, "workers_max", "2") == POOL_OK);
  EXPECT(options.workers_max == 2);
  options.name = "c99";
  options.drop = drop_item;
  options.log_fn = log_line;
  options.log_level = POOL_LOG_DEBUG;
  options.on_full = POOL_ON_FULL_BLOCK;
  options.queue_limit = POOL_UNLIMITED;
  options.on_exception = POOL_EXC_CAPTURE;
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  EXPECT(pool_worker_index(pool) == -1);
  EXPECT(pool_option_list(3, &option, sizeof(option)) == POOL_OK);
  EXPECT(option.type == POOL_OPTION_TIME && option.live == 1);
  EXPECT(pool_set(pool, option.name, "250") == POOL_OK);
  EXPECT(pool_get(pool, option.name, value, sizeof(value), &needed) == POOL_OK);
  EXPECT(strcmp(value, "250") == 0 && needed == 4);

  EXPECT(pool_hook_add(pool, hook, hook, NULL, &hook_id) == POOL_OK);
  EXPECT(pool_submit(pool, run_item, &plain) == POOL_OK);
  EXPECT(pool_wait_idle(pool, kBoundNs) == POOL_OK);
  EXPECT(plain.runs == 1 && plain.drops == 1);
  submit_each_way(pool);
  use_groups_forks_and_loops(pool);
  EXPECT(pool_hook_remove(pool, hook_id) == POOL_OK);
  EXPECT(pool_pause(pool) == POOL_OK);
  EXPECT(pool_resume(pool) == POOL_OK);
  EXPECT(pool_tune(pool, 2) == POOL_OK);

  EXPECT(pool_stats(pool, &stats, sizeof(stats)) == POOL_OK);
  EXPECT(stats.submitted == stats.ended_run + stats.ended_unrun);
  EXPECT(stats.struct_size == sizeof(stats));
  EXPECT(pool_close(pool, POOL_CANCEL_ALL, POOL_FOREVER) == POOL_OK);
  EXPECT(pool_submit(pool, run_item, &plain) == POOL_E_CLOSED);
  EXPECT(pool_last_error(&code, NULL, 0, &needed) == POOL_OK);
  EXPECT(code == POOL_E_CLOSED && needed > 1);
  EXPECT(strlen(pool_strerror(code)) > 1);
  EXPECT(pool_destroy(pool) == POOL_OK);
  EXPECT(pool_shared(&shared) == POOL_OK);
  EXPECT(pool_release(shared) == POOL_OK);
  return failures == 0 ? 0 : 1;
}
