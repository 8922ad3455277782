// A figure that is taken in a process of its own: what was measured before cannot lend it memory or threads.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/arguments.h"

namespace bench {

// figure() of a child. Only while this process has one thread and has not used any pool.
template <class Figure>
double InChild(Figure figure) {
  int ends[2];
  Require(pipe(ends) == 0, "pipe");
  const pid_t child = fork();
  Require(child >= 0, "fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // the parent's alarm ends both
    const double value = figure();
    _exit(write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  close(ends[1]);
  double value = 0;
  const bool whole = read(ends[0], &value, sizeof value) == sizeof value;
  close(ends[0]);
  int status = 1;
  Require(waitpid(child, &status, 0) == child && status == 0 && whole, "the child's figure");
  return value;
}

}  // namespace bench
