// Readers of completion queues: by the descriptor, on many threads, inside a task.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "completion_support.h"

namespace workpool_test {
namespace {

TEST_CASE("the descriptor is readable exactly while completions wait", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally tally;
  const pool_task_t task = QueueTask(cq, tally);
  const auto complete = [&] {
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
  };
  // Also if it is made when one waits already.
  const bool early = GENERATE(true, false);
  if (!early) complete();
  const int fd = pool_cq_fd(cq);
  REQUIRE(fd >= 0);
  CHECK(pool_cq_fd(cq) == fd);
  CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  if (early) {
    CHECK(!Readable(fd));
    complete();
  }
  CHECK(Readable(fd));
  complete();
  complete();
  CHECK(Readable(fd));
  CHECK(Poll(cq, 2).size() == 2);
  CHECK(Readable(fd));
  CHECK(Poll(cq, 2).size() == 1);
  CHECK(!Readable(fd));
  CHECK(Poll(cq, 2, 0).empty());
  CHECK(!Readable(fd));
  complete();
  CHECK(Readable(fd));
  CHECK(Poll(cq, 1).size() == 1);
  CHECK(!Readable(fd));
  CheckSettled(pool);
}

TEST_CASE("the descriptor is signalled when the queue stops being empty, and not for each completion",
          "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally tally;
  const pool_task_t task = QueueTask(cq, tally);
  const auto complete = [&] {
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
  };
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(epoll >= 0);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, pool_cq_fd(cq), &event) == 0);
  const auto edges = [&] { return epoll_wait(epoll, &event, 1, 0); };
  for (int round = 0; round < 3; ++round) {
    CHECK(edges() == 0);
    complete();
    CHECK(edges() == 1);
    complete();
    complete();
    CHECK(edges() == 0);
    CHECK(Poll(cq, 1).size() == 1);
    complete();
    CHECK(edges() == 0);
    CHECK(Poll(cq, 10).size() == 3);
  }
  close(epoll);
  CheckSettled(pool);
}

TEST_CASE("a reader who polls only when the descriptor is readable misses nothing", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq(64);
  const uint64_t count = Rounds(100'000);
  const int fd = pool_cq_fd(cq);
  REQUIRE(fd >= 0);
  std::atomic<uint64_t> runs{0};
  std::thread submitter([&] {
    const pool_task_t task = QueueTask(cq, CountRun, &runs);
    for (uint64_t i = 0; i < count; ++i) {
      // A full queue is the reader's to empty.
      REQUIRE(PollUntil([&] { return pool_submit_task(pool, &task, nullptr) == POOL_OK; }));
    }
  });
  uint64_t read = 0;
  while (read < count && Readable(fd, 20'000)) {
    const size_t got = Poll(cq, 1 + read % 30, 0).size();
    if (got == 0) break;  // it was readable for nothing
    read += got;
  }
  submitter.join();
  CHECK(read == count);
  CHECK(!Readable(fd));
  CheckSettled(pool);
}

TEST_CASE("many readers share a queue: each completion goes to one of them", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq(256);
  const uint64_t count = Rounds(30'000);
  std::vector<std::atomic<uint8_t>> seen(count);
  std::atomic<uint64_t> read{0}, twice{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (read < count) {
        for (const pool_completion_t& completion : Poll(cq, 7, 5 * kMillisecondNs)) {
          if (static_cast<std::atomic<uint8_t>*>(completion.arg)->fetch_add(1) != 0) ++twice;
          ++read;
        }
      }
    });
  }
  for (uint64_t i = 0; i < count; ++i) {
    const pool_task_t task = QueueTask(cq, DoNothing, &seen[i]);
    REQUIRE(PollUntil([&] { return pool_submit_task(pool, &task, nullptr) == POOL_OK; }));
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(read == count);
  CHECK(twice == 0);
  CheckSettled(pool);
}

TEST_CASE("a task may poll a queue for its own children, with one worker", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  std::atomic<uint64_t> runs{0}, read{0};
  std::atomic<int32_t> status{1};
  Body body([&](pool_ctx_t*) {
    const pool_task_t child = QueueTask(cq, CountRun, &runs);
    for (int i = 0; i < 20; ++i) Must(pool_submit_task(pool, &child, nullptr), "submit");
    while (read < 20) {
      std::array<pool_completion_t, 8> batch;
      uint32_t n = 0;
      status = pool_cq_poll(cq, batch.data(), sizeof(pool_completion_t), 8, kBoundNs / 4, &n);
      if (status != POOL_OK) return -1000;
      read += n;
    }
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  CheckSettled(pool);
  CHECK(status == POOL_OK);
  CHECK(read == 20);
}

}  // namespace
}  // namespace workpool_test
