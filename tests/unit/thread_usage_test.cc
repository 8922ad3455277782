#include "base/thread_usage.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <string>

#include "../fuzz/parsers.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/file_text.h"
#include "base/thread.h"
#include "fixture_tree.h"
#include "usage_support.h"

namespace workpool {
namespace {

using workpool_test::PollUntil;

constexpr double kMs = 1e-3;

TEST_CASE("the two times and the slices are taken from a text of schedstat, or nothing is", "[thread_usage]") {
  Usage usage;
  REQUIRE(ParseSchedStat("123456789 42 7\n", &usage));
  CHECK(usage.cpu_ns == 123'456'789);
  CHECK(usage.delay_ns == 42);
  CHECK(usage.slices == 7);
  REQUIRE(ParseSchedStat("0 0 0\n", &usage));
  CHECK(usage.cpu_ns == 0);
  for (const char* text :
       {"", "\n", "1 2\n", "1 2 \n", "1 2 x\n", "-1 2 3\n", "1  2 3\n", "1 2 3 4\n", "99999999999999999999 1 1\n"}) {
    INFO(text);
    CHECK_FALSE(ParseSchedStat(text, &usage));
  }
}

TEST_CASE("the state is what follows the name, whatever that is", "[thread_usage]") {
  CHECK(ParseTaskState("12 (name) R 1 12 12 0 -1 4194304") == 'R');
  CHECK(ParseTaskState("12 (a) S (b)) D 1") == 'D');
  CHECK(ParseTaskState("12 (a\nb) S 1") == 'S');
  CHECK(ParseTaskState("12 () Z") == 'Z');
  for (const char* text : {"", "12", "12 (name)", "12 (name) ", "12 (name)R 1"}) {
    INFO(text);
    CHECK(ParseTaskState(text) == 0);
  }
}

TEST_CASE("each source tells runnable time from what it knows", "[thread_usage]") {
  const Usage before{.cpu_ns = 10, .delay_ns = 100, .slices = 1, .runnable = true};
  const Usage now{.cpu_ns = 30, .delay_ns = 600, .slices = 2, .runnable = true};
  const Usage asleep{.cpu_ns = 30, .delay_ns = 600, .slices = 2, .runnable = false};
  CHECK(RunnableSecondsBetween(UsageSource::kSchedStat, before, now, 1000) == Approx(520e-9));
  CHECK(RunnableSecondsBetween(UsageSource::kTaskState, before, now, 1000) == Approx(1000e-9));
  CHECK(RunnableSecondsBetween(UsageSource::kTaskState, before, asleep, 1000) == 0);
  CHECK(RunnableSecondsBetween(UsageSource::kCpuClock, Usage{.cpu_ns = 10}, Usage{.cpu_ns = 30}, 1000) ==
        Approx(20e-9));
  // The readings were of two threads with one id.
  CHECK(RunnableSecondsBetween(UsageSource::kSchedStat, now, before, 1000) == 0);
}

TEST_CASE("the best source that tells the truth is chosen", "[thread_usage]") {
  const std::string task = "/proc/self/task/" + std::to_string(CurrentTid());
  const std::string runs = "1 (name) R 1 1 1", sleeps = "1 (name) S 1 1 1";
  const auto chosen = [](const FixtureFiles& files) { return ChooseUsageSource(FixtureTree(files).top()); };
  // Files of a fixture stand still, as schedstat does where it is switched off.
  CHECK(chosen({{task + "/schedstat", "0 0 0\n"}, {task + "/stat", runs}}) == UsageSource::kTaskState);
  CHECK(chosen({{task + "/schedstat", "5 6 7\n"}, {task + "/stat", runs}}) == UsageSource::kTaskState);
  CHECK(chosen({{task + "/schedstat", "garbage"}, {task + "/stat", runs}}) == UsageSource::kTaskState);
  CHECK(chosen({{task + "/stat", runs}}) == UsageSource::kTaskState);
  CHECK(chosen({{task + "/stat", sleeps}}) == UsageSource::kCpuClock);
  CHECK(chosen({{task + "/schedstat", "0 0 0\n"}}) == UsageSource::kCpuClock);
  CHECK(chosen({}) == UsageSource::kCpuClock);
}

TEST_CASE("on this system a source is chosen that exists, and once", "[thread_usage]") {
  const UsageSource source = UsageSourceOfProcess();
  Usage usage;
  CHECK(ReadUsage(source, CurrentTid(), &usage));
  const uint64_t cpu_ns = OwnCpuNs();
  for (int i = 0; i < 100; ++i) CHECK(UsageSourceOfProcess() == source);
  if (!workpool_test::kSanitized) CHECK(OwnCpuNs() - cpu_ns < 100 * 200'000);  // what the spins alone would use
}

TEST_CASE("a thread that computes is runnable all the time, one that is blocked never", "[thread_usage]") {
  for (UsageSource source : kUsageSources) {
    if (!Works(source)) continue;
    INFO("source " << static_cast<int>(source));
    workpool_test::Gate gate;
    TidThread blocked([&] { gate.Pass(); });
    Spinner spinner;
    REQUIRE(PollUntil([&] { return ThreadState(blocked.tid()) == 'S'; }));
    Usage spinner_before, blocked_before, spinner_now, blocked_now;
    const uint64_t start_ns = NowNs();
    REQUIRE(ReadUsage(source, spinner.tid(), &spinner_before));
    REQUIRE(ReadUsage(source, blocked.tid(), &blocked_before));
    // By the thread's own clock, so that a busy machine changes nothing.
    const uint64_t from_ns = spinner.cpu_ns();
    REQUIRE(PollUntil([&] { return spinner.cpu_ns() > from_ns + 50'000'000; }));
    const double own_s = static_cast<double>(spinner.cpu_ns() - from_ns) * 1e-9;
    REQUIRE(ReadUsage(source, spinner.tid(), &spinner_now));
    REQUIRE(ReadUsage(source, blocked.tid(), &blocked_now));
    const uint64_t dt_ns = NowNs() - start_ns;
    const double ran_s = RunnableSecondsBetween(source, spinner_before, spinner_now, dt_ns);
    CHECK(ran_s >= own_s - 1 * kMs);
    // Delay from before the first reading may be booked after it.
    CHECK(ran_s <= static_cast<double>(dt_ns) * 1e-9 + 0.2);
    CHECK(RunnableSecondsBetween(source, blocked_before, blocked_now, dt_ns) == 0);
    gate.Open();
  }
}

TEST_CASE("CPU time is up to date in windows shorter than the kernel's tick", "[thread_usage]") {
  for (UsageSource source : {UsageSource::kSchedStat, UsageSource::kCpuClock}) {
    if (!Works(source)) continue;
    INFO("source " << static_cast<int>(source));
    // Makes no system call, for that might bring its account up to date; that it goes on shows that it has run.
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> steps{0};
    TidThread thread([&] {
      while (!stop.load(std::memory_order_relaxed)) steps.fetch_add(1, std::memory_order_relaxed);
    });
    uint32_t stood_still = 0;
    Usage before, now;
    bool read = ReadUsage(source, thread.tid(), &before);
    const uint64_t bound_ns = NowNs() + workpool_test::kBoundNs;
    for (int i = 0; i < 200 && read; ++i) {
      const uint64_t from = steps.load();
      while (steps.load() < from + 10'000 && NowNs() < bound_ns) {
      }
      read = ReadUsage(source, thread.tid(), &now);
      stood_still += now.cpu_ns == before.cpu_ns ? 1 : 0;
      before = now;
    }
    stop.store(true);
    CHECK(read);
    CHECK(stood_still == 0);
  }
}

TEST_CASE("two threads that share one CPU are runnable all the time, though each runs for half of it",
          "[thread_usage]") {
  if (ChooseUsageSource("") != UsageSource::kSchedStat) {
    WARN("no schedstat here");
    return;
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  const int cpu = sched_getcpu();
  REQUIRE(cpu >= 0);
  CPU_SET(cpu, &one);
  Spinner a, b;
  for (const Spinner* spinner : {&a, &b}) REQUIRE(sched_setaffinity(spinner->tid(), sizeof(one), &one) == 0);
  // Both have begun to share it.
  const auto both_ran = [&](uint64_t ns) {
    const uint64_t a_ns = a.cpu_ns(), b_ns = b.cpu_ns();
    return PollUntil([&] { return a.cpu_ns() > a_ns + ns && b.cpu_ns() > b_ns + ns; });
  };
  REQUIRE(both_ran(20'000'000));
  Usage a_before, b_before, a_now, b_now;
  const uint64_t start_ns = NowNs();
  REQUIRE(ReadUsage(UsageSource::kSchedStat, a.tid(), &a_before));
  REQUIRE(ReadUsage(UsageSource::kSchedStat, b.tid(), &b_before));
  REQUIRE(both_ran(150'000'000));
  REQUIRE(ReadUsage(UsageSource::kSchedStat, a.tid(), &a_now));
  REQUIRE(ReadUsage(UsageSource::kSchedStat, b.tid(), &b_now));
  const uint64_t dt_ns = NowNs() - start_ns;
  const double dt = static_cast<double>(dt_ns) * 1e-9;
  const double a_s = RunnableSecondsBetween(UsageSource::kSchedStat, a_before, a_now, dt_ns) / dt;
  const double b_s = RunnableSecondsBetween(UsageSource::kSchedStat, b_before, b_now, dt_ns) / dt;
  const double cpu_s = static_cast<double>(a_now.cpu_ns - a_before.cpu_ns + b_now.cpu_ns - b_before.cpu_ns) * 1e-9 / dt;
  INFO("runnable " << a_s << " and " << b_s << ", on the CPU together " << cpu_s);
  CHECK(cpu_s <= 1.02);
  CHECK(a_s >= 0.8);
  CHECK(b_s >= 0.8);
  CHECK(a_s <= 1.2);
  CHECK(b_s <= 1.2);
  CHECK(a_now.slices > a_before.slices);
}

TEST_CASE("a thread that has ended has no usage, through a kept file either, and what it had is not touched",
          "[thread_usage]") {
  for (UsageSource source : kUsageSources) {
    INFO("source " << static_cast<int>(source));
    int32_t tid = 0;
    int fd = -1;
    {
      Spinner spinner;
      tid = spinner.tid();
      Usage usage;
      if (Works(source)) CHECK(ReadUsage(source, tid, &usage));
      fd = OpenUsage(source, tid);
      if (source != UsageSource::kCpuClock && Works(source)) {
        REQUIRE(fd >= 0);
        CHECK(ReadUsage(source, fd, tid, &usage));
      }
    }
    // Its id may live on for a moment after the join.
    REQUIRE(PollUntil([&] { return !ThreadAlive(tid); }));
    Usage usage{.cpu_ns = 7, .delay_ns = 7, .slices = 7, .runnable = true};
    CHECK_FALSE(ReadUsage(source, tid, &usage));
    CHECK_FALSE((fd >= 0 && ReadUsage(source, fd, tid, &usage)));
    CHECK(OpenUsage(source, tid) < 0);
    CHECK(usage.cpu_ns == 7);
    if (fd >= 0) CloseFile(fd);
  }
  Usage usage;
  for (int32_t tid : {0, -1, INT32_MAX}) {
    INFO(tid);
    for (UsageSource source : {UsageSource::kSchedStat, UsageSource::kTaskState}) {
      CHECK_FALSE(ReadUsage(source, tid, &usage));
    }
  }
  // A thread of another process.
  CHECK_FALSE(ReadUsage(UsageSource::kCpuClock, getppid(), &usage));
}

TEST_CASE("a pending cancellation waits until the caller comes to a point of its own", "[thread_usage]") {
  struct Told {
    std::atomic<bool> cancelled{false};
    bool read = false;
    int state = -1;  // after it
  } told;
  pthread_t thread;
  const auto body = [](void* memory) -> void* {
    Told& out = *static_cast<Told*>(memory);
    while (!out.cancelled.load()) sched_yield();
    Usage usage;
    const int fd = OpenUsage(UsageSource::kTaskState, CurrentTid());
    out.read = ReadUsage(UsageSource::kTaskState, fd, CurrentTid(), &usage);
    CloseFile(fd);
    out.read = ReadCpuAllowance().cores >= 1 && out.read;  // line by line
    // Not to be unwound: sanitizers do not follow that.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &out.state);
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, nullptr, body, &told) == 0);
  REQUIRE(pthread_cancel(thread) == 0);
  told.cancelled.store(true);
  void* end = nullptr;
  REQUIRE(pthread_join(thread, &end) == 0);
  CHECK(end == nullptr);
  CHECK(told.read);
  CHECK(told.state == PTHREAD_CANCEL_ENABLE);
}

TEST_CASE("no text breaks the parsers of usage", "[thread_usage]") {
  const std::vector<std::string> seeds = {"123456789 42 7\n", "0 0 0\n", "12 (a) S (b)) D 1 2 3",
                                          "18446744073709551615 18446744073709551615 1\n"};
  CHECK(TextThatBreaks(workpool_fuzz::WrongInUsage, seeds, workpool_test::Rounds(100'000), 13) == "");
}

}  // namespace
}  // namespace workpool
