#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>

#include "unit_support.h"

namespace workpool {
namespace {

constexpr ThreadOptions kDefault{.stack_bytes = 1 << 20, .own_cpus = false, .cpus = {}};
constexpr int kSynchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

// Runs body on a thread with these options and joins it; what StartThread said.
int RunOn(const ThreadOptions& options, std::function<void()> body) {
  ThreadHandle thread = 0;
  const int error = StartThread(
      options, [](void* arg) { (*static_cast<std::function<void()>*>(arg))(); }, &body, &thread);
  if (error == 0) JoinThread(thread);
  return error;
}

cpu_set_t CpusOf(pid_t tid) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  (void)sched_getaffinity(tid, sizeof(cpus), &cpus);
  return cpus;
}

TEST_CASE("a thread has the stack it was given", "[base]") {
  for (size_t bytes : {size_t{65536}, size_t{256} << 10, size_t{1} << 20, size_t{8} << 20}) {
    INFO(bytes << " bytes");
    size_t left = 0, size = 0;
    ThreadOptions options = kDefault;
    options.stack_bytes = bytes;
    REQUIRE(RunOn(options, [&] {
              left = StackLeft();
              pthread_attr_t attr;
              void* base = nullptr;
              if (pthread_getattr_np(pthread_self(), &attr) != 0) return;
              pthread_attr_getstack(&attr, &base, &size);
              pthread_attr_destroy(&attr);
            }) == 0);
    CHECK(left <= size);
    if (workpool_test::kSanitized) continue;  // they take a part of their own
    CHECK(size == bytes);
    // Thread storage, the guard and the first frames are part of it.
    CHECK(left >= bytes - bytes / 2);
  }
}

TEST_CASE("what is left of a stack shrinks with every frame", "[base]") {
  size_t outside = 0, inside = 0;
  REQUIRE(RunOn(kDefault, [&] {
            outside = StackLeft();
            struct Deep {
              [[gnu::noinline]] static size_t Frame() {
                volatile char room[10'000];
                for (volatile char& byte : room) byte = 1;
                const size_t left = StackLeft();
                room[9'999] = room[0];  // still in use after the call
                return left;
              }
            };
            inside = Deep::Frame();
          }) == 0);
  CHECK(inside < outside);
  // ASan may keep such a frame outside of the stack.
  if (!workpool_test::kSanitized) CHECK(outside - inside >= 10'000);
}

TEST_CASE("the stack of a thread not started here is not known", "[base]") {
  size_t left = 0;
  ScopedThread thread([&] { left = StackLeft(); });
  thread.Join();
  CHECK(left == SIZE_MAX);
}

TEST_CASE("a thread blocks every asynchronous signal, its creator's mask stays", "[base]") {
  sigset_t before, after, inside;
  sigemptyset(&inside);
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  REQUIRE(RunOn(kDefault, [&] { pthread_sigmask(SIG_SETMASK, nullptr, &inside); }) == 0);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    INFO("signal " << signal);
    CHECK(sigismember(&before, signal) == sigismember(&after, signal));
    bool expected = signal != SIGKILL && signal != SIGSTOP;
    for (int synchronous : kSynchronous) expected = expected && signal != synchronous;
    if (signal >= 32 && signal < SIGRTMIN) continue;  // the C library's own
    CHECK((sigismember(&inside, signal) == 1) == expected);
  }
}

TEST_CASE("a thread runs where the process may, or on the CPUs it was given", "[base]") {
  const cpu_set_t process = CpusOf(getpid());
  cpu_set_t inside;
  REQUIRE(RunOn(kDefault, [&] { inside = CpusOf(0); }) == 0);
  CHECK(CPU_EQUAL(&inside, &process));

  // One CPU of ours.
  int cpu = 0;
  while (!CPU_ISSET(cpu, &process)) ++cpu;
  ThreadOptions options = kDefault;
  options.own_cpus = true;
  options.cpus.bits[cpu / 64] = uint64_t{1} << (cpu % 64);
  CpuMask seen;
  bool known = false;
  REQUIRE(RunOn(options, [&] {
            inside = CpusOf(0);
            known = CurrentThreadCpus(&seen);
          }) == 0);
  CHECK(CPU_COUNT(&inside) == 1);
  CHECK(CPU_ISSET(cpu, &inside));
  CHECK(known);
  CHECK(std::memcmp(seen.bits, options.cpus.bits, sizeof(seen.bits)) == 0);

  // A creator on one CPU does not keep its threads there.
  int error = 0;
  REQUIRE(RunOn(options, [&] { error = RunOn(kDefault, [&] { inside = CpusOf(0); }); }) == 0);
  CHECK(error == 0);
  CHECK(CPU_EQUAL(&inside, &process));
}

TEST_CASE("a thread on CPUs that are not there runs where it can", "[base]") {
  ThreadOptions options = kDefault;
  options.own_cpus = true;  // and none given
  bool ran = false;
  CHECK(RunOn(options, [&] { ran = true; }) == 0);
  CHECK(ran);
}

TEST_CASE("a thread that cannot be started is an error number, and nothing runs", "[base]") {
  bool ran = false;
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{1} << 62}) {
    INFO(bytes << " bytes");
    ThreadOptions options = kDefault;
    options.stack_bytes = bytes;
    CHECK(RunOn(options, [&] { ran = true; }) > 0);
  }
  CHECK_FALSE(ran);
}

TEST_CASE("a detached thread runs on its own", "[base]") {
  std::atomic<bool> ran{false};
  const size_t threads_before = workpool_test::ThreadCount();
  ThreadHandle thread = 0;
  REQUIRE(StartThread(
              kDefault, [](void* arg) { static_cast<std::atomic<bool>*>(arg)->store(true); }, &ran,
              &thread) == 0);
  DetachThread(thread);
  CHECK(workpool_test::PollUntil([&] { return ran.load(); }));
  // The flag is this frame's: the thread has to be past it.
  CHECK(workpool_test::AwaitThreadCount(threads_before));
}

TEST_CASE("a thread knows its handle and its number, and who is alive", "[base]") {
  CHECK(CurrentTid() == getpid());
  CHECK(ThreadAlive(CurrentTid()));
  ThreadHandle inside = 0, outside = 0;
  int32_t tid = 0;
  bool alive = false;
  std::function<void()> body = [&] {
    inside = CurrentThread();
    tid = CurrentTid();
    alive = ThreadAlive(tid);
  };
  REQUIRE(StartThread(
              kDefault, [](void* arg) { (*static_cast<std::function<void()>*>(arg))(); }, &body,
              &outside) == 0);
  JoinThread(outside);
  CHECK(inside == outside);
  CHECK(tid != getpid());
  CHECK(alive);
  // The kernel lists a joined thread a moment longer.
  CHECK(workpool_test::PollUntil([&] { return !ThreadAlive(tid); }));
  errno = EDOM;
  CHECK_FALSE(ThreadAlive(tid));
  CHECK(errno == EDOM);
}

TEST_CASE("a thread's name is cut at 15 bytes", "[base]") {
  struct Row {
    const char* given;
    const char* shown;
  };
  for (const Row& row :
       {Row{"", ""}, Row{"pool-0", "pool-0"}, Row{"123456789012345", "123456789012345"},
        Row{"1234567890123456", "123456789012345"}}) {
    char name[32] = "?";
    REQUIRE(RunOn(kDefault, [&] {
              SetThreadName(row.given);
              pthread_getname_np(pthread_self(), name, sizeof(name));
            }) == 0);
    CHECK(std::string(name) == row.shown);
  }
}

TEST_CASE("a pause lasts as long as it was told, although a signal arrives", "[base]") {
  using workpool_test::Stopwatch;
  struct sigaction action = {}, old = {};
  action.sa_handler = [](int) {};  // no SA_RESTART: it interrupts
  sigaction(SIGALRM, &action, &old);
  ualarm(2'000, 0);
  const Stopwatch watch;
  SleepNs(20'000'000);
  CHECK(watch.Seconds() >= 0.020);
  sigaction(SIGALRM, &old, nullptr);
}

}  // namespace
}  // namespace workpool
