#include "scaling/season.h"

#include <algorithm>
#include <cmath>

#include "scaling/civil_day.h"
#include "scaling/signals.h"

namespace workpool {
namespace {

constexpr uint64_t kNsInS = 1'000'000'000;

}  // namespace

Season::Season(const SeasonOptions& options)
    : period_s_(std::max<int64_t>(std::llround(options.period_s), 1)),
      buckets_(static_cast<uint32_t>(
          std::clamp(options.buckets, 1.0, static_cast<double>(std::min<int64_t>(kBucketsMax, period_s_))))),
      learn_(static_cast<float>(options.learn)),
      lookahead_(std::min(static_cast<uint32_t>(options.lookahead), buckets_ - 1)) {
  std::fill_n(learned_, kBucketsMax, kUnknown);
}

// The k-th bucket of a period begins at the first whole second at or after k / buckets of it.
int64_t Season::BucketAt(int64_t wall_s) const {
  const int64_t period = FloorDiv(wall_s, period_s_);
  return period * buckets_ + (wall_s - period * period_s_) * buckets_ / period_s_;
}

uint32_t Season::IndexOf(int64_t bucket) const {
  return static_cast<uint32_t>(bucket - FloorDiv(bucket, buckets_) * buckets_);
}

void Season::Learn(int64_t bucket, uint32_t most) {
  float& learned = learned_[IndexOf(bucket)];
  const auto value = static_cast<float>(most);
  learned = learned < 0 ? value : learned + learn_ * (value - learned);
}

uint32_t Season::FloorOf(int64_t bucket) const {
  float most = 0;
  for (uint32_t i = 0; i <= lookahead_; ++i) most = std::max(most, learned_[IndexOf(bucket + i)]);
  return static_cast<uint32_t>(std::lround(most));
}

Floor::Level Season::At(const LoadSample& sample) {
  constexpr int64_t kWallMaxS = 100'000'000'000;
  const int64_t wall_s = std::clamp(sample.wall_s, -kWallMaxS, kWallMaxS);
  const int64_t now = BucketAt(wall_s);
  if (any_ && now != bucket_) {
    Learn(bucket_, most_);
    // Nobody has looked since, so nothing has changed since the last look. A clock that was set back tells nothing.
    const int64_t passed = std::min<int64_t>(now - bucket_, buckets_);
    for (int64_t i = 1; i < passed; ++i) Learn(now - i, busy_);
    most_ = 0;
    found_ = false;
  }
  any_ = true;
  bucket_ = now;
  busy_ = Active(sample);
  most_ = std::max(most_, busy_);

  if (!found_) Find();
  uint64_t again_ns = kNever;
  if (until_s_ != INT64_MAX) again_ns = TimeAfter(sample.now_ns, static_cast<uint64_t>(until_s_ - wall_s) * kNsInS);
  if (learned_any_ || most_ > 0) {
    const uint64_t bucket_ns = static_cast<uint64_t>(period_s_) * kNsInS / buckets_;
    again_ns = std::min(again_ns, TimeAfter(sample.now_ns, bucket_ns / kLooks));
  }
  return {floor_, again_ns};
}

void Season::Find() {
  found_ = true;
  floor_ = FloorOf(bucket_);
  until_s_ = INT64_MAX;
  learned_any_ = floor_ > 0;
  for (int64_t next = bucket_ + 1; next <= bucket_ + buckets_; ++next) {
    if (FloorOf(next) == floor_) continue;
    learned_any_ = true;
    const int64_t period = FloorDiv(next, buckets_);
    until_s_ = period * period_s_ + ((next - period * buckets_) * period_s_ + buckets_ - 1) / buckets_;
    return;
  }
}

}  // namespace workpool
