#include "stats/histogram.h"

namespace workpool {

uint64_t Quantile(const uint64_t (&sums)[Histogram::kBuckets], double q) {
  uint64_t total = 0;
  for (uint64_t count : sums) total += count;
  if (total == 0) return 0;
  const double rank = q * static_cast<double>(total);
  uint64_t below = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    below += sums[i];
    if (static_cast<double>(below) >= rank) return Histogram::UpperBound(i);
  }
  return Histogram::UpperBound(Histogram::kBuckets - 1);
}

}  // namespace workpool
