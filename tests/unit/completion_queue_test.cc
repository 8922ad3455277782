#include "task/completion_queue.h"

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::HoldsThroughout;
using workpool_test::PollUntil;

constexpr uint64_t kMs = 1'000'000;
using Values = std::vector<uint64_t>;

pool_completion_t Completion(uint64_t value) {
  return {.struct_size = sizeof(pool_completion_t),
          .outcome = POOL_FAILED,
          .code = -1001,
          .attempts = 3,
          .ticket = value + 1,
          .arg = nullptr,
          .value = value,
          .wait_ns = value + 2,
          .run_ns = value + 3};
}

// A queue that is given back with its scope.
class Queue {
 public:
  explicit Queue(uint32_t capacity) : queue_(CompletionQueue::Make(capacity)) {
    if (queue_ == nullptr) std::abort();
  }
  ~Queue() { queue_->Unref(); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  CompletionQueue* operator->() const { return queue_; }

  // A task that is accepted and ends.
  [[nodiscard]] bool Put(uint64_t value) {
    if (queue_->Reserve() != POOL_OK) return false;
    queue_->Push(Completion(value));
    return true;
  }
  // What lies there, without waiting.
  Values Take(uint32_t cap) {
    std::vector<pool_completion_t> out(cap + 1);
    uint32_t count = 77;
    status = queue_->Poll(out.data(), cap, 0, &count);
    Values values;
    for (uint32_t i = 0; i < count; ++i) values.push_back(out[i].value);
    return values;
  }
  [[nodiscard]] bool Readable() {
    pollfd entry{queue_->Descriptor(), POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
  }

  Status status = POOL_OK;  // of the last take

 private:
  CompletionQueue* queue_;
};

TEST_CASE("a completion comes out as it went in", "[completion_queue]") {
  Queue queue(1);
  REQUIRE(queue.Put(5));
  pool_completion_t out{};
  uint32_t count = 0;
  REQUIRE(queue->Poll(&out, 1, 0, &count) == POOL_OK);
  CHECK(count == 1);
  CHECK(out.struct_size == sizeof(pool_completion_t));
  CHECK(out.outcome == POOL_FAILED);
  CHECK(out.code == -1001);
  CHECK(out.attempts == 3);
  CHECK((out.ticket == 6 && out.value == 5 && out.wait_ns == 7 && out.run_ns == 8));
}

TEST_CASE("completions come out oldest first, however often the queue goes round", "[completion_queue]") {
  const uint32_t capacity = GENERATE(1u, 2u, 7u, 64u);
  INFO("capacity " << capacity);
  Queue queue(capacity);
  Random random(capacity);
  uint64_t next_in = 0, next_out = 0;
  for (int step = 0; step < 2'000; ++step) {
    for (uint32_t i = random.Below(capacity + 1); i > 0 && next_in - next_out < capacity; --i) {
      REQUIRE(queue.Put(next_in++));
    }
    for (const uint64_t value : queue.Take(random.Below(capacity + 2))) REQUIRE(value == next_out++);
    REQUIRE(next_in - next_out <= capacity);
  }
  while (next_out < next_in) {
    for (const uint64_t value : queue.Take(1)) REQUIRE(value == next_out++);
  }
  CHECK(queue.Take(1).empty());
  CHECK(queue.status == POOL_E_TIMEOUT);
}

TEST_CASE("a place is reserved before a task is accepted, and free when its completion is taken", "[completion_queue]") {
  Queue queue(3);
  for (int i = 0; i < 3; ++i) CHECK(queue->Reserve() == POOL_OK);
  CHECK(queue->Reserve() == POOL_E_FULL);
  CHECK(TextOf(POOL_E_FULL).find("capacity") != std::string::npos);
  queue->GiveBack();
  CHECK(queue->Reserve() == POOL_OK);
  CHECK(queue->Reserve() == POOL_E_FULL);
  queue->Push(Completion(1));
  CHECK(queue->Reserve() == POOL_E_FULL);  // it lies there
  CHECK(queue.Take(9) == Values{1});
  CHECK(queue->Reserve() == POOL_OK);
  CHECK(queue->Reserve() == POOL_E_FULL);
}

TEST_CASE("a poll for nothing takes nothing and does not wait", "[completion_queue]") {
  Queue queue(2);
  uint32_t count = 9;
  CHECK(queue->Poll(nullptr, 0, kNever, &count) == POOL_OK);
  CHECK(count == 0);
  REQUIRE(queue.Put(1));
  CHECK(queue.Take(0).empty());
  CHECK(queue.status == POOL_OK);
  CHECK(queue.Take(2) == Values{1});
}

TEST_CASE("a poll waits for the first completion, not longer than its time", "[completion_queue]") {
  Queue queue(4);
  pool_completion_t out[4];
  uint32_t count = 9;
  const uint64_t deadline_ns = NowNs() + 5 * kMs;
  CHECK(queue->Poll(out, 4, deadline_ns, &count) == POOL_E_TIMEOUT);
  CHECK(NowNs() >= deadline_ns);
  CHECK(count == 0);
  std::atomic<bool> polled{false};
  ScopedThread reader([&] {
    (void)queue->Poll(out, 4, kNever, &count);
    polled = true;
  });
  CHECK(HoldsThroughout([&] { return !polled; }));
  REQUIRE(queue.Put(5));
  reader.Join();
  CHECK(count == 1);
  CHECK(out[0].value == 5);
}

// ---- the descriptor ----------------------------------------------------------------------------

TEST_CASE("the descriptor is made once, and closed with the queue", "[completion_queue]") {
  int32_t fd = -1;
  {
    Queue queue(2);
    fd = queue->Descriptor();
    REQUIRE(fd >= 0);
    CHECK(queue->Descriptor() == fd);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  }
  CHECK(fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("the descriptor is readable exactly while something lies in the queue", "[completion_queue]") {
  SECTION("from before it was made") {
    Queue queue(2);
    REQUIRE(queue.Put(1));
    CHECK(queue.Readable());
    CHECK(queue.Take(1) == Values{1});
    CHECK_FALSE(queue.Readable());
  }
  SECTION("through any comings and goings") {
    Queue queue(5);
    CHECK_FALSE(queue.Readable());
    Random random(1);
    uint64_t lie_there = 0;
    for (int step = 0; step < 1'000; ++step) {
      if (random.Below(2) == 0) {
        if (queue.Put(1)) ++lie_there;
      } else {
        lie_there -= queue.Take(random.Below(4)).size();
      }
      REQUIRE(queue.Readable() == (lie_there > 0));
    }
  }
}

// ---- detach ------------------------------------------------------------------------------------

TEST_CASE("a detached queue forgets what lies there, takes nothing and says CLOSED", "[completion_queue]") {
  Queue queue(4);
  REQUIRE(queue.Put(1));
  REQUIRE(queue->Reserve() == POOL_OK);
  REQUIRE(queue->Reserve() == POOL_OK);
  queue->Detach(0);
  queue->Detach(0);
  CHECK(queue->Reserve() == POOL_E_CLOSED);
  CHECK(TextOf(POOL_E_CLOSED).find("detached") != std::string::npos);
  queue->Push(Completion(2));  // a task that was under way
  queue->GiveBack();
  CHECK(queue.Take(4).empty());
  CHECK(queue.status == POOL_E_CLOSED);
  CHECK(queue->Descriptor() == POOL_E_CLOSED);
}

TEST_CASE("the descriptor of a detached queue is readable for good", "[completion_queue]") {
  Queue queue(4);
  const int32_t fd = queue->Descriptor();
  REQUIRE(queue.Put(1));
  queue->Detach(0);
  for (int i = 0; i < 3; ++i) {
    pollfd entry{fd, POLLIN, 0};
    CHECK(poll(&entry, 1, 0) == 1);
    CHECK(queue.Take(4).empty());
  }
}

TEST_CASE("a detach wakes everybody who polls", "[completion_queue]") {
  Queue queue(4);
  std::array<Status, 3> statuses{};
  {
    std::vector<std::unique_ptr<ScopedThread>> readers;
    std::atomic<int> polling{0};
    for (Status& status : statuses) {
      readers.push_back(std::make_unique<ScopedThread>([&] {
        pool_completion_t out;
        uint32_t count = 0;
        ++polling;
        status = queue->Poll(&out, 1, kNever, &count);
      }));
    }
    REQUIRE(PollUntil([&] { return polling == 3; }));
    queue->Detach(0);
  }
  for (const Status status : statuses) CHECK(status == POOL_E_CLOSED);
}

TEST_CASE("a detach waits for callbacks that run, and none begins afterwards", "[completion_queue]") {
  Queue queue(4);
  REQUIRE(queue->BeginCallback());
  REQUIRE(queue->BeginCallback());
  std::atomic<bool> detached{false};
  ScopedThread other([&] {
    queue->Detach(0);
    detached = true;
  });
  REQUIRE(PollUntil([&] { return queue->Reserve() == POOL_E_CLOSED || (queue->GiveBack(), false); }));
  CHECK_FALSE(queue->BeginCallback());
  queue->EndCallback();
  CHECK(HoldsThroughout([&] { return !detached; }));
  queue->EndCallback();
  other.Join();
  CHECK_FALSE(queue->BeginCallback());
}

TEST_CASE("a callback that detaches does not wait for itself, but for others", "[completion_queue]") {
  Queue queue(4);
  REQUIRE(queue->BeginCallback());  // the caller's
  SECTION("alone") {
    queue->Detach(1);
    queue->EndCallback();
  }
  SECTION("beside another one") {
    REQUIRE(queue->BeginCallback());
    std::atomic<bool> detached{false};
    ScopedThread other([&] {
      queue->Detach(1);
      detached = true;
    });
    CHECK(HoldsThroughout([&] { return !detached; }));
    queue->EndCallback();
    other.Join();
    queue->EndCallback();
  }
  SECTION("two at once, which would wait for each other") {
    REQUIRE(queue->BeginCallback());
    ScopedThread one([&] {
      queue->Detach(1);
      queue->EndCallback();
    });
    ScopedThread two([&] {
      queue->Detach(1);
      queue->EndCallback();
    });
  }
  CHECK_FALSE(queue->BeginCallback());
}

TEST_CASE("of a callback that begins and a detach one comes first", "[completion_queue]") {
  for (uint64_t round = 0; round < workpool_test::Rounds(20'000); ++round) {
    Queue queue(1);
    std::atomic<bool> gone{false};
    std::atomic<bool> late{false};
    ScopedThread task([&] {
      if (!queue->BeginCallback()) return;
      if (gone) late = true;
      queue->EndCallback();
    });
    queue->Detach(0);
    gone = true;
    task.Join();
    REQUIRE_FALSE(late);
  }
}

// ---- the end of the handle ---------------------------------------------------------------------

TEST_CASE("who polls when the handle ends is told, but first gets what lies there", "[completion_queue]") {
  Queue queue(2);
  std::atomic<bool> polling{false};
  Status status = POOL_OK;
  ScopedThread reader([&] {
    pool_completion_t out;
    uint32_t count = 0;
    polling = true;
    status = queue->Poll(&out, 1, kNever, &count);
  });
  REQUIRE(PollUntil([&] { return polling.load(); }));
  queue->EndHandle();
  reader.Join();
  CHECK(status == POOL_E_BADHANDLE);
  REQUIRE(queue.Put(3));
  CHECK(queue.Take(2) == Values{3});
  CHECK(queue.Take(2).empty());
  CHECK(queue.status == POOL_E_BADHANDLE);
}

// ---- many threads ------------------------------------------------------------------------------

TEST_CASE("of two writers and two readers every completion reaches one", "[completion_queue]") {
  const uint64_t each = workpool_test::Rounds(50'000);
  Queue queue(16);
  std::vector<std::atomic<uint32_t>> arrivals(2 * each);
  std::atomic<uint64_t> arrived{0};
  std::atomic<uint64_t> out_of_order{0};
  const auto write = [&](uint64_t first) {
    for (uint64_t i = 0; i < each; ++i) {
      while (!queue.Put(first + i)) std::this_thread::yield();
    }
  };
  const auto read = [&] {
    pool_completion_t out[5];
    // Those of one writer arrive in the order of their push, at whoever gets them.
    std::array<uint64_t, 2> next{};
    while (arrived < 2 * each) {
      uint32_t count = 0;
      (void)queue->Poll(out, 5, NowNs() + kMs, &count);
      for (uint32_t i = 0; i < count; ++i) {
        ++arrivals[out[i].value];
        uint64_t& expected = next[out[i].value / each];
        if (out[i].value < expected) ++out_of_order;
        expected = out[i].value + 1;
      }
      arrived += count;
    }
  };
  {
    ScopedThread one([&] { write(0); });
    ScopedThread two([&] { write(each); });
    ScopedThread three(read);
    read();
  }
  CHECK(out_of_order == 0);
  uint64_t wrong = 0;
  for (const auto& count : arrivals) wrong += count == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("a reader who sleeps on the descriptor misses nothing", "[completion_queue]") {
  const uint64_t total = workpool_test::Rounds(20'000);
  Queue queue(8);
  const int32_t fd = queue->Descriptor();
  uint64_t read = 0, woken_for_nothing = 0;
  {
    ScopedThread writer([&] {
      for (uint64_t i = 0; i < total; ++i) {
        while (!queue.Put(i)) std::this_thread::yield();
      }
    });
    while (read < total) {
      pollfd entry{fd, POLLIN, 0};
      REQUIRE(poll(&entry, 1, static_cast<int>(workpool_test::kBoundNs / 1'000'000)) == 1);
      const Values values = queue.Take(3);
      if (values.empty()) ++woken_for_nothing;
      for (const uint64_t value : values) REQUIRE(value == read++);
    }
  }
  CHECK(woken_for_nothing == 0);
  CHECK_FALSE(queue.Readable());
}

}  // namespace
}  // namespace workpool
