// completion_queue, and waiting for several tickets.
#include <poll.h>

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <type_traits>
#include <vector>

#include "helpers.h"

static_assert(!std::is_copy_constructible_v<workpool::completion_queue>);
static_assert(std::is_nothrow_move_constructible_v<workpool::completion_queue>);
static_assert(std::is_nothrow_move_assignable_v<workpool::completion_queue>);

namespace {

constexpr std::chrono::seconds kBound(20);

workpool::task_options To(const workpool::completion_queue& queue) {
  return Rules([&](auto& o) { o.completions = &queue; });
}

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1;
}

}  // namespace

TEST_CASE("every task that names the queue is found there once, by its ticket", "[completions]") {
  workpool::pool pool(Workers(2, 2));
  workpool::completion_queue queue(100);
  std::map<pool_ticket_t, workpool::ticket<int>> tickets;
  for (int i = 0; i < 100; ++i) {
    auto t = pool.submit_ticket(To(queue), [i](workpool::task_context& ctx) {
      ctx.set_value(static_cast<std::uint64_t>(i));
      if (i % 10 == 0) throw workpool::error(-1000 - i);
      return i;
    });
    tickets.emplace(t.native_handle(), std::move(t));
  }
  std::vector<workpool::completion> batch(7);
  while (!tickets.empty()) {
    const std::size_t n = queue.poll(batch, kBound);
    REQUIRE(n > 0);
    for (std::size_t k = 0; k < n; ++k) {
      const auto found = tickets.find(batch[k].ticket);
      REQUIRE(found != tickets.end());
      const int i = static_cast<int>(batch[k].value);
      CHECK(batch[k].outcome == (i % 10 == 0 ? POOL_FAILED : POOL_DONE));
      CHECK(batch[k].code == (i % 10 == 0 ? -1000 - i : 0));
      CHECK(batch[k].attempts == 1);
      CHECK(batch[k].run_time().count() > 0);
      CHECK(batch[k].wait_time().count() > 0);
      CHECK(CodeOf([&] { found->second.get(); }) == batch[k].code);
      tickets.erase(found);
    }
  }
  CHECK(queue.poll(batch) == 0);
  CheckSettled(pool);
}

TEST_CASE("poll fills arrays, vectors and pointers, at most as many as fit", "[completions]") {
  workpool::pool pool(Workers(1, 1));
  workpool::completion_queue queue(6);
  for (int i = 0; i < 6; ++i) pool.post(To(queue), [] {});
  REQUIRE(pool.wait_idle(kBound));
  std::array<workpool::completion, 3> three;
  CHECK(queue.poll(three) == 3);
  workpool::completion one;
  CHECK(queue.poll(&one, 1) == 1);
  CHECK(one.ticket == 0);
  std::vector<workpool::completion> many(10);
  CHECK(queue.poll(many, std::chrono::milliseconds(1)) == 2);
  CHECK(queue.poll(many, std::chrono::milliseconds(1)) == 0);
  CheckSettled(pool);
}

TEST_CASE("a full queue refuses the submit, and places come back by poll", "[completions]") {
  workpool::pool pool(Workers(1, 1));
  workpool::completion_queue queue(1);
  pool.post(To(queue), [] {});
  CHECK(CodeOf([&] { pool.post(To(queue), [] {}); }) == POOL_E_FULL);
  workpool::completion c;
  CHECK(queue.poll(&c, 1, kBound) == 1);
  pool.post(To(queue), [] {});
  CHECK(CodeOf([] { workpool::completion_queue none(0); }) == POOL_E_INVALID);
  CheckSettled(pool);
}

TEST_CASE("fd is readable while completions wait", "[completions]") {
  workpool::pool pool(Workers(1, 1));
  workpool::completion_queue queue(2);
  const int fd = queue.fd();
  CHECK_FALSE(Readable(fd));
  pool.post(To(queue), [] {});
  CHECK(Eventually([&] { return Readable(fd); }));
  workpool::completion c;
  CHECK(queue.poll(&c, 1) == 1);
  CHECK_FALSE(Readable(fd));
  CheckSettled(pool);
}

TEST_CASE("a detached queue refuses and tells nothing more; futures still learn how it ended",
          "[completions]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  workpool::completion_queue queue(4);
  pool.pause();
  auto kept = pool.submit(To(queue), [life = Life(lives)] { return 5; });
  auto expired = pool.submit(Rules([&](auto& o) {
                               o.completions = &queue;
                               o.queue_timeout = std::chrono::milliseconds(1);
                             }),
                             [life = Life(lives)] {});
  queue.detach();
  CHECK(CodeOf([&] { pool.post(To(queue), [] {}); }) == POOL_E_CLOSED);
  CHECK(CodeOf([&] { expired.get(); }) == POOL_E_EXPIRED);
  pool.resume();
  CHECK(kept.get() == 5);
  workpool::completion c;
  CHECK(CodeOf([&] { queue.poll(&c, 1, kBound); }) == POOL_E_CLOSED);
  CheckSettled(pool);
  CHECK(lives.ended == 2);
}

TEST_CASE("a queue may go before its tasks", "[completions]") {
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  std::future<int> kept;
  {
    workpool::completion_queue queue(1);
    kept = pool.submit(To(queue), [] { return 6; });
  }
  pool.resume();
  CHECK(kept.get() == 6);
  CheckSettled(pool);
}

TEST_CASE("wait_any tells which ticket is over, wait_all waits for each", "[completions]") {
  workpool::pool pool(Workers(2, 2));
  Gate gate;
  std::vector<workpool::ticket<int>> tickets;
  tickets.push_back(pool.submit_ticket([&] {
    gate.Pass();
    return 0;
  }));
  tickets.push_back(pool.submit_ticket([] { return 1; }));
  CHECK(workpool::wait_any(tickets, kBound) == std::optional<std::size_t>(1));
  CHECK_FALSE(workpool::wait_all(tickets, std::chrono::milliseconds(1)));
  std::vector<workpool::ticket<int>> first;
  first.push_back(std::move(tickets[0]));
  CHECK(workpool::wait_any(first, std::chrono::milliseconds(1)) == std::nullopt);
  gate.Open();
  CHECK(workpool::wait_all(first, kBound));
  CHECK(first[0].get() + tickets[1].get() == 1);
  CHECK(workpool::wait_all(std::vector<workpool::ticket<int>>{}));
  CheckSettled(pool);
}

TEST_CASE("a queue that was moved from is refused with INVALID, not taken for none",
          "[completions]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  workpool::completion_queue queue(1);
  const workpool::completion_queue moved(std::move(queue));
  const workpool::task_options o = To(queue);  // NOLINT: what a moved-from queue does
  CHECK_THROWS_WITH(pool.post(o, [life = Life(lives)] {}), Catch::Contains("completions"));
  CHECK(CodeOf([&] { pool.post(o, [] {}); }) == POOL_E_INVALID);
  CHECK(lives.live == 0);
  CheckSettled(pool);
  CHECK(pool.stats().submitted == 0);
}
