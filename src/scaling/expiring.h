// Expiring: makes of a decider that leaves fewer workers to idle expiry one that keeps a target: what its workers have been
// needed for within the last keep-alive is kept, the rest is let go. A floor needs that: idle workers up to the floor stay.
// (As the last worker that was parked is the first to be woken, expiry after a time is the maximum of what was at work
// within that time; here it is said as a number.)
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

class Expiring final : public Decider {
 public:
  // Owns inner. keep_alive_ns = 0: that of the sample.
  Expiring(Decider* inner, uint64_t keep_alive_ns);
  ~Expiring() override;

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;
  void Adopt(const LoadSample& sample) override;
  [[nodiscard]] bool keeps() const override { return true; }
  [[nodiscard]] bool reads_own() const override { return inner_->reads_own(); }

 private:
  // The maximum over a sliding time, to an eighth of it: one maximum for each part.
  static constexpr uint32_t kParts = 8;

  void Note(uint64_t now_ns, uint32_t needed);
  [[nodiscard]] uint32_t Most() const;

  Decider* const inner_;
  const uint64_t keep_alive_ns_;
  uint64_t part_ns_ = 1;
  bool any_ = false;
  uint64_t part_end_ns_ = 0;
  uint32_t at_ = 0;
  uint32_t most_[kParts] = {};
};

}  // namespace workpool
