// parallel_for: every index once, by participants that never share, with exceptions for the caller.
#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "helpers.h"

TEST_CASE("a loop visits every integer once, whatever its type and grain", "[loop]") {
  workpool::pool pool;
  for (const std::uint64_t grain : {0, 1, 7, 5000}) {
    std::vector<std::atomic<int>> visits(1001);
    pool.parallel_for(
        -500, 501, [&](int i) { ++visits[static_cast<std::size_t>(i + 500)]; },
        workpool::loop_options{grain, 0});
    int wrong = 0;
    for (const std::atomic<int>& n : visits) wrong += n != 1;
    CHECK(wrong == 0);
  }
  std::atomic<std::uint64_t> sum{0};
  pool.parallel_for(0, std::size_t{10}, [&](std::size_t i) { sum += i; });
  CHECK(sum == 45);
}

TEST_CASE("a loop over the ends of the widest types neither overflows nor wraps", "[loop]") {
  workpool::pool pool;
  std::atomic<int> seen{0};
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  pool.parallel_for(kMin, kMin + 3, [&](std::int64_t i) { seen += i < 0; });
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  pool.parallel_for(kMax - 3, kMax, [&](std::uint64_t i) { seen += i > kMax - 4; });
  CHECK(seen == 6);
}

TEST_CASE("an empty loop calls nothing, a reversed one is INVALID", "[loop]") {
  workpool::pool pool;
  int calls = 0;
  pool.parallel_for(3, 3, [&](int) { ++calls; });
  std::vector<int> none;
  pool.parallel_for(none, [&](int) { ++calls; });
  CHECK(CodeOf([&] { pool.parallel_for(3, 2, [&](int) { ++calls; }); }) == POOL_E_INVALID);
  CHECK(calls == 0);
}

TEST_CASE("a loop over a container changes its elements in place", "[loop]") {
  workpool::pool pool;
  std::vector<int> v(5000);
  std::iota(v.begin(), v.end(), 0);
  pool.parallel_for(v, [](int& x) { x *= 2; });
  std::deque<int> d(v.begin(), v.end());
  pool.parallel_for(d.begin() + 1, d.end(), [](int& x) { x += 1; });
  std::array<int, 3> a{1, 2, 3};
  pool.parallel_for(a, [](int& x) { x = -x; });
  CHECK(v[4999] == 9998);
  CHECK(d[0] == 0);
  CHECK(d[4999] == 9999);
  CHECK(a == std::array<int, 3>{-1, -2, -3});
}

TEST_CASE("participants index sums without a lock: none is shared by two bodies at once",
          "[loop]") {
  workpool::pool pool(Workers(0, 4));
  struct alignas(64) Slot {
    std::uint64_t sum = 0;
    std::atomic<int> users{0};
  };
  std::vector<Slot> slots(pool.participants());
  std::atomic<int> shared{0};
  pool.parallel_for(0, 100'000, [&](int i, std::uint32_t participant) {
    Slot& slot = slots.at(participant);
    if (slot.users.fetch_add(1) != 0) ++shared;
    slot.sum += static_cast<std::uint64_t>(i);
    slot.users.fetch_sub(1);
  });
  std::uint64_t sum = 0;
  for (const Slot& slot : slots) sum += slot.sum;
  CHECK(sum == 4'999'950'000u);
  CHECK(shared == 0);
}

TEST_CASE("participants_max = 1: the bodies follow one another", "[loop]") {
  workpool::pool pool(Workers(0, 4));
  std::atomic<int> inside{0};
  std::atomic<int> overlaps{0};
  pool.parallel_for(
      0, 1000,
      [&](int, std::uint32_t participant) {
        if (++inside != 1 || participant != 0) ++overlaps;
        --inside;
      },
      workpool::loop_options{1, 1});
  CHECK(overlaps == 0);
}

TEST_CASE("pieces begin at multiples of the grain and are never longer", "[loop]") {
  workpool::pool pool;
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> sum{0};
  pool.parallel_pieces(
      1000,
      [&](std::uint64_t b, std::uint64_t e) {
        if (b % 64 != 0 || e - b > 64 || e > 1000) ++wrong;
        sum += e - b;
      },
      workpool::loop_options{64, 0});
  CHECK(wrong == 0);
  CHECK(sum == 1000);
}

TEST_CASE("F1: a body's exception reaches the caller, and the rest is skipped", "[loop]") {
  workpool::pool pool;
  std::atomic<int> calls{0};
  const auto run = [&] {
    pool.parallel_for(
        0, 1'000'000,
        [&](int i) {
          ++calls;
          if (i == 10) throw std::logic_error("ten");
        },
        workpool::loop_options{1, 0});
  };
  CHECK_THROWS_WITH(run(), "ten");
  CHECK(calls < 1'000'000);
  std::atomic<int> after{0};
  pool.parallel_for(0, 100, [&](int) { ++after; });
  CHECK(after == 100);
}

TEST_CASE("of many throwing bodies the caller gets exactly one exception", "[loop]") {
  workpool::pool pool;
  for (int round = 0; round < 50; ++round) {
    CHECK_THROWS_AS(pool.parallel_for(
                        0, 64, [](int i) { throw i; }, workpool::loop_options{1, 0}),
                    int);
  }
}

TEST_CASE("loops nest in loops and in tasks, also with one worker", "[loop]") {
  workpool::pool pool(Workers(1, 1));
  std::vector<std::atomic<int>> cells(50 * 50);
  pool.parallel_for(0, 50, [&](int row) {
    pool.parallel_for(0, 50,
                      [&](int column) { ++cells[static_cast<std::size_t>(row * 50 + column)]; });
  });
  auto inside = pool.submit(
      [&] { pool.parallel_for(0, 2500, [&](int i) { ++cells[static_cast<std::size_t>(i)]; }); });
  inside.get();
  int wrong = 0;
  for (const std::atomic<int>& n : cells) wrong += n != 2;
  CHECK(wrong == 0);
}

TEST_CASE("a nested loop's exception passes through both loops", "[loop]") {
  workpool::pool pool;
  const auto run = [&] {
    pool.parallel_for(0, 8, [&](int i) {
      pool.parallel_for(0, 8, [&](int j) {
        if (i == 3 && j == 5) throw std::runtime_error("3, 5");
      });
    });
  };
  CHECK_THROWS_WITH(run(), "3, 5");
}

TEST_CASE("a loop runs on the caller's thread when no worker is free", "[loop]") {
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  std::atomic<int> calls{0};
  const std::thread::id caller = std::this_thread::get_id();
  pool.parallel_for(0, 100, [&](int) { calls += std::this_thread::get_id() == caller; });
  CHECK(calls == 100);
}
