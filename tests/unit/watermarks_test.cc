#include "stats/watermarks.h"

#include <catch2/catch.hpp>
#include <vector>

#include "unit_support.h"

namespace workpool {
namespace {

// What is told when so many wait: 1 above, 0 below, nothing where it is not a change.
std::vector<int> Told(Watermarks& marks, const std::vector<uint64_t>& waiting) {
  std::vector<int> told;
  for (const uint64_t count : waiting) {
    if (!marks.Note(count)) continue;
    bool above = false;
    if (marks.Take(&above)) told.push_back(above ? 1 : 0);
  }
  return told;
}

TEST_CASE("without a high mark watermarks are off", "[watermarks]") {
  CHECK_FALSE(Watermarks(0, 0).on());
  CHECK(Watermarks(1, 0).on());
}

TEST_CASE("above begins at the high mark and ends at the low one, each told once", "[watermarks]") {
  struct Row {
    const char* what;
    uint64_t high, low;
    std::vector<uint64_t> waiting;
    std::vector<int> told;
  };
  const Row rows[] = {
      {"never that many", 10, 5, {0, 9, 5, 9, 0}, {}},
      {"exactly that many", 10, 5, {9, 10}, {1}},
      {"far more at once", 10, 5, {UINT64_MAX}, {1}},
      {"told once on the way up", 10, 5, {10, 11, 12, 10}, {1}},
      {"between the two nothing changes", 10, 5, {10, 9, 6, 9, 10, 6}, {1}},
      {"at the low mark", 10, 5, {10, 6, 5, 4, 0}, {1, 0}},
      {"up and down", 10, 5, {10, 5, 9, 10, 0, 10}, {1, 0, 1, 0, 1}},
      {"all must go", 3, 0, {3, 1, 0, 3, 1}, {1, 0, 1}},
      {"one is many", 1, 0, {0, 1, 0, 1, 0}, {1, 0, 1, 0}},
      {"neighbours", 10, 9, {9, 10, 9, 10}, {1, 0, 1}},
      {"the largest numbers", UINT64_MAX, UINT64_MAX - 1, {UINT64_MAX - 1, UINT64_MAX, UINT64_MAX - 1}, {1, 0}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Watermarks marks(row.high, row.low);
    CHECK(Told(marks, row.waiting) == row.told);
  }
}

TEST_CASE("nothing is told before it was noted", "[watermarks]") {
  Watermarks marks(2, 1);
  bool above = true;
  CHECK_FALSE(marks.Take(&above));
  CHECK_FALSE(above);
}

TEST_CASE("changes that nobody told of meanwhile are told as one, or not at all", "[watermarks]") {
  Watermarks marks(10, 5);
  bool above = false;
  CHECK(marks.Note(10));
  CHECK(marks.Note(5));
  CHECK_FALSE(marks.Take(&above));  // as it was
  CHECK(marks.Note(10));
  CHECK(marks.Note(0));
  CHECK(marks.Note(11));
  CHECK(marks.Take(&above));
  CHECK(above);
  CHECK_FALSE(marks.Take(&above));
}

TEST_CASE("of threads that note a change one is to have it told, and the last one is told", "[watermarks]") {
  const uint64_t rounds = workpool_test::Rounds(100'000);
  Watermarks marks(2, 0);
  std::atomic<uint64_t> waiting{0};
  std::atomic<bool> look{false};
  std::atomic<bool> over{false};
  std::vector<bool> told;
  // As the service thread does: looks after somebody has said that there is a change.
  const auto tell = [&] {
    bool above = false;
    if (look.exchange(false) && marks.Take(&above)) told.push_back(above);
  };
  const auto come_and_go = [&] {
    for (uint64_t i = 0; i < rounds; ++i) {
      if (marks.Note(waiting.fetch_add(1) + 1)) look = true;
      if (marks.Note(waiting.fetch_sub(1) - 1)) look = true;
    }
  };
  {
    ScopedThread teller([&] {
      while (!over) tell();
    });
    ScopedThread one(come_and_go);
    ScopedThread two(come_and_go);
    one.Join();
    two.Join();
    over = true;
  }
  tell();
  size_t repeated = 0;
  for (size_t i = 0; i < told.size(); ++i) repeated += told[i] == (i % 2 == 0) ? 0 : 1;
  CHECK(repeated == 0);
}

}  // namespace
}  // namespace workpool
