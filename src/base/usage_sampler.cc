#include "base/usage_sampler.h"

#include <algorithm>

#include "base/process.h"

namespace workpool {

UsageSampler::UsageSampler(UsageSource source) : source_(source) {
  WatchFork();
  epoch_ = ForkEpoch();
}

UsageSampler::~UsageSampler() {
  FollowFork();
  while (count_ > 0) Drop(count_ - 1);
}

double UsageSampler::RunnableSeconds(int32_t tid, uint64_t now_ns, UsageMark* mark) {
  Usage now;
  bool kept = false;
  if (!Read(tid, now_ns, &now, &kept)) {
    *mark = {};
    return 0;
  }
  const uint64_t dt_ns = now_ns - std::min(now_ns, mark->at_ns);
  const double seconds = mark->known ? RunnableSecondsBetween(source_, mark->usage, now, dt_ns) : 0;
  *mark = {.usage = now, .at_ns = now_ns, .known = true, .kept = kept};
  return seconds;
}

void UsageSampler::Forget(int32_t tid) {
  FollowFork();
  const uint32_t at = Find(tid);
  if (at != kNowhere) Drop(at);
}

bool UsageSampler::Read(int32_t tid, uint64_t now_ns, Usage* out, bool* kept) {
  *kept = true;  // or it has none
  if (source_ == UsageSource::kCpuClock) return ReadUsage(source_, tid, out);
  FollowFork();
  uint32_t at = Find(tid);
  if (at == kNowhere) at = Keep(tid, now_ns);
  if (at != kNowhere) {
    used_ns_[at] = now_ns;
    const int fd = UsageFds::OfProcess()->fd(slots_[at]);
    if (ReadUsage(source_, fd, tid, out)) return true;
    // It has ended; its id may be another thread's by now.
    Drop(at);
  }
  *kept = false;
  return ReadUsage(source_, tid, out);
}

uint32_t UsageSampler::Find(int32_t tid) const {
  for (uint32_t i = 0; i < count_; ++i) {
    if (tids_[i] == tid) return i;
  }
  return kNowhere;
}

uint32_t UsageSampler::Keep(int32_t tid, uint64_t now_ns) {
  UsageFds* fds = UsageFds::OfProcess();
  if (fds == nullptr) return kNowhere;
  const auto open = [&] { return OpenUsage(source_, tid); };
  uint32_t slot = count_ < UsageFds::kMax ? fds->Add(open) : UsageFds::kNoSlot;
  if (slot == UsageFds::kNoSlot && count_ > 0) {
    const uint32_t oldest = static_cast<uint32_t>(std::min_element(used_ns_, used_ns_ + count_) - used_ns_);
    if (now_ns - std::min(now_ns, used_ns_[oldest]) < kStaleNs) return kNowhere;
    Drop(oldest);
    slot = fds->Add(open);
  }
  if (slot == UsageFds::kNoSlot) return kNowhere;
  tids_[count_] = tid;
  slots_[count_] = slot;
  used_ns_[count_] = now_ns;
  return count_++;
}

void UsageSampler::Drop(uint32_t at) {
  UsageFds::OfProcess()->Remove(slots_[at]);
  --count_;
  tids_[at] = tids_[count_];
  slots_[at] = slots_[count_];
  used_ns_[at] = used_ns_[count_];
}

void UsageSampler::FollowFork() {
  if (epoch_ == ForkEpoch()) return;
  epoch_ = ForkEpoch();
  count_ = 0;
}

}  // namespace workpool
