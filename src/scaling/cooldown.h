// Cooldown: the shortest time from any step to the next one up, and to the next one down, and the largest step up. So no
// step is taken back within the time of its opposite. Nothing is held before the first step.
// Threads: one at a time. No clock in here: now_ns comes in; one that steps back counts as no time.
#pragma once

#include <cstdint>

namespace workpool {

struct CooldownOptions {
  uint64_t up_ns = 0;
  uint64_t down_ns = 0;
  uint32_t step_up_max = 0;  // workers; 0: no limit
};

class Cooldown {
 public:
  explicit Cooldown(const CooldownOptions& options = {}) : options_(options) {}

  // How far the way from one number of workers to another may be gone now: from itself, if not at all.
  [[nodiscard]] uint32_t Allow(uint64_t now_ns, uint32_t from, uint32_t to) const;

  // A step was taken now.
  void Record(uint64_t now_ns) {
    any_ = true;
    last_ns_ = now_ns;
  }

  // When a step up or down is next allowed: now_ns, if it is now.
  [[nodiscard]] uint64_t UpNs(uint64_t now_ns) const { return NextNs(now_ns, options_.up_ns); }
  [[nodiscard]] uint64_t DownNs(uint64_t now_ns) const { return NextNs(now_ns, options_.down_ns); }

 private:
  [[nodiscard]] uint64_t NextNs(uint64_t now_ns, uint64_t time_ns) const;

  CooldownOptions options_;
  bool any_ = false;
  uint64_t last_ns_ = 0;
};

}  // namespace workpool
