#include "task/backoff.h"

#include <algorithm>
#include <bit>

#include "base/mul_div.h"

namespace workpool {
namespace {

constexpr int kPointBits = 62;

// mantissa * 2^(exponent - kPointBits), with mantissa in [2^62, 2^63). Not floating point, because the result has to
// hold a whole uint64_t, and to be the same on every machine.
struct Power {
  uint64_t mantissa;
  int exponent;
};

// factor_percent / 100, at least 1.
Power PowerOf(uint32_t factor_percent) {
  const int exponent = static_cast<int>(std::bit_width(factor_percent / 100)) - 1;
  return {MulDiv(factor_percent, uint64_t{1} << (kPointBits - exponent), 100).quotient, exponent};
}

Power Times(const Power& a, const Power& b) {
  constexpr uint64_t kOne = uint64_t{1} << kPointBits;
  // Below 2^64: each factor is below 2 in units of kOne.
  const uint64_t product = MulDiv(a.mantissa, b.mantissa, kOne).quotient;
  const int carry = static_cast<int>(product >> 63);
  return {product >> carry, a.exponent + b.exponent + carry};
}

// Uniform in [0, most]; all but the largest one if most is UINT64_MAX.
uint64_t UpTo(uint64_t most, Random& random) { return random.Below64(std::max(most + 1, most)); }

}  // namespace

uint64_t BackoffCeiling(const Backoff& backoff, uint64_t attempt) {
  const uint64_t first_ns = std::min(backoff.first_ns, backoff.max_ns);
  if (attempt <= 1 || backoff.factor_percent <= 100 || first_ns == 0) return first_ns;
  // Squares and multiplies. A square that is still to be used only adds to the result, so at 2^64 it is over: after 13
  // rounds even for a factor of 1.01.
  Power square = PowerOf(backoff.factor_percent);
  Power power = PowerOf(100);
  for (uint64_t left = attempt - 1; left != 0; left >>= 1) {
    if (square.exponent >= 64) return backoff.max_ns;
    if ((left & 1) != 0) power = Times(power, square);
    square = Times(square, square);
  }
  if (power.exponent >= 64) return backoff.max_ns;
  const uint64_t one = uint64_t{1} << (63 - power.exponent);
  const uint64_t delay_ns = MulDiv(first_ns, power.mantissa << 1, one, one / 2).quotient;
  return std::min(delay_ns, backoff.max_ns);
}

uint64_t BackoffDelay(const Backoff& backoff, uint64_t attempt, Random& random) {
  const uint64_t ceiling_ns = BackoffCeiling(backoff, attempt);
  switch (backoff.jitter) {
    case Jitter::kFull:
      return UpTo(ceiling_ns, random);
    case Jitter::kEqual:
      return ceiling_ns - UpTo(ceiling_ns / 2, random);
    case Jitter::kNone:
      break;
  }
  return ceiling_ns;
}

}  // namespace workpool
