// Runs a piece of a test in a child process and tells how that ended. Whatever a child does, the
// test goes on: a child that hangs is ended by its alarm, which is a failure like any other.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "test_support.h"

namespace workpool_test {

inline constexpr unsigned kAlarmSeconds = 30;
inline constexpr int kExpectFailed = 99;

// A LeakSanitizer asks the function before it looks for leaks at a program's end. It cannot look where no thread can be
// started, nor in the child of a process with threads: the stack of the one that forked is unknown to it there.
inline bool g_cannot_look_for_leaks = false;
extern "C" [[gnu::used, gnu::visibility("default")]] inline int __lsan_is_turned_off() {
  return g_cannot_look_for_leaks ? 1 : 0;
}

// In a child: if the condition does not hold, says so and ends the child with kExpectFailed.
#define EXPECT(condition)                                                                  \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
                   ::workpool_test::LastErrorText().c_str());                              \
      _exit(::workpool_test::kExpectFailed);                                               \
    }                                                                                      \
  } while (0)

struct ChildEnd {
  bool exited;     // else ended by signal
  int code;        // exit code, or signal number
  double seconds;  // from fork to end

  [[nodiscard]] bool ExitedWith(int wanted) const { return exited && code == wanted; }
  [[nodiscard]] bool KilledBy(int signal) const { return !exited && code == signal; }
};

inline std::ostream& operator<<(std::ostream& out, const ChildEnd& end) {
  return out << (end.exited ? "exited with " : "killed by signal ") << end.code << " after "
             << end.seconds << " s";
}

// A signal of the test framework's own would report the child's end as the test's.
inline void DefaultSignals() {
  for (int signal : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT, SIGALRM}) {
    std::signal(signal, SIG_DFL);
  }
}

inline void FlushAll() {
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
}

inline ChildEnd AwaitChild(pid_t child, const Stopwatch& watch) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
          watch.Seconds()};
}

// Forks; the child runs body and then leaves by exit(0), with all that this entails.
template <typename F>
[[nodiscard]] ChildEnd RunChild(F body) {
  FlushAll();
  const Stopwatch watch;
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    DefaultSignals();
    alarm(kAlarmSeconds);
    body();
    std::exit(0);
  }
  return AwaitChild(child, watch);
}

struct ChildTold {
  ChildEnd end;
  std::string printed;
};

// The same, and catches what the child prints to stderr.
template <typename F>
[[nodiscard]] ChildTold RunChildThatTells(F body) {
  int fds[2];
  if (pipe(fds) != 0) std::abort();
  const ChildEnd end = RunChild([&] {
    close(fds[0]);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    body();
  });
  close(fds[1]);
  std::string printed;
  char buffer[512];
  for (ssize_t got; (got = read(fds[0], buffer, sizeof(buffer))) > 0;) {
    printed.append(buffer, static_cast<size_t>(got));
  }
  close(fds[0]);
  return {end, printed};
}

}  // namespace workpool_test
