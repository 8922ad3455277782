#include "dispatch/token_bucket.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/futex.h"
#include "base/mul_div.h"
#include "base/random.h"

namespace workpool {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kHour = 3600 * kSecond;
constexpr uint64_t kYears50 = 50 * 365 * 24 * kHour;
constexpr uint64_t kStart = 12'345;  // the time is not 0 when a bucket is made
// More than this is not counted one by one.
constexpr uint64_t kTakesMax = 20'000;

// Takes until there is none, at most kTakesMax.
uint64_t TakeAll(TokenBucket& bucket, uint64_t now_ns) {
  uint64_t taken = 0;
  while (taken < kTakesMax && bucket.TryTake(now_ns)) ++taken;
  return taken;
}

// A bucket without a token, whatever its burst.
TokenBucket Empty(Rate rate, uint64_t now_ns) {
  TokenBucket bucket({rate.count, rate.period_ns, 1}, now_ns);
  (void)bucket.TryTake(now_ns);
  bucket.SetRate(rate, now_ns);
  return bucket;
}

std::string TextOf(const Rate& rate) {
  return std::to_string(rate.count) + " in " + std::to_string(rate.period_ns) + " ns, burst " +
         std::to_string(rate.burst);
}

const std::vector<Rate> kRates = {
    {1, kHour},
    {1, 60 * kSecond},
    {1, kSecond},
    {3, kSecond},
    {1000, kSecond},
    {999'999'937, kSecond},
    {1'000'000'000, kSecond},
};
const std::vector<uint64_t> kBursts = {1, 2, 1000, uint64_t{1} << 31};

TEST_CASE("H6: an empty bucket earns rate times time, up to its burst, whatever they are",
          "[token_bucket]") {
  for (Rate rate : kRates) {
    for (uint64_t burst : kBursts) {
      rate.burst = burst;
      for (uint64_t idle_ns : {uint64_t{0}, kHour, 24 * kHour, kYears50}) {
        INFO(TextOf(rate) << ", idle " << idle_ns);
        TokenBucket bucket = Empty(rate, kStart);
        REQUIRE_FALSE(bucket.TryTake(kStart));
        const uint64_t earned =
            idle_ns / rate.period_ns * rate.count;  // every period divides an hour
        CHECK(TakeAll(bucket, kStart + idle_ns) == std::min({earned, burst, kTakesMax}));
      }
    }
  }
}

TEST_CASE("H6: the k-th token comes exactly when it is earned, without drift", "[token_bucket]") {
  for (Rate rate : kRates) {
    rate.burst = 3;
    INFO(TextOf(rate));
    TokenBucket bucket(rate, kStart);
    REQUIRE(TakeAll(bucket, kStart) == 3);
    for (uint64_t k = 1; k <= 5000; ++k) {
      // ceil(k * period / count); at most 1.8e16.
      const uint64_t due_ns = kStart + (k * rate.period_ns + rate.count - 1) / rate.count;
      TokenBucket early = bucket;
      REQUIRE_FALSE(early.TryTake(due_ns - 1));
      REQUIRE(early.NextNs(due_ns - 1) == due_ns);
      REQUIRE(bucket.NextNs(due_ns) == due_ns);
      REQUIRE(bucket.TryTake(due_ns));
    }
  }
}

TEST_CASE("H6: asked at uneven times it gives all it has earned and no more", "[token_bucket]") {
  Random random(6);
  for (Rate rate : kRates) {
    for (uint64_t burst : {uint64_t{2}, uint64_t{7}}) {
      rate.burst = burst;
      INFO(TextOf(rate));
      TokenBucket bucket(rate, kStart);
      uint64_t now_ns = kStart, issued = TakeAll(bucket, now_ns);
      // In steps of at most one token, so that it is never full. (With a burst of 1 it is as soon as there is a token.)
      for (int i = 0; i < 20'000; ++i) {
        now_ns += random.Below64(rate.period_ns / rate.count + 1);
        issued += TakeAll(bucket, now_ns);
        const uint64_t earned = MulDiv(now_ns - kStart, rate.count, rate.period_ns).quotient;
        REQUIRE(issued <= earned + burst);
        REQUIRE(issued + 1 >= earned + burst);
      }
    }
  }
}

TEST_CASE("H6: extreme rates neither overflow nor lock up", "[token_bucket]") {
  struct Row {
    Rate rate;
    uint64_t wait_ns;  // for the token after the burst
  };
  for (const Row& row : {
           Row{{UINT64_MAX, 1, 1}, 1},
           Row{{UINT64_MAX, UINT64_MAX, 1}, 1},
           Row{{1, UINT64_MAX - kStart - 2, 1}, UINT64_MAX - kStart - 2},
           Row{{1, UINT64_MAX, 1}, kNever - 1 - kStart},  // at the end of time, not before
           Row{{1, 0, 1}, 1},
           Row{{1, 10, 0}, 10},
           Row{{3, 10, 1}, 4},
       }) {
    INFO(TextOf(row.rate));
    TokenBucket bucket(row.rate, kStart);
    CHECK(bucket.TryTake(kStart));
    CHECK_FALSE(bucket.TryTake(kStart));
    CHECK(bucket.NextNs(kStart) == kStart + row.wait_ns);
    CHECK(bucket.NextNs(UINT64_MAX - 1) == UINT64_MAX - 1);
  }
  // A burst that no one can take one by one.
  TokenBucket bucket = Empty({1, 1, UINT64_MAX}, 0);
  CHECK(TakeAll(bucket, 5) == 5);
  CHECK(TakeAll(bucket, UINT64_MAX) == kTakesMax);
}

TEST_CASE("H6: a full bucket saves no part of a token for later", "[token_bucket]") {
  TokenBucket bucket({1, 10, 2}, 0);
  CHECK(TakeAll(bucket, 19) == 2);
  CHECK(bucket.NextNs(19) == 29);
  // The second one back fills it: the 9 tenths that were earned meanwhile are gone.
  CHECK_FALSE(bucket.TryTake(28));
  bucket.GiveBack();
  bucket.GiveBack();
  bucket.GiveBack();
  CHECK(TakeAll(bucket, 28) == 2);
  CHECK(bucket.NextNs(28) == 38);
}

TEST_CASE("reservations come one after another, in debt too", "[token_bucket]") {
  TokenBucket bucket({2, 10, 2}, 100);
  const uint64_t due_ns[] = {100, 100, 105, 110, 115, 120};
  for (uint64_t due : due_ns) CHECK(bucket.Reserve(100) == due);
  CHECK(bucket.NextNs(100) == 125);
  // At 110 two of the four tokens of debt are paid.
  CHECK_FALSE(bucket.TryTake(110));
  CHECK(bucket.Reserve(110) == 125);
  CHECK_FALSE(bucket.TryTake(129));
  CHECK(bucket.TryTake(130));
}

TEST_CASE("what is given back goes to the next one, and never above the burst", "[token_bucket]") {
  TokenBucket bucket({1, 10, 1}, 0);
  bucket.GiveBack();
  CHECK(bucket.TryTake(0));
  CHECK_FALSE(bucket.TryTake(0));
  bucket.GiveBack();
  CHECK(bucket.TryTake(0));
  CHECK(bucket.Reserve(0) == 10);
  CHECK(bucket.Reserve(0) == 20);
  bucket.GiveBack();
  CHECK(bucket.Reserve(0) == 20);
}

TEST_CASE("H6: a reservation saturates before never", "[token_bucket]") {
  TokenBucket bucket({1, uint64_t{1} << 63, 1}, kStart);
  CHECK(bucket.Reserve(kStart) == kStart);
  CHECK(bucket.Reserve(kStart) == kStart + (uint64_t{1} << 63));
  for (int i = 0; i < 100; ++i) REQUIRE(bucket.Reserve(kStart) == kNever - 1);
  CHECK(bucket.NextNs(kStart) == kNever - 1);
}

TEST_CASE("H7: a clock that steps back neither floods nor locks out", "[token_bucket]") {
  for (Rate rate : kRates) {
    INFO(TextOf(rate));
    const uint64_t token_ns = (rate.period_ns + rate.count - 1) / rate.count;
    const uint64_t late_ns = kStart + 10 * kHour;
    for (uint64_t back_ns : {uint64_t{1}, kHour, late_ns}) {
      INFO("back by " << back_ns);
      TokenBucket bucket(rate, kStart);
      (void)TakeAll(bucket, late_ns);
      // However often the clock goes back and forth, time that was paid out is not paid out again.
      for (int i = 0; i < 100; ++i) {
        REQUIRE_FALSE(bucket.TryTake(late_ns - back_ns));
        REQUIRE_FALSE(bucket.TryTake(late_ns));
      }
      CHECK(bucket.NextNs(late_ns - back_ns) <= late_ns + token_ns);
      CHECK(bucket.TryTake(late_ns + token_ns));
    }
    TokenBucket full(rate, late_ns);
    CHECK(full.NextNs(0) == 0);
    CHECK(full.Reserve(0) == 0);
    CHECK(full.Reserve(0) == late_ns + token_ns);
  }
}

TEST_CASE("without a limit everything passes at once", "[token_bucket]") {
  TokenBucket bucket({}, kStart);
  CHECK(bucket.unlimited());
  CHECK(TakeAll(bucket, kStart) == kTakesMax);
  CHECK(bucket.Reserve(7) == 7);
  CHECK(bucket.NextNs(7) == 7);
  bucket.GiveBack();
  // Full when it gets a limit, and from then on.
  bucket.SetRate({1, 10, 3}, kStart + 1000);
  CHECK_FALSE(bucket.unlimited());
  CHECK(TakeAll(bucket, kStart + 1000) == 3);
  CHECK(bucket.NextNs(kStart + 1000) == kStart + 1010);
  for (int i = 0; i < 5; ++i) (void)bucket.Reserve(kStart + 1000);
  bucket.SetRate({}, kStart + 1000);
  CHECK(bucket.Reserve(kStart + 1000) == kStart + 1000);
  bucket.SetRate({1, 10, 3}, kStart + 1000);
  CHECK(TakeAll(bucket, kStart + 1000) == 3);
}

TEST_CASE("a new rate keeps tokens, debt and the part of a token", "[token_bucket]") {
  SECTION("tokens, cut by a smaller burst, not filled by a larger one") {
    TokenBucket bucket({1, 10, 5}, 0);
    bucket.SetRate({1, 10, 3}, 0);
    bucket.SetRate({1, 10, 100}, 0);
    CHECK(TakeAll(bucket, 0) == 3);
  }
  SECTION("debt") {
    TokenBucket bucket({1, 10, 1}, 0);
    for (uint64_t i = 0; i < 4; ++i) CHECK(bucket.Reserve(0) == i * 10);
    bucket.SetRate({1, 100, 7}, 0);
    CHECK(bucket.Reserve(0) == 400);
  }
  SECTION("time before the change counts at the old rate") {
    TokenBucket bucket({1, 10, 100}, 0);
    CHECK(TakeAll(bucket, 0) == 100);
    bucket.SetRate({1, 1, 100}, 50);
    CHECK(TakeAll(bucket, 50) == 5);
  }
  SECTION("the part of a token, whatever it is counted in") {
    TokenBucket bucket({1, 10, 1}, 0);
    CHECK(bucket.TryTake(0));
    bucket.SetRate({1, 1000, 1}, 9);
    CHECK(bucket.NextNs(9) == 109);
    bucket.SetRate({1000, 1000, 1}, 9);
    CHECK(bucket.NextNs(9) == 10);
  }
  SECTION("changing it for ever gives no tokens") {
    TokenBucket bucket({1, 10, 1}, 0);
    CHECK(bucket.TryTake(0));
    for (int i = 0; i < 1000; ++i)
      bucket.SetRate({1, uint64_t{10} + static_cast<uint64_t>(i % 7), 1}, 5);
    CHECK_FALSE(bucket.TryTake(9));
    CHECK(bucket.TryTake(20));
  }
}

#if defined(__SIZEOF_INT128__)
// The same bucket as one exact number: tokens in units of 1 / period.
class Model {
 public:
  Model(Rate rate, uint64_t now_ns) : rate_(rate), last_ns_(now_ns), level_(Capacity()) {}

  bool TryTake(uint64_t now_ns) {
    Earn(now_ns);
    if (level_ < Token()) return false;
    level_ -= Token();
    return true;
  }
  uint64_t Reserve(uint64_t now_ns) {
    Earn(now_ns);
    level_ -= Token();
    return level_ >= 0 ? now_ns : When(-level_);
  }
  void GiveBack() { level_ = std::min(level_ + Token(), Capacity()); }
  uint64_t NextNs(uint64_t now_ns) {
    Earn(now_ns);
    return level_ >= Token() ? now_ns : When(Token() - level_);
  }

 private:
  __extension__ typedef __int128 Int128;
  Int128 Token() const { return Int128{rate_.period_ns}; }
  Int128 Capacity() const { return Token() * rate_.burst; }
  void Earn(uint64_t now_ns) {
    if (now_ns <= last_ns_) return;
    level_ = std::min(level_ + Int128{now_ns - last_ns_} * rate_.count, Capacity());
    last_ns_ = now_ns;
  }
  uint64_t When(Int128 lacking) const {
    const Int128 when = (lacking + rate_.count - 1) / rate_.count + last_ns_;
    return static_cast<uint64_t>(std::min(when, Int128{kNever - 1}));
  }

  Rate rate_;
  uint64_t last_ns_;
  Int128 level_;  // below 0: debt
};

TEST_CASE("H6, H7: any sequence of calls gives what exact numbers give", "[token_bucket]") {
  Random random(20180101);
  // Up to 2^bits, small ones as likely as large ones.
  const auto any = [&](uint32_t bits) { return random.Below64(uint64_t{2} << random.Below(bits)); };
  for (int round = 0; round < 2000; ++round) {
    const Rate rate = {1 + any(34), 1 + any(46), 1 + (round % 2 == 0 ? any(3) : any(31))};
    INFO("round " << round << ": " << TextOf(rate));
    uint64_t now_ns = any(60);
    TokenBucket bucket(rate, now_ns);
    Model model(rate, now_ns);
    const uint64_t token_ns = rate.period_ns / rate.count;
    for (int i = 0; i < 100; ++i) {
      switch (random.Below(8)) {
        case 0:
          now_ns += any(54);
          break;
        case 1:
          now_ns -= std::min(now_ns, any(40));
          break;
        default:
          now_ns += random.Below64(2 * token_ns + 2);
      }
      switch (random.Below(6)) {
        case 0:
          bucket.GiveBack();
          model.GiveBack();
          break;
        case 1:
          REQUIRE(bucket.Reserve(now_ns) == model.Reserve(now_ns));
          break;
        case 2:
          REQUIRE(bucket.NextNs(now_ns) == model.NextNs(now_ns));
          break;
        default:
          REQUIRE(bucket.TryTake(now_ns) == model.TryTake(now_ns));
      }
    }
  }
}
#endif

}  // namespace
}  // namespace workpool
