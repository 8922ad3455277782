// Completion queues: results of many tasks for one reader, who has a loop of his own.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;

class ScopedQueue {
 public:
  explicit ScopedQueue(uint32_t capacity = 1'024) { Must(pool_cq_create(capacity, &cq_), "pool_cq_create"); }
  ~ScopedQueue() {
    if (cq_ != 0) Must(pool_cq_release(cq_), "pool_cq_release");
  }
  ScopedQueue(const ScopedQueue&) = delete;
  ScopedQueue& operator=(const ScopedQueue&) = delete;
  operator pool_cq_t() const { return cq_; }
  pool_cq_t GiveUp() { return std::exchange(cq_, 0); }

 private:
  pool_cq_t cq_ = 0;
};

pool_task_t QueueTask(pool_cq_t cq, pool_run_fn run, void* arg) {
  pool_task_t task = Task(run, arg);
  task.cq = cq;
  return task;
}

pool_task_t QueueTask(pool_cq_t cq, Tally& tally) {
  pool_task_t task = TallyTask(tally);
  task.cq = cq;
  return task;
}

// At most cap completions, waiting for the first one; empty: none came.
std::vector<pool_completion_t> Poll(pool_cq_t cq, uint32_t cap, int64_t timeout_ns = kBoundNs) {
  std::vector<pool_completion_t> batch(cap);
  uint32_t n = 77;
  const pool_status_t status = pool_cq_poll(cq, batch.data(), sizeof(pool_completion_t), cap, timeout_ns, &n);
  if (status != POOL_E_TIMEOUT) Must(status, "pool_cq_poll");
  batch.resize(n);
  return batch;
}

pool_completion_t PollOne(pool_cq_t cq) {
  const std::vector<pool_completion_t> batch = Poll(cq, 1);
  if (batch.empty()) Must(POOL_E_TIMEOUT, "a completion");
  return batch[0];
}

bool Readable(int fd, int timeout_ms = 0) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, timeout_ms) == 1 && (entry.revents & POLLIN) != 0;
}

TEST_CASE("every task that names a queue has one completion there, with its result", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq;
  Body body([](pool_ctx_t* ctx) {
    SpinFor(std::chrono::milliseconds(2));
    pool_ctx_set_value(ctx, UINT64_MAX - 7);
    return 0;
  });
  Gate gate;
  Must(pool_pause(pool), "pause");
  const pool_ticket_t ticket = [&] {
    pool_task_t task = QueueTask(cq, Body::Run, &body);
    return Submit(pool, task);
  }();
  SpinFor(std::chrono::milliseconds(2));
  Must(pool_resume(pool), "resume");
  const pool_completion_t completion = PollOne(cq);
  CHECK(completion.struct_size == sizeof(pool_completion_t));
  CHECK(completion.outcome == POOL_DONE);
  CHECK(completion.code == 0);
  CHECK(completion.attempts == 1);
  CHECK(completion.ticket == ticket);
  CHECK(completion.arg == &body);
  CHECK(completion.value == UINT64_MAX - 7);
  CHECK(completion.wait_ns >= 2'000'000);
  CHECK(completion.run_ns >= 2'000'000);
  const pool_result_t result = WaitForResult(ticket);
  CHECK(result.wait_ns == completion.wait_ns);
  CHECK(result.run_ns == completion.run_ns);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  // Without a ticket, too.
  Tally tally;
  tally.code = -1234;
  const pool_task_t task = QueueTask(cq, tally);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  const pool_completion_t failed = PollOne(cq);
  CHECK(failed.ticket == 0);
  CHECK(failed.arg == &tally);
  CHECK(failed.outcome == POOL_FAILED);
  CHECK(failed.code == -1234);
  CHECK(Poll(cq, 5, 0).empty());
  CheckSettled(pool);
}

