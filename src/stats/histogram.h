// Latency histogram with one writer: 16 buckets to each power of two, so that a bucket's upper bound is
// within 6.25 % of what it holds. (The log-linear layout of HdrHistogram, G. Tene.)
// Threads: Record: the owner.  AddTo: any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/atomic.h"

namespace workpool {

class Histogram {
 public:
  static constexpr uint32_t kSubBits = 4;
  static constexpr uint32_t kTopBit = 42;  // 2^42 ns are 73 minutes; longer ones share the last bucket
  static constexpr size_t kBuckets = ((kTopBit - kSubBits + 1) << kSubBits);

  static constexpr size_t BucketOf(uint64_t value_ns) {
    if (value_ns >> kTopBit != 0) return kBuckets - 1;
    if (value_ns < (1u << kSubBits)) return static_cast<size_t>(value_ns);
    const uint32_t shift = static_cast<uint32_t>(std::bit_width(value_ns)) - 1 - kSubBits;
    return (size_t{shift} << kSubBits) + static_cast<size_t>(value_ns >> shift);
  }

  // The largest value of a bucket.
  static constexpr uint64_t UpperBound(size_t bucket) {
    if (bucket < (1u << kSubBits)) return bucket;
    const uint32_t shift = static_cast<uint32_t>(bucket >> kSubBits) - 1;
    const uint64_t low = (bucket & ((1u << kSubBits) - 1)) | (1u << kSubBits);
    return ((low + 1) << shift) - 1;
  }

  void Record(uint64_t value_ns) {
    Atomic<uint32_t>& bucket = counts_[BucketOf(value_ns)];
    bucket.store(bucket.load(kRelaxed) + 1, kRelaxed);
  }

  void AddTo(uint64_t (&sums)[kBuckets]) const {
    for (size_t i = 0; i < kBuckets; ++i) sums[i] += counts_[i].load(kRelaxed);
  }

 private:
  Atomic<uint32_t> counts_[kBuckets] = {};
};

// The q-quantile of summed buckets, 0 < q <= 1; 0 if they are empty.
uint64_t Quantile(const uint64_t (&sums)[Histogram::kBuckets], double q);

}  // namespace workpool
