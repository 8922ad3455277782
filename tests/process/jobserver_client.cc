// A command in a makefile that uses the jobserver, in one of several ways: see main. It fails if what it finds is not
// what it was told to expect.
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "scaling/jobserver.h"

using workpool::Jobserver;
using workpool::JobserverState;
using workpool::JobserverStateText;

namespace {

#define EXPECT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(99);                                                           \
    }                                                                      \
  } while (0)

Jobserver* Ready() {
  Jobserver* jobserver = Jobserver::OfProcess();
  EXPECT(jobserver != nullptr);
  EXPECT(jobserver->state() == JobserverState::kReady);
  return jobserver;
}

int TokensIn(Jobserver& jobserver) {
  int count = -1;
  EXPECT(ioctl(jobserver.fd(), FIONREAD, &count) == 0);
  return count;
}

// All that there are, which are so many beside the implicit one.
Jobserver* TakeAll(int tokens) {
  Jobserver* jobserver = Ready();
  EXPECT(TokensIn(*jobserver) == tokens);
  for (int i = 0; i <= tokens; ++i) EXPECT(jobserver->TryAcquire());
  EXPECT(!jobserver->TryAcquire());
  EXPECT(TokensIn(*jobserver) == 0);
  return jobserver;
}

// A child that ends in the usual way gives back nothing: it has nothing.
void ForkAndExit(Jobserver& jobserver) {
  const pid_t child = fork();
  EXPECT(child >= 0);
  if (child == 0) std::exit(0);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT(TokensIn(jobserver) == 0);
}

// Ends when so many of them run at once.
void Meet(const std::filesystem::path& directory, int count) {
  std::ofstream(directory / std::to_string(getpid())).put('x');
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto arrived = [&] {
    return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
  };
  while (arrived() < count) {
    EXPECT(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

int main(int argc, char** argv) {
  alarm(60);
  const std::string what = argc > 1 ? argv[1] : "";
  const int tokens = argc > 2 ? std::atoi(argv[2]) : 0;
  if (what == "state") {
    std::printf("state: %s\n", JobserverStateText(Jobserver::OfProcess()->state()));
  } else if (what == "count") {
    EXPECT(TokensIn(*Ready()) == tokens);
  } else if (what == "use") {
    Jobserver* jobserver = TakeAll(tokens);
    jobserver->Release(static_cast<uint32_t>(tokens) + 1);
    EXPECT(TokensIn(*jobserver) == tokens);
  } else if (what == "return") {
    TakeAll(tokens);
  } else if (what == "exit") {
    TakeAll(tokens);
    std::exit(3);
  } else if (what == "exit-in-thread") {
    TakeAll(tokens);
    std::thread([] { std::exit(0); }).join();
  } else if (what == "fork") {
    ForkAndExit(*TakeAll(tokens));
  } else if (what == "lose") {
    TakeAll(tokens);
    _exit(0);
  } else if (what == "meet" && argc > 3) {
    Meet(argv[3], tokens);
  } else {
    return 1;
  }
  return 0;
}