TEST_CASE("H12: when a completion can be read, its done and its drop have been called", "[completions]") {
  ScopedPool pool(2);
  ScopedQueue cq;
  for (uint64_t round = 0; round < Rounds(5'000); ++round) {
    Tally tally;
    const pool_task_t task = QueueTask(cq, tally);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    REQUIRE(PollOne(cq).arg == &tally);
    REQUIRE(tally.dones == 1);
    REQUIRE(tally.drops == 1);
    REQUIRE(tally.done_before_drop);
  }
  CheckSettled(pool);
}

TEST_CASE("a submit reserves its place: a full queue refuses, and what was accepted is never lost", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq(3);
  Gate gate;
  Tally tally, refused;
  const pool_task_t first = QueueTask(cq, PassGate, &gate);
  const pool_task_t more = QueueTask(cq, tally);
  const pool_task_t too_many = QueueTask(cq, refused);
  Must(pool_submit_task(pool, &first, nullptr), "submit");
  Must(pool_submit_task(pool, &more, nullptr), "submit");
  Must(pool_submit_task(pool, &more, nullptr), "submit");
  // Reserved is what counts, not what has ended.
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  CHECK(LastErrorText().find("capacity = 3") != std::string::npos);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  CHECK(Stats(pool).rejected == 2);
  CHECK(refused.dones + refused.drops == 0);
  CHECK(Poll(cq, 1).size() == 1);
  CHECK(pool_submit_task(pool, &more, nullptr) == POOL_OK);
  CHECK(pool_submit_task(pool, &too_many, nullptr) == POOL_E_FULL);
  REQUIRE(WaitIdle(pool));
  CHECK(Poll(cq, 10).size() == 3);
  CHECK(tally.drops == 3);
  // A batch is accepted as far as there is room.
  std::vector<pool_task_t> batch(5, more);
  uint32_t accepted = 0;
  CHECK(pool_submit_batch(pool, batch.data(), sizeof(pool_task_t), 5, nullptr, &accepted) == POOL_E_FULL);
  CHECK(accepted == 3);
  REQUIRE(WaitIdle(pool));
  CHECK(Poll(cq, 10).size() == 3);
  CheckSettled(pool);
}

TEST_CASE("a submit that is refused for another reason gives its place back", "[completions]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  ScopedPool pool(options), closed(1), other(1);
  ScopedQueue cq(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  Must(pool_close(closed, POOL_DRAIN, kBoundNs), "close");
  pool_token_t cancelled = 0;
  Must(pool_token_create(0, &cancelled), "token");
  Must(pool_token_cancel(cancelled, 0), "cancel");
  pool_group_t group = 0;
  Must(pool_group_create(other, nullptr, &group), "group");
  Tally tally;
  const pool_task_t good = QueueTask(cq, tally);
  for (int round = 0; round < 3; ++round) {
    pool_task_t task = good;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);  // of the pool
    CHECK(LastErrorText().find("completion") == std::string::npos);
    CHECK(pool_submit_task(closed, &task, nullptr) == POOL_E_CLOSED);
    task.deadline_ns = 1;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_EXPIRED);
    task = good;
    task.token = cancelled;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_CANCELLED);
    task = good;
    task.retry_on = 99;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_INVALID);
    task = good;
    task.group = group;
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_INVALID);
    task.group = cancelled;
    CHECK(pool_submit_task(other, &task, nullptr) == POOL_E_BADHANDLE);
  }
  CHECK(tally.dones + tally.drops == 0);
  CHECK(pool_submit_task(other, &good, nullptr) == POOL_OK);
  CHECK(PollOne(cq).arg == &tally);
  gate.Open();
  CHECK(pool_token_release(cancelled) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  for (pool_t each : {pool_t{pool}, pool_t{closed}, pool_t{other}}) CheckSettled(each);
}

