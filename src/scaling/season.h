// Season: a floor that is learned. Time is cut into periods, a day, and each period into buckets, five minutes. Of every
// bucket the most workers that were at work in it is remembered, as a mean over the periods in which later ones count more;
// the floor is what is remembered of this bucket and the next. So workers are up before the load comes that comes every day.
// Where its floor is enough no task waits, and nobody would look; so while there is something to learn or to forget it asks
// to be asked, eight times in a bucket. Days are those of UTC: where clocks change it learns the hour anew, over some days.
// What is learned outlives the process by Save and Load.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string_view>

#include "scaling/floor.h"

namespace workpool {

struct SeasonOptions {
  double period_s = 86'400;
  double buckets = 288;
  double learn = 0.5;      // the weight of the newest period
  double lookahead = 1;    // buckets
};

class Season final : public Floor {
 public:
  static constexpr uint32_t kBucketsMax = 2016;  // five minutes of a week

  // At least a second in each bucket.
  explicit Season(const SeasonOptions& options);

  [[nodiscard]] Level At(const LoadSample& sample) override;

  [[nodiscard]] size_t Save(char* out, size_t room) const override;
  [[nodiscard]] Status Load(const char* text) override;

 private:
  // A bucket that has never been.
  static constexpr float kUnknown = -1;
  static constexpr uint32_t kLooks = 8;

  // Buckets are counted from the epoch.
  [[nodiscard]] int64_t BucketAt(int64_t wall_s) const;
  [[nodiscard]] uint32_t IndexOf(int64_t bucket) const;
  void Learn(int64_t bucket, uint32_t most);
  [[nodiscard]] uint32_t FloorOf(int64_t bucket) const;
  void Find();

  const int64_t period_s_;
  const uint32_t buckets_;
  const float learn_;
  const uint32_t lookahead_;
  float learned_[kBucketsMax];
  bool any_ = false;
  int64_t bucket_ = 0;   // now
  uint32_t most_ = 0;    // in it, so far
  uint32_t busy_ = 0;    // at the last sample
  // What Find has found: the floor of the bucket, and when it will be another one.
  bool found_ = false;
  uint32_t floor_ = 0;
  int64_t until_s_ = 0;
  bool learned_any_ = false;  // there is a bucket with a floor
};

}  // namespace workpool
