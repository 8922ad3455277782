#include "base/usage_sampler.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/process.h"
#include "child.h"
#include "usage_support.h"

namespace workpool {
namespace {

using workpool_test::ChildEnd;
using workpool_test::PollUntil;
using workpool_test::RunChild;

// Works on every kernel, and has a file.
constexpr UsageSource kAny = UsageSource::kTaskState;

// Descriptors of this process that are open to a thread's file.
std::vector<int> UsageFiles(pid_t pid = getpid()) {
  std::vector<int> fds;
  for (int fd = 0; fd < 1024; ++fd) {
    char target[256];
    const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof(target));
    const std::string text(target, static_cast<size_t>(std::max<ssize_t>(size, 0)));
    if (text.starts_with("/proc/" + std::to_string(pid) + "/task/") && text.ends_with("stat")) fds.push_back(fd);
  }
  return fds;
}

uint32_t Held() { return UsageFds::OfProcess()->Count(); }

// The process may have so many files while it lives.
class FilesMax {
 public:
  explicit FilesMax(rlim_t count) {
    (void)getrlimit(RLIMIT_NOFILE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = count;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~FilesMax() { (void)setrlimit(RLIMIT_NOFILE, &before_); }
  FilesMax(const FilesMax&) = delete;
  FilesMax& operator=(const FilesMax&) = delete;

 private:
  rlimit before_;
};

// Threads that are blocked until the scope ends.
class Sleepers {
 public:
  explicit Sleepers(size_t count) {
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { gate_.Pass(); });
  }
  ~Sleepers() { gate_.Open(); }
  Sleepers(const Sleepers&) = delete;
  Sleepers& operator=(const Sleepers&) = delete;
  [[nodiscard]] int32_t tid(size_t i) const { return threads_[i].tid(); }
  [[nodiscard]] size_t size() const { return threads_.size(); }

 private:
  workpool_test::Gate gate_;
  std::deque<TidThread> threads_;
};

bool Known(UsageSampler& sampler, int32_t tid, uint64_t now_ns = NowNs()) {
  UsageMark mark;
  (void)sampler.RunnableSeconds(tid, now_ns, &mark);
  return mark.known;
}

TEST_CASE("a sampler tells the time between two looks, nothing at the first", "[usage_sampler]") {
  for (UsageSource source : kUsageSources) {
    if (!Works(source)) continue;
    INFO("source " << static_cast<int>(source));
    UsageSampler sampler(source);
    CHECK(sampler.source() == source);
    Spinner spinner;
    UsageMark mark;
    const uint64_t start_ns = NowNs();
    CHECK(sampler.RunnableSeconds(spinner.tid(), start_ns, &mark) == 0);
    REQUIRE(mark.known);
    CHECK(mark.at_ns == start_ns);
    double sum_s = 0;
    const uint64_t from_ns = spinner.cpu_ns();
    uint64_t now_ns = start_ns;
    for (int i = 1; i <= 5; ++i) {
      const uint64_t goal_ns = from_ns + static_cast<uint64_t>(i) * 10'000'000;
      REQUIRE(PollUntil([&] { return spinner.cpu_ns() > goal_ns; }));
      now_ns = NowNs();
      sum_s += sampler.RunnableSeconds(spinner.tid(), now_ns, &mark);
      REQUIRE(mark.known);
      CHECK(mark.at_ns == now_ns);
    }
    CHECK(sum_s >= 0.049);
    CHECK(sum_s <= static_cast<double>(now_ns - start_ns) * 1e-9 + 0.2);
    CHECK(sampler.open_files() == (source == UsageSource::kCpuClock ? 0 : 1));
  }
  CHECK(Held() == 0);
  CHECK(UsageFiles().empty());
}

TEST_CASE("files are kept open up to the process's share of descriptors; others are told all the same",
          "[usage_sampler]") {
  const FilesMax files_max(64 * 2);  // a sixteenth is 8
  CHECK(UsageFds::Limit() == 8);
  const Sleepers threads(12);
  {
    UsageSampler first(kAny), second(kAny);
    for (size_t i = 0; i < 5; ++i) CHECK(Known(first, threads.tid(i)));
    CHECK(first.open_files() == 5);
    for (int round = 0; round < 3; ++round) {
      for (size_t i = 0; i < threads.size(); ++i) CHECK(Known(second, threads.tid(i)));
      CHECK(second.open_files() == 3);
      CHECK(Held() == 8);
      CHECK(UsageFiles().size() == 8);
    }
    // First come, first served, until one goes.
    first.Forget(threads.tid(2));
    CHECK(first.open_files() == 4);
    first.Forget(threads.tid(2));
    first.Forget(threads.tid(11));
    CHECK(first.open_files() == 4);
    CHECK(Known(second, threads.tid(9)));
    CHECK(second.open_files() == 4);
    for (size_t i = 0; i < threads.size(); ++i) {
      CHECK(Known(first, threads.tid(i)));
      CHECK(Known(second, threads.tid(i)));
    }
    CHECK(Held() == 8);
  }
  CHECK(Held() == 0);
  CHECK(UsageFiles().empty());
}

TEST_CASE("no file is kept where the process may have few, and never more than the table holds", "[usage_sampler]") {
  {
    const FilesMax files_max(15);
    const Sleepers threads(1);
    UsageSampler sampler(kAny);
    CHECK(Known(sampler, threads.tid(0)));
    CHECK(sampler.open_files() == 0);
  }
  const FilesMax files_max(4096);
  rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < 4096) return;
  const Sleepers threads(UsageFds::kMax + 6);
  UsageSampler sampler(kAny);
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < threads.size(); ++i) CHECK(Known(sampler, threads.tid(i)));
    CHECK(sampler.open_files() == UsageFds::kMax);
  }
}

