// Small fast random numbers for choosing victims: xorshift64* (Vigna, 2016). Not for secrets.
#pragma once

#include <cstdint>

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

 private:
  uint64_t state_;
};

}  // namespace workpool
