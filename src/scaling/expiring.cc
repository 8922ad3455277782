#include "scaling/expiring.h"

#include <algorithm>

#include "base/memory.h"
#include "scaling/signals.h"

namespace workpool {

Expiring::Expiring(Decider* inner, uint64_t keep_alive_ns)
    : inner_(inner), keep_alive_ns_(keep_alive_ns) {}

Expiring::~Expiring() { Delete(inner_); }

Decision Expiring::Decide(const LoadSample& sample) {
  const Decision inner = inner_->Decide(sample);
  const uint64_t keep_alive_ns = keep_alive_ns_ != 0 ? keep_alive_ns_ : sample.keep_alive_ns;
  part_ns_ = std::max<uint64_t>(keep_alive_ns / (kParts - 1), 1);
  if (!any_) Note(sample.now_ns, std::min(sample.target, sample.live));
  Note(sample.now_ns, Active(sample));
  const bool taken_away = inner.reason == Reason::kTrimmed || inner.reason == Reason::kSearchDown;
  if (taken_away && inner.workers < sample.target) {
    // That is not for want of work, and waits for nothing.
    for (uint32_t& most : most_) most = std::min(most, inner.workers);
    return inner;
  }
  // A higher bound is no need before a task waits.
  if (inner.reason != Reason::kHold && sample.queued > 0) {
    Note(sample.now_ns, inner.workers);
    if (inner.workers > sample.target) return inner;
  }
  const uint32_t kept = Most();
  if (kept < sample.target) return {kept, Reason::kExpired, inner.again_ns};
  return {sample.target, Reason::kHold, inner.again_ns};
}

void Expiring::Adopt(const LoadSample& sample) {
  inner_->Adopt(sample);
  Note(sample.now_ns, sample.target);
}

void Expiring::Note(uint64_t now_ns, uint32_t needed) {
  if (!any_) {
    any_ = true;
    part_end_ns_ = TimeAfter(now_ns, part_ns_);
  }
  part_end_ns_ = std::min(part_end_ns_, TimeAfter(now_ns, part_ns_));  // keep-alive may be shorter now
  if (now_ns >= part_end_ns_) {
    const uint64_t passed = 1 + (now_ns - part_end_ns_) / part_ns_;
    for (uint64_t i = 0; i < std::min<uint64_t>(passed, kParts); ++i) {
      at_ = (at_ + 1) % kParts;
      most_[at_] = 0;
    }
    part_end_ns_ = TimeAfter(part_end_ns_, passed * part_ns_);
  }
  most_[at_] = std::max(most_[at_], needed);
}

uint32_t Expiring::Most() const { return *std::max_element(most_, most_ + kParts); }

}  // namespace workpool
