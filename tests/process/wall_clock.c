/* Put before the C library (LD_PRELOAD): a wall clock that steps at each look, by 7 seconds to a day, forward or back. Whoever
 * reckons by it is found out; a futex that sleeps by it ends the process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* So that two looks in a row, however often, see steps of all kinds: no short pattern. */
static time_t step(void) {
  static const time_t steps[] = {7, -7, 60, -60, 3600, -3600, 86400, -86400};
  static unsigned looks;
  unsigned look = __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
  look ^= look >> 16;
  look *= 0x7feb352du;
  look ^= look >> 15;
  look *= 0x846ca68bu;
  return steps[(look >> 16) % (sizeof(steps) / sizeof(steps[0]))];
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += step();
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0) {
    fputs("a futex sleeps by the wall clock\n", stderr);
    abort();
  }
  if (number == SYS_clock_gettime) return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
