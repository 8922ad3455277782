#include "scaling/season.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "scaling_support.h"

namespace workpool {
namespace {

constexpr int64_t kMidnight = 86'400 * 19'000;

Floor::Level At(Season& season, int64_t wall_s, uint32_t active) {
  LoadSample sample = Load{.live = active, .active = active};
  sample.wall_s = wall_s;
  return season.At(sample);
}

// Days in which 20 are at work from nine to ten, and 2 else; a look every minute.
void LiveThrough(Season& season, int64_t* wall_s, int days, uint32_t high = 20) {
  for (const int64_t end_s = *wall_s + days * 86'400; *wall_s < end_s; *wall_s += 60) {
    const int64_t hour = *wall_s % 86'400 / 3600;
    (void)At(season, *wall_s, hour == 9 ? high : 2);
  }
}

std::string Saved(const Season& season) {
  std::string text(season.Save(nullptr, 0) + 1, ' ');
  CHECK(season.Save(text.data(), text.size()) + 1 == text.size());
  text.pop_back();
  return text;
}

TEST_CASE("a season has no floor before it has learned one", "[scaling]") {
  Season season({});
  const Floor::Level level = At(season, kMidnight, 50);
  CHECK(level.workers == 0);
  // There is something to learn, and when there is nothing any more it need not be asked.
  CHECK(level.again_ns == 1000 * kSecond + 37'500 * kMs);
  Season idle({});
  CHECK(At(idle, kMidnight, 0).again_ns == kNever);
}

TEST_CASE("a season's floor is what the same time of day has needed, a bucket early", "[scaling]") {
  Season season({});
  int64_t wall_s = kMidnight;
  LiveThrough(season, &wall_s, 1);
  const auto floor_at = [&](int64_t hour, int64_t minute, int64_t second) {
    Season copy({});
    REQUIRE(copy.Load(Saved(season).c_str()) == POOL_OK);
    return At(copy, wall_s + (hour * 60 + minute) * 60 + second, 0).workers;
  };
  CHECK(floor_at(8, 54, 59) == 2);
  CHECK(floor_at(8, 55, 0) == 20);
  CHECK(floor_at(9, 59, 59) == 20);
  CHECK(floor_at(10, 0, 0) == 2);
  // It asks to be asked when the floor will be another, and eight times in a bucket.
  const Floor::Level early = At(season, wall_s, 2);
  CHECK(early.workers == 2);
  CHECK(early.again_ns == 1000 * kSecond + 37'500 * kMs);
  CHECK(At(season, wall_s + (8 * 60 + 55) * 60 - 9, 0).again_ns == 1009 * kSecond);
}

TEST_CASE("later days count more, by the weight of the newest", "[scaling]") {
  Season season({.learn = 0.25});
  int64_t wall_s = kMidnight;
  LiveThrough(season, &wall_s, 1, 20);
  LiveThrough(season, &wall_s, 1, 40);
  CHECK(At(season, wall_s + 9 * 3600, 0).workers == 25);
  // And what is no longer needed is forgotten.
  LiveThrough(season, &wall_s, 30, 2);
  CHECK(At(season, wall_s + 9 * 3600, 0).workers == 2);
}

TEST_CASE("of a bucket the most counts, not the last", "[scaling]") {
  Season season({});
  for (uint32_t active : {3, 9, 1}) (void)At(season, kMidnight + active, active);
  (void)At(season, kMidnight + 300, 0);
  CHECK(At(season, kMidnight + 86'400, 0).workers == 9);
}

TEST_CASE("a time without a look counts as the last look before", "[scaling]") {
  Season season({.lookahead = 0});
  (void)At(season, kMidnight, 9);
  (void)At(season, kMidnight + 299, 4);
  // Three buckets later.
  (void)At(season, kMidnight + 1000, 0);
  const std::string text = Saved(season);
  CHECK(text == "season 1 86400 288\n900 400x2 -x285\n");
  // A clock that is set back, or far ahead, teaches no more than a period.
  (void)At(season, kMidnight - 5000, 0);
  (void)At(season, kMidnight + int64_t{86'400} * 36'500, 1);
  (void)At(season, INT64_MAX, 1);
  (void)At(season, INT64_MIN, 1);
}

TEST_CASE("each option of a season has its effect", "[scaling]") {
  const auto text_of = [](const SeasonOptions& options) {
    Season season(options);
    for (int64_t at_s = 0; at_s < 300; ++at_s) {
      (void)At(season, kMidnight + at_s, static_cast<uint32_t>((at_s * at_s % 17) + at_s / 50));
    }
    return Saved(season);
  };
  const SeasonOptions usual = {.period_s = 100, .buckets = 5, .learn = 0.5, .lookahead = 1};
  CHECK(text_of(usual) == text_of(usual));
  CHECK(text_of({.period_s = 50, .buckets = 5}) != text_of(usual));
  CHECK(text_of({.period_s = 100, .buckets = 10}) != text_of(usual));
  CHECK(text_of({.period_s = 100, .buckets = 5, .learn = 0.1}) != text_of(usual));
  for (const uint32_t lookahead : {0u, 1u, 3u}) {
    Season season({.period_s = 100, .buckets = 10, .lookahead = static_cast<double>(lookahead)});
    REQUIRE(season.Load("season 1 100 10\n0x5 700 0x4") == POOL_OK);
    for (uint32_t bucket = 0; bucket < 10; ++bucket) {
      const bool high = bucket <= 5 && bucket + lookahead >= 5;
      CHECK(At(season, 1000 + 10 * bucket, 0).workers == (high ? 7 : 0));
    }
  }
}

TEST_CASE("what a season has learned comes back from its text", "[scaling]") {
  Random random(4);
  for (int round = 0; round < 50; ++round) {
    const SeasonOptions options = {.period_s = static_cast<double>(100 + random.Below(10'000)),
                                   .buckets = static_cast<double>(1 + random.Below(2016)),
                                   .learn = 0.3};
    Season season(options);
    int64_t wall_s = kMidnight;
    for (int i = 0; i < 2000; ++i) {
      (void)At(season, wall_s, random.Below(4) == 0 ? random.Below(4096) : 3);
      wall_s += random.Below(30);
    }
    const std::string text = Saved(season);
    Season copy(options);
    REQUIRE(copy.Load(text.c_str()) == POOL_OK);
    CHECK(Saved(copy) == text);
    // In a buffer that is too small it ends with a NUL, and the length is told.
    std::vector<char> small(20, 'x');
    CHECK(season.Save(small.data(), small.size()) == text.size());
    CHECK(std::string(small.data()) == text.substr(0, 19));
  }
}

TEST_CASE("a text that is damaged is refused, and what was learned stays", "[scaling]") {
  const SeasonOptions options = {.period_s = 100, .buckets = 4};
  Season season(options);
  REQUIRE(season.Load("season 1 100 4\n100 200x2 -\n") == POOL_OK);
  const std::string good = Saved(season);
  for (const char* text :
       {"", "season", "season 2 100 4\n1 2 3 4", "season 1 101 4\n1 2 3 4", "season 1 100 5\n1 2 3 4 5",
        "season 1 100 4\n1 2 3", "season 1 100 4\n1 2 3 4 5", "season 1 100 4\n1 2 3 x", "season 1 100 4\n1x5",
        "season 1 100 4\n1x0 1x4", "season 1 100 4\n-1 2 3 4", "season 1 100 4\n409601 2 3 4",
        "season 1 100 4\n1x99999999999999999999", "season 1 100 4\n1x4x4", "seasons 1 100 4\n1x4",
        "season 1 100 4\nnan 1 1 1", "season 1 100 4\n--x4", "season 1 100 4\nx4"}) {
    INFO(text);
    CHECK(season.Load(text) == POOL_E_INVALID);
    CHECK(TextOf(POOL_E_INVALID).find("season") != std::string::npos);
    CHECK(Saved(season) == good);
  }
  CHECK(season.Load(nullptr) == POOL_E_INVALID);
}

TEST_CASE("no text makes a season crash", "[scaling]") {
  Random random(9);
  Season season({.period_s = 100, .buckets = 8});
  const std::string seed = "season 1 100 8\n100 200x2 -x3 409600 7\n";
  uint32_t taken = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text = seed;
    for (uint32_t edits = random.Below(4); edits > 0; --edits) {
      const uint32_t at = random.Below(static_cast<uint32_t>(text.size()));
      switch (random.Below(3)) {
        case 0:
          text[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          text.erase(at, 1 + random.Below(5));
          break;
        default:
          text.insert(at, 1, "0123456789x- \n"[random.Below(14)]);
      }
      if (text.empty()) text.assign(1, 'x');
    }
    if (season.Load(text.c_str()) == POOL_OK) ++taken;
    (void)At(season, round, random.Below(9));
  }
  CHECK(taken > 1000);
}

}  // namespace
}  // namespace workpool