TEST_CASE("poll takes batches of the oldest, in the order in which the tasks ended", "[completions]") {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  ScopedPool pool(options);
  ScopedQueue cq(100);
  std::array<Tally, 100> tallies;
  size_t expected = 0;
  // Several laps round its ring.
  for (int lap = 0; lap < 3; ++lap) {
    std::vector<const void*> order;
    for (size_t i = 0; i < 90; ++i) {
      const pool_task_t task = QueueTask(cq, tallies[i]);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      order.push_back(&tallies[i]);
    }
    REQUIRE(WaitIdle(pool));
    expected = 0;
    for (uint32_t cap : {1u, 16u, 17u, 40u, 100u}) {
      const std::vector<pool_completion_t> batch = Poll(cq, cap, 0);
      CHECK(batch.size() == std::min<size_t>(cap, 90 - expected));
      for (const pool_completion_t& completion : batch) REQUIRE(completion.arg == order[expected++]);
    }
    CHECK(expected == 90);
    CHECK(Poll(cq, 100, 0).empty());
  }
  CheckSettled(pool);
}

TEST_CASE("poll with a time limit waits for the first completion, and no longer", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Gate gate;
  pool_completion_t out;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, 0, &n) == POOL_E_TIMEOUT);
  CHECK(n == 0);
  const Stopwatch watch;
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, 5 * kMillisecondNs, &n) == POOL_E_TIMEOUT);
  CHECK(watch.Seconds() >= 0.005);
  const pool_task_t task = QueueTask(cq, PassGate, &gate);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(pool_cq_poll(cq, &out, sizeof(out), 1, kMillisecondNs, &n) == POOL_E_TIMEOUT);
  std::atomic<int32_t> status{1};
  std::thread reader([&] {
    std::array<pool_completion_t, 40> batch;
    uint32_t count = 0;
    status = pool_cq_poll(cq, batch.data(), sizeof(pool_completion_t), 40, POOL_FOREVER, &count);
    if (count != 1) status = -999;
  });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  gate.Open();
  reader.join();
  CHECK(status == POOL_OK);
  CheckSettled(pool);
}

TEST_CASE("a poll that succeeds leaves the last error alone", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally tally;
  for (int i = 0; i < 20; ++i) {
    const pool_task_t task = QueueTask(cq, tally);
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  REQUIRE(WaitIdle(pool));
  CHECK(pool_token_release(12345) == POOL_E_BADHANDLE);
  const std::string before = LastErrorText();
  CHECK(Poll(cq, 16).size() == 16);
  CHECK(Poll(cq, 16).size() == 4);
  CHECK(LastErrorText() == before);
  CheckSettled(pool);
}

TEST_CASE("misuse of completion queues is told", "[completions]") {
  ScopedPool pool(1);
  pool_cq_t out = 77;
  CHECK(pool_cq_create(0, &out) == POOL_E_INVALID);
  CHECK(out == 0);
  CHECK(pool_cq_create(POOL_CQ_CAPACITY_MAX + 1, &out) == POOL_E_INVALID);
  CHECK(LastErrorText().find("16777216") != std::string::npos);
  CHECK(pool_cq_create(1, nullptr) == POOL_E_INVALID);
  ScopedQueue cq;
  pool_completion_t completion;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, nullptr) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, nullptr, sizeof(completion), 1, 0, &n) == POOL_E_INVALID);
  CHECK(n == 0);
  CHECK(pool_cq_poll(cq, &completion, 3, 1, 0, &n) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, &completion, 65'537, 1, 0, &n) == POOL_E_TOOBIG);
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, -2, &n) == POOL_E_INVALID);
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 0, 0, &n) == POOL_OK);
  CHECK(n == 0);
  const pool_cq_t stale = [] {
    ScopedQueue gone;
    const pool_cq_t handle = gone;
    return handle;
  }();
  for (pool_cq_t bad : {pool_cq_t{0}, pool_cq_t{pool}, stale, UINT64_MAX}) {
    INFO(bad);
    CHECK(pool_cq_poll(bad, &completion, sizeof(completion), 1, 0, &n) == POOL_E_BADHANDLE);
    CHECK(pool_cq_fd(bad) == POOL_E_BADHANDLE);
    CHECK(pool_cq_detach(bad) == POOL_E_BADHANDLE);
    CHECK(pool_cq_release(bad) == POOL_E_BADHANDLE);
    if (bad == 0) continue;
    Tally tally;
    const pool_task_t task = QueueTask(bad, tally);
    CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_BADHANDLE);
    CHECK(tally.dones + tally.drops == 0);
  }
  CHECK(pool_token_cancel(cq, 0) == POOL_E_BADHANDLE);
  CheckSettled(pool);
}