TEST_CASE("a file that nobody asked for makes place after a while, not before", "[usage_sampler]") {
  const FilesMax files_max(16 * 2);
  const Sleepers threads(3);
  UsageSampler sampler(kAny);
  constexpr uint64_t kStart = 1'000'000'000'000;
  CHECK(Known(sampler, threads.tid(0), kStart));
  CHECK(Known(sampler, threads.tid(1), kStart + 1));
  const std::vector<int> kept = UsageFiles();
  const auto file_of = [&](size_t i) {
    for (int fd : UsageFiles()) {
      char target[256] = "";
      if (readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof(target) - 1) < 0) continue;
      if (std::string(target).find("/task/" + std::to_string(threads.tid(i)) + "/") != std::string::npos) return true;
    }
    return false;
  };
  CHECK(Known(sampler, threads.tid(2), kStart + UsageSampler::kStaleNs - 1));
  CHECK((file_of(0) && file_of(1) && !file_of(2)));
  CHECK(Known(sampler, threads.tid(0), kStart + UsageSampler::kStaleNs));  // asked for again
  CHECK(Known(sampler, threads.tid(2), kStart + UsageSampler::kStaleNs));
  CHECK((file_of(0) && file_of(1) && !file_of(2)));
  CHECK(Known(sampler, threads.tid(2), kStart + UsageSampler::kStaleNs + 1));
  CHECK((file_of(0) && !file_of(1) && file_of(2)));
  CHECK(sampler.open_files() == 2);
}

TEST_CASE("a thread that has ended is not known any more, and its file is closed", "[usage_sampler]") {
  for (UsageSource source : kUsageSources) {
    if (!Works(source)) continue;
    INFO("source " << static_cast<int>(source));
    UsageSampler sampler(source);
    UsageMark mark;
    int32_t tid = 0;
    {
      const Sleepers threads(1);
      tid = threads.tid(0);
      CHECK(sampler.RunnableSeconds(tid, NowNs(), &mark) == 0);
      REQUIRE(mark.known);
    }
    REQUIRE(PollUntil([&] { return !ThreadAlive(tid); }));
    CHECK(sampler.RunnableSeconds(tid, NowNs(), &mark) == 0);
    CHECK_FALSE(mark.known);
    CHECK(sampler.open_files() == 0);
    CHECK(Held() == 0);
  }
}

