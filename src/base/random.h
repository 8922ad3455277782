// Small fast random numbers for choosing victims and spreading delays: xorshift64* (Vigna, 2016). Not for secrets.
#pragma once

#include <cstdint>

#include "base/mul_div.h"

namespace workpool {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u | 1) {}

  uint32_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
  }

  // Uniform in [0, bound) to within 2^-32 (Lemire's multiply-shift).
  uint32_t Below(uint32_t bound) {
    return static_cast<uint32_t>((uint64_t{Next()} * bound) >> 32);
  }

  // The same for bounds beyond 32 bits, to within 2^-63.
  uint64_t Below64(uint64_t bound) {
    const uint64_t high = uint64_t{Next()} << 31;
    return MulDiv(high | (Next() >> 1), bound, uint64_t{1} << 63).quotient;
  }

 private:
  uint64_t state_;
};

}  // namespace workpool