TEST_CASE("a poll writes elements of the caller's size, and as much as that has room for", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  std::array<Tally, 3> tallies;
  const auto fill = [&] {
    for (Tally& tally : tallies) {
      tally.code = -1000;
      const pool_task_t task = QueueTask(cq, tally);
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    REQUIRE(WaitIdle(pool));
  };
  uint32_t n = 0;
  // An older caller, who knows the first three fields.
  struct Older {
    uint32_t struct_size;
    int32_t outcome, code;
  };
  fill();
  std::array<Older, 4> older;
  std::memset(older.data(), 0x5A, sizeof(older));
  CHECK(pool_cq_poll(cq, older.data(), sizeof(Older), 3, 0, &n) == POOL_OK);
  CHECK(n == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(older[i].struct_size == sizeof(Older));
    CHECK(older[i].outcome == POOL_FAILED);
    CHECK(older[i].code == -1000);
  }
  CHECK(older[3].struct_size == 0x5A5A5A5A);
  // A newer one.
  struct Newer {
    pool_completion_t known;
    uint64_t more[3];
  };
  fill();
  std::array<Newer, 4> newer;
  std::memset(newer.data(), 0x5A, sizeof(newer));
  CHECK(pool_cq_poll(cq, newer.data(), sizeof(Newer), 3, 0, &n) == POOL_OK);
  CHECK(n == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(newer[i].known.struct_size == sizeof(pool_completion_t));
    CHECK(newer[i].known.arg == &tallies[i]);
    for (uint64_t word : newer[i].more) CHECK(word == 0);
  }
  CHECK(newer[3].known.struct_size == 0x5A5A5A5A);
  CheckSettled(pool);
}

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

TEST_CASE("however a task ends, there is one completion that tells it", "[completions]") {
  pool_options_t options = Options(1);
  options.strategy = POOL_STRATEGY_FIFO;
  options.queue_limit = 3;
  options.on_full = POOL_ON_FULL_DROP_OLDEST;
  ScopedPool pool(1), small(options);
  ScopedQueue cq;
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group");
  pool_token_t token = 0;
  Must(pool_token_create(0, &token), "token");
  std::map<const void*, std::pair<int32_t, int32_t>> expected;
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  Must(pool_submit(small, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));

  Tally cancelled, by_group, by_token, expired, shed, kept[3], failed, retried;
  const pool_ticket_t ticket = Submit(pool, QueueTask(cq, cancelled));
  expected[&cancelled] = {POOL_CANCELLED, POOL_E_CANCELLED};
  pool_task_t task = QueueTask(cq, by_group);
  task.group = group;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&by_group] = {POOL_CANCELLED, POOL_E_CANCELLED};
  task = QueueTask(cq, by_token);
  task.token = token;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&by_token] = {POOL_CANCELLED, -1500};
  task = QueueTask(cq, expired);
  task.queue_timeout_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&expired] = {POOL_EXPIRED, POOL_E_EXPIRED};
  task = QueueTask(cq, shed);
  Must(pool_submit_task(small, &task, nullptr), "submit");
  expected[&shed] = {POOL_SHED, POOL_E_FULL};
  for (Tally& tally : kept) {
    task = QueueTask(cq, tally);
    Must(pool_submit_task(small, &task, nullptr), "submit");
    expected[&tally] = {POOL_DONE, 0};
  }
  failed.code = -1001;
  task = QueueTask(cq, failed);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&failed] = {POOL_FAILED, -1001};
  retried.code = POOL_RETRY;
  task = QueueTask(cq, retried);
  task.retries_max = 2;
  task.backoff_first_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&retried] = {POOL_FAILED, POOL_RETRY};
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("no"); });
  task = QueueTask(cq, Body::Run, &throws);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&throws] = {POOL_FAILED, POOL_E_EXCEPTION};
  Body leaves([](pool_ctx_t*) -> int32_t {
    pthread_exit(nullptr);
    return 0;
  });
  task = QueueTask(cq, Body::Run, &leaves);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  expected[&leaves] = {POOL_FAILED, POOL_E_THREADEXIT};

  Must(pool_cancel(ticket), "cancel");
  Must(pool_group_cancel(group), "cancel");
  Must(pool_token_cancel(token, -1500), "cancel");
  REQUIRE(PollUntil([&] { return expired.drops == 1; }));
  gate.Open();
  CheckSettled(pool);
  CheckSettled(small);
  std::map<const void*, uint64_t> times;
  for (const pool_completion_t& completion : Poll(cq, 100)) {
    INFO("outcome " << completion.outcome << ", code " << completion.code);
    REQUIRE(expected.count(completion.arg) == 1);
    CHECK(completion.outcome == expected[completion.arg].first);
    CHECK(completion.code == expected[completion.arg].second);
    if (completion.arg == &retried) CHECK(completion.attempts == 3);
    ++times[completion.arg];
  }
  CHECK(times.size() == expected.size());
  for (const auto& [arg, count] : times) CHECK(count == 1);
  CHECK(Poll(cq, 1, 0).empty());
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_token_release(token) == POOL_OK);
}