TEST_CASE("kept files are close-on-exec", "[usage_sampler]") {
  const Sleepers threads(3);
  UsageSampler sampler(kAny);
  for (size_t i = 0; i < threads.size(); ++i) CHECK(Known(sampler, threads.tid(i)));
  const std::vector<int> fds = UsageFiles();
  REQUIRE(fds.size() == threads.size());
  for (int fd : fds) CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a forked child closes its parent's files, and asks for its own threads", "[usage_sampler]") {
  const Sleepers threads(4);
  UsageSampler sampler(kAny);
  for (size_t i = 0; i < threads.size(); ++i) REQUIRE(Known(sampler, threads.tid(i)));
  const pid_t parent = getpid();
  REQUIRE(UsageFiles(parent).size() == 4);
  const ChildEnd end = RunChild([&] {
    workpool_test::g_cannot_look_for_leaks = true;  // in the child of a process with threads
    EXPECT(UsageFiles(parent).size() == 4);
    // A file of the child's own, under a number that was the parent's.
    const int reused = UsageFiles(parent)[1];
    const int null = open("/dev/null", O_RDONLY);
    EXPECT(dup2(null, reused) == reused);
    UsageSampler own(kAny);
    EXPECT(Known(own, CurrentTid()));
    EXPECT(UsageFiles(parent).empty());
    EXPECT(fcntl(reused, F_GETFD) >= 0);
    EXPECT(UsageFiles().size() == 1 && Held() == 1);
    // The copy of the parent's sampler goes on with the child's threads.
    EXPECT(sampler.open_files() == 4);
    EXPECT(!Known(sampler, threads.tid(0)));
    EXPECT(Known(sampler, CurrentTid()));
    EXPECT(sampler.open_files() == 1);
    EXPECT(UsageFiles().size() == 2 && Held() == 2);
    EXPECT(fcntl(reused, F_GETFD) >= 0);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  // The parent's are its own.
  CHECK(UsageFiles().size() == 4);
  for (size_t i = 0; i < threads.size(); ++i) CHECK(Known(sampler, threads.tid(i)));
  CHECK(sampler.open_files() == 4);
}

TEST_CASE("a sampler that is destroyed in a forked child leaves alone what it had open", "[usage_sampler]") {
  const Sleepers threads(2);
  alignas(UsageSampler) unsigned char memory[sizeof(UsageSampler)];
  auto* sampler = new (memory) UsageSampler(kAny);
  for (size_t i = 0; i < threads.size(); ++i) REQUIRE(Known(*sampler, threads.tid(i)));
  const std::vector<int> fds = UsageFiles();
  const ChildEnd end = RunChild([&] {
    workpool_test::g_cannot_look_for_leaks = true;  // in the child of a process with threads
    const int null = open("/dev/null", O_RDONLY);
    for (int fd : fds) EXPECT(dup2(null, fd) == fd);
    UsageSampler own(kAny);
    EXPECT(Known(own, CurrentTid()));
    sampler->~UsageSampler();
    for (int fd : fds) EXPECT(fcntl(fd, F_GETFD) >= 0);
    EXPECT(UsageFiles().size() == 1 && Held() == 1);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(UsageFiles() == fds);
  sampler->~UsageSampler();
  CHECK(UsageFiles().empty());
}

TEST_CASE("samplers of several threads share the table", "[usage_sampler]") {
  const FilesMax files_max(16 * 10);
  const Sleepers threads(8);
  std::atomic<uint32_t> most{0}, unknown{0};
  {
    std::deque<ScopedThread> users;
    for (int user = 0; user < 4; ++user) {
      users.emplace_back([&] {
        for (uint64_t round = 0; round < workpool_test::Rounds(2000); ++round) {
          UsageSampler sampler(kAny);
          for (size_t i = 0; i < threads.size(); ++i) unknown += Known(sampler, threads.tid(i)) ? 0 : 1;
          const uint32_t held = Held();
          for (uint32_t seen = most.load(); held > seen && !most.compare_exchange_weak(seen, held);) {
          }
        }
      });
    }
  }
  CHECK(unknown.load() == 0);
  CHECK(most.load() > 0);
  CHECK(most.load() <= 10);
  CHECK(Held() == 0);
  CHECK(UsageFiles().empty());
}

}  // namespace
}  // namespace workpool
