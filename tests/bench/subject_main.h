// The main function of a subject's process: bench_<subject> <workload> [name=value ...]. Prints one
// figure a line, "name value". Ends by itself: a process that is not done in limit_s is ended by an
// alarm.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "bench/harness/arguments.h"
#include "bench/workloads/flood.h"
#include "bench/workloads/fork_join.h"
#include "bench/workloads/idle.h"
#include "bench/workloads/latency.h"
#include "bench/workloads/life.h"
#include "bench/workloads/memory.h"
#include "bench/workloads/parallel_for.h"
#include "bench/workloads/sleeps.h"
#include "bench/workloads/submit.h"
#include "bench/workloads/tree.h"

namespace bench {

template <class Pool>
bool RunWorkload(const char* name, const Arguments& arguments) {
  auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
  constexpr Can kCan = Pool::kCan;
  if constexpr (kCan.outside && kCan.queues) {
    if (is("memory")) return MemoryWorkload<Pool>(arguments), true;
  }
  if constexpr (kCan.outside) {
    if (is("submit")) return SubmitWorkload<Pool>(arguments), true;
    if (is("latency")) return LatencyWorkload<Pool>(arguments), true;
    if (is("sleeps")) return SleepsWorkload<Pool>(arguments), true;
    if (is("idle")) return IdleWorkload<Pool>(arguments), true;
    if (is("waiting")) return WaitingWorkload<Pool>(arguments), true;
  }
  if constexpr (kCan.outside && kCan.renewable) {
    if (is("life")) return LifeWorkload<Pool>(arguments), true;
  }
  if constexpr (kCan.spawn) {
    if (is("tree")) return TreeWorkload<Pool>(arguments), true;
    if (is("fib_submit")) return FibSubmitWorkload<Pool>(arguments), true;
    if (is("flood")) return FloodWorkload<Pool>(arguments), true;
  }
  if constexpr (kCan.fork_join) {
    if (is("fork_join")) return ForkJoinWorkload<Pool>(arguments), true;
  }
  if constexpr (kCan.parallel_for) {
    if (is("parallel_for")) return ParallelForWorkload<Pool>(arguments), true;
  }
  return false;
}

// A figure of a build without optimisation, or with assertions, must be seen to be one.
inline const char* Compiler() {
#if defined(__clang__)
#define BENCH_COMPILER "clang " __clang_version__
#else
#define BENCH_COMPILER "gcc " __VERSION__
#endif
#if !defined(__OPTIMIZE__)
  return BENCH_COMPILER ", NOT OPTIMISED";
#elif !defined(NDEBUG)
  return BENCH_COMPILER ", with assertions";
#else
  return BENCH_COMPILER ", release";
#endif
#undef BENCH_COMPILER
}

template <class Pool>
int SubjectMain(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s version | <workload> [name=value ...]\n", argv[0]);
    return 2;
  }
  if (std::strcmp(argv[1], "version") == 0) {
    std::printf("%s|%s|%s\n", Pool::Name().c_str(), Pool::Version().c_str(), Compiler());
    return 0;
  }
  const Arguments arguments(argc - 2, argv + 2);
  alarm(static_cast<unsigned>(arguments.Number("limit_s", 20)));
  if (RunWorkload<Pool>(argv[1], arguments)) return 0;
  std::fprintf(stderr, "%s: %s cannot run the workload %s\n", argv[0], Pool::Name().c_str(),
               argv[1]);
  return 3;
}

}  // namespace bench