TEST_CASE("a task that is tried again, or runs again each period, holds one place until it is over", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq(2);
  Tally periodic, retrying, refused;
  pool_task_t task = QueueTask(cq, periodic);
  task.period_ns = kMillisecondNs;
  const pool_ticket_t ticket = Submit(pool, task);
  retrying.code = POOL_RETRY;
  task = QueueTask(cq, retrying);
  task.retries_max = 5;
  task.backoff_first_ns = 1;
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(PollUntil([&] { return periodic.runs >= 5 && retrying.drops == 1; }));
  task = QueueTask(cq, refused);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_FULL);
  CHECK(PollOne(cq).attempts == 6);
  CHECK(Poll(cq, 1, 0).empty());
  pool_cancel(ticket);
  const pool_completion_t completion = PollOne(cq);
  CHECK(completion.arg == &periodic);
  CHECK(completion.outcome == POOL_DONE);
  CHECK(completion.attempts == periodic.runs);
  CheckSettled(pool);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a queue serves several pools and outlives them", "[completions]") {
  ScopedQueue cq;
  Tally first, second, released;
  {
    ScopedPool a(1), b(1);
    pool_task_t task = QueueTask(cq, first);
    Must(pool_submit_task(a, &task, nullptr), "submit");
    task = QueueTask(cq, second);
    Must(pool_submit_task(b, &task, nullptr), "submit");
    CheckSettled(a);
    CheckSettled(b);
  }
  pool_t pool = 0;
  Must(pool_create(nullptr, &pool), "create");
  Must(pool_pause(pool), "pause");
  const pool_task_t task = QueueTask(cq, released);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  Must(pool_release(pool), "release");
  std::map<const void*, pool_completion_t> all;
  while (all.size() < 3) {
    const pool_completion_t completion = PollOne(cq);
    all[completion.arg] = completion;
  }
  CHECK(all[&first].outcome == POOL_DONE);
  CHECK(all[&second].outcome == POOL_DONE);
  CHECK(all[&released].outcome == POOL_CANCELLED);
  CHECK(all[&released].code == POOL_E_CLOSED);
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

