#include "base/mul_div.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace workpool {
namespace {

constexpr uint64_t kMax = UINT64_MAX;
constexpr uint64_t kBit32 = uint64_t{1} << 32;
constexpr uint64_t kBit63 = uint64_t{1} << 63;

// Any number of bits, so that small and large ones meet; often next to a power of two.
uint64_t AnyNumber(Random& random) {
  const uint64_t bits = random.Below64(kMax) | kBit63;
  const uint64_t value = bits >> random.Below(64);
  switch (random.Below(4)) {
    case 0:
      return value & (~value + 1);  // the lowest bit alone
    case 1:
      return (value & (~value + 1)) - 1;
    default:
      return value;
  }
}

TEST_CASE("a sum saturates instead of overflowing", "[base]") {
  CHECK(AddSaturated(0, 0) == 0);
  CHECK(AddSaturated(kMax - 1, 1) == kMax);
  CHECK(AddSaturated(kMax, 1) == kMax);
  CHECK(AddSaturated(1, kMax) == kMax);
  CHECK(AddSaturated(kMax, kMax) == kMax);
  CHECK(AddSaturated(kBit63, kBit63 - 1) == kMax);
}

TEST_CASE("quotients of what is beyond 64 bits are right", "[base]") {
  struct Row {
    uint64_t a, b, c, add, quotient, remainder;
  };
  for (const Row& row : {
           Row{0, 0, 1, 0, 0, 0},
           Row{7, 3, 4, 0, 5, 1},
           Row{7, 3, 4, 3, 6, 0},
           Row{kMax, 1, 1, 0, kMax, 0},
           Row{kMax, kMax, kMax, 0, kMax, 0},
           Row{kMax, kMax, kMax, kMax - 1, kMax, kMax - 1},
           Row{kBit63, 2, 3, 0, 6148914691236517205u, 1},
           Row{kBit63, 4, kBit63, 0, 4, 0},
           Row{kBit63, 4, kBit63 + 1, 0, 3,
               kBit63 - 3},  // the remainder grows past 64 bits on the way
           Row{kBit32, kBit32, kMax, 0, 1, 1},
           Row{kMax, 2, kMax, kMax, 3, 0},
           Row{1'576'800'000'000'000'000, 1'000'000'000, 1'000'000'000, 0,
               1'576'800'000'000'000'000, 0},
           // Saturated; the remainder is right all the same.
           Row{kMax, kMax, 1, kMax, kMax, 0},
           Row{kMax, 4, 3, 0, kMax, 0},
           Row{kBit63, 2, 1, 0, kMax, 0},
           Row{kBit63, 16, 5, 0, kMax, 3},
       }) {
    INFO("(" << row.a << " * " << row.b << " + " << row.add << ") / " << row.c);
    const Quotient wide = MulDiv(row.a, row.b, row.c, row.add);
    const Quotient portable = MulDivPortable(row.a, row.b, row.c, row.add);
    for (const Quotient& got : {wide, portable}) {
      CHECK(got.quotient == row.quotient);
      CHECK(got.remainder == row.remainder);
    }
  }
  CHECK(Multiply(kMax, kMax).high == kMax - 1);
  CHECK(Multiply(kMax, kMax).low == 1);
  static_assert(MulDiv(kMax, 2, 4).quotient == kBit63 - 1 &&
                MulDivPortable(kMax, 2, 4).remainder == 2);
}

TEST_CASE("with and without 128-bit integers the results are the same", "[base]") {
  Random random(20120730);
  for (int i = 0; i < 300'000; ++i) {
    const uint64_t a = AnyNumber(random), b = AnyNumber(random), add = AnyNumber(random);
    const uint64_t c = AnyNumber(random) | (i % 2 == 0 ? 1 : kBit63);
    INFO("(" << a << " * " << b << " + " << add << ") / " << c);
    const Quotient quotient = MulDiv(a, b, c, add), portable = MulDivPortable(a, b, c, add);
    REQUIRE(quotient.quotient == portable.quotient);
    REQUIRE(quotient.remainder == portable.remainder);
    // The way back, modulo 2^64, where the quotient is whole.
    REQUIRE(quotient.remainder < c);
    if (quotient.quotient == kMax) continue;
    REQUIRE(quotient.quotient * c + quotient.remainder == a * b + add);
  }
}

}  // namespace
}  // namespace workpool
