// E4: signals of the application never end up on threads of the library.
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>

#include "child.h"

namespace workpool_test {
namespace {

constexpr std::array<int, 4> kSignals = {SIGTERM, SIGUSR1, SIGCHLD, SIGALRM};

// Tasks come and go, workers too, while the signals fall.
pool_t StirredPool() {
  pool_options_t options = Options(4);
  options.keep_alive_ns = 100'000;
  options.prestart = 4;
  pool_t pool = 0;
  EXPECT(pool_create(&options, &pool) == POOL_OK);
  return pool;
}

TEST_CASE("E4: ten thousand signals all reach a main thread that waits for them", "[signals]") {
  const ChildEnd end = RunChild([] {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : kSignals) sigaddset(&set, signal);
    EXPECT(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
    const pool_t pool = StirredPool();
    const timespec patience{20, 0};
    for (uint64_t i = 0; i < Rounds(10'000); ++i) {
      if (i % 16 == 0) EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      const int wanted = kSignals[i % kSignals.size()];
      // To the process: any thread that does not block it may get it, and would die of it.
      EXPECT(kill(getpid(), wanted) == 0);
      EXPECT(sigtimedwait(&set, nullptr, &patience) == wanted);
    }
    EXPECT(pool_destroy(pool) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

std::atomic<uint64_t> g_on_main{0}, g_elsewhere{0};

TEST_CASE("E4: signal handlers run on the application's thread even if that blocks nothing",
          "[signals]") {
  const ChildEnd end = RunChild([] {
    const auto count = [](int) { ++(syscall(SYS_gettid) == getpid() ? g_on_main : g_elsewhere); };
    for (int signal : kSignals) std::signal(signal, count);
    const pool_t pool = StirredPool();
    for (uint64_t i = 0; i < Rounds(10'000); ++i) {
      if (i % 16 == 0) EXPECT(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
      EXPECT(kill(getpid(), kSignals[i % kSignals.size()]) == 0);
    }
    EXPECT(pool_destroy(pool) == POOL_OK);
    EXPECT(g_elsewhere == 0);
    EXPECT(g_on_main == Rounds(10'000));  // its own kill is delivered before it returns
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("E4: every worker's mask blocks all that can be blocked but the synchronous faults",
          "[signals]") {
  uint64_t wanted = ~uint64_t{0};
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGKILL, SIGSTOP}) {
    wanted &= ~(uint64_t{1} << (signal - 1));
  }
  wanted &= ~(uint64_t{3} << 31);  // 32 and 33 are the C library's own
  const auto before = ThreadIds();
  pool_options_t options = Options(4);
  options.prestart = 4;
  ScopedPool pool(options);
  const auto workers = ThreadsSince(before);
  CHECK(workers.size() == 4);
  for (int id : workers) {
    const auto blocked = [&] {
      return std::strtoull(ThreadStatus(id, "SigBlk").c_str(), nullptr, 16) & ~(uint64_t{3} << 31);
    };
    // While a thread starts, the C library blocks the faults too.
    CHECK(PollUntil([&] { return blocked() == wanted; }));
  }
}

TEST_CASE("E4: a wait that a signal interrupts goes on waiting", "[signals]") {
  const ChildEnd end = RunChild([] {
    std::signal(SIGUSR1,
                [](int) { ++g_on_main; });  // no SA_RESTART needed: futexes are interrupted anyway
    struct sigaction action = {};
    action.sa_handler = [](int) { ++g_on_main; };
    EXPECT(sigaction(SIGUSR1, &action, nullptr) == 0);
    ScopedPool pool(1);
    Gate gate;
    const pool_ticket_t ticket = Submit(pool, Task(PassGate, &gate));
    EXPECT(gate.AwaitArrivals(1));
    const pthread_t main_thread = pthread_self();
    std::thread shooter([&] {
      for (int i = 0; i < 200; ++i) {
        pthread_kill(main_thread, SIGUSR1);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      gate.Open();
    });
    EXPECT(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
    EXPECT(gate.arrivals() == 1);
    shooter.join();
    EXPECT(g_on_main > 0);
    EXPECT(pool_ticket_release(ticket) == POOL_OK);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

}  // namespace
}  // namespace workpool_test