TEST_CASE("after a detach no done runs, drops do, and what waits is thrown away", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  Tally before, after, unrelated;
  pool_task_t task = QueueTask(cq, before);
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  Must(pool_pause(pool), "pause");
  task = QueueTask(cq, after);
  for (int i = 0; i < 3; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  const pool_ticket_t ticket = Submit(pool, task);
  task = TallyTask(unrelated);
  Must(pool_submit_task(pool, &task, nullptr), "submit");

  CHECK(pool_cq_detach(cq) == POOL_OK);
  CHECK(pool_cq_detach(cq) == POOL_OK);
  pool_completion_t completion;
  uint32_t n = 77;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n) == POOL_E_CLOSED);
  CHECK(n == 0);
  CHECK(pool_cq_fd(cq) == POOL_E_CLOSED);
  Tally refused;
  task = QueueTask(cq, refused);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_E_CLOSED);
  CHECK(LastErrorText().find("detached") != std::string::npos);
  CHECK(refused.drops == 0);
  Must(pool_cancel(ticket), "cancel");
  CHECK(after.drops == 1);
  CHECK(after.dones == 0);
  Must(pool_resume(pool), "resume");
  CheckSettled(pool);
  CHECK(after.runs == 3);
  CHECK(after.dones == 0);
  CHECK(after.drops == 4);
  CHECK(unrelated.dones == 1);
  CHECK(WaitForResult(ticket).outcome == POOL_CANCELLED);  // a ticket tells as ever
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, &n) == POOL_E_CLOSED);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("a detach waits for a done that runs", "[completions]") {
  ScopedPool pool(1);
  ScopedQueue cq;
  struct Shared {
    Gate gate;
    std::atomic<bool> left{false};
  } shared;
  pool_task_t task = QueueTask(cq, DoNothing, &shared);
  task.done = [](void* arg, const pool_result_t*) {
    auto* s = static_cast<Shared*>(arg);
    s->gate.Pass();
    s->left = true;
  };
  Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(shared.gate.AwaitArrivals(1));
  std::atomic<bool> detached{false}, left_before{false};
  std::thread detacher([&] {
    Must(pool_cq_detach(cq), "detach");
    left_before = shared.left.load();
    detached = true;
  });
  CHECK(HoldsThroughout([&] { return !detached; }));
  shared.gate.Open();
  detacher.join();
  CHECK(left_before);
  CheckSettled(pool);
}

