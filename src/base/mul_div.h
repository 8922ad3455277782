// Arithmetic on uint64_t that does not overflow: sums that saturate, and (a * b + add) / c.
// The portable form serves machines without 128-bit integers (32-bit ARM). It is always compiled, so that tests can
// compare the two.
#pragma once

#include <algorithm>
#include <cstdint>

namespace workpool {

constexpr uint64_t AddSaturated(uint64_t a, uint64_t b) { return a + std::min(b, UINT64_MAX - a); }

struct Product {
  uint64_t high, low;
};

constexpr Product Multiply(uint64_t a, uint64_t b) {
  constexpr uint64_t kHalf = UINT32_MAX;
  const uint64_t low = (a & kHalf) * (b & kHalf);
  // No sum overflows: (2^32 - 1)^2 + 2 * (2^32 - 1) == 2^64 - 1.
  const uint64_t left = (a >> 32) * (b & kHalf) + (low >> 32);
  const uint64_t right = (a & kHalf) * (b >> 32) + (left & kHalf);
  return {(a >> 32) * (b >> 32) + (left >> 32) + (right >> 32), (right << 32) | (low & kHalf)};
}

struct Quotient {
  uint64_t quotient, remainder;  // the first saturates at UINT64_MAX, the second is right even then
};

// (a * b + add) / c, one bit at a time; c is not 0.
constexpr Quotient MulDivPortable(uint64_t a, uint64_t b, uint64_t c, uint64_t add = 0) {
  Product sum = Multiply(a, b);
  sum.low += add;
  if (sum.low < add) ++sum.high;
  if (sum.high == 0) return {sum.low / c, sum.low % c};
  uint64_t quotient = 0, remainder = sum.high % c;
  for (int bit = 63; bit >= 0; --bit) {
    const bool carry = remainder >> 63 != 0;
    remainder = (remainder << 1) | ((sum.low >> bit) & 1);
    quotient <<= 1;
    if (carry || remainder >= c) {
      remainder -= c;
      ++quotient;
    }
  }
  return {sum.high >= c ? UINT64_MAX : quotient, remainder};
}

constexpr Quotient MulDiv(uint64_t a, uint64_t b, uint64_t c, uint64_t add = 0) {
#if defined(__SIZEOF_INT128__)
  __extension__ typedef unsigned __int128 Uint128;
  const Uint128 sum = Uint128{a} * b + add, quotient = sum / c;
  const auto remainder = static_cast<uint64_t>(sum - quotient * c);
  return {static_cast<uint64_t>(std::min(quotient, Uint128{UINT64_MAX})), remainder};
#else
  return MulDivPortable(a, b, c, add);
#endif
}

}  // namespace workpool
