/* A pool under an event loop (Linux): the loop waits in epoll for a clock and for a completion queue. At each tick it hands
 * some jobs to the pool; their results come back as events of the loop, in its own thread, with no lock anywhere. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <workpool/workpool.h>

enum { TICKS = 10, JOBS_PER_TICK = 8, JOBS = TICKS * JOBS_PER_TICK, CAPACITY = 32, BATCH = 16 };

typedef struct job {
  uint32_t number;
  int results; /* the loop's only: how many came back */
} job_t;

static int32_t square(void *arg, pool_ctx_t *ctx) {
  const job_t *job = arg;
  return pool_ctx_set_value(ctx, (uint64_t)job->number * job->number);
}

typedef struct loop {
  pool_t pool;
  pool_cq_t results;
  int epoll, clock;
  job_t jobs[JOBS];
  int ticks, submitted, completed;
  uint64_t sum;
} loop_t;

static int watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Hands over what is due. When the queue of results has no place left, the rest waits for the next event. */
static void submit_due(loop_t *loop) {
  const int due = loop->ticks < TICKS ? loop->ticks * JOBS_PER_TICK : JOBS;
  while (loop->submitted < due) {
    pool_task_t task;
    pool_task_init(&task, sizeof task);
    task.run = square;
    task.arg = &loop->jobs[loop->submitted];
    task.cq = loop->results;
    if (pool_submit_task(loop->pool, &task, NULL) != POOL_OK) return;
    ++loop->submitted;
  }
}

static void on_tick(loop_t *loop) {
  uint64_t ticks;
  if (read(loop->clock, &ticks, sizeof ticks) == sizeof ticks) loop->ticks += (int)ticks;
}

static void on_results(loop_t *loop) {
  pool_completion_t batch[BATCH];
  uint32_t count = 0;
  pool_cq_poll(loop->results, batch, sizeof batch[0], BATCH, 0, &count);
  for (uint32_t i = 0; i < count; ++i) {
    job_t *job = batch[i].arg;
    if (batch[i].outcome == POOL_DONE && batch[i].value == (uint64_t)job->number * job->number) ++job->results;
    loop->sum += batch[i].value;
  }
  loop->completed += (int)count;
  printf("%2u results, %d in all\n", (unsigned)count, loop->completed);
}

static int wrong(const char *what) {
  char text[256];
  pool_last_error(NULL, text, sizeof text, NULL);
  fprintf(stderr, "wrong: %s (last error: %s)\n", what, text);
  return 1;
}

int main(void) {
  static loop_t loop;
  for (uint32_t i = 0; i < JOBS; ++i) loop.jobs[i].number = i;
  if (pool_create(NULL, &loop.pool) != POOL_OK) return wrong("pool_create");
  if (pool_cq_create(CAPACITY, &loop.results) != POOL_OK) return wrong("pool_cq_create");
  const int results_fd = pool_cq_fd(loop.results);
  loop.epoll = epoll_create1(EPOLL_CLOEXEC);
  loop.clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  const struct itimerspec every_5_ms = {{0, 5000000}, {0, 5000000}};
  if (results_fd < 0 || loop.epoll < 0 || loop.clock < 0 || timerfd_settime(loop.clock, 0, &every_5_ms, NULL) != 0 ||
      watch(loop.epoll, results_fd) != 0 || watch(loop.epoll, loop.clock) != 0) {
    return wrong("the event loop could not be set up");
  }

  while (loop.completed < JOBS) {
    struct epoll_event events[2];
    const int count = epoll_wait(loop.epoll, events, 2, 20000);
    if (count <= 0) return wrong("no event came");
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == loop.clock) on_tick(&loop);
      if (events[i].data.fd == results_fd) on_results(&loop);
    }
    submit_due(&loop);
  }

  if (pool_destroy(loop.pool) != POOL_OK) return wrong("pool_destroy");
  if (pool_cq_release(loop.results) != POOL_OK) return wrong("pool_cq_release");
  close(loop.clock);
  close(loop.epoll);
  for (int i = 0; i < JOBS; ++i) {
    if (loop.jobs[i].results != 1) return wrong("a job has not had one right result");
  }
  printf("the sum of the squares below %d is %llu\n", JOBS, (unsigned long long)loop.sum);
  return loop.sum == (uint64_t)(JOBS - 1) * JOBS * (2 * JOBS - 1) / 6 ? 0 : wrong("the sum");
}