TEST_CASE("a done may detach its own queue, also several at once", "[completions]") {
  ScopedPool pool(3);
  ScopedQueue cq;
  struct Shared {
    pool_cq_t cq;
    Gate gate;
    std::atomic<uint64_t> detached{0}, drops{0};
  } shared;
  shared.cq = cq;
  const uint64_t at_once = GENERATE(1, 2, 3);
  INFO(at_once << " at once");
  pool_task_t task = QueueTask(cq, DoNothing, &shared);
  task.done = [](void* arg, const pool_result_t*) {
    auto* s = static_cast<Shared*>(arg);
    s->gate.Pass();
    if (pool_cq_detach(s->cq) == POOL_OK) ++s->detached;
  };
  task.drop = [](void* arg, int32_t) { ++static_cast<Shared*>(arg)->drops; };
  for (uint64_t i = 0; i < at_once; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(shared.gate.AwaitArrivals(at_once));
  shared.gate.Open();
  CheckSettled(pool);
  CHECK(shared.detached == at_once);
  CHECK(shared.drops == at_once);
  uint32_t n = 0;
  pool_completion_t completion;
  CHECK(pool_cq_poll(cq, &completion, sizeof(completion), 1, 0, &n) == POOL_E_CLOSED);
}

TEST_CASE("a detach wakes a reader, who is told CLOSED", "[completions]") {
  ScopedQueue cq;
  const int fd = pool_cq_fd(cq);
  std::atomic<int32_t> status{1};
  std::atomic<bool> woken{false};
  std::thread poller([&] {
    pool_completion_t completion;
    uint32_t n = 0;
    status = pool_cq_poll(cq, &completion, sizeof(completion), 1, POOL_FOREVER, &n);
  });
  std::thread in_loop([&] { woken = Readable(fd, 20'000); });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cq_detach(cq) == POOL_OK);
  poller.join();
  in_loop.join();
  CHECK(status == POOL_E_CLOSED);
  CHECK(woken);
}

TEST_CASE("what a done uses may go as soon as a detach has returned", "[completions]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(500); ++round) {
    ScopedQueue cq(64);
    struct Used {
      std::atomic<uint64_t> alive{1};
    };
    auto used = std::make_unique<Used>();
    struct Shared {
      Used* used;
      std::atomic<uint64_t> late{0}, drops{0};
    } shared{used.get()};
    pool_task_t task = QueueTask(cq, DoNothing, &shared);
    task.done = [](void* arg, const pool_result_t*) {
      auto* s = static_cast<Shared*>(arg);
      if (s->used->alive != 1) ++s->late;
    };
    task.drop = [](void* arg, int32_t) { ++static_cast<Shared*>(arg)->drops; };
    uint64_t accepted = 0;
    for (; accepted < 20; ++accepted) Must(pool_submit_task(pool, &task, nullptr), "submit");
    for (uint64_t spin = 0; spin < round * 2; ++spin) (void)pool_now_ns();
    REQUIRE(pool_cq_detach(cq) == POOL_OK);
    used->alive = 0;
    used.reset();
    REQUIRE(WaitIdle(pool));
    REQUIRE(shared.late == 0);
    REQUIRE(shared.drops == accepted);
  }
  CheckSettled(pool);
}

TEST_CASE("a queue may be released while its tasks are under way; its descriptor closes with the last of them",
          "[completions]") {
  ScopedPool pool(1);
  Gate gate;
  Tally tally;
  ScopedQueue cq;
  const int fd = pool_cq_fd(cq);
  REQUIRE(fd >= 0);
  const pool_task_t first = QueueTask(cq, PassGate, &gate);
  const pool_ticket_t ticket = Submit(pool, first);
  REQUIRE(gate.AwaitArrivals(1));
  const pool_task_t more = QueueTask(cq, tally);
  for (int i = 0; i < 5; ++i) Must(pool_submit_task(pool, &more, nullptr), "submit");
  const pool_ticket_t cancelled = Submit(pool, more);
  CHECK(pool_cq_release(cq.GiveUp()) == POOL_OK);
  CHECK(Descriptors().count(fd) == 1);
  Must(pool_cancel(cancelled), "cancel");
  gate.Open();
  CheckSettled(pool);
  CHECK(tally.runs == 5);
  CHECK(tally.dones == 6);  // it was released, not detached
  CHECK(tally.drops == 6);
  // Not that of the last ticket.
  CHECK(PollUntil([&] { return Descriptors().count(fd) == 0; }, kBoundNs / 10));
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_ticket_release(cancelled) == POOL_OK);
}

TEST_CASE("releasing a queue wakes who waits for it", "[completions]") {
  ScopedQueue cq;
  std::atomic<int32_t> status{1};
  std::thread reader([&, handle = pool_cq_t{cq}] {
    pool_completion_t completion;
    uint32_t n = 0;
    status = pool_cq_poll(handle, &completion, sizeof(completion), 1, kBoundNs, &n);
  });
  CHECK(HoldsThroughout([&] { return status == 1; }, std::chrono::milliseconds(20)));
  CHECK(pool_cq_release(cq.GiveUp()) == POOL_OK);
  reader.join();
  CHECK(status == POOL_E_BADHANDLE);
}

TEST_CASE("a queue without tasks is gone when it is released, with its descriptor", "[completions]") {
  const std::set<int> before = Descriptors();
  for (int i = 0; i < 100; ++i) {
    ScopedQueue cq(1);
    REQUIRE(pool_cq_fd(cq) >= 0);
  }
  CHECK(Descriptors() == before);
}

}  // namespace
}  // namespace workpool_test
